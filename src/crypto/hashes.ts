/**
 * SHA-256, double SHA-256 under a tag (immutable spec 1.3), and the two plain hashes of the storage formats.
 *
 * `crypto.hash` with a string result is three times faster than a hash object on small messages; the scratch buffer
 * carries the inner digest to the second round and is never live across calls.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { blake2b } from '@noble/hashes/blake2.js';
import { concatBytes, encodeAscii } from '../encoding/bytes.js';

const digestLength = 32;
const innerDigest = Buffer.alloc(digestLength);

/** Messages up to this long are copied behind their tag and hashed in one call. */
const copyLimitBytes = 16384;

/** Text tags are ASCII. */
export type Tag = string | Uint8Array;
/** A byte string, or the pieces of one. */
export type ByteParts = Uint8Array | readonly Uint8Array[];

export function sha256(data: Uint8Array): Uint8Array {
  return fromLatin1(hash('sha256', data, 'binary'), digestLength);
}

/** SHA-256 of the SHA-256. */
export function sha256d(data: Uint8Array): Uint8Array {
  return secondRound(hash('sha256', data, 'binary'), digestLength);
}

/** 20 bytes; only for the order of servers (immutable spec 8.2) and certificate ids. */
export function sha1(data: ByteParts): Uint8Array {
  return fromLatin1(hash('sha1', data instanceof Uint8Array ? data : concatBytes(data), 'binary'), 20);
}

/** BLAKE2b with a 32-byte digest, no key: how storage containers keep lease secrets (immutable spec 6.2). */
export function blake2b256(data: Uint8Array): Uint8Array {
  return blake2b(data, { dkLen: 32 });
}

/** First `length` bytes of sha256d( netstring(tag) || value ). */
export function taggedHash(tag: Tag, value: ByteParts, length = digestLength): Uint8Array {
  return hashParts([tagPrefix(tag), ...partsOf(value)], length);
}

/** First `length` bytes of sha256d( netstring(tag) || netstring(first) || netstring(second) ). */
export function taggedPairHash(tag: Tag, first: Uint8Array, second: Uint8Array, length = digestLength): Uint8Array {
  const parts = [tagPrefix(tag), netstringHead(first), first, comma, netstringHead(second), second, comma];
  return hashParts(parts, length);
}

/** taggedHash of a value that arrives in pieces. */
export class TaggedHasher {
  readonly #hasher: Hash;
  readonly #length: number;

  constructor(tag: Tag, length = digestLength) {
    this.#hasher = createHash('sha256').update(tagPrefix(tag));
    this.#length = length;
  }

  update(data: Uint8Array): this {
    this.#hasher.update(data);
    return this;
  }

  /** Ends it: neither `update` nor `digest` may follow. */
  digest(): Uint8Array {
    return secondRound(this.#hasher.digest('binary'), this.#length);
  }
}

const comma = encodeAscii(',');

function tagPrefix(tag: Tag): Uint8Array {
  if (typeof tag === 'string') return encodeAscii(`${tag.length}:${tag},`);
  const head = netstringHead(tag);
  const prefix = new Uint8Array(head.length + tag.length + 1);
  prefix.set(head);
  prefix.set(tag, head.length);
  prefix.set(comma, head.length + tag.length);
  return prefix;
}

function netstringHead(value: Uint8Array): Uint8Array {
  return encodeAscii(`${value.length}:`);
}

function partsOf(data: ByteParts): readonly Uint8Array[] {
  return data instanceof Uint8Array ? [data] : data;
}

function hashParts(parts: readonly Uint8Array[], length: number): Uint8Array {
  let size = 0;
  for (const part of parts) size += part.length;
  if (size > copyLimitBytes) {
    const hasher = createHash('sha256');
    for (const part of parts) hasher.update(part);
    return secondRound(hasher.digest('binary'), length);
  }
  const message = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    message.set(part, offset);
    offset += part.length;
  }
  return secondRound(hash('sha256', message, 'binary'), length);
}

function secondRound(firstDigest: string, length: number): Uint8Array {
  innerDigest.write(firstDigest, 'latin1');
  return fromLatin1(hash('sha256', innerDigest, 'binary'), length);
}

function fromLatin1(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}
