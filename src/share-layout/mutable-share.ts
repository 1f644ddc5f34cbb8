/** What SDMF and MDMF shares have in common: mutable spec 1, 4, 5. */
import type { KeyObject } from 'node:crypto';
import { aes128Ctr } from '../crypto/aes-ctr.js';
import { fingerprintOf, mutableDataKey, writeKeyOf } from '../crypto/derivations.js';
import { importPublicKey, verifyPss } from '../crypto/rsa.js';
import type { Fingerprint, ReadKey, WriteKey } from '../encoding/brands.js';
import { bytesEqual, readU16, writeU16 } from '../encoding/bytes.js';
import type { ErasureCode } from '../erasure/erasure-code.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import { hashLength, IncompleteHashTree } from '../hashtree/hash-tree.js';

/** Which version of the contents: what a writer tests before it replaces a share. */
export interface Checkstring {
  /** 1 for the first publish. */
  readonly sequenceNumber: number;
  readonly rootHash: Uint8Array;
  /** Of an SDMF version. In MDMF each segment has a salt of its own, and the checkstring none. */
  readonly iv?: Uint8Array | undefined;
}

/** What the signature covers. */
export interface MutablePrefix extends Checkstring {
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  /** A multiple of sharesNeeded. */
  readonly segmentSize: number;
  readonly dataLength: number;
}

/** The segments of the contents: SDMF has one, or none if it is empty. */
export interface SegmentTable {
  readonly segmentCount: number;
  /** Bytes of the plaintext of a segment: less in the last one. */
  segmentLength(segment: number): number;
  /** Bytes of its block in a share, without the salt. */
  blockLength(segment: number): number;
}

/** Segments [first, end). */
export interface SegmentRange {
  readonly first: number;
  readonly end: number;
}

/** The contents of both formats are segments, each encrypted under a salt. */
export interface SaltedBlock {
  readonly salt: Uint8Array;
  readonly block: Uint8Array;
}

export const saltLength = 16;
const chainEntryLength = 2 + hashLength;

/** Kind `corrupt` unless each part of a share begins where the one before it begins, or behind. */
export function checkAscending(starts: readonly number[]): void {
  for (let index = 1; index < starts.length; index++) {
    if (starts[index]! < starts[index - 1]!) throw damagedShare('its offsets are not in order');
  }
}

/** Kind `corrupt` unless there are such codes (both numbers have a byte in the share). */
export function checkEncoding({ sharesNeeded, sharesTotal }: MutablePrefix): void {
  if (sharesNeeded < 1 || sharesNeeded > sharesTotal) throw damagedShare(`${sharesNeeded} of ${sharesTotal} shares`);
}

export function segmentTable({
  segmentSize,
  dataLength,
  sharesNeeded,
}: Pick<MutablePrefix, 'segmentSize' | 'dataLength' | 'sharesNeeded'>): SegmentTable {
  const segmentCount = dataLength === 0 ? 0 : Math.ceil(dataLength / segmentSize);
  const segmentLength = (segment: number) =>
    segment < segmentCount - 1 ? segmentSize : dataLength - segmentSize * (segmentCount - 1);
  const blockLength = (segment: number) => Math.ceil(segmentLength(segment) / sharesNeeded);
  return { segmentCount, segmentLength, blockLength };
}

/** A tree that trusts the root hash of this version. */
export function mutableShareTree({ sharesTotal, rootHash }: MutablePrefix): IncompleteHashTree {
  return new IncompleteHashTree(sharesTotal, rootHash);
}

/** Node number and hash, over and over. Kind `corrupt`. */
export function parseShareHashChain(bytes: Uint8Array): Map<number, Uint8Array> {
  if (bytes.length % chainEntryLength !== 0) throw damagedShare('a share hash chain of the wrong length');
  const chain = new Map<number, Uint8Array>();
  for (let offset = 0; offset < bytes.length; offset += chainEntryLength) {
    chain.set(readU16(bytes, offset), bytes.subarray(offset + 2, offset + chainEntryLength));
  }
  return chain;
}

/** Entries in ascending order of node number. */
export function serializeShareHashChain(chain: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  const bytes = new Uint8Array(chain.length * chainEntryLength);
  chain.forEach(([node, hash], index) => {
    writeU16(bytes, index * chainEntryLength, node);
    bytes.set(hash, index * chainEntryLength + 2);
  });
  return bytes;
}

/** The key of a share, once it is known to be the file's own; kind `corrupt` otherwise. Keep it for the other shares. */
export function verifiedPublicKey(publicKeyDer: Uint8Array, fingerprint: Fingerprint): KeyObject {
  if (!bytesEqual(fingerprintOf(publicKeyDer), fingerprint)) throw damagedShare("a public key that is not the file's");
  return importPublicKey(publicKeyDer);
}

/** Kind `corrupt` unless the owner of the key signed exactly these bytes. */
export function verifySignedPrefix(signedBytes: Uint8Array, signature: Uint8Array, publicKey: KeyObject): void {
  if (!verifyPss(publicKey, signedBytes, signature)) throw damagedShare('a wrong signature');
}

/** PKCS#8 DER of the file's key; kind `corrupt` if it is not the key from which the write key comes. */
export function decryptPrivateKey(encryptedPrivateKey: Uint8Array, writeKey: WriteKey): Uint8Array {
  const privateKeyDer = aes128Ctr(writeKey, encryptedPrivateKey);
  if (!bytesEqual(writeKeyOf(privateKeyDer), writeKey)) throw damagedShare("a private key that is not the file's");
  return privateKeyDer;
}

/** AES-CTR without IV: only ever one plaintext under a write key. */
export function encryptPrivateKey(privateKeyDer: Uint8Array, writeKey: WriteKey): Uint8Array {
  return aes128Ctr(writeKey, privateKeyDer);
}

/** The ciphertext of a segment, padded with zeros and cut into `sharesNeeded` pieces of `blockSize`: views of one buffer. */
export function segmentPieces(
  plaintext: Uint8Array,
  key: { readonly salt: Uint8Array; readonly readKey: ReadKey },
  sharesNeeded: number,
  blockSize: number,
): Uint8Array[] {
  const ciphertext = aes128Ctr(mutableDataKey(key.salt, key.readKey), plaintext);
  const padded = new Uint8Array(sharesNeeded * blockSize);
  padded.set(ciphertext);
  return Array.from({ length: sharesNeeded }, (_, i) => padded.subarray(i * blockSize, (i + 1) * blockSize));
}

/**
 * The plaintext of one segment of `length` bytes from `sharesNeeded` verified blocks by share number (more are ignored).
 * Kind `corrupt` if the shares of the segment do not agree on its salt.
 */
export function decodeSegment(
  blocks: ReadonlyMap<number, SaltedBlock>,
  readKey: ReadKey,
  length: number,
  erasureCode: Pick<ErasureCode, 'decodeJoined' | 'sharesNeeded'>,
): Uint8Array {
  const used = [...blocks].slice(0, erasureCode.sharesNeeded);
  assert(used.length === erasureCode.sharesNeeded, 'as many blocks as shares needed');
  const [, { salt }] = used[0]!;
  if (used.some(([, other]) => !bytesEqual(other.salt, salt))) throw damagedShare('salts that contradict each other');
  const joined = erasureCode.decodeJoined(
    used.map(([shareNumber]) => shareNumber),
    used.map(([, { block }]) => block),
  );
  return aes128Ctr(mutableDataKey(salt, readKey), joined.subarray(0, length));
}

export function roundUp(size: number, multiple: number): number {
  return Math.ceil(size / multiple) * multiple;
}

export function damagedShare(reason: string): TahoeError {
  return new TahoeError(`damaged mutable share: ${reason}`, { kind: 'corrupt', op: 'mutable-share.parse' });
}
