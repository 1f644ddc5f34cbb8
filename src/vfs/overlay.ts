/**
 * The content of a file that is being written: extents of the journal over an optional base (a version on the grid).
 * Knows where each byte is, never the bytes. A snapshot is taken in constant time, and later writes do not disturb it.
 */
import { assert } from '../errors/tahoe-error.js';
import { type Extent, ExtentList, type PositionHolder } from './extent-list.js';
import type { LogPosition } from './journal/log.js';

export type { Extent, PositionHolder } from './extent-list.js';

/** A stretch of the file and where its bytes are. */
export type OverlayPiece =
  | {
      readonly kind: 'log';
      readonly offset: number;
      readonly length: number;
      readonly position: LogPosition;
      /** Bytes of the record's data before the stretch. */
      readonly skip: number;
    }
  | { readonly kind: 'base'; readonly offset: number; readonly length: number }
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number };

/** One state of a file's content. */
export interface OverlayView {
  readonly sizeBytes: number;
  /** The base shows through below this offset only: the smallest size that the file has had since. */
  readonly baseBytes: number;
  readonly extentCount: number;
  /** True if no byte of the base is visible any more. Time proportional to the extents before the first such byte. */
  readonly isWhollyOverwritten: boolean;
  /** The pieces of [offset, offset + length), ascending, without gaps, cut at the end of the file. */
  ranges(offset: number, length: number): OverlayPiece[];
  /** All extents, ascending. Not across a change. */
  extents(): Iterable<Extent>;
}

/** A view that does not change. Keeps its positions held until it is released. */
export interface OverlaySnapshot extends OverlayView {
  /** Once. */
  release(): void;
  /** The same state once more, with a release of its own. */
  share(): OverlaySnapshot;
}

export class Overlay implements OverlayView {
  readonly #extents: ExtentList;
  #sizeBytes: number;
  #baseBytes: number;

  /** An unchanged file over a base of `baseBytes`; 0 for a new file. `holder` counts what is referred to. */
  constructor(holder: PositionHolder, baseBytes = 0) {
    this.#extents = new ExtentList(holder);
    this.#sizeBytes = baseBytes;
    this.#baseBytes = baseBytes;
  }

  /** What serializeOverlay has described. */
  static restore(
    holder: PositionHolder,
    state: { readonly sizeBytes: number; readonly baseBytes: number; readonly extents: Iterable<Extent> },
  ): Overlay {
    const overlay = new Overlay(holder, state.baseBytes);
    overlay.#sizeBytes = state.sizeBytes;
    for (const extent of state.extents) overlay.#extents.replace(extent.start, extent.end, extent);
    return overlay;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get baseBytes(): number {
    return this.#baseBytes;
  }

  get extentCount(): number {
    return this.#extents.count;
  }

  get isWhollyOverwritten(): boolean {
    return isCovered(this.#extents, this.#baseBytes);
  }

  /** Bytes [offset, offset + length) are the data of the record at `position` from its byte `skip` on. */
  write(offset: number, length: number, position: LogPosition, skip = 0): void {
    const end = offset + length;
    assert(offset >= 0 && length >= 0 && Number.isSafeInteger(end), 'a range of a file');
    if (length === 0) return;
    this.#extents.replace(offset, end, { start: offset, end, position, skip });
    this.#sizeBytes = Math.max(this.#sizeBytes, end);
  }

  /** Cuts the file, or extends it with zeros. */
  truncate(sizeBytes: number): void {
    assert(sizeBytes >= 0 && Number.isSafeInteger(sizeBytes), 'a size of a file');
    if (sizeBytes === 0) this.#extents.clear();
    else this.#extents.replace(sizeBytes, this.#sizeBytes, undefined);
    this.#sizeBytes = sizeBytes;
    this.#baseBytes = Math.min(this.#baseBytes, sizeBytes);
  }

  /** Gives everything up: an empty file without a base. Snapshots keep what they have. */
  clear(): void {
    this.truncate(0);
  }

  snapshot(): OverlaySnapshot {
    return new FrozenOverlay(this.#extents.fork(), this.#sizeBytes, this.#baseBytes);
  }

  ranges(offset: number, length: number): OverlayPiece[] {
    return piecesOf(this.#extents, this.#sizeBytes, this.#baseBytes, offset, length);
  }

  extents(): Iterable<Extent> {
    return this.#extents.overlapping(0, Number.POSITIVE_INFINITY);
  }
}

class FrozenOverlay implements OverlaySnapshot {
  readonly sizeBytes: number;
  readonly baseBytes: number;
  readonly extentCount: number;
  readonly #extents: ExtentList;
  #isReleased = false;

  constructor(extents: ExtentList, sizeBytes: number, baseBytes: number) {
    this.#extents = extents;
    this.sizeBytes = sizeBytes;
    this.baseBytes = baseBytes;
    this.extentCount = extents.count;
  }

  get isWhollyOverwritten(): boolean {
    return isCovered(this.#list(), this.baseBytes);
  }

  ranges(offset: number, length: number): OverlayPiece[] {
    return piecesOf(this.#list(), this.sizeBytes, this.baseBytes, offset, length);
  }

  extents(): Iterable<Extent> {
    return this.#list().overlapping(0, Number.POSITIVE_INFINITY);
  }

  share(): OverlaySnapshot {
    return new FrozenOverlay(this.#list().fork(), this.sizeBytes, this.baseBytes);
  }

  release(): void {
    this.#list().clear();
    this.#isReleased = true;
  }

  #list(): ExtentList {
    assert(!this.#isReleased, 'a snapshot used after its release');
    return this.#extents;
  }
}

function isCovered(extents: ExtentList, bytes: number): boolean {
  let covered = 0;
  for (const extent of extents.overlapping(0, bytes)) {
    if (extent.start > covered) return false;
    covered = extent.end;
  }
  return covered >= bytes;
}

function piecesOf(
  extents: ExtentList,
  sizeBytes: number,
  baseBytes: number,
  offset: number,
  length: number,
): OverlayPiece[] {
  const end = Math.min(offset + length, sizeBytes);
  const pieces: OverlayPiece[] = [];
  if (end <= offset) return pieces;
  let at = offset;
  for (const extent of extents.overlapping(offset, end)) {
    pushGap(pieces, at, extent.start, baseBytes);
    const from = Math.max(at, extent.start);
    const to = Math.min(end, extent.end);
    const skip = extent.skip + from - extent.start;
    pieces.push({ kind: 'log', offset: from, length: to - from, position: extent.position, skip });
    at = to;
  }
  pushGap(pieces, at, end, baseBytes);
  return pieces;
}

function pushGap(pieces: OverlayPiece[], from: number, to: number, baseBytes: number): void {
  const border = Math.max(from, Math.min(to, baseBytes));
  if (border > from) pieces.push({ kind: 'base', offset: from, length: border - from });
  if (to > border) pieces.push({ kind: 'zero', offset: border, length: to - border });
}
