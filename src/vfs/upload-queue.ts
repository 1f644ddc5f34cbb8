/** Closed files on their way to the grid: the order, how many at once, the delays, and what failed (vfs blueprint 6). */
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { UploadSource } from '../immutable/immutable.js';
import type { VfsCore } from './core.js';
import type { Inode } from './inode.js';
import type { Moves } from './moves.js';
import type { Pace } from './pace.js';
import { sharePlacement } from './receipts.js';
import { writeSlot } from './slot-writer.js';
import type { WantedFiles } from './wanted-files.js';

/** Uploads at once while the file system is in use. */
const BURST_UPLOADS = 2;

interface Queued {
  /** When it was closed, and before when it is not sent (monotonic). */
  atMs: number;
  notBeforeMs: number;
  failures: number;
}

export class UploadQueue {
  readonly #core: VfsCore;
  readonly #pace: Pace;
  readonly #moves: Moves;
  readonly #wanted: WantedFiles;
  readonly #poke: (delayMs?: number) => void;
  /** Files with a snapshot that is not uploaded, in the order in which they were closed. */
  readonly #queue = new Set<Inode>();
  /** Of these and of those on their way. */
  readonly #known = new Map<Inode, Queued>();
  #running = 0;
  #done = 0;
  #lastFailure: string | undefined;

  /** `poke` has the queue started again within that time, or soon. */
  constructor(core: VfsCore, pace: Pace, moves: Moves, wanted: WantedFiles, poke: (delayMs?: number) => void) {
    this.#core = core;
    this.#pace = pace;
    this.#moves = moves;
    this.#wanted = wanted;
    this.#poke = poke;
  }

  get done(): number {
    return this.#done;
  }

  get lastFailure(): string | undefined {
    return this.#lastFailure;
  }

  /** A snapshot was taken. */
  add(inode: Inode): void {
    const { nowMs } = this.#pace;
    const { uploadAfterMs } = this.#core.settings;
    this.#queue.add(inode);
    // what is on its way into a slot would have to be found out again
    const isRunningOld = inode.content?.upload !== undefined && !this.#wanted.has(inode) && inode.other === undefined;
    if (isRunningOld) inode.content?.upload?.abort.abort(superseded());
    const failures = this.#known.get(inode)?.failures ?? 0;
    this.#known.set(inode, { atMs: nowMs, notBeforeMs: nowMs + uploadAfterMs, failures });
    this.#poke(uploadAfterMs);
  }

  /** Nobody wants it uploaded any more. */
  drop(inode: Inode): void {
    inode.content?.upload?.abort.abort(superseded());
    this.#forget(inode);
  }

  hurry(inode: Inode): void {
    const queued = this.#known.get(inode);
    if (queued !== undefined) queued.notBeforeMs = 0;
  }

  hurryAll(): void {
    for (const queued of this.#known.values()) queued.notBeforeMs = 0;
  }

  hurryFailed(): void {
    for (const queued of this.#known.values()) if (queued.failures > 0) queued.notBeforeMs = 0;
  }

  /** Breaks off what runs and waits for it. */
  async stop(): Promise<void> {
    const running: (Promise<void> | undefined)[] = [];
    for (const inode of this.#core.tree.dirtyFiles) {
      inode.content?.upload?.abort.abort(
        new TahoeError('the node is stopping', { kind: 'cancelled', op: 'vfs.upload' }),
      );
      running.push(inode.content?.upload?.done);
    }
    await Promise.all(running);
  }

  /** Starts what is due, and says when to look again (monotonic). */
  start(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    const { uploadsMax } = this.#core.settings;
    const uploadsNow = this.#pace.isBurst ? Math.min(BURST_UPLOADS, uploadsMax) : uploadsMax;
    for (const inode of this.#queue) {
      const room = this.#running < uploadsNow || this.#wanted.has(inode);
      if (!room && this.#wanted.size === 0) break;
      const { content } = inode;
      const isGone = inode.place === undefined && (inode.handles === 0 || inode.other !== undefined);
      if (content?.snapshot === undefined || isGone) {
        this.#forget(inode);
        continue;
      }
      // an unlinked file that is open: it is sent if it gets a name again
      if (inode.place === undefined || !room || content.upload !== undefined) continue;
      const dueMs = this.#dueMs(inode, content.writers > 0);
      if (dueMs > this.#pace.nowMs) nextMs = Math.min(nextMs, dueMs);
      else this.#startUpload(inode);
    }
    return nextMs;
  }

  #dueMs(inode: Inode, isOpen: boolean): number {
    const { atMs, notBeforeMs } = this.#known.get(inode)!;
    if (this.#pace.draining > 0 || this.#wanted.has(inode)) return notBeforeMs;
    const { stepBackMs, openFileMs } = this.#core.settings;
    return Math.max(notBeforeMs, this.#pace.pauseMs(atMs + stepBackMs), isOpen ? atMs + openFileMs : 0);
  }

  #startUpload(inode: Inode): void {
    const content = inode.content!;
    const { snapshot, generation } = content;
    const abort = new AbortController();
    this.#queue.delete(inode);
    this.#running++;
    const source = this.#core.contents.source(snapshot!, content);
    const run = async (): Promise<void> => {
      try {
        const isNewest = await this.#store(inode, source, abort.signal);
        this.#done++;
        content.upload = undefined;
        this.#known.delete(inode);
        const isLeftover = content.generation > generation || content.uploaded?.generation !== content.generation;
        if (!isNewest && content.overlay !== undefined && isLeftover) this.add(inode);
        this.#moves.signal();
      } catch (error) {
        content.upload = undefined;
        this.#failed(inode, error);
      } finally {
        source.close();
        this.#running--;
        this.#poke();
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
    const onProgress = () => this.#moves.noteProgress();
    const { cap, placement } = await this.#core.grid.upload(source, { signal, onProgress });
    return this.#core.ledger.uploaded(inode, generation, cap, sharePlacement(placement));
  }

  #failed(inode: Inode, error: unknown): void {
    const { platform } = this.#core;
    if (inode.content?.snapshot === undefined || this.#pace.isStopped) return;
    this.#queue.add(inode);
    const { nowMs } = this.#pace;
    const queued = this.#known.get(inode) ?? { atMs: nowMs, notBeforeMs: nowMs, failures: 0 };
    this.#known.set(inode, queued);
    if (isTahoeError(error, 'cancelled')) return;
    const reason = describeError(error);
    queued.failures++;
    queued.notBeforeMs = nowMs + this.#pace.backoffMs(queued.failures);
    this.#lastFailure = reason;
    inode.content.failure = reason;
    platform.log.warn('upload failed; the bytes stay in the journal and will be tried again', {
      inode: inode.number,
      failures: queued.failures,
      error: reason,
    });
    this.#moves.wake();
  }

  #forget(inode: Inode): void {
    this.#queue.delete(inode);
    this.#known.delete(inode);
  }
}

function superseded(): TahoeError {
  return new TahoeError('not needed any more', { kind: 'cancelled', op: 'vfs.upload' });
}
