import type { Clock } from '../platform/clock.js';

/** What has moved towards the grid, and whoever waits for the next move. */
export class Moves {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();
  #lastMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastMs = clock.monotonicMs();
  }

  /** Monotonic time of the last progress of any kind. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /** Something is on its way: nobody gives up yet. */
  noteProgress(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  /** Something has arrived: whoever waits looks again. */
  signal(): void {
    this.noteProgress();
    this.wake();
  }

  /** Something has failed: whoever waits looks again, and the time in which nothing moves goes on. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next event, or after a while so that deadlines are noticed. Rejects with the signal's reason. */
  next(maximumMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        signal?.removeEventListener('abort', settle);
        this.#waiting.delete(settle);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = this.#clock.setTimer(maximumMs, settle);
      signal?.addEventListener('abort', settle, { once: true });
      this.#waiting.add(settle);
    });
  }
}
