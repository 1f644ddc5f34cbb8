import type { Clock, Timer } from '../platform/clock.js';

/** The longest delay that setTimeout takes without firing at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clocks. */
export class NodeClock implements Clock {
  wallMs(): number {
    // Not timeOrigin + now(): that would ignore corrections of the system clock made after the start.
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    let handle: NodeJS.Timeout;
    const start = (remainingMs: number) => {
      const stepMs = Math.min(Math.max(remainingMs, 0), LONGEST_TIMER_MS);
      handle = setTimeout(() => (remainingMs > stepMs ? start(remainingMs - stepMs) : callback()), stepMs);
      handle.unref();
    };
    start(delayMs);
    return { cancel: () => clearTimeout(handle) };
  }
}
