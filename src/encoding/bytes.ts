/** Byte strings: joining, comparing, text forms, and big-endian unsigned integers as safe JavaScript integers. */
import { TahoeError } from '../errors/tahoe-error.js';

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8Encoder = new TextEncoder();
const loneSurrogate = /\p{Surrogate}/u;
const hexDigits = '0123456789abcdef';
const twoTo32 = 0x1_0000_0000;

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Not constant-time: for hashes and public values. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return false;
  }
  return true;
}

/** Two of nothing are equal too. */
export function optionalBytesEqual(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : bytesEqual(a, b);
}

/** Lexicographic by unsigned byte, shorter first: negative, zero or positive like a sort comparator wants it. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    const difference = a[index]! - b[index]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += hexDigits[byte >> 4]! + hexDigits[byte & 15]!;
  return text;
}

/** Either letter case; kind `invalid` for an odd length or anything but hexadecimal digits. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new TahoeError('not a hexadecimal string', { kind: 'invalid', op: 'hex.decode' });
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(text.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}

/** Kind `invalid` for a lone surrogate, which has no UTF-8 form. */
export function encodeUtf8(text: string): Uint8Array {
  if (loneSurrogate.test(text)) {
    throw new TahoeError('text holds half a surrogate pair', { kind: 'invalid', op: 'utf8.encode' });
  }
  return utf8Encoder.encode(text);
}

/** Strict: kind `corrupt` for anything that is not well-formed UTF-8. A byte order mark is an ordinary character. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8Decoder.decode(bytes);
  } catch (cause) {
    throw new TahoeError('not valid UTF-8', { kind: 'corrupt', op: 'utf8.decode', cause });
  }
}

/** One byte per character; for text known to be ASCII. Kind `invalid` for a character above 0x7f. */
export function encodeAscii(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) throw new TahoeError('text is not ASCII', { kind: 'invalid', op: 'ascii.encode' });
    bytes[index] = code;
  }
  return bytes;
}

/** One character per byte, whatever the bytes are: for names of a protocol, to be compared with the known ones. */
export function decodeLatin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** Bytes [start, end) as a view; kind `corrupt` if they are not all there. */
export function sliceChecked(bytes: Uint8Array, start: number, end: number): Uint8Array {
  if (!(start >= 0 && start <= end && end <= bytes.length)) {
    throw new TahoeError(`bytes ${start} to ${end} of ${bytes.length} do not exist`, {
      kind: 'corrupt',
      op: 'bytes.read',
    });
  }
  return bytes.subarray(start, end);
}

/** Kind `corrupt` past the end, as for all readers here. */
export function readU8(bytes: Uint8Array, offset: number): number {
  checkPresent(bytes, offset, 1);
  return bytes[offset]!;
}

export function readU16(bytes: Uint8Array, offset: number): number {
  checkPresent(bytes, offset, 2);
  return bytes[offset]! * 0x100 + bytes[offset + 1]!;
}

export function readU32(bytes: Uint8Array, offset: number): number {
  checkPresent(bytes, offset, 4);
  return bytes[offset]! * 0x100_0000 + ((bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!);
}

/** Kind `corrupt` also for a value of 2^53 or more: no size, offset or version number here can be that large. */
export function readU64(bytes: Uint8Array, offset: number): number {
  checkPresent(bytes, offset, 8);
  const value = readU32(bytes, offset) * twoTo32 + readU32(bytes, offset + 4);
  if (!Number.isSafeInteger(value)) {
    throw new TahoeError('64-bit number too large', { kind: 'corrupt', op: 'bytes.read' });
  }
  return value;
}

/** Kind `invalid` if the value is not an integer in 0..255. */
export function writeU8(target: Uint8Array, offset: number, value: number): void {
  checkWritable(target, offset, 1, value, 0xff);
  target[offset] = value;
}

export function writeU16(target: Uint8Array, offset: number, value: number): void {
  checkWritable(target, offset, 2, value, 0xffff);
  target[offset] = value >>> 8;
  target[offset + 1] = value & 0xff;
}

export function writeU32(target: Uint8Array, offset: number, value: number): void {
  checkWritable(target, offset, 4, value, 0xffff_ffff);
  target[offset] = value >>> 24;
  target[offset + 1] = (value >>> 16) & 0xff;
  target[offset + 2] = (value >>> 8) & 0xff;
  target[offset + 3] = value & 0xff;
}

/** Value up to 2^53 - 1. */
export function writeU64(target: Uint8Array, offset: number, value: number): void {
  checkWritable(target, offset, 8, value, Number.MAX_SAFE_INTEGER);
  writeU32(target, offset, Math.floor(value / twoTo32));
  writeU32(target, offset + 4, value % twoTo32);
}

function checkPresent(bytes: Uint8Array, offset: number, size: number): void {
  if (!(offset >= 0 && offset + size <= bytes.length)) {
    throw new TahoeError(`a ${size}-byte number at ${offset} is past the end (${bytes.length})`, {
      kind: 'corrupt',
      op: 'bytes.read',
    });
  }
}

function checkWritable(target: Uint8Array, offset: number, size: number, value: number, maximum: number): void {
  if (!Number.isInteger(value) || value < 0 || value > maximum) {
    throw new TahoeError(`${value} does not fit in ${size} bytes`, { kind: 'invalid', op: 'bytes.write' });
  }
  if (!(offset >= 0 && offset + size <= target.length)) {
    throw new TahoeError(`no room for ${size} bytes at ${offset} of ${target.length}`, {
      kind: 'invalid',
      op: 'bytes.write',
    });
  }
}
