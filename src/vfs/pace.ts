import type { VfsCore } from './core.js';

/** The file system is in use while the last operation is not older than this. */
const BURST_MS = 50;
const RETRY_MAX_MS = 60_000;

/** What uploads and publishes go by: the clock, the use of the file system, and whether somebody waits for all of it. */
export class Pace {
  readonly #core: VfsCore;
  /** How many wait until nothing is pending: then nothing waits for pauses. */
  draining = 0;
  /** Nothing is started any more. */
  isStopped = false;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  get nowMs(): number {
    return this.#core.platform.clock.monotonicMs();
  }

  get isBurst(): boolean {
    return this.draining === 0 && this.nowMs - this.#core.activity.lastMs < BURST_MS;
  }

  /** When there may be a pause in the use of the file system, but not after `latestMs`. */
  pauseMs(latestMs: number): number {
    return Math.min(latestMs, this.#core.activity.lastMs + BURST_MS);
  }

  /** 1 s, 2 s, 4 s ... a minute, each up to half longer so that retries of many do not come together. */
  backoffMs(failures: number): number {
    const { settings, platform } = this.#core;
    return Math.min(RETRY_MAX_MS, settings.retryAfterMs * 2 ** (failures - 1)) * (1 + platform.entropy.fraction() / 2);
  }
}
