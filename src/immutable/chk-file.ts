import { TahoeError } from '../errors/tahoe-error.js';
import type { ChkGeometry } from '../share-layout/chk-geometry.js';
import { throwIfCancelled } from './bounded-call.js';
import type { ImmutableFile } from './immutable.js';
import { SegmentSource, type SegmentSourceOptions } from './segment-source.js';

/** Fetched ahead for a reader that goes from front to back. */
const READ_AHEAD_BYTES = 3 << 20;
/** Reads in a row, the first at 0, after which a reader counts as sequential: a look at the beginning does not. */
const SEQUENTIAL_AFTER = 2;
/** More is read in several reads. Whoever made a capability says in it how long the file is. */
const LARGEST_READ_BYTES = 1 << 30;
/** Segments of one read fetched at a time. */
const SEGMENTS_AT_ONCE = 4;

export class ChkFile implements ImmutableFile {
  readonly sizeBytes: number;
  readonly #segments: SegmentSource;
  readonly #readAheadBytes: number;
  /** End of the latest read: one that begins there is sequential. */
  #expectedOffset = 0;
  #sequentialReads = 0;
  #readAhead = new AbortController();

  constructor(options: SegmentSourceOptions) {
    this.sizeBytes = options.file.cap.sizeBytes;
    this.#segments = new SegmentSource(options);
    // what the cache would throw away again before it is used is not fetched ahead
    this.#readAheadBytes = Math.min(READ_AHEAD_BYTES, options.cache.maxSize / 4);
  }

  async read(
    offset: number,
    length: number,
    { signal }: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Uint8Array> {
    if (!(Number.isSafeInteger(offset) && offset >= 0 && length >= 0)) {
      throw new TahoeError(`no bytes at ${offset}, ${length} long`, { kind: 'invalid', op: 'immutable.read' });
    }
    throwIfCancelled(signal, 'immutable.read');
    const end = Math.min(offset + length, this.sizeBytes);
    if (offset >= end) return new Uint8Array();
    if (end - offset > LARGEST_READ_BYTES) {
      throw new TahoeError(`${end - offset} bytes cannot be read at once`, { kind: 'too-large', op: 'immutable.read' });
    }
    this.#sequentialReads = offset === this.#expectedOffset ? this.#sequentialReads + 1 : 0;
    this.#expectedOffset = end;
    const sequential = this.#sequentialReads >= SEQUENTIAL_AFTER;
    const geometry = await this.#segments.geometry(offset, signal);
    if (sequential) this.#fetchAhead(geometry, end);
    const { segmentSize } = geometry;
    const first = Math.floor(offset / segmentSize);
    if (end <= (first + 1) * segmentSize) {
      const bytes = await this.#segments.segment(first, signal);
      return bytes.subarray(offset - first * segmentSize, end - first * segmentSize);
    }
    const result = new Uint8Array(end - offset);
    await this.#copy(geometry, offset, result, signal);
    return result;
  }

  /** Later reads still work. */
  close(): void {
    this.#readAhead.abort();
    this.#readAhead = new AbortController();
    this.#segments.forget();
  }

  /** Fills `target` with the bytes at `offset`, a few segments at a time. */
  async #copy(geometry: ChkGeometry, offset: number, target: Uint8Array, signal: AbortSignal | undefined) {
    const { segmentSize } = geometry;
    const end = offset + target.length;
    let next = Math.floor(offset / segmentSize);
    const last = Math.floor((end - 1) / segmentSize);
    const copyNext = async () => {
      for (let segment = next++; segment <= last; segment = next++) {
        const bytes = await this.#segments.segment(segment, signal);
        const from = Math.max(0, offset - segment * segmentSize);
        const to = Math.min(bytes.length, end - segment * segmentSize);
        target.set(bytes.subarray(from, to), segment * segmentSize + from - offset);
      }
    };
    await Promise.all(Array.from({ length: Math.min(SEGMENTS_AT_ONCE, last - next + 1) }, copyNext));
  }

  /** Starts fetching what a sequential reader will want next; it sees the failures when it gets there. */
  #fetchAhead(geometry: ChkGeometry, end: number): void {
    const { segmentSize, segmentCount } = geometry;
    const first = Math.floor((end - 1) / segmentSize) + 1;
    const last = Math.min(Math.floor((end + this.#readAheadBytes) / segmentSize), segmentCount);
    for (let segment = first; segment < last; segment++) {
      if (this.#segments.has(segment)) continue;
      this.#segments.segment(segment, this.#readAhead.signal).catch(() => {});
    }
  }
}
