/**
 * Decides when what was written here goes to the grid: uploads of closed files, publishes of directories, both in
 * bounded numbers, retried with growing delays, at once for whoever waits (vfs blueprint 6 and 9).
 */
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Timer } from '../platform/clock.js';
import type { VfsCore } from './core.js';
import type { DirectoryPublisher } from './directory-publisher.js';
import type { Directory, Inode } from './inode.js';
import { Moves } from './moves.js';
import { Pace } from './pace.js';
import { PublishQueue } from './publish-queue.js';
import { UploadQueue } from './upload-queue.js';
import type { WantedFiles } from './wanted-files.js';

/** Operations on names are durable within this time, also if nobody waits for it. */
const GROUP_COMMIT_MS = 50;
/** Events within this time are looked at together. */
const TICK_MS = 10;

export class WriteBack {
  readonly #core: VfsCore;
  readonly #pace: Pace;
  readonly #moves: Moves;
  /** Files that somebody waits for. Shared with the publisher. */
  readonly #wanted: WantedFiles;
  readonly #uploads: UploadQueue;
  readonly #publishes: PublishQueue;
  readonly #endReturns: (() => void) | undefined;
  #tick: Timer | undefined;
  #tickDueMs = Number.POSITIVE_INFINITY;
  #isCheckpointing = false;

  constructor(core: VfsCore, publisher: DirectoryPublisher, wanted: WantedFiles) {
    const poke = (delayMs?: number) => this.poke(delayMs);
    this.#core = core;
    this.#wanted = wanted;
    this.#pace = new Pace(core);
    this.#moves = new Moves(core.platform.clock);
    this.#uploads = new UploadQueue(core, this.#pace, this.#moves, wanted, poke);
    this.#publishes = new PublishQueue(core, this.#pace, this.#moves, publisher, poke);
    this.#endReturns = core.slots.onReturn?.(() => this.#serverReturned());
  }

  get uploadsDone(): number {
    return this.#uploads.done;
  }

  get publishesDone(): number {
    return this.#publishes.done;
  }

  /** Monotonic time of the last progress of any kind. */
  get lastMoveMs(): number {
    return this.#moves.lastMs;
  }

  /** Nothing is started any more; what runs is waited for. */
  async stop(): Promise<void> {
    this.#pace.isStopped = true;
    this.#endReturns?.();
    this.#tick?.cancel();
    await Promise.all([this.#uploads.stop(), this.#publishes.stop()]);
    this.#moves.signal();
  }

  /** A snapshot was taken. */
  noteSnapshot(inode: Inode): void {
    this.#uploads.add(inode);
  }

  /** Operations on names were accepted. */
  noteNames(): void {
    this.poke(GROUP_COMMIT_MS);
  }

  /** A file lost its last name and its last handle: nobody wants it uploaded. */
  dropFile(inode: Inode): void {
    this.#uploads.drop(inode);
    this.#core.ledger.dropContent(inode);
  }

  /** Something has changed; looks at everything within `delayMs`. */
  poke(delayMs = TICK_MS): void {
    if (this.#pace.isStopped) return;
    const dueMs = this.#pace.nowMs + delayMs;
    if (dueMs >= this.#tickDueMs) return;
    this.#tick?.cancel();
    this.#tickDueMs = dueMs;
    this.#tick = this.#core.platform.clock.setTimer(delayMs, () => {
      this.#tickDueMs = Number.POSITIVE_INFINITY;
      this.#pump();
    });
  }

  /**
   * Resolves when `isDone` holds; meanwhile `inodes` and `directories` are not kept waiting. Rejects with kind `timeout`
   * and the last reason when nothing has moved for a minute or ten minutes have passed, with kind `unrecoverable` if a
   * directory needs somebody's help, or with the signal's reason.
   */
  async waitFor(
    isDone: () => boolean,
    wanted: { readonly inodes?: readonly Inode[]; readonly directories: readonly Directory[] },
    signal?: AbortSignal,
  ): Promise<void> {
    const startedMs = this.#pace.nowMs;
    const { inodes = [], directories } = wanted;
    for (const inode of inodes) {
      this.#wanted.add(inode);
      this.#uploads.hurry(inode);
    }
    for (const { publishing } of directories) {
      publishing.forced++;
      publishing.notBeforeMs = 0;
    }
    try {
      while (!isDone()) {
        this.#checkWait(startedMs, directories, signal);
        this.poke(0);
        await this.#moves.next(Math.min(1000, this.#core.settings.stallMs / 4), signal);
      }
    } finally {
      for (const inode of inodes) this.#wanted.remove(inode);
      for (const { publishing } of directories) publishing.forced--;
    }
  }

  /**
   * Resolves when the version of the directory that the view shows is proven or was seen on a write quorum. One that stays
   * on fewer servers is published again; what cannot be published here is waited for. Rejects as `waitFor` does.
   */
  async waitForProof(directory: Directory, signal?: AbortSignal): Promise<void> {
    const { tree } = this.#core;
    directory.proofsWanted++;
    tree.notePending(directory);
    try {
      await this.waitFor(() => directory.isProven, { directories: [directory] }, signal);
    } finally {
      directory.proofsWanted--;
      tree.notePending(directory);
    }
  }

  /** Uploads and publishes without delay until `isDone` holds, however long that takes; `onMove` follows it. */
  async drain(isDone: () => boolean, onMove: () => void, signal?: AbortSignal): Promise<void> {
    this.#pace.draining++;
    this.#publishes.hurryAll();
    this.#uploads.hurryAll();
    try {
      while (!isDone()) {
        signal?.throwIfAborted();
        this.#checkRunning('vfs.drain');
        this.poke(0);
        await this.#moves.next(500, signal);
        onMove();
      }
    } finally {
      this.#pace.draining--;
    }
  }

  #checkWait(startedMs: number, directories: readonly Directory[], signal: AbortSignal | undefined): void {
    signal?.throwIfAborted();
    this.#checkRunning('vfs.fsync');
    const problem = directories.find((each) => each.problem !== undefined)?.problem;
    if (problem !== undefined) throw new TahoeError(problem.reason, { kind: 'unrecoverable', op: 'vfs.fsync' });
    const { nowMs } = this.#pace;
    const { stallMs, waitMaxMs } = this.#core.settings;
    if (nowMs - Math.max(startedMs, this.lastMoveMs) <= stallMs && nowMs - startedMs <= waitMaxMs) return;
    const refused = directories.map(({ publishing }) => publishing.lastReason).find((each) => each !== undefined);
    const reason = refused ?? this.#uploads.lastFailure ?? 'no answer';
    throw new TahoeError(`the grid was not reached in time; the data stays in the journal (${reason})`, {
      kind: 'timeout',
      op: 'vfs.fsync',
    });
  }

  #checkRunning(op: string): void {
    if (this.#pace.isStopped) throw new TahoeError('the node is stopping', { kind: 'closed', op });
  }

  #pump(): void {
    if (this.#pace.isStopped) return;
    const { ledger, platform } = this.#core;
    if (ledger.isSyncDue) {
      ledger
        .sync()
        .catch((error: unknown) => platform.log.error('the journal failed', { error: describeError(error) }));
    }
    this.#checkpointIfDue();
    const nextMs = Math.min(this.#uploads.start(), this.#publishes.start());
    if (nextMs < Number.POSITIVE_INFINITY) this.poke(Math.max(TICK_MS, nextMs - this.#pace.nowMs));
  }

  #checkpointIfDue(): void {
    const { ledger, platform } = this.#core;
    if (this.#isCheckpointing || !ledger.log.checkpointDue) return;
    this.#isCheckpointing = true;
    ledger
      .checkpoint()
      .catch((error: unknown) =>
        platform.log.error('the journal could not be checkpointed', { error: describeError(error) }),
      )
      .finally(() => {
        this.#isCheckpointing = false;
      });
  }

  /** What failed while servers were away is tried at once, not when its delay is over. */
  #serverReturned(): void {
    this.#uploads.hurryFailed();
    this.#publishes.hurryFailed();
    this.poke();
  }
}
