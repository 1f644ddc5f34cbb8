/** Inputs for a target, each made from the seed and its number alone, so that any of them can be made again. */
import { concatBytes } from '../../src/encoding/bytes.js';
import { type RandomSource, randomSource } from '../support/mutations.js';
import type { FuzzTarget } from './fuzz-target.js';

const BYTES_MAX = 64 * 1024;

/** What lengths and offsets break at, as 8 bytes; fields of other widths take the last of them. */
const boundaries: readonly Uint8Array[] = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x1_0000n,
  0xff_ffffn,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
].map((value) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
});

const numbers = [
  '0',
  '1',
  '-1',
  '00',
  '007',
  '255',
  '256',
  '257',
  '65536',
  '2147483647',
  '2147483648',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740992',
  '9223372036854775808',
  '18446744073709551616',
  '1e309',
  '99999999999999999999999999',
  'NaN',
  '0x10',
  '1.5',
  '+1',
  '',
  ' 1',
].map((text) => Buffer.from(text));

const harmful = [
  0, 0x01, 0x09, 0x0a, 0x0d, 0x20, 0x22, 0x25, 0x2c, 0x2e, 0x2f, 0x30, 0x39, 0x3a, 0x5c, 0x7f, 0x80, 0xc0, 0xff,
];

export class RandomInputs {
  readonly #corpus: readonly Uint8Array[];
  readonly #target: FuzzTarget;
  readonly #words: readonly Uint8Array[];
  readonly #bytesMax: number;
  readonly #seed: number;

  constructor(target: FuzzTarget, seed: number) {
    this.#target = target;
    this.#corpus = target.corpus();
    this.#words = (target.words ?? []).map((word) => Buffer.from(word));
    this.#bytesMax = target.bytesMax ?? BYTES_MAX;
    this.#seed = seed;
  }

  /** The input with this number, a new array. The first ones are the corpus itself. */
  at(index: number): Uint8Array {
    const whole = this.#corpus[index];
    if (whole !== undefined) return whole.slice();
    const random = randomSource(mixed(this.#seed, index));
    let input: Uint8Array = this.#any(random);
    for (let rounds = 1 + Math.min(random.below(4), random.below(4)); rounds > 0; rounds--) {
      input = this.#changed(input, random);
    }
    return input.length > this.#bytesMax ? input.slice(0, this.#bytesMax) : input;
  }

  #any(random: RandomSource): Uint8Array {
    return this.#corpus[random.below(this.#corpus.length)]!;
  }

  #changed(input: Uint8Array, random: RandomSource): Uint8Array {
    const { structure } = this.#target;
    if (structure === undefined || random.below(2) === 0) return this.#bytesChanged(input, random);
    const inner = (bytes: Uint8Array) => this.#bytesChanged(bytes, random);
    return structure.change(input, this.#any(random), random, inner) ?? this.#bytesChanged(input, random);
  }

  #bytesChanged(input: Uint8Array, random: RandomSource): Uint8Array {
    const at = random.below(input.length + 1);
    switch (random.below(13)) {
      case 0:
      case 1:
        return withByte(input, at, (byte) => byte ^ (1 << random.below(8)));
      case 2:
        return withByte(input, at, () => harmful[random.below(harmful.length)]!);
      case 3:
        return withByte(input, at, () => random.below(256));
      case 4:
        return input.slice(0, at);
      case 5:
        return concatBytes([input, randomBytes(random.below(100), random)]);
      case 6:
        return spliced(input, at, 0, randomBytes(random.below(20), random));
      case 7:
        return spliced(input, at, random.below(40), new Uint8Array());
      case 8: {
        const chunk = input.subarray(at, at + 1 + random.below(40));
        const times = 1 + random.below(random.below(8) === 0 ? 1000 : 4);
        return spliced(input, at, 0, concatBytes(Array.from({ length: times }, () => chunk)));
      }
      case 9: {
        const other = this.#any(random);
        return concatBytes([input.subarray(0, at), other.subarray(random.below(other.length + 1))]);
      }
      case 10:
        return withBoundary(input, at, random);
      case 11:
        return withNumber(input, at, random);
      default:
        if (this.#words.length === 0) return withBoundary(input, at, random);
        return spliced(
          input,
          at,
          random.below(2) === 0 ? 0 : random.below(20),
          this.#words[random.below(this.#words.length)]!,
        );
    }
  }
}

/** One 32-bit number that is not 0 from two, so that neighbours have nothing in common. */
function mixed(seed: number, index: number): number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  state = Math.imul(state ^ (state >>> 16), 0x7feb352d);
  state = Math.imul(state ^ (state >>> 15), 0x846ca68b);
  return (state ^ (state >>> 16)) >>> 0 || 1;
}

function withByte(input: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = input.slice();
  if (at < copy.length) copy[at] = change(copy[at]!);
  return copy;
}

function spliced(input: Uint8Array, at: number, removed: number, added: Uint8Array): Uint8Array {
  return concatBytes([input.subarray(0, at), added, input.subarray(at + removed)]);
}

function randomBytes(length: number, random: RandomSource): Uint8Array {
  return Uint8Array.from({ length }, () => random.below(256));
}

/** Overwrites a field of 1, 2, 4 or 8 bytes, aligned more often than not, in either order. */
function withBoundary(input: Uint8Array, at: number, random: RandomSource): Uint8Array {
  const width = 1 << random.below(4);
  const field = boundaries[random.below(boundaries.length)]!.slice(8 - width);
  if (random.below(4) === 0) field.reverse();
  const start = random.below(3) === 0 ? at : at - (at % width);
  const copy = input.slice();
  if (start + width <= copy.length) copy.set(field, start);
  return copy;
}

/** Replaces the decimal number that is next after `at` by one that is on a boundary. */
function withNumber(input: Uint8Array, at: number, random: RandomSource): Uint8Array {
  let start = at;
  while (start < input.length && !isDigit(input[start]!)) start++;
  let end = start;
  while (end < input.length && isDigit(input[end]!)) end++;
  return spliced(input, start, end - start, numbers[random.below(numbers.length)]!);
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}
