/** Netstrings (immutable spec 1.2): decimal length, ":", the bytes, ",". */
import { TahoeError } from '../errors/tahoe-error.js';
import { concatBytes, encodeAscii } from './bytes.js';

const digitZero = 0x30;
const colon = 0x3a;
const comma = 0x2c;
const comma1 = Uint8Array.of(comma);

/** Longest length that is read; more digits than any buffer can hold are refused before they are added up. */
const maximumDigits = 15;

export function encodeNetstring(value: Uint8Array): Uint8Array {
  return concatBytes([encodeAscii(`${value.length}:`), value, comma1]);
}

/** The netstrings of `values` one after the other. */
export function encodeNetstrings(values: readonly Uint8Array[]): Uint8Array {
  return concatBytes(values.flatMap((value) => [encodeAscii(`${value.length}:`), value, comma1]));
}

/**
 * Reads netstrings one after the other. Strict: no leading zeros, no sign, the comma must be there. Everything it
 * refuses is kind `corrupt`. Values are views of the bytes given.
 */
export class NetstringReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #position: number;

  /** Reads within [start, end) of `bytes`. */
  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  /** Offset of the next netstring. */
  get position(): number {
    return this.#position;
  }

  get atEnd(): boolean {
    return this.#position >= this.#end;
  }

  next(): Uint8Array {
    const length = this.skip();
    return this.#bytes.subarray(this.#position - 1 - length, this.#position - 1);
  }

  /** Steps over one netstring and returns the length of its value, which ends one byte before `position`. */
  skip(): number {
    const bytes = this.#bytes;
    let position = this.#position;
    let length = 0;
    const firstDigit = position;
    while (position < this.#end && bytes[position] !== colon) {
      const digit = bytes[position]! - digitZero;
      if (digit < 0 || digit > 9 || position - firstDigit >= maximumDigits) throw notNetstring('a bad length');
      length = length * 10 + digit;
      position++;
    }
    if (position >= this.#end) throw notNetstring('no length');
    const digits = position - firstDigit;
    if (digits === 0 || (digits > 1 && bytes[firstDigit] === digitZero)) throw notNetstring('a bad length');
    const end = position + 1 + length;
    if (end >= this.#end) throw notNetstring('it is cut off');
    if (bytes[end] !== comma) throw notNetstring('no comma at the end');
    this.#position = end + 1;
    return length;
  }
}

function notNetstring(reason: string): TahoeError {
  return new TahoeError(`not a netstring: ${reason}`, { kind: 'corrupt', op: 'netstring.read' });
}
