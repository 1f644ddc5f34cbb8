/** When each directory that has something to publish is published, and again if that was not proven (vfs blueprint 9). */
import { describeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { DirectoryPublisher } from './directory-publisher.js';
import type { Directory } from './inode.js';
import type { Moves } from './moves.js';
import type { Pace } from './pace.js';

/** A directory with this many changes is published without waiting for quiet. */
const NAMES_MAX = 1000;
/** A new directory waits this long for the contents of its files. */
const UNBORN_MS = 60_000;
const MIB = 1024 * 1024;

type RetryReason = 'collision' | 'unsettled' | 'failure';

export class PublishQueue {
  readonly #core: VfsCore;
  readonly #pace: Pace;
  readonly #moves: Moves;
  readonly #publisher: DirectoryPublisher;
  readonly #poke: () => void;
  #running = 0;
  #done = 0;

  /** `poke` has the queue started again soon. */
  constructor(core: VfsCore, pace: Pace, moves: Moves, publisher: DirectoryPublisher, poke: () => void) {
    this.#core = core;
    this.#pace = pace;
    this.#moves = moves;
    this.#publisher = publisher;
    this.#poke = poke;
  }

  get done(): number {
    return this.#done;
  }

  hurryAll(): void {
    for (const { publishing } of this.#core.tree.pending) publishing.notBeforeMs = 0;
  }

  hurryFailed(): void {
    for (const { publishing, problem } of this.#core.tree.pending)
      if (publishing.failures > 0 && problem === undefined) publishing.notBeforeMs = 0;
  }

  /** Waits for what runs. */
  async stop(): Promise<void> {
    await Promise.all([...this.#core.tree.pending].map(({ publishing }) => publishing.running));
  }

  /** Starts what is due, and says when to look again (monotonic). */
  start(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const directory of this.#core.tree.pending) nextMs = Math.min(nextMs, this.#consider(directory));
    return nextMs;
  }

  #consider(directory: Directory): number {
    const { publishing } = directory;
    const { publishesMax, publishAfterMs } = this.#core.settings;
    if (publishing.running !== undefined || this.#running >= publishesMax) return Number.POSITIVE_INFINITY;
    const { nowMs } = this.#pace;
    const dueMs = Math.max(publishing.notBeforeMs, this.#dueMs(directory));
    if (dueMs > nowMs) return dueMs;
    const eligible = this.#publisher.eligible(directory).length;
    const isDue = directory.attempts.length > 0 || directory.isRolledBack || directory.isProofDue;
    const hasWork = eligible > 0 || isDue || (!directory.isBorn && directory.dirty.size === 0);
    // a file that is open for long, a conflict that is resolved: what is not ready now may be
    if (!hasWork) return directory.dirty.size > 0 ? nowMs + publishAfterMs : Number.POSITIVE_INFINITY;
    if (eligible < directory.dirty.size && !this.#mayPublishPart(directory)) return nowMs + publishAfterMs / 10;
    this.#startPublish(directory);
    return Number.POSITIVE_INFINITY;
  }

  /** Part of the changes only, while contents are still on their way: not before the longest wait is over. */
  #mayPublishPart(directory: Directory): boolean {
    if (directory.publishing.forced > 0) return true;
    // nobody can see a directory before its first version anyway: better with its contents inside
    const waitMs = directory.isBorn ? this.#core.settings.publishAfterMs : UNBORN_MS;
    return this.#pace.nowMs >= Math.max(firstChangeMs(directory), directory.publishing.provenMs) + waitMs;
  }

  #dueMs(directory: Directory): number {
    const { publishAfterMs, publishAfterQuietMs } = this.#core.settings;
    if (directory.publishing.forced > 0 || this.#pace.draining > 0 || directory.dirty.size >= NAMES_MAX) return 0;
    const weight = Math.max(1, (directory.base?.sizeBytes ?? 0) / MIB);
    const first = firstChangeMs(directory) + publishAfterMs * weight;
    const quiet = lastChangeMs(directory) + publishAfterQuietMs * weight;
    return Math.min(first, Math.max(quiet, this.#pace.pauseMs(first)));
  }

  #startPublish(directory: Directory): void {
    const { publishing } = directory;
    this.#running++;
    const run = async (): Promise<void> => {
      try {
        const round = await this.#publisher.publish(directory);
        switch (round.kind) {
          case 'proven':
            this.#proven(directory);
            break;
          case 'stopped':
            this.#stopped(directory, round.reason);
            break;
          case 'retry':
            this.#retry(directory, round.reason, round.why);
            break;
          default:
            publishing.failures = 0;
            this.#moves.wake();
        }
      } catch (error) {
        this.#retry(directory, describeError(error), 'failure');
      } finally {
        publishing.running = undefined;
        this.#running--;
        // whatever the round has found: a proof, or that it only seemed to be rolled back
        this.#core.tree.notePending(directory);
        this.#poke();
      }
    };
    publishing.running = run();
  }

  #proven(directory: Directory): void {
    const { publishing } = directory;
    this.#done++;
    publishing.failures = 0;
    publishing.provenMs = this.#pace.nowMs;
    publishing.lastReason = undefined;
    directory.problem = undefined;
    this.#lookAgain(directory);
    this.#moves.signal();
  }

  /** A program that overwrites what it has not seen does so soon after a publish of ours, and tells nobody. */
  #lookAgain(directory: Directory): void {
    const { publishing } = directory;
    const { platform, settings } = this.#core;
    for (const timer of publishing.looks) timer.cancel();
    publishing.looks = [];
    if (!directory.isShared) return;
    publishing.looks = settings.lookAgainAfterMs.map((delayMs) =>
      platform.clock.setTimer(delayMs, () => {
        if (!this.#pace.isStopped && !directory.isDiscarded) void this.#publisher.look(directory);
      }),
    );
  }

  #retry(directory: Directory, reason: string, why: RetryReason): void {
    const { publishing } = directory;
    publishing.failures++;
    publishing.lastReason = reason;
    publishing.notBeforeMs = this.#pace.nowMs + this.#retryDelayMs(directory, why);
    this.#core.platform.log.warn('publish not proven; it will be tried again', {
      inode: directory.inode.number,
      reason,
      failures: publishing.failures,
    });
    this.#moves.wake();
  }

  #retryDelayMs({ publishing: { failures, forced } }: Directory, why: RetryReason): number {
    const { settings, platform } = this.#core;
    const { retryAfterMs, settlePollMs } = settings;
    const fraction = platform.entropy.fraction();
    switch (why) {
      case 'collision':
        return fraction * Math.min(8 * retryAfterMs, (retryAfterMs / 5) * 2 ** failures);
      case 'unsettled':
        return settlePollMs * (1 + fraction);
      case 'failure': {
        // whoever waits does not wait for the delays of those who do not
        const delayMs = this.#pace.backoffMs(failures);
        return forced > 0 ? Math.min(delayMs, 4 * retryAfterMs) : delayMs;
      }
    }
  }

  #stopped(directory: Directory, reason: string): void {
    directory.problem = { state: 'failed', reason };
    directory.publishing.lastReason = reason;
    directory.publishing.notBeforeMs = this.#pace.nowMs + this.#core.settings.stallMs;
    this.#core.platform.log.error('a directory cannot be published; everything is kept in the journal', {
      inode: directory.inode.number,
      reason,
    });
    this.#moves.wake();
  }
}

function firstChangeMs(directory: Directory): number {
  let first = directory.isBorn ? Number.POSITIVE_INFINITY : directory.createdMs;
  for (const { sinceMs } of directory.dirty.values()) first = Math.min(first, sinceMs);
  return first === Number.POSITIVE_INFINITY ? 0 : first;
}

function lastChangeMs(directory: Directory): number {
  let last = directory.isBorn ? 0 : directory.createdMs;
  for (const { lastMs } of directory.dirty.values()) last = Math.max(last, lastMs);
  return last;
}
