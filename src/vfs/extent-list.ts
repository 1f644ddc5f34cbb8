/**
 * Sorted, disjoint extents of one file in chunks of a few hundred, with snapshots by copy on write: a snapshot is one
 * counter; the first change after it copies the list of chunks, and each chunk when it is first touched.
 *
 * Every extent of every chunk that is alive counts as one hold on its position, so a position is held exactly as long
 * as the list or one of its snapshots refers to it. New holds are made before old ones are dropped.
 */
import { assert } from '../errors/tahoe-error.js';
import type { LogPosition } from './journal/log.js';

/** Bytes [start, end) of the file are in the data of the record at `position`, from byte `skip` of it on. */
export interface Extent {
  readonly start: number;
  readonly end: number;
  readonly position: LogPosition;
  readonly skip: number;
}

/** Where holds are counted: a Log, or nothing. */
export interface PositionHolder {
  hold(position: LogPosition): void;
  drop(position: LogPosition): void;
}

const CHUNK_EXTENTS = 512;

interface Chunk {
  references: number;
  readonly extents: Extent[];
}

/** One state of the list. Immutable while more than one refers to it. */
class Version {
  references = 1;
  readonly chunks: Chunk[];
  count: number;

  constructor(chunks: Chunk[], count: number) {
    this.chunks = chunks;
    this.count = count;
  }
}

export class ExtentList {
  readonly #holder: PositionHolder;
  #version: Version;

  constructor(holder: PositionHolder, version = new Version([], 0)) {
    this.#holder = holder;
    this.#version = version;
  }

  get count(): number {
    return this.#version.count;
  }

  /** Another list with the same extents. Constant time. */
  fork(): ExtentList {
    this.#version.references += 1;
    return new ExtentList(this.#holder, this.#version);
  }

  /** Gives up all extents; the list is empty afterwards. */
  clear(): void {
    const version = this.#version;
    this.#version = new Version([], 0);
    version.references -= 1;
    if (version.references === 0) {
      for (const chunk of version.chunks) this.#releaseChunk(chunk);
    }
  }

  /** Replaces whatever covers [from, to) by `extent`, or by nothing. */
  replace(from: number, to: number, extent: Extent | undefined): void {
    if (from >= to) return;
    this.#ownVersion();
    const chunks = this.#version.chunks;
    const first = firstChunkEndingAfter(chunks, from);
    if (first === chunks.length) {
      if (extent !== undefined) this.#append(extent);
      return;
    }
    let last = first;
    while (last + 1 < chunks.length && startOf(chunks[last + 1]!) < to) last += 1;
    this.#replaceInChunks(first, last, from, to, extent);
  }

  /** The extents that overlap [from, to), ascending and unclipped. */
  *overlapping(from: number, to: number): Generator<Extent> {
    const chunks = this.#version.chunks;
    for (let index = firstChunkEndingAfter(chunks, from); index < chunks.length; index++) {
      const { extents } = chunks[index]!;
      for (let at = firstEndingAfter(extents, from); at < extents.length; at++) {
        const extent = extents[at]!;
        if (extent.start >= to) return;
        yield extent;
      }
    }
  }

  #append(extent: Extent): void {
    this.#holder.hold(extent.position);
    this.#version.count += 1;
    const lastIndex = this.#version.chunks.length - 1;
    if (lastIndex >= 0 && this.#version.chunks[lastIndex]!.extents.length < CHUNK_EXTENTS) {
      this.#ownChunk(lastIndex).extents.push(extent);
    } else {
      this.#version.chunks.push({ references: 1, extents: [extent] });
    }
  }

  #replaceInChunks(first: number, last: number, from: number, to: number, extent: Extent | undefined): void {
    const chunks = this.#version.chunks;
    const head = this.#ownChunk(first);
    const tail = this.#ownChunk(last);
    const headIndex = firstEndingAfter(head.extents, from);
    const tailIndex = firstStartingAt(tail.extents, to);
    const inserted = remainders(head.extents[headIndex], tail.extents[tailIndex - 1], from, to, extent);
    for (const one of inserted) this.#holder.hold(one.position);
    let removed: Extent[];
    let middle: Chunk[] = [];
    if (first === last) {
      removed = head.extents.splice(headIndex, Math.max(0, tailIndex - headIndex), ...inserted);
    } else {
      removed = head.extents.splice(headIndex, head.extents.length - headIndex, ...inserted);
      removed = removed.concat(tail.extents.splice(0, tailIndex));
      middle = chunks.slice(first + 1, last);
    }
    let removedCount = removed.length;
    for (const chunk of middle) removedCount += chunk.extents.length;
    this.#version.count += inserted.length - removedCount;
    chunks.splice(first, last - first + 1, ...splitChunk(head), ...(first === last ? [] : splitChunk(tail)));
    for (const one of removed) this.#holder.drop(one.position);
    for (const chunk of middle) this.#releaseChunk(chunk);
  }

  #ownVersion(): void {
    const shared = this.#version;
    if (shared.references === 1) return;
    for (const chunk of shared.chunks) chunk.references += 1;
    shared.references -= 1;
    this.#version = new Version([...shared.chunks], shared.count);
  }

  #ownChunk(index: number): Chunk {
    const chunk = this.#version.chunks[index];
    assert(chunk !== undefined, 'a chunk of the list');
    if (chunk.references === 1) return chunk;
    for (const extent of chunk.extents) this.#holder.hold(extent.position);
    chunk.references -= 1;
    const own: Chunk = { references: 1, extents: [...chunk.extents] };
    this.#version.chunks[index] = own;
    return own;
  }

  #releaseChunk(chunk: Chunk): void {
    chunk.references -= 1;
    if (chunk.references > 0) return;
    for (const extent of chunk.extents) this.#holder.drop(extent.position);
  }
}

/** What goes in place of [from, to): what `leftmost` has before it, the new extent, what `rightmost` has behind it. */
function remainders(
  leftmost: Extent | undefined,
  rightmost: Extent | undefined,
  from: number,
  to: number,
  extent: Extent | undefined,
): Extent[] {
  const parts: Extent[] = [];
  if (leftmost !== undefined && leftmost.start < from) parts.push({ ...leftmost, end: from });
  if (extent !== undefined) parts.push(extent);
  if (rightmost !== undefined && rightmost.end > to) {
    parts.push({ ...rightmost, start: to, skip: rightmost.skip + to - rightmost.start });
  }
  return parts;
}

function splitChunk(chunk: Chunk): Chunk[] {
  if (chunk.extents.length === 0) return [];
  if (chunk.extents.length <= CHUNK_EXTENTS) return [chunk];
  return [chunk, { references: 1, extents: chunk.extents.splice(CHUNK_EXTENTS / 2) }];
}

function startOf(chunk: Chunk): number {
  return chunk.extents[0]!.start;
}

/** Chunks are never empty. */
function firstChunkEndingAfter(chunks: readonly Chunk[], offset: number): number {
  return lowerBound(chunks.length, (index) => chunks[index]!.extents.at(-1)!.end > offset);
}

function firstEndingAfter(extents: readonly Extent[], offset: number): number {
  return lowerBound(extents.length, (index) => extents[index]!.end > offset);
}

function firstStartingAt(extents: readonly Extent[], offset: number): number {
  return lowerBound(extents.length, (index) => extents[index]!.start >= offset);
}

/** The least index below `length` at which a condition, false and then true, is true; `length` if nowhere. */
function lowerBound(length: number, isTrue: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
