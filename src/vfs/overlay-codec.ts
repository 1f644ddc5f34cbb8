/**
 * An overlay in checkpoint records: pieces of bounded size, about ten bytes per extent.
 *
 *     piece = u8 format (1) || size || base bytes || extents until the end of the piece
 *     extent = gap since the end of the extent before (0 before the first) || length || position difference, zigzag || skip
 *
 * All numbers are variable-length: seven bits per byte, least significant first, the high bit set if another follows.
 */
import { TahoeError } from '../errors/tahoe-error.js';
import type { Extent, OverlayView } from './overlay.js';

const FORMAT = 1;
/** Eight bytes of seven bits hold 2^53 and more; four numbers in an extent. */
const LONGEST_EXTENT_BYTES = 32;

export interface OverlayState {
  readonly sizeBytes: number;
  readonly baseBytes: number;
  readonly extents: readonly Extent[];
}

/** At least one piece, none longer than `pieceBytes` (at least 64). */
export function serializeOverlay(view: OverlayView, pieceBytes: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let writer = startPiece(view, pieceBytes);
  let previousEnd = 0;
  let previousPosition = 0;
  for (const extent of view.extents()) {
    if (writer.length + LONGEST_EXTENT_BYTES > pieceBytes) {
      pieces.push(writer.bytes());
      writer = startPiece(view, pieceBytes);
      previousEnd = 0;
      previousPosition = 0;
    }
    writer.number(extent.start - previousEnd);
    writer.number(extent.end - extent.start);
    writer.number(zigzag(extent.position - previousPosition));
    writer.number(extent.skip);
    previousEnd = extent.end;
    previousPosition = extent.position;
  }
  pieces.push(writer.bytes());
  return pieces;
}

/** Kind `corrupt` for anything that serializeOverlay does not make. */
export function parseOverlay(pieces: readonly Uint8Array[]): OverlayState {
  const extents: Extent[] = [];
  let sizeBytes = 0;
  let baseBytes = 0;
  for (const [index, piece] of pieces.entries()) {
    const reader = new NumberReader(piece);
    const format = reader.number();
    const size = reader.number();
    const base = reader.number();
    if (format !== FORMAT || base > size || (index > 0 && (size !== sizeBytes || base !== baseBytes))) throw corrupt();
    sizeBytes = size;
    baseBytes = base;
    readExtents(reader, sizeBytes, extents);
  }
  if (pieces.length === 0) throw corrupt();
  return { sizeBytes, baseBytes, extents };
}

function readExtents(reader: NumberReader, sizeBytes: number, extents: Extent[]): void {
  let previousEnd = 0;
  let previousPosition = 0;
  while (!reader.isAtEnd) {
    const start = previousEnd + reader.number();
    const end = start + reader.number();
    const position = previousPosition + unzigzag(reader.number());
    const skip = reader.number();
    const isInOrder = end > start && start >= (extents.at(-1)?.end ?? 0) && end <= sizeBytes;
    if (!isInOrder || !Number.isSafeInteger(position) || position < 0) throw corrupt();
    extents.push({ start, end, position, skip });
    previousEnd = end;
    previousPosition = position;
  }
}

function startPiece(view: OverlayView, pieceBytes: number): NumberWriter {
  const writer = new NumberWriter(pieceBytes);
  writer.number(FORMAT);
  writer.number(view.sizeBytes);
  writer.number(view.baseBytes);
  return writer;
}

/** Differences of positions may take 54 bits: the sign goes into the lowest bit of a number that stays below 2^53. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  return value % 2 === 1 ? -(value + 1) / 2 : value / 2;
}

class NumberWriter {
  readonly #target: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.#target = new Uint8Array(capacity);
  }

  number(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.#target[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#target[this.length++] = rest;
  }

  bytes(): Uint8Array {
    return this.#target.slice(0, this.length);
  }
}

class NumberReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  number(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 0x80) {
      const byte = this.#bytes[this.#offset++];
      if (byte === undefined) throw corrupt();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw corrupt();
        return value;
      }
    }
    throw corrupt();
  }
}

function corrupt(): TahoeError {
  return new TahoeError('not a description of an overlay', { kind: 'corrupt', op: 'overlay.parse' });
}
