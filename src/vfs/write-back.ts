/**
 * Decides when what was written here goes to the grid: uploads of closed files, publishes of directories, both in
 * bounded numbers, retried with growing delays, at once for whoever waits (vfs blueprint 6 and 9).
 */
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { UploadSource } from '../immutable/immutable.js';
import type { Timer } from '../platform/clock.js';
import type { VfsCore } from './core.js';
import type { DirectoryPublisher } from './directory-publisher.js';
import type { Directory, Inode } from './inode.js';
import { sharePlacement } from './receipts.js';
import { writeSlot } from './slot-writer.js';
import type { WantedFiles } from './wanted-files.js';

/** Operations on names are durable within this time, also if nobody waits for it. */
const GROUP_COMMIT_MS = 50;
/** Events within this time are looked at together. */
const TICK_MS = 10;
/** The file system is in use while the last operation is not older than this. */
const BURST_MS = 50;
/** Uploads at once while it is. */
const BURST_UPLOADS = 2;
/** A directory with this many changes is published without waiting for quiet. */
const NAMES_MAX = 1000;
/** A new directory waits this long for the contents of its files. */
const UNBORN_MS = 60_000;
const MIB = 1024 * 1024;

export class WriteBack {
  readonly #core: VfsCore;
  readonly #publisher: DirectoryPublisher;
  /** Files that somebody waits for. Shared with the publisher. */
  readonly #wanted: WantedFiles;
  /** Files with a snapshot that is not uploaded, in the order in which they were closed. */
  readonly #queue = new Set<Inode>();
  readonly #queuedMs = new Map<Inode, { atMs: number; notBeforeMs: number; failures: number }>();
  #uploads = 0;
  #publishes = 0;
  #uploadsDone = 0;
  #publishesDone = 0;
  #draining = 0;
  #isStopped = false;
  #tick: Timer | undefined;
  #tickDueMs = Number.POSITIVE_INFINITY;
  #lastMoveMs: number;
  #lastUploadFailure: string | undefined;
  /** Whoever waits for the next event. */
  readonly #waiting = new Set<() => void>();
  #isCheckpointing = false;
  readonly #endReturns: (() => void) | undefined;

  constructor(core: VfsCore, publisher: DirectoryPublisher, wanted: WantedFiles) {
    this.#core = core;
    this.#publisher = publisher;
    this.#wanted = wanted;
    this.#lastMoveMs = core.platform.clock.monotonicMs();
    this.#endReturns = core.slots.onReturn?.(() => this.#serverReturned());
  }

  get uploadsDone(): number {
    return this.#uploadsDone;
  }

  /** Monotonic time of the last progress of any kind. */
  get lastMoveMs(): number {
    return this.#lastMoveMs;
  }

  get publishesDone(): number {
    return this.#publishesDone;
  }

  /** Nothing is started any more; what runs is waited for. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endReturns?.();
    this.#tick?.cancel();
    const running: (Promise<void> | undefined)[] = [];
    for (const inode of this.#core.tree.dirtyFiles) {
      inode.content?.upload?.abort.abort(
        new TahoeError('the node is stopping', { kind: 'cancelled', op: 'vfs.upload' }),
      );
      running.push(inode.content?.upload?.done);
    }
    for (const directory of this.#core.tree.pending) running.push(directory.publishing.running);
    await Promise.all(running);
    this.#signalMove();
  }

  /** A snapshot was taken. */
  noteSnapshot(inode: Inode): void {
    const nowMs = this.#nowMs();
    this.#queue.add(inode);
    const known = this.#queuedMs.get(inode);
    // what is on its way into a slot would have to be found out again
    const isRunningOld = inode.content?.upload !== undefined && !this.#wanted.has(inode) && inode.other === undefined;
    if (isRunningOld) inode.content?.upload?.abort.abort(superseded());
    this.#queuedMs.set(inode, {
      atMs: nowMs,
      notBeforeMs: nowMs + this.#core.settings.uploadAfterMs,
      failures: known?.failures ?? 0,
    });
    this.poke(this.#core.settings.uploadAfterMs);
  }

  /** A file lost its last name and its last handle: nobody wants it uploaded. */
  dropFile(inode: Inode): void {
    inode.content?.upload?.abort.abort(superseded());
    this.#queue.delete(inode);
    this.#queuedMs.delete(inode);
    this.#core.ledger.dropContent(inode);
  }

  /** Something has changed; looks at everything within `delayMs`. */
  poke(delayMs = TICK_MS): void {
    if (this.#isStopped) return;
    const dueMs = this.#nowMs() + delayMs;
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
    const startedMs = this.#nowMs();
    const { inodes = [], directories } = wanted;
    const { stallMs, waitMaxMs } = this.#core.settings;
    for (const inode of inodes) {
      this.#wanted.add(inode);
      const queued = this.#queuedMs.get(inode);
      if (queued !== undefined) queued.notBeforeMs = 0;
    }
    for (const directory of directories) {
      directory.publishing.forced++;
      directory.publishing.notBeforeMs = 0;
    }
    try {
      for (;;) {
        if (isDone()) return;
        signal?.throwIfAborted();
        if (this.#isStopped) throw new TahoeError('the node is stopping', { kind: 'closed', op: 'vfs.fsync' });
        const problem = directories.find(({ problem }) => problem !== undefined)?.problem;
        if (problem !== undefined) throw new TahoeError(problem.reason, { kind: 'unrecoverable', op: 'vfs.fsync' });
        const nowMs = this.#nowMs();
        if (nowMs - Math.max(startedMs, this.#lastMoveMs) > stallMs || nowMs - startedMs > waitMaxMs) {
          const reason = directories.map((each) => each.publishing.lastReason).find((each) => each !== undefined);
          throw new TahoeError(
            `the grid was not reached in time; the data stays in the journal (${reason ?? this.#lastUploadFailure ?? 'no answer'})`,
            {
              kind: 'timeout',
              op: 'vfs.fsync',
            },
          );
        }
        this.poke(0);
        await this.#nextMove(Math.min(1000, stallMs / 4), signal);
      }
    } finally {
      for (const inode of inodes) this.#wanted.remove(inode);
      for (const directory of directories) directory.publishing.forced--;
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

  /** Publishes without delay until nothing is pending. */
  async drain(isDone: () => boolean, onMove: () => void, signal?: AbortSignal): Promise<void> {
    this.#draining++;
    for (const directory of this.#core.tree.pending) directory.publishing.notBeforeMs = 0;
    for (const queued of this.#queuedMs.values()) queued.notBeforeMs = 0;
    try {
      while (!isDone()) {
        signal?.throwIfAborted();
        if (this.#isStopped) throw new TahoeError('the node is stopping', { kind: 'closed', op: 'vfs.drain' });
        this.poke(0);
        await this.#nextMove(500, signal);
        onMove();
      }
    } finally {
      this.#draining--;
    }
  }

  #pump(): void {
    if (this.#isStopped) return;
    const { ledger, tree } = this.#core;
    if (ledger.isSyncDue) {
      ledger
        .sync()
        .catch((error: unknown) =>
          this.#core.platform.log.error('the journal failed', { error: describeError(error) }),
        );
    }
    this.#checkpointIfDue();
    let nextMs = this.#startUploads();
    for (const directory of tree.pending) nextMs = Math.min(nextMs, this.#considerPublish(directory));
    if (nextMs < Number.POSITIVE_INFINITY) this.poke(Math.max(TICK_MS, nextMs - this.#nowMs()));
  }

  /** Operations on names were accepted. */
  noteNames(): void {
    this.poke(GROUP_COMMIT_MS);
  }

  /** What failed while servers were away is tried at once, not when its delay is over. */
  #serverReturned(): void {
    for (const queued of this.#queuedMs.values()) if (queued.failures > 0) queued.notBeforeMs = 0;
    for (const { publishing, problem } of this.#core.tree.pending)
      if (publishing.failures > 0 && problem === undefined) publishing.notBeforeMs = 0;
    this.poke();
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

  #startUploads(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    const { uploadsMax, stepBackMs } = this.#core.settings;
    const uploadsNow = this.#isBurst() ? Math.min(BURST_UPLOADS, uploadsMax) : uploadsMax;
    for (const inode of this.#queue) {
      const room = this.#uploads < uploadsNow || this.#wanted.has(inode);
      if (!room && this.#wanted.size === 0) break;
      const { content } = inode;
      const isGone = inode.place === undefined && (inode.handles === 0 || inode.other !== undefined);
      if (content?.snapshot === undefined || isGone) {
        this.#queue.delete(inode);
        this.#queuedMs.delete(inode);
        continue;
      }
      // an unlinked file that is open: it is sent if it gets a name again
      if (inode.place === undefined || !room || content.upload !== undefined) continue;
      const queued = this.#queuedMs.get(inode)!;
      const isPatient = this.#draining === 0 && !this.#wanted.has(inode);
      const isHeldOpen = isPatient && content.writers > 0;
      const pauseMs = isPatient ? this.#pauseMs(queued.atMs + stepBackMs) : 0;
      const dueMs = Math.max(
        queued.notBeforeMs,
        pauseMs,
        isHeldOpen ? queued.atMs + this.#core.settings.openFileMs : 0,
      );
      if (dueMs > this.#nowMs()) nextMs = Math.min(nextMs, dueMs);
      else this.#startUpload(inode);
    }
    return nextMs;
  }

  #startUpload(inode: Inode): void {
    const content = inode.content!;
    const { snapshot, generation } = content;
    const abort = new AbortController();
    this.#queue.delete(inode);
    this.#uploads++;
    const source = this.#core.contents.source(snapshot!, content);
    const run = async (): Promise<void> => {
      try {
        const isNewest = await this.#store(inode, source, abort.signal);
        this.#uploadsDone++;
        content.upload = undefined;
        this.#queuedMs.delete(inode);
        const isLeftover = content.generation > generation || content.uploaded?.generation !== content.generation;
        if (!isNewest && content.overlay !== undefined && isLeftover) this.noteSnapshot(inode);
        this.#signalMove();
      } catch (error) {
        content.upload = undefined;
        this.#uploadFailed(inode, error);
      } finally {
        source.close();
        this.#uploads--;
        this.poke();
      }
    };
    content.upload = { generation, abort, done: run() };
  }

  /** Returns true if nothing newer is waiting when it is on the grid. */
  async #store(inode: Inode, source: UploadSource, signal: AbortSignal): Promise<boolean> {
    const { base, generation, snapshot } = inode.content!;
    if (inode.other !== undefined && base.type === 'mutable') {
      return writeSlot(this.#core, inode, { base, generation, snapshot: snapshot!, source, signal });
    }
    const onProgress = () => this.#noteProgress();
    const { cap, placement } = await this.#core.grid.upload(source, { signal, onProgress });
    return this.#core.ledger.uploaded(inode, generation, cap, sharePlacement(placement));
  }

  #uploadFailed(inode: Inode, error: unknown): void {
    const { platform } = this.#core;
    if (inode.content?.snapshot === undefined || this.#isStopped) return;
    this.#queue.add(inode);
    const nowMs = this.#nowMs();
    const queued = this.#queuedMs.get(inode) ?? { atMs: nowMs, notBeforeMs: nowMs, failures: 0 };
    this.#queuedMs.set(inode, queued);
    if (isTahoeError(error, 'cancelled')) return;
    const reason = describeError(error);
    queued.failures++;
    queued.notBeforeMs = nowMs + this.#backoffMs(queued.failures);
    this.#lastUploadFailure = reason;
    inode.content.failure = reason;
    platform.log.warn('upload failed; the bytes stay in the journal and will be tried again', {
      inode: inode.number,
      failures: queued.failures,
      error: reason,
    });
    this.#wake();
  }

  /** Starts the publish if it is time; else says when to look again (monotonic). */
  #considerPublish(directory: Directory): number {
    const { publishing } = directory;
    if (publishing.running !== undefined) return Number.POSITIVE_INFINITY;
    if (this.#publishes >= this.#core.settings.publishesMax) return Number.POSITIVE_INFINITY;
    const nowMs = this.#nowMs();
    const dueMs = Math.max(publishing.notBeforeMs, this.#publishDueMs(directory));
    if (dueMs > nowMs) return dueMs;
    const eligible = this.#publisher.eligible(directory).length;
    const isDue = directory.attempts.length > 0 || directory.isRolledBack || directory.isProofDue;
    const hasWork = eligible > 0 || isDue || (!directory.isBorn && directory.dirty.size === 0);
    // a file that is open for long, a conflict that is resolved: what is not ready now may be
    if (!hasWork)
      return directory.dirty.size > 0 ? nowMs + this.#core.settings.publishAfterMs : Number.POSITIVE_INFINITY;
    if (eligible < directory.dirty.size && !this.#mayPublishPart(directory))
      return nowMs + this.#core.settings.publishAfterMs / 10;
    this.#startPublish(directory);
    return Number.POSITIVE_INFINITY;
  }

  /** Part of the changes only, while contents are still on their way: not before the longest wait is over. */
  #mayPublishPart(directory: Directory): boolean {
    if (directory.publishing.forced > 0) return true;
    // nobody can see a directory before its first version anyway: better with its contents inside
    const waitMs = directory.isBorn ? this.#core.settings.publishAfterMs : UNBORN_MS;
    return this.#nowMs() >= Math.max(firstChangeMs(directory), directory.publishing.provenMs) + waitMs;
  }

  #publishDueMs(directory: Directory): number {
    const { publishAfterMs, publishAfterQuietMs } = this.#core.settings;
    if (directory.publishing.forced > 0 || this.#draining > 0 || directory.dirty.size >= NAMES_MAX) return 0;
    const weight = Math.max(1, (directory.base?.sizeBytes ?? 0) / MIB);
    const first = firstChangeMs(directory) + publishAfterMs * weight;
    const quiet = lastChangeMs(directory) + publishAfterQuietMs * weight;
    return Math.min(first, Math.max(quiet, this.#pauseMs(first)));
  }

  #isBurst(): boolean {
    return this.#draining === 0 && this.#nowMs() - this.#core.activity.lastMs < BURST_MS;
  }

  /** When there may be a pause in the use of the file system, but not after `latestMs`. */
  #pauseMs(latestMs: number): number {
    return Math.min(latestMs, this.#core.activity.lastMs + BURST_MS);
  }

  #startPublish(directory: Directory): void {
    const { publishing } = directory;
    this.#publishes++;
    const run = async (): Promise<void> => {
      try {
        const round = await this.#publisher.publish(directory);
        if (round.kind === 'proven') {
          this.#publishesDone++;
          publishing.failures = 0;
          publishing.provenMs = this.#nowMs();
          publishing.lastReason = undefined;
          directory.problem = undefined;
          this.#lookAgain(directory);
          this.#signalMove();
        } else if (round.kind === 'stopped') {
          this.#stopped(directory, round.reason);
        } else if (round.kind === 'retry') {
          this.#retry(directory, round.reason, round.why);
        } else {
          publishing.failures = 0;
          // what only seemed to be rolled back, say
          this.#core.tree.notePending(directory);
          this.#wake();
        }
      } catch (error) {
        this.#retry(directory, describeError(error), 'failure');
      } finally {
        publishing.running = undefined;
        this.#publishes--;
        this.poke();
      }
    };
    publishing.running = run();
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
        if (!this.#isStopped && !directory.isDiscarded) void this.#publisher.look(directory);
      }),
    );
  }

  #retry(directory: Directory, reason: string, why: 'collision' | 'unsettled' | 'failure'): void {
    const { publishing } = directory;
    const { platform } = this.#core;
    publishing.failures++;
    publishing.lastReason = reason;
    const delayMs = this.#retryDelayMs(directory, why);
    publishing.notBeforeMs = this.#nowMs() + delayMs;
    platform.log.warn('publish not proven; it will be tried again', {
      inode: directory.inode.number,
      reason,
      failures: publishing.failures,
    });
    this.#wake();
  }

  #retryDelayMs({ publishing }: Directory, why: 'collision' | 'unsettled' | 'failure'): number {
    const { settings, platform } = this.#core;
    const fraction = platform.entropy.fraction();
    switch (why) {
      case 'collision':
        return fraction * Math.min(8 * settings.retryAfterMs, (settings.retryAfterMs / 5) * 2 ** publishing.failures);
      case 'unsettled':
        return settings.settlePollMs * (1 + fraction);
      case 'failure':
        // whoever waits does not wait for the delays of those who do not
        return Math.min(
          this.#backoffMs(publishing.failures),
          publishing.forced > 0 ? 4 * settings.retryAfterMs : 60_000,
        );
    }
  }

  #stopped(directory: Directory, reason: string): void {
    directory.problem = { state: 'failed', reason };
    directory.publishing.lastReason = reason;
    directory.publishing.notBeforeMs = this.#nowMs() + this.#core.settings.stallMs;
    this.#core.platform.log.error('a directory cannot be published; everything is kept in the journal', {
      inode: directory.inode.number,
      reason,
    });
    this.#wake();
  }

  #noteProgress(): void {
    this.#lastMoveMs = this.#nowMs();
  }

  #signalMove(): void {
    this.#lastMoveMs = this.#nowMs();
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves at the next event, or after a while so that deadlines are noticed. */
  #nextMove(maximumMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        timer.cancel();
        signal?.removeEventListener('abort', settle);
        this.#waiting.delete(settle);
        if (signal?.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = this.#core.platform.clock.setTimer(maximumMs, settle);
      signal?.addEventListener('abort', settle, { once: true });
      this.#waiting.add(settle);
    });
  }

  /** 1 s, 2 s, 4 s ... a minute, each up to half longer so that retries of many do not come together. */
  #backoffMs(failures: number): number {
    const { settings, platform } = this.#core;
    return Math.min(60_000, settings.retryAfterMs * 2 ** (failures - 1)) * (1 + platform.entropy.fraction() / 2);
  }

  #nowMs(): number {
    return this.#core.platform.clock.monotonicMs();
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

function superseded(): TahoeError {
  return new TahoeError('not needed any more', { kind: 'cancelled', op: 'vfs.upload' });
}
