import type { Clock } from '../platform/clock.js';

/**
 * Whether somebody is using the file system right now. Uploads and publishes share one thread with the answers that
 * programs wait for, so they step back while there is a burst of operations, for a bounded time.
 */
export class Activity {
  readonly #clock: Clock;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An operation came in. */
  note(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  /** Monotonic time of the last operation. */
  get lastMs(): number {
    return this.#lastMs;
  }
}
