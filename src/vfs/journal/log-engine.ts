import { writeU64 } from '../../encoding/bytes.js';
import { assert, asTahoeError, isTahoeError, TahoeError } from '../../errors/tahoe-error.js';
import type { Entropy } from '../../platform/entropy.js';
import type { FileStore } from '../../platform/file-store.js';
import type { Logger } from '../../platform/logger.js';
import { type Checkpoint, writeCheckpoint } from './checkpoint-file.js';
import { GroupSync } from './group-sync.js';
import type { Log, LogPosition, LogRecord, LogUsage } from './log.js';
import { type Recovery, recoverLog } from './log-recovery.js';
import { RecordReader } from './record-reader.js';
import {
  HEADER_BYTES,
  JournalKeys,
  MAX_PAYLOAD_BYTES,
  MAX_RECORD_BYTES,
  MAX_SEGMENT_BYTES,
  MIN_SEGMENT_BYTES,
  positionOf,
  RECORD_OVERHEAD_BYTES,
  type RecordType,
  segmentOf,
} from './segment.js';
import { isFull, type ReadySegment, SegmentPool, segmentPath } from './segment-pool.js';
import { SegmentTable, type UsedSegment } from './segment-table.js';

const CACHE_BYTES = 16 * 1024 * 1024;
/** Appending far ahead of the disk makes each write dearer (the kernel begins to throttle). */
const SYNC_AHEAD_BYTES = 32 * 1024 * 1024;
/** Segments after which a checkpoint is due, so that replay stays short. */
const CHECKPOINT_SEGMENTS = 4;

export interface LogOptions {
  readonly files: FileStore;
  /** Created if missing; nothing else belongs there. The caller holds the lock on it. */
  readonly directory: string;
  /** 32 bytes. */
  readonly masterKey: Uint8Array;
  readonly entropy: Entropy;
  readonly log: Logger;
  /** Bytes of segments that may hold records, and the part of it that `data` records may not use (at least one segment). */
  readonly limitBytes: number;
  readonly reserveBytes: number;
  /** Default and maximum 64 MiB. */
  readonly segmentBytes?: number;
}

export interface OpenedLog {
  readonly log: Log;
  /** What stands in the log from its last checkpoint on, read while it is iterated. Before `finishReplay`. */
  readonly replay: AsyncIterable<LogRecord>;
  readonly report: LogReport;
}

/** What was cut from the end: records that were never promised because something before them had not reached the disk. */
export interface LogReport {
  readonly cutRecords: number;
  readonly cutBytes: number;
}

/**
 * Opens or creates the log. Kinds: `permission` if it was made under another key and `corrupt` if promised records
 * cannot be read (both: nothing was touched; `salvageLog` reads what is left), `no-space`, `invalid` limits.
 */
export async function openLog(options: LogOptions): Promise<OpenedLog> {
  const segmentBytes = options.segmentBytes ?? MAX_SEGMENT_BYTES;
  const { files, directory, limitBytes, reserveBytes } = options;
  const isSizeValid = segmentBytes >= MIN_SEGMENT_BYTES && segmentBytes <= MAX_SEGMENT_BYTES;
  if (!isSizeValid || reserveBytes < segmentBytes || limitBytes < reserveBytes + 2 * segmentBytes) {
    throw new TahoeError('the journal needs a reserve of one segment and room for two more', {
      kind: 'invalid',
      op: 'journal.open',
      subject: `limit ${limitBytes}, reserve ${reserveBytes}, segment ${segmentBytes}`,
    });
  }
  const keys = new JournalKeys(options.masterKey);
  await files.makeDirectory(directory);
  const recovery = await recoverLog(files, directory, keys);
  await makeDurable(files, recovery);
  const engine = new LogEngine({ ...options, segmentBytes, keys, recovery });
  await engine.start();
  const { cutRecords, cutBytes } = recovery;
  if (cutRecords > 0) options.log.info('journal tail cut', { cutRecords, cutBytes });
  return { log: engine, replay: { [Symbol.asyncIterator]: () => recovery.replay() }, report: { cutRecords, cutBytes } };
}

/** What replay shows must be there after the next crash too: a killed process may have left it in the page cache only. */
async function makeDurable(files: FileStore, recovery: Recovery): Promise<void> {
  for (const segment of recovery.kept) {
    const file = await files.open(segment.path, 'update');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

interface EngineOptions extends LogOptions {
  readonly segmentBytes: number;
  readonly keys: JournalKeys;
  readonly recovery: Recovery;
}

/** A segment of this process with bytes that no sync has covered yet, or the one being filled. */
interface ActiveSegment extends ReadySegment {
  offset: number;
}

class LogEngine implements Log {
  readonly #options: EngineOptions;
  readonly #segments = new SegmentTable((number, segment) => this.#release(number, segment));
  readonly #pool: SegmentPool;
  readonly #reader: RecordReader;
  readonly #group = new GroupSync(() => this.#syncNow());
  /** Filled segments that the next sync must cover; then they are closed. */
  #filled: ActiveSegment[] = [];
  #current: ActiveSegment | undefined;
  #end: LogPosition;
  #syncedTo: LogPosition;
  #unsyncedBytes = 0;
  #checkpoint: Checkpoint | undefined;
  #isCheckpointing = false;
  #isClosed = false;
  #failure: TahoeError | undefined;

  constructor(options: EngineOptions) {
    const { recovery, segmentBytes } = options;
    this.#options = options;
    this.#end = recovery.end;
    this.#syncedTo = recovery.end;
    this.#checkpoint = recovery.checkpoint;
    for (const { number, path, sizeBytes, cipher } of recovery.kept) {
      if (cipher !== undefined) this.#segments.add(number, { path, sizeBytes, cipher });
    }
    this.#pool = new SegmentPool({
      ...options,
      firstNumber: recovery.highestNumber + 1,
      // While nothing can be recycled the limit must not keep the node from starting.
      mayPrepare: (ready) => ready < 1 || this.#segments.count + ready < Math.floor(options.limitBytes / segmentBytes),
    });
    this.#reader = new RecordReader(options.files, this.#segments, CACHE_BYTES);
  }

  async start(): Promise<void> {
    for (const { path, sizeBytes } of this.#options.recovery.free) await this.#releaseFile(path, sizeBytes);
    await this.#pool.waitFor(1);
    if (this.#pool.problem !== undefined && this.#pool.readyCount === 0) throw this.#pool.problem;
    this.#advance('drain', 'open');
  }

  append(kind: number, parts: readonly Uint8Array[], urgency: 'data' | 'drain'): LogPosition {
    this.#checkUsable();
    let payloadBytes = 0;
    for (const part of parts) payloadBytes += part.length;
    if (payloadBytes > MAX_PAYLOAD_BYTES || !(kind >= 0 && kind <= 255)) {
      throw new TahoeError('no such log record', { kind: 'invalid', op: 'journal.append' });
    }
    if (urgency === 'data' && payloadBytes + RECORD_OVERHEAD_BYTES > this.#freeBytes()) {
      this.#pool.refill();
      throw full();
    }
    if (!this.#fits(payloadBytes + RECORD_OVERHEAD_BYTES)) this.#advance(urgency, 'link');
    try {
      return this.#write('entry', kind, parts);
    } catch (error) {
      // Never with preallocated blocks on an ordinary file system; one that copies on write or a quota may do it.
      if (urgency === 'data' || this.#failure !== undefined || !isTahoeError(error, 'no-space')) throw error;
      this.#advance(urgency, 'link');
      return this.#write('entry', kind, parts);
    }
  }

  whenReady(): Promise<void> | undefined {
    this.#checkUsable();
    if (this.#fits(MAX_RECORD_BYTES) || this.#pool.readyCount > 1) return undefined;
    this.#pool.refill();
    return this.#pool.isPreparing ? this.#pool.waitFor(2) : undefined;
  }

  async sync(): Promise<void> {
    this.#checkUsable();
    await this.#group.request();
  }

  read(position: LogPosition): Promise<Uint8Array> {
    return this.#reader.read(position);
  }

  hold(position: LogPosition): void {
    this.#segments.hold(position);
  }

  drop(position: LogPosition): void {
    const isFree = this.#segments.drop(position, this.#end);
    if (!isFree || this.#segments.isReplaying || segmentOf(position) >= this.#replayStart()) return;
    if (this.#syncedTo < this.#end) this.#syncAhead();
    else this.#recycleObsolete();
  }

  async finishReplay(): Promise<void> {
    await this.#segments.finishReplay(async () => {
      // Replay may have begun at a checkpoint whose file was not written any more.
      if (this.#checkpoint !== undefined) await this.#writeCheckpoint(this.#checkpoint);
    });
    this.#recycleObsolete();
    await this.#segments.whenRecycled();
  }

  get checkpointDue(): boolean {
    const begin = this.#replayStart();
    const end = this.#checkpoint === undefined ? 0 : segmentOf(this.#checkpoint.end);
    // A checkpoint that is long itself may be followed by more before the next one pays.
    const isLong = this.#segments.countFrom(begin) > CHECKPOINT_SEGMENTS + 2 * (end - begin);
    if (isLong || this.#current === undefined) return isLong;
    return this.#freeBytes() < this.#options.limitBytes / 4 && this.#segments.hasUnheld(end, this.#current.number);
  }

  async checkpoint(write: () => void, expectedBytes = 0): Promise<void> {
    this.#checkUsable();
    assert(!this.#segments.isReplaying, 'finish replay before the first checkpoint');
    if (this.#isCheckpointing)
      throw new TahoeError('a checkpoint is running', { kind: 'busy', op: 'journal.checkpoint' });
    this.#isCheckpointing = true;
    try {
      const roomBytes = expectedBytes * 1.25;
      await this.#pool.waitFor(1 + Math.ceil(roomBytes / this.#options.segmentBytes));
      this.#checkUsable();
      const checkpoint = this.#appendCheckpoint(write, roomBytes);
      await this.#group.request();
      await this.#writeCheckpoint(checkpoint);
      this.#checkpoint = checkpoint;
      this.#recycleObsolete();
      await this.#segments.whenRecycled();
    } finally {
      this.#isCheckpointing = false;
    }
  }

  usage(): LogUsage {
    const bytes = this.#pool.fileCount * this.#options.segmentBytes + this.#segments.bytes;
    return { bytes, freeBytes: Math.max(0, this.#freeBytes()) };
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#failure === undefined) await this.#closeCleanly();
    } finally {
      this.#isClosed = true;
      await this.#segments.whenRecycled();
      await this.#pool.close();
      await this.#reader.close();
      const own = this.#current === undefined ? this.#filled : [...this.#filled, this.#current];
      this.#current = undefined;
      await Promise.all(own.map((segment) => segment.file.close()));
    }
  }

  /** The last record says that everything before it is durable, so that any later damage can be told from a torn tail. */
  async #closeCleanly(): Promise<void> {
    await this.#group.request();
    if (this.#fits(RECORD_OVERHEAD_BYTES)) this.#write('close', 0, []);
    await this.#group.request();
  }

  #fits(recordBytes: number): boolean {
    return this.#roomBytes() >= recordBytes;
  }

  #roomBytes(): number {
    if (this.#current === undefined) return 0;
    return Math.max(0, this.#options.segmentBytes - HEADER_BYTES - this.#current.offset);
  }

  /** Room for `data` records: the limit, and what the disk has been made to provide if it is full. */
  #freeBytes(): number {
    const { limitBytes, reserveBytes, segmentBytes } = this.#options;
    const perSegment = segmentBytes - 2 * HEADER_BYTES;
    const allowed = (Math.floor(limitBytes / segmentBytes) - this.#segments.count) * perSegment - reserveBytes;
    const provided = isFull(this.#pool.problem) ? (this.#pool.readyCount - 1) * perSegment : Number.POSITIVE_INFINITY;
    return Math.max(0, this.#roomBytes() + Math.min(allowed, provided));
  }

  /** Goes on in the next segment. Its first record chains it to this one. */
  #advance(urgency: 'data' | 'drain', type: 'open' | 'link'): void {
    const enough = urgency === 'data' ? 2 : 1;
    if (this.#pool.readyCount < enough) {
      this.#pool.refill();
      if (this.#pool.problem !== undefined) throw this.#pool.problem;
      if (!this.#pool.isPreparing) throw full();
      throw new TahoeError('the next journal segment is not ready', { kind: 'busy', op: 'journal.append' });
    }
    const next = this.#pool.take();
    assert(next !== undefined, 'a ready segment');
    if (this.#current !== undefined) this.#filled.push(this.#current);
    this.#current = { ...next, offset: HEADER_BYTES };
    const { directory, segmentBytes } = this.#options;
    const path = segmentPath(directory, next.number);
    this.#segments.add(next.number, { path, sizeBytes: segmentBytes, cipher: next.cipher });
    const link = new Uint8Array(8);
    writeU64(link, 0, this.#end);
    this.#write(type, 0, [link]);
  }

  #write(type: RecordType, kind: number, parts: readonly Uint8Array[]): LogPosition {
    const segment = this.#current;
    assert(segment !== undefined, 'an open segment');
    const offset = segment.offset;
    const sealed = segment.cipher.seal(offset, { type, kind, syncedTo: this.#syncedTo }, parts);
    try {
      segment.file.writeNow(offset, sealed);
    } catch (error) {
      // Part of it may be on disk, and its nonce is used: nothing more goes into this segment.
      segment.offset = this.#options.segmentBytes;
      const problem = asTahoeError(error, 'journal.append');
      if (!isFull(problem) || type !== 'entry') this.#fail(problem);
      throw problem;
    }
    let length = 0;
    for (const part of sealed) length += part.length;
    segment.offset = offset + length;
    this.#end = positionOf(segment.number, segment.offset);
    this.#unsyncedBytes += length;
    if (this.#unsyncedBytes > SYNC_AHEAD_BYTES) this.#syncAhead();
    return positionOf(segment.number, offset);
  }

  #syncAhead(): void {
    this.#unsyncedBytes = 0;
    // Its failure is kept in #failure and met by every later call.
    void Promise.allSettled([this.#group.request()]);
  }

  async #syncNow(): Promise<void> {
    this.#checkUsable();
    const end = this.#end;
    if (end === this.#syncedTo) return;
    const filled = [...this.#filled];
    const current = this.#current;
    this.#unsyncedBytes = 0;
    try {
      await Promise.all([...filled, ...(current === undefined ? [] : [current])].map((segment) => segment.file.sync()));
    } catch (error) {
      throw this.#fail(error);
    }
    this.#syncedTo = end;
    this.#filled = this.#filled.slice(filled.length);
    this.#recycleObsolete();
    await Promise.all(filled.map((segment) => segment.file.close()));
  }

  /**
   * At the beginning of a segment, so that all before it can be recycled. When the disk is full and the last segment is
   * in use, in what is left of that: nothing but a checkpoint can give the others back.
   */
  #appendCheckpoint(write: () => void, roomBytes: number): Checkpoint {
    const isLast = this.#pool.readyCount === 0 && isFull(this.#pool.problem);
    if (!isLast || !this.#fits(roomBytes + 2 * RECORD_OVERHEAD_BYTES)) this.#advance('drain', 'link');
    const begin = this.#write('checkpoint-begin', 0, []);
    try {
      write();
      if (!this.#fits(RECORD_OVERHEAD_BYTES)) this.#advance('drain', 'link');
      this.#write('checkpoint-end', 0, []);
      return { begin, end: this.#end };
    } catch (error) {
      // Without this mark later records would count as part of the unfinished checkpoint and not be replayed.
      if (this.#failure === undefined) this.#abortCheckpoint();
      throw error;
    }
  }

  #abortCheckpoint(): void {
    try {
      if (!this.#fits(RECORD_OVERHEAD_BYTES)) this.#advance('drain', 'link');
      this.#write('checkpoint-abort', 0, []);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #writeCheckpoint(checkpoint: Checkpoint): Promise<void> {
    const { files, directory, keys } = this.#options;
    try {
      await writeCheckpoint(files, directory, keys, checkpoint);
    } catch (error) {
      // The checkpoint in the log holds all the same: replay finds it. Only nothing may be recycled yet.
      throw asTahoeError(error, 'journal.checkpoint');
    }
  }

  #replayStart(): number {
    return this.#checkpoint === undefined ? 0 : segmentOf(this.#checkpoint.begin);
  }

  #recycleObsolete(): void {
    this.#segments.recycle(this.#replayStart(), this.#syncedTo);
  }

  async #release(number: number, segment: UsedSegment): Promise<void> {
    try {
      await this.#reader.forget(number);
      await this.#releaseFile(segment.path, segment.sizeBytes);
    } catch (error) {
      this.#options.log.warn('a journal segment could not be recycled', { number, reason: String(error) });
    }
  }

  async #releaseFile(path: string, sizeBytes: number): Promise<void> {
    if (sizeBytes === this.#options.segmentBytes) await this.#pool.recycle(path);
    else await this.#options.files.remove(path);
  }

  #checkUsable(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) throw new TahoeError('the journal is closed', { kind: 'closed', op: 'journal' });
  }

  /** After a failed write or sync nobody knows what is on disk: nothing may be acknowledged any more. */
  #fail(cause: unknown): TahoeError {
    this.#failure ??= new TahoeError('the journal has failed', { kind: 'internal', op: 'journal', cause });
    this.#options.log.error('the journal has failed', { reason: String(cause) });
    return this.#failure;
  }
}

function full(): TahoeError {
  return new TahoeError('the journal is full', { kind: 'no-space', op: 'journal.append' });
}
