import { assert, TahoeError } from '../../errors/tahoe-error.js';
import type { LogPosition } from './log.js';
import type { ReadableSegment, ReadableSegments } from './record-reader.js';
import { segmentOf } from './segment.js';

/** One with records. */
export interface UsedSegment extends ReadableSegment {
  readonly sizeBytes: number;
}

interface Held {
  readonly segment: UsedSegment;
  holds: number;
  /** End of the log when the last hold was dropped: what made it superfluous must be durable before it is recycled. */
  freeAfter: LogPosition;
}

/** The segments that have records, how many of those are held in each, and the recycling of what nobody needs. */
export class SegmentTable implements ReadableSegments {
  readonly #segments = new Map<number, Held>();
  readonly #release: (number: number, segment: UsedSegment) => Promise<void>;
  /** Holds that replay makes in segments which are gone, because a later record dropped them. */
  readonly #missing = new Map<number, number>();
  #isReplaying = true;
  /** Goes on in the background, one after the other. */
  #recycling: Promise<void> = Promise.resolve();

  /** `release` takes the file of a segment that is no longer in the table. It does not fail. */
  constructor(release: (number: number, segment: UsedSegment) => Promise<void>) {
    this.#release = release;
  }

  get isReplaying(): boolean {
    return this.#isReplaying;
  }

  get count(): number {
    return this.#segments.size;
  }

  get bytes(): number {
    let bytes = 0;
    for (const { segment } of this.#segments.values()) bytes += segment.sizeBytes;
    return bytes;
  }

  get(number: number): UsedSegment | undefined {
    return this.#segments.get(number)?.segment;
  }

  add(number: number, segment: UsedSegment): void {
    this.#segments.set(number, { segment, holds: 0, freeAfter: 0 });
  }

  /** Kind `corrupt` if there is no such segment; during the replay that shows at its end. */
  hold(position: LogPosition): void {
    const number = segmentOf(position);
    const held = this.#segments.get(number);
    if (held !== undefined) held.holds += 1;
    else if (this.#isReplaying) this.#missing.set(number, (this.#missing.get(number) ?? 0) + 1);
    else throw missingSegment(number);
  }

  /** `end`: of the log, where the record stands that makes this one superfluous. True if nothing holds the segment now. */
  drop(position: LogPosition, end: LogPosition): boolean {
    const number = segmentOf(position);
    const held = this.#segments.get(number);
    if (held === undefined && this.#isReplaying) {
      this.#missing.set(number, (this.#missing.get(number) ?? 0) - 1);
      return false;
    }
    assert(held !== undefined && held.holds > 0, 'dropped more often than held');
    held.holds -= 1;
    if (held.holds === 0) held.freeAfter = end;
    return held.holds === 0;
  }

  /** Kind `corrupt` if a record is held whose segment is gone. Nothing is recycled until `prepare` is done. */
  async finishReplay(prepare: () => Promise<void>): Promise<void> {
    assert(this.#isReplaying, 'replay was finished before');
    for (const [number, holds] of this.#missing) {
      if (holds !== 0) throw missingSegment(number);
    }
    await prepare();
    this.#isReplaying = false;
  }

  /** How many there are from this one on. */
  countFrom(first: number): number {
    let count = 0;
    for (const number of this.#segments.keys()) if (number >= first) count += 1;
    return count;
  }

  /** True if any between these two, without them, is held by nothing. */
  hasUnheld(after: number, before: number): boolean {
    for (const [number, { holds }] of this.#segments) {
      if (number > after && number < before && holds === 0) return true;
    }
    return false;
  }

  /** Gives back what holds nothing, before segment `limit`, if what made it superfluous is durable. Not during the replay. */
  recycle(limit: number, syncedTo: LogPosition): void {
    if (this.#isReplaying) return;
    for (const [number, { segment, holds, freeAfter }] of this.#segments) {
      if (number >= limit || holds > 0 || freeAfter > syncedTo) continue;
      this.#segments.delete(number);
      this.#recycling = this.#recycling.then(() => this.#release(number, segment));
    }
  }

  /** Resolves when the files of all that was recycled have been given back. */
  async whenRecycled(): Promise<void> {
    await this.#recycling;
  }
}

function missingSegment(number: number): TahoeError {
  return new TahoeError('a segment of the journal is missing', {
    kind: 'corrupt',
    op: 'journal.hold',
    subject: `segment ${number}`,
  });
}
