/**
 * Time that passes only when everything that can happen now has happened. One queue of events for the whole simulation;
 * events of one moment run in the order in which they were ordered, so a run is a function of its seed.
 */
import type { Clock, Timer } from '../../src/platform/clock.js';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
  isCancelled: boolean;
}

/** Wall time at which every simulation begins. */
const EPOCH_MS = Date.UTC(2026, 0, 1);

export class VirtualTime implements Clock {
  nowMs = 0;
  #ordered = 0;
  /** A binary heap, earliest first. */
  readonly #heap: Event[] = [];

  wallMs(): number {
    return EPOCH_MS + this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    // whole milliseconds: what happens within one is one moment
    const atMs = this.nowMs + Math.max(0, Math.ceil(delayMs));
    const event: Event = { atMs, order: this.#ordered++, callback, isCancelled: false };
    this.#push(event);
    return {
      cancel: () => {
        event.isCancelled = true;
      },
    };
  }

  /** Lets time pass until `isDone`, or for `limitMs`. False if it did not come to that. */
  async runUntil(isDone: () => boolean, limitMs: number): Promise<boolean> {
    const endMs = this.nowMs + limitMs;
    for (;;) {
      await settled();
      if (isDone()) return true;
      const next = this.#next();
      if (next === undefined || next.atMs > endMs) {
        this.nowMs = endMs;
        return false;
      }
      this.nowMs = next.atMs;
      const ordered = this.#ordered;
      for (let event: Event | undefined = next; event !== undefined; event = this.#next()) {
        if (event.atMs > this.nowMs || event.order >= ordered) break;
        this.#pop();
        event.callback();
      }
    }
  }

  async pass(forMs: number): Promise<void> {
    await this.runUntil(() => false, forMs);
  }

  #next(): Event | undefined {
    while (this.#heap[0]?.isCancelled) this.#pop();
    return this.#heap[0];
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    for (let above = (at - 1) >> 1; at > 0 && isBefore(event, heap[above]!); above = (at - 1) >> 1) {
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && isBefore(heap[below + 1]!, heap[below]!)) below++;
      if (!isBefore(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** Resolves when everything that waits for nothing has run: no work is left but what a timer will start. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** The clock of one process: its timers die with it, its monotonic time begins with it, its wall clock may be wrong. */
export class ProcessClock implements Clock {
  readonly #time: VirtualTime;
  readonly #startedMs: number;
  readonly #skewMs: number;
  isAlive = true;

  constructor(time: VirtualTime, skewMs: number) {
    this.#time = time;
    this.#startedMs = time.nowMs;
    this.#skewMs = skewMs;
  }

  wallMs(): number {
    return this.#time.wallMs() + this.#skewMs;
  }

  monotonicMs(): number {
    return this.#time.nowMs - this.#startedMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#time.setTimer(delayMs, () => {
      if (this.isAlive) callback();
    });
  }
}
