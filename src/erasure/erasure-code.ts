/** The systematic erasure code of Tahoe-LAFS: any k of n blocks give back the k pieces (immutable spec 3.5, zfec). */
import { TahoeError } from '../errors/tahoe-error.js';
import { createMultiplier, type GfMultiplier } from './gf-multiplier.js';
import { invertMatrix, powerOfTwo, productRow } from './gf256.js';

export interface ErasureCode {
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  /**
   * Blocks of the given share numbers from the k pieces, all of one length. Blocks 0..k-1 are the pieces themselves
   * (the same objects, not copies). Kind `invalid` if the pieces do not fit the code.
   */
  encode(pieces: readonly Uint8Array[], shareNumbers: readonly number[]): Uint8Array[];
  /**
   * The k pieces from the blocks of k distinct share numbers, given in any order. Kind `invalid` if the numbers or
   * lengths do not fit the code.
   */
  decode(shareNumbers: readonly number[], blocks: readonly Uint8Array[]): Uint8Array[];
  /**
   * The same, the pieces one after the other in one buffer: `joined`, in which some of the blocks may lie already, each
   * at the place of its piece; or a new one.
   */
  decodeJoined(shareNumbers: readonly number[], blocks: readonly Uint8Array[], joined?: Uint8Array): Uint8Array;
  /** Rows of the generator matrix, k factors each, for the given share numbers. */
  rows(shareNumbers: readonly number[]): Uint8Array;
}

/** Largest n (and k) of the field. */
export const MAXIMUM_SHARES = 256;
/** Codes and decoding matrices kept; a node uses two or three, a hostile directory may name thousands. */
const KEPT = 16;

/** The code for k of n, made once and kept. Kind `invalid` unless 1 <= sharesNeeded <= sharesTotal <= 256. */
export function erasureCode(sharesNeeded: number, sharesTotal: number): ErasureCode {
  const key = `${sharesNeeded}/${sharesTotal}`;
  return remember(codes, key, () => createErasureCode(sharesNeeded, sharesTotal, sharedMultiplier()));
}

const codes = new Map<string, ErasureCode>();
let multiplier: GfMultiplier | undefined;

function sharedMultiplier(): GfMultiplier {
  multiplier ??= createMultiplier();
  return multiplier;
}

/** The same over a given multiplier, not kept. */
export function createErasureCode(sharesNeeded: number, sharesTotal: number, gf: GfMultiplier): ErasureCode {
  const valid =
    Number.isInteger(sharesNeeded) &&
    Number.isInteger(sharesTotal) &&
    sharesNeeded >= 1 &&
    sharesNeeded <= sharesTotal &&
    sharesTotal <= MAXIMUM_SHARES;
  if (!valid) throw invalid(`no code for ${sharesNeeded} of ${sharesTotal} shares`);
  return new VandermondeCode(sharesNeeded, sharesTotal, gf);
}

class VandermondeCode implements ErasureCode {
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  readonly #gf: GfMultiplier;
  readonly #generator: Uint8Array;
  readonly #encoders = new Map<string, Uint8Array>();
  readonly #decoders = new Map<string, Uint8Array>();

  constructor(sharesNeeded: number, sharesTotal: number, gf: GfMultiplier) {
    this.sharesNeeded = sharesNeeded;
    this.sharesTotal = sharesTotal;
    this.#gf = gf;
    this.#generator = generatorMatrix(sharesNeeded, sharesTotal);
  }

  rows(shareNumbers: readonly number[]): Uint8Array {
    const k = this.sharesNeeded;
    const rows = new Uint8Array(shareNumbers.length * k);
    for (const [index, number] of shareNumbers.entries()) {
      rows.set(this.#generator.subarray(number * k, (number + 1) * k), index * k);
    }
    return rows;
  }

  encode(pieces: readonly Uint8Array[], shareNumbers: readonly number[]): Uint8Array[] {
    this.#checkStrings(pieces);
    this.#checkNumbers(shareNumbers);
    const parity = shareNumbers.filter((number) => number >= this.sharesNeeded);
    if (parity.length === 0) return shareNumbers.map((number) => pieces[number]!);
    const rows = remember(this.#encoders, parity.join(), () => this.rows(parity));
    const computed = parity.map(() => new Uint8Array(pieces[0]!.length));
    this.#gf.multiply(rows, pieces, computed);
    return shareNumbers.map((number) => pieces[number] ?? computed[parity.indexOf(number)]!);
  }

  decode(shareNumbers: readonly number[], blocks: readonly Uint8Array[]): Uint8Array[] {
    const joined = this.decodeJoined(shareNumbers, blocks);
    const length = joined.length / this.sharesNeeded;
    return shareNumbers.map((_, piece) => joined.subarray(piece * length, (piece + 1) * length));
  }

  decodeJoined(shareNumbers: readonly number[], blocks: readonly Uint8Array[], target?: Uint8Array): Uint8Array {
    this.#checkStrings(blocks);
    this.#checkNumbers(shareNumbers);
    const k = this.sharesNeeded;
    if (shareNumbers.length !== k || new Set(shareNumbers).size !== k) {
      throw invalid(`decoding takes ${k} distinct shares`);
    }
    const length = blocks[0]!.length;
    const joined = target ?? new Uint8Array(k * length);
    if (joined.length !== k * length) throw invalid('a buffer that is not as long as the pieces');
    const missing: number[] = [];
    for (let piece = 0; piece < k; piece++) {
      const present = blocks[shareNumbers.indexOf(piece)];
      if (present === undefined) missing.push(piece);
      else if (!liesAt(present, joined, piece * length)) joined.set(present, piece * length);
    }
    if (missing.length > 0) {
      const rows = remember(this.#decoders, shareNumbers.join(), () => this.#decodingRows(shareNumbers, missing));
      const targets = missing.map((piece) => joined.subarray(piece * length, (piece + 1) * length));
      this.#gf.multiply(rows, blocks, targets);
    }
    return joined;
  }

  #decodingRows(shareNumbers: readonly number[], missing: readonly number[]): Uint8Array {
    const k = this.sharesNeeded;
    const inverse = invertMatrix(this.rows(shareNumbers), k);
    const rows = new Uint8Array(missing.length * k);
    for (const [index, piece] of missing.entries()) rows.set(inverse.subarray(piece * k, (piece + 1) * k), index * k);
    return rows;
  }

  #checkStrings(strings: readonly Uint8Array[]): void {
    const length = strings[0]?.length;
    if (strings.length !== this.sharesNeeded || strings.some((string) => string.length !== length)) {
      throw invalid(`the code takes ${this.sharesNeeded} byte strings of one length`);
    }
  }

  #checkNumbers(shareNumbers: readonly number[]): void {
    if (shareNumbers.some((number) => !Number.isInteger(number) || number < 0 || number >= this.sharesTotal)) {
      throw invalid(`share numbers are 0 to ${this.sharesTotal - 1}`);
    }
  }
}

/** n x k: the Vandermonde matrix, extended by the point 0, times the inverse of its first k rows. */
function generatorMatrix(k: number, n: number): Uint8Array {
  const points = new Uint8Array(n * k);
  points[0] = 1;
  for (let row = 1; row < n; row++) {
    for (let column = 0; column < k; column++) points[row * k + column] = powerOfTwo((row - 1) * column);
  }
  const inverse = invertMatrix(points.subarray(0, k * k), k);
  const generator = new Uint8Array(n * k);
  for (let row = 0; row < n; row++) {
    if (row < k) generator[row * k + row] = 1;
    else multiplyRow(generator.subarray(row * k, (row + 1) * k), points.subarray(row * k, (row + 1) * k), inverse);
  }
  return generator;
}

function multiplyRow(target: Uint8Array, row: Uint8Array, matrix: Uint8Array): void {
  const k = row.length;
  for (let middle = 0; middle < k; middle++) {
    const products = productRow(row[middle]!);
    for (let column = 0; column < k; column++) {
      target[column] = target[column]! ^ products[matrix[middle * k + column]!]!;
    }
  }
}

function remember<Value>(cache: Map<string, Value>, key: string, make: () => Value): Value {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    if (cache.size >= KEPT) cache.delete(cache.keys().next().value!);
    cache.set(key, value);
  }
  return value;
}

function invalid(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'erasure-code' });
}

function liesAt(part: Uint8Array, whole: Uint8Array, position: number): boolean {
  return part.buffer === whole.buffer && part.byteOffset === whole.byteOffset + position;
}
