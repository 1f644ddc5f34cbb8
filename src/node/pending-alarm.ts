/** Says so, in status and log, when something has been on this computer only for longer than it should. */
import type { Clock, Timer } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import type { VfsStatus } from '../vfs/vfs.js';

const LOOK_MS_MAX = 30_000;
/** While it goes on it is logged again this often. */
const REPEAT_MS = 3_600_000;

export class PendingAlarm {
  readonly #status: () => VfsStatus;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #afterSeconds: number;
  #timer: Timer | undefined;
  #loggedMs = Number.NEGATIVE_INFINITY;

  constructor(status: () => VfsStatus, clock: Clock, log: Logger, afterSeconds: number) {
    this.#status = status;
    this.#clock = clock;
    this.#log = log;
    this.#afterSeconds = afterSeconds;
  }

  start(): void {
    this.#timer = this.#clock.setTimer(Math.min(LOOK_MS_MAX, this.#afterSeconds * 250), () => {
      this.#look();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** What has waited too long, how long, and why; undefined while nothing has. */
  get message(): string | undefined {
    const { oldestPendingSeconds, oldestPending } = this.#status();
    if (oldestPending === undefined || oldestPendingSeconds <= this.#afterSeconds) return undefined;
    const { path, state } = oldestPending;
    const reason = state.reason === undefined ? '' : ` (${state.reason})`;
    return `${path} has been waiting for ${Math.round(oldestPendingSeconds)} s: ${state.state}${reason}`;
  }

  #look(): void {
    const { message } = this;
    const nowMs = this.#clock.monotonicMs();
    if (message === undefined) this.#loggedMs = Number.NEGATIVE_INFINITY;
    if (message === undefined || nowMs - this.#loggedMs < REPEAT_MS) return;
    this.#loggedMs = nowMs;
    this.#log.error('ALARM: something is on this computer only for too long', { waiting: message });
  }
}
