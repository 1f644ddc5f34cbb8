/**
 * The closed CBOR profile of storage-http spec 9 and nothing else: unsigned integers, byte strings, text, arrays, maps
 * with text, byte-string or integer keys, tag 258 sets, booleans and null, all of definite length. Bytes arrive from
 * the network, so whatever is outside the profile is refused with kind `protocol`.
 */
import { TahoeError } from '../errors/tahoe-error.js';

/** An array marked as a set by tag 258. */
export class CborSet {
  readonly items: readonly CborValue[];

  constructor(items: readonly CborValue[]) {
    this.items = items;
  }
}

export type CborKey = string | number | Uint8Array;
export type CborValue = number | boolean | null | string | Uint8Array | readonly CborValue[] | CborSet | CborMap;

/** The entries of a map in the order of the encoding; keys are distinct. Bytes as keys rule out a plain Map. */
export class CborMap {
  readonly entries: readonly (readonly [CborKey, CborValue])[];

  constructor(entries: readonly (readonly [CborKey, CborValue])[]) {
    this.entries = entries;
  }
}

const MAX_DEPTH = 8;
/** A byte of input can become an object of 300 bytes: without this a 30 MB answer could take all memory. */
const MAX_ITEMS = 250_000;
const SET_TAG = 258;
const UINT = 0;
const BYTES = 2;
const TEXT = 3;
const ARRAY = 4;
const MAP = 5;
const TAG = 6;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const TWO_TO_32 = 2 ** 32;
const SHORT_TEXT = 32;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Encodes one item, shortest integers, definite lengths. Numbers must be safe unsigned integers: anything else is a
 * RangeError, a bug of the caller.
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const writer = new Writer(encodedSize(value));
  writer.item(value);
  return writer.bytes;
}

/**
 * Decodes exactly one item that fills `bytes`. Decoded byte strings are views of `bytes`. Integers above 2^53 - 1 come
 * back as 2^53 - 1: they occur as sizes and offsets only, where all such values mean "more than there is".
 * Kind `protocol` for anything outside the profile.
 */
export function decodeCbor(bytes: Uint8Array): CborValue {
  const reader = new Reader(bytes);
  const value = reader.item(0);
  if (reader.position !== bytes.length) throw refused('bytes after the end of the item');
  return value;
}

function refused(message: string, cause?: unknown): TahoeError {
  return new TahoeError(`CBOR: ${message}`, { kind: 'protocol', op: 'cbor.decode', cause });
}

function headSize(argument: number): number {
  if (argument < 24) return 1;
  if (argument < 0x100) return 2;
  if (argument < 0x10000) return 3;
  return argument < TWO_TO_32 ? 5 : 9;
}

function utf8Length(text: string): number {
  for (let index = 0; index < text.length; index += 1) {
    if (text.charCodeAt(index) > 0x7f) return textEncoder.encode(text).length;
  }
  return text.length;
}

function encodedSize(value: CborValue): number {
  if (typeof value === 'number') return headSize(value);
  if (typeof value === 'string') {
    const length = utf8Length(value);
    return headSize(length) + length;
  }
  if (value === null || typeof value === 'boolean') return 1;
  if (value instanceof Uint8Array) return headSize(value.length) + value.length;
  if (value instanceof CborSet) return 3 + encodedSize(value.items);
  if (value instanceof CborMap) {
    let size = headSize(value.entries.length);
    for (const [key, item] of value.entries) size += encodedSize(key) + encodedSize(item);
    return size;
  }
  let size = headSize(value.length);
  for (const item of value) size += encodedSize(item);
  return size;
}

class Writer {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #position = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.#view = new DataView(this.bytes.buffer);
  }

  item(value: CborValue): void {
    if (typeof value === 'number') this.#head(UINT, value);
    else if (typeof value === 'string') this.#text(value);
    else if (value === null) this.#byte(NULL);
    else if (typeof value === 'boolean') this.#byte(value ? TRUE : FALSE);
    else if (value instanceof Uint8Array) this.#byteString(value);
    else if (value instanceof CborMap) this.#map(value);
    else if (value instanceof CborSet) {
      this.#head(TAG, SET_TAG);
      this.item(value.items);
    } else {
      this.#head(ARRAY, value.length);
      for (const item of value) this.item(item);
    }
  }

  #map(value: CborMap): void {
    this.#head(MAP, value.entries.length);
    for (const [key, item] of value.entries) {
      this.item(key);
      this.item(item);
    }
  }

  #byteString(value: Uint8Array): void {
    this.#head(BYTES, value.length);
    this.bytes.set(value, this.#position);
    this.#position += value.length;
  }

  #text(value: string): void {
    const length = utf8Length(value);
    this.#head(TEXT, length);
    if (length === value.length) {
      for (let index = 0; index < length; index += 1) this.bytes[this.#position + index] = value.charCodeAt(index);
    } else {
      textEncoder.encodeInto(value, this.bytes.subarray(this.#position));
    }
    this.#position += length;
  }

  #byte(value: number): void {
    this.bytes[this.#position] = value;
    this.#position += 1;
  }

  #head(major: number, argument: number): void {
    if (!Number.isSafeInteger(argument) || argument < 0) {
      throw new RangeError(`not an unsigned integer within 2^53: ${argument}`);
    }
    const type = major << 5;
    if (argument < 24) {
      this.#byte(type | argument);
    } else if (argument < 0x100) {
      this.#byte(type | 24);
      this.#byte(argument);
    } else if (argument < 0x10000) {
      this.#byte(type | 25);
      this.#view.setUint16(this.#position, argument);
      this.#position += 2;
    } else if (argument < TWO_TO_32) {
      this.#byte(type | 26);
      this.#view.setUint32(this.#position, argument);
      this.#position += 4;
    } else {
      this.#byte(type | 27);
      this.#view.setUint32(this.#position, Math.floor(argument / TWO_TO_32));
      this.#view.setUint32(this.#position + 4, argument % TWO_TO_32);
      this.#position += 8;
    }
  }
}

class Reader {
  position = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #items = 0;
  #buffer: Buffer | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  item(depth: number): CborValue {
    if (depth > MAX_DEPTH) throw refused('nested too deep');
    this.#items += 1;
    if (this.#items > MAX_ITEMS) throw refused('too many items');
    const initial = this.#byte();
    if (initial === FALSE) return false;
    if (initial === TRUE) return true;
    if (initial === NULL) return null;
    const major = initial >> 5;
    const argument = this.#argument(initial & 0x1f);
    switch (major) {
      case UINT:
        return argument;
      case BYTES:
        return this.#take(argument);
      case TEXT:
        return this.#text(argument);
      case ARRAY:
        return this.#array(argument, depth);
      case MAP:
        return this.#map(argument, depth);
      case TAG:
        return this.#set(argument, depth);
      default:
        throw refused(`major type ${major} is not allowed`);
    }
  }

  #byte(): number {
    const value = this.#bytes[this.position];
    if (value === undefined) throw refused('the item is cut off');
    this.position += 1;
    return value;
  }

  /** The number after the initial byte. Longer forms than needed are accepted, as the reference does. */
  #argument(info: number): number {
    if (info < 24) return info;
    if (info > 27) throw refused('indefinite length or reserved form');
    const start = this.position;
    const size = 1 << (info - 24);
    if (start + size > this.#bytes.length) throw refused('the item is cut off');
    this.position += size;
    if (size === 1) return this.#view.getUint8(start);
    if (size === 2) return this.#view.getUint16(start);
    if (size === 4) return this.#view.getUint32(start);
    const value = this.#view.getUint32(start) * TWO_TO_32 + this.#view.getUint32(start + 4);
    return Math.min(value, Number.MAX_SAFE_INTEGER);
  }

  #left(): number {
    return this.#bytes.length - this.position;
  }

  #take(length: number): Uint8Array {
    if (length > this.#left()) throw refused('a string is longer than the message');
    const start = this.position;
    this.position += length;
    return this.#bytes.subarray(start, this.position);
  }

  #text(length: number): string {
    const bytes = this.#take(length);
    if (isShortAscii(bytes)) return this.#latin1(this.position - length, this.position);
    try {
      return textDecoder.decode(bytes);
    } catch (error) {
      throw refused('text is not UTF-8', error);
    }
  }

  #latin1(start: number, end: number): string {
    const { buffer, byteOffset, byteLength } = this.#bytes;
    this.#buffer ??= Buffer.from(buffer, byteOffset, byteLength);
    return this.#buffer.toString('latin1', start, end);
  }

  #array(count: number, depth: number): CborValue[] {
    if (count > this.#left()) throw refused('an array is longer than the message');
    const items: CborValue[] = [];
    for (let index = 0; index < count; index += 1) items.push(this.item(depth + 1));
    return items;
  }

  #map(count: number, depth: number): CborMap {
    if (count * 2 > this.#left()) throw refused('a map is longer than the message');
    const entries: [CborKey, CborValue][] = [];
    const seen = new KeysSeen();
    for (let index = 0; index < count; index += 1) {
      const key = this.item(depth + 1);
      const isKey = typeof key === 'string' || typeof key === 'number' || key instanceof Uint8Array;
      if (!isKey) throw refused('a map key of a type that is not allowed');
      seen.add(key);
      entries.push([key, this.item(depth + 1)]);
    }
    return new CborMap(entries);
  }

  #set(tag: number, depth: number): CborSet {
    if (tag !== SET_TAG) throw refused('a tag other than 258');
    const items = this.item(depth + 1);
    if (!Array.isArray(items)) throw refused('a set is not an array');
    const seen = new KeysSeen();
    for (const item of items) {
      const isPlain = typeof item === 'string' || typeof item === 'number' || item instanceof Uint8Array;
      if (!isPlain) throw refused('a set member of a type that is not allowed');
      seen.add(item);
    }
    return new CborSet(items);
  }
}

/** Keys of the profile are a few ASCII letters: a decoder object costs ten times as much for those. */
function isShortAscii(bytes: Uint8Array): boolean {
  return bytes.length <= SHORT_TEXT && bytes.every((byte) => byte < 0x80);
}

/** Refuses what it has seen before. */
class KeysSeen {
  readonly #plain = new Set<string | number>();
  #bytes: Set<string> | undefined;

  add(key: CborKey): void {
    if (key instanceof Uint8Array) {
      this.#bytes ??= new Set();
      this.#addTo(this.#bytes, Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1'));
    } else {
      this.#addTo(this.#plain, key);
    }
  }

  #addTo<Key>(seen: Set<Key>, key: Key): void {
    const before = seen.size;
    if (seen.add(key).size === before) throw refused('the same key twice');
  }
}
