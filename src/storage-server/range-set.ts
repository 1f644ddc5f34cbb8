import type { ByteRange } from '../storage-protocol/storage-server.js';

/** A set of byte positions, kept as sorted, disjoint, non-adjacent ranges. */
export class RangeSet {
  #ranges: { start: number; end: number }[] = [];

  add(range: ByteRange): void {
    if (range.length === 0) return;
    let start = range.offset;
    let end = range.offset + range.length;
    const before: { start: number; end: number }[] = [];
    const after: { start: number; end: number }[] = [];
    for (const known of this.#ranges) {
      if (known.end < start) before.push(known);
      else if (known.start > end) after.push(known);
      else {
        start = Math.min(start, known.start);
        end = Math.max(end, known.end);
      }
    }
    this.#ranges = [...before, { start, end }, ...after];
  }

  /** The parts of `range` that are in the set, ascending. */
  overlap(range: ByteRange): ByteRange[] {
    const found: ByteRange[] = [];
    for (const known of this.#ranges) {
      const start = Math.max(known.start, range.offset);
      const end = Math.min(known.end, range.offset + range.length);
      if (start < end) found.push({ offset: start, length: end - start });
    }
    return found;
  }

  /** The positions of [0, size) that are not in the set, ascending. */
  missing(size: number): ByteRange[] {
    const gaps: ByteRange[] = [];
    let position = 0;
    for (const known of this.#ranges) {
      if (known.start >= size) break;
      if (known.start > position) gaps.push({ offset: position, length: known.start - position });
      position = known.end;
    }
    if (position < size) gaps.push({ offset: position, length: size - position });
    return gaps;
  }
}
