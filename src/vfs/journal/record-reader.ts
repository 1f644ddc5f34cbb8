import { LRUCache } from 'lru-cache';
import { TahoeError } from '../../errors/tahoe-error.js';
import type { FileStore, OpenedFile } from '../../platform/file-store.js';
import type { LogPosition } from './log.js';
import { MAX_RECORD_BYTES, offsetOf, type SegmentCipher, segmentOf } from './segment.js';

/** A segment whose records can be read. */
export interface ReadableSegment {
  readonly path: string;
  readonly cipher: SegmentCipher;
}

/** Those that records can be read from, by number. */
export interface ReadableSegments {
  get(number: number): ReadableSegment | undefined;
}

/** Reads single records by position, with the most recently used payloads kept decrypted. */
export class RecordReader {
  readonly #files: FileStore;
  readonly #segments: ReadableSegments;
  readonly #opened = new Map<number, Promise<OpenedFile>>();
  readonly #payloads: LRUCache<LogPosition, Uint8Array>;

  /** `segments` is the caller's and changes with it. */
  constructor(files: FileStore, segments: ReadableSegments, cacheBytes: number) {
    this.#files = files;
    this.#segments = segments;
    this.#payloads = new LRUCache({
      maxSize: cacheBytes,
      // What an entry costs beside its bytes.
      sizeCalculation: (payload) => payload.length + 200,
    });
  }

  /** Kind `corrupt` if there is no record at this position that authenticates. */
  async read(position: LogPosition): Promise<Uint8Array> {
    const kept = this.#payloads.get(position);
    if (kept !== undefined) return kept;
    const segment = this.#segments.get(segmentOf(position));
    if (segment === undefined) throw unreadable(position);
    const file = await this.#fileOf(segmentOf(position), segment.path);
    // One read of the largest size: a second one for the rest costs more than the bytes that are not needed.
    const bytes = await file.read(offsetOf(position), MAX_RECORD_BYTES);
    const record = segment.cipher.open(offsetOf(position), bytes, 0);
    if (record === undefined || record.type !== 'entry') throw unreadable(position);
    this.#payloads.set(position, record.payload);
    return record.payload;
  }

  /** Before the file of a segment is recycled. Reads that still run on it fail or find nothing that authenticates. */
  async forget(segment: number): Promise<void> {
    const opened = this.#opened.get(segment);
    this.#opened.delete(segment);
    for (const position of this.#payloads.keys()) {
      if (segmentOf(position) === segment) this.#payloads.delete(position);
    }
    if (opened !== undefined) await (await opened).close();
  }

  async close(): Promise<void> {
    await Promise.all([...this.#opened.keys()].map((segment) => this.forget(segment)));
  }

  #fileOf(segment: number, path: string): Promise<OpenedFile> {
    let opened = this.#opened.get(segment);
    if (opened === undefined) {
      opened = this.#openFile(segment, path);
      this.#opened.set(segment, opened);
    }
    return opened;
  }

  async #openFile(segment: number, path: string): Promise<OpenedFile> {
    try {
      return await this.#files.open(path, 'read');
    } catch (error) {
      this.#opened.delete(segment);
      throw error;
    }
  }
}

function unreadable(position: LogPosition): TahoeError {
  return new TahoeError('no readable record there', {
    kind: 'corrupt',
    op: 'journal.read',
    subject: `segment ${segmentOf(position)} byte ${offsetOf(position)}`,
  });
}
