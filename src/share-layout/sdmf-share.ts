/**
 * SDMF shares: mutable spec 4.
 *
 * | 0 | u8 version 0 |
 * | 1 | u64 sequence number |
 * | 9 | 32 root of the share hash tree |
 * | 41 | 16 IV |
 * | 57 | u8 shares needed |
 * | 58 | u8 shares total |
 * | 59 | u64 segment size |
 * | 67 | u64 data length |
 * | 75 | u32 offsets of signature, share hash chain, block hash tree, share data |
 * | 91 | u64 offsets of encrypted private key, end of file |
 * | 107 | public key, then the parts in the order of their offsets |
 *
 * The signature covers [0, 75), the checkstring is [0, 57). Bytes behind the end of file are those of an older, longer
 * version and mean nothing.
 */
import { blockHash } from '../crypto/derivations.js';
import { signatureLength } from '../crypto/rsa.js';
import type { ReadKey } from '../encoding/brands.js';
import {
  bytesEqual,
  concatBytes,
  readU32,
  readU64,
  sliceChecked,
  writeU8,
  writeU32,
  writeU64,
} from '../encoding/bytes.js';
import type { ErasureCode } from '../erasure/erasure-code.js';
import { assert } from '../errors/tahoe-error.js';
import { buildHashTree, hashLength, type IncompleteHashTree } from '../hashtree/hash-tree.js';
import {
  type Checkstring,
  checkAscending,
  checkEncoding,
  damagedShare,
  type MutablePrefix,
  parseShareHashChain,
  roundUp,
  segmentPieces,
  serializeShareHashChain,
} from './mutable-share.js';

export const sdmfVersion = 0;
export const sdmfCheckstringLength = 57;
export const sdmfPrefixLength = 75;
export const sdmfHeaderLength = 107;
const ivLength = 16;

export interface SdmfCheckstring extends Checkstring {
  readonly iv: Uint8Array;
}

/** The segment size is the data length rounded up to a multiple of sharesNeeded. */
export interface SdmfPrefix extends MutablePrefix {
  readonly iv: Uint8Array;
}

export interface SdmfOffsets {
  readonly signature: number;
  readonly shareHashChain: number;
  readonly blockHashTree: number;
  readonly shareData: number;
  readonly encryptedPrivateKey: number;
  readonly endOfFile: number;
}

/** Byte strings are views of the share. */
export interface SdmfShare {
  readonly prefix: SdmfPrefix;
  /** The 75 bytes that were signed. */
  readonly signedBytes: Uint8Array;
  readonly publicKeyDer: Uint8Array;
  readonly signature: Uint8Array;
  /** Hashes by node number of the share hash tree. */
  readonly shareHashChain: ReadonlyMap<number, Uint8Array>;
  /** The one node of the block hash tree. */
  readonly blockTreeRoot: Uint8Array;
  readonly block: Uint8Array;
  readonly encryptedPrivateKey: Uint8Array;
}

export function serializeSdmfCheckstring(checkstring: SdmfCheckstring): Uint8Array {
  assert(checkstring.rootHash.length === hashLength && checkstring.iv.length === ivLength, 'root hash and IV lengths');
  const bytes = new Uint8Array(sdmfCheckstringLength);
  writeU8(bytes, 0, sdmfVersion);
  writeU64(bytes, 1, checkstring.sequenceNumber);
  bytes.set(checkstring.rootHash, 9);
  bytes.set(checkstring.iv, 41);
  return bytes;
}

/** From the first 57 bytes of a share or more; kind `corrupt` if it is not an SDMF share. */
export function parseSdmfCheckstring(bytes: Uint8Array): SdmfCheckstring {
  const checkstring = sliceChecked(bytes, 0, sdmfCheckstringLength);
  if (checkstring[0] !== sdmfVersion) throw damagedShare(`version ${checkstring[0]}`);
  return { sequenceNumber: readU64(bytes, 1), rootHash: bytes.slice(9, 41), iv: bytes.slice(41, 57) };
}

export function serializeSdmfPrefix(prefix: SdmfPrefix): Uint8Array {
  const bytes = new Uint8Array(sdmfPrefixLength);
  bytes.set(serializeSdmfCheckstring(prefix));
  writeU8(bytes, 57, prefix.sharesNeeded);
  writeU8(bytes, 58, prefix.sharesTotal);
  writeU64(bytes, 59, prefix.segmentSize);
  writeU64(bytes, 67, prefix.dataLength);
  return bytes;
}

/** From the first 75 bytes or more; kind `corrupt` if the numbers are not those of any SDMF file. */
export function parseSdmfPrefix(bytes: Uint8Array): SdmfPrefix {
  sliceChecked(bytes, 0, sdmfPrefixLength);
  const prefix: SdmfPrefix = {
    ...parseSdmfCheckstring(bytes),
    sharesNeeded: bytes[57]!,
    sharesTotal: bytes[58]!,
    segmentSize: readU64(bytes, 59),
    dataLength: readU64(bytes, 67),
  };
  const { sharesNeeded, segmentSize, dataLength } = prefix;
  checkEncoding(prefix);
  if (segmentSize !== roundUp(dataLength, sharesNeeded)) throw damagedShare('segment size and data length contradict');
  return prefix;
}

/** From the first 107 bytes; kind `corrupt` unless the parts follow each other in order. */
export function parseSdmfOffsets(bytes: Uint8Array): SdmfOffsets {
  const offsets: SdmfOffsets = {
    signature: readU32(bytes, 75),
    shareHashChain: readU32(bytes, 79),
    blockHashTree: readU32(bytes, 83),
    shareData: readU32(bytes, 87),
    encryptedPrivateKey: readU64(bytes, 91),
    endOfFile: readU64(bytes, 99),
  };
  checkAscending([sdmfHeaderLength, ...Object.values(offsets)]);
  return offsets;
}

/** Takes a whole share apart. Says that it is well-formed, not that it is genuine: see the verify functions. Kind `corrupt`. */
export function parseSdmfShare(bytes: Uint8Array): SdmfShare {
  const prefix = parseSdmfPrefix(bytes);
  const offsets = parseSdmfOffsets(bytes);
  const part = (start: number, end: number) => sliceChecked(bytes, start, end);
  const signature = part(offsets.signature, offsets.shareHashChain);
  const blockTreeRoot = part(offsets.blockHashTree, offsets.shareData);
  const block = part(offsets.shareData, offsets.encryptedPrivateKey);
  if (signature.length !== signatureLength) throw damagedShare('a signature of the wrong length');
  if (blockTreeRoot.length !== hashLength) throw damagedShare('a block hash tree of the wrong length');
  if (block.length !== prefix.segmentSize / prefix.sharesNeeded) throw damagedShare('a block of the wrong length');
  return {
    prefix,
    signedBytes: bytes.subarray(0, sdmfPrefixLength),
    publicKeyDer: part(sdmfHeaderLength, offsets.signature),
    signature,
    shareHashChain: parseShareHashChain(part(offsets.shareHashChain, offsets.blockHashTree)),
    blockTreeRoot,
    block,
    encryptedPrivateKey: part(offsets.encryptedPrivateKey, offsets.endOfFile),
  };
}

/**
 * Kind `corrupt` unless the block is the one that the root hash stands for at this share number. The root hash itself
 * must have been verified by signature. `shareTree` over sharesTotal leaves learns what it needs from the share.
 */
export function verifySdmfBlock(share: SdmfShare, shareNumber: number, shareTree: IncompleteHashTree): void {
  if (!bytesEqual(blockTreeRootOf(share.block, share.prefix.dataLength), share.blockTreeRoot)) {
    throw damagedShare('a block that does not fit its hash');
  }
  if (shareNumber >= share.prefix.sharesTotal) throw damagedShare(`share number ${shareNumber}`);
  shareTree.learn(share.shareHashChain, [[shareNumber, share.blockTreeRoot]]);
}

export interface SdmfContents {
  readonly sequenceNumber: number;
  /** 16 fresh random bytes. */
  readonly iv: Uint8Array;
  readonly readKey: ReadKey;
  readonly plaintext: Uint8Array;
  /** 1 <= sharesNeeded <= sharesTotal <= 255. */
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  /** As fetched from a share if the file exists: never serialised anew. */
  readonly encryptedPrivateKey: Uint8Array;
  readonly publicKeyDer: Uint8Array;
  /** RSASSA-PSS over the signed bytes. */
  readonly sign: (signedBytes: Uint8Array) => Uint8Array;
  /** That of sharesNeeded and sharesTotal. */
  readonly erasureCode: Pick<ErasureCode, 'encode'>;
}

export interface EncodedSdmf {
  readonly prefix: SdmfPrefix;
  readonly checkstring: Uint8Array;
  /** Index = share number. */
  readonly shares: readonly Uint8Array[];
}

/** All shares of one version. */
export function encodeSdmfShares(contents: SdmfContents): EncodedSdmf {
  const { sharesNeeded, sharesTotal, plaintext, iv } = contents;
  assert(sharesNeeded >= 1 && sharesNeeded <= sharesTotal && sharesTotal <= 255, '1 <= k <= n <= 255');
  const dataLength = plaintext.length;
  const segmentSize = roundUp(dataLength, sharesNeeded);
  const blocks = encodeBlocks(contents, segmentSize);
  const leaves = blocks.map((block) => blockTreeRootOf(block, dataLength));
  const tree = buildHashTree(leaves);
  const { sequenceNumber } = contents;
  const prefix = { sequenceNumber, rootHash: tree.root, iv, sharesNeeded, sharesTotal, segmentSize, dataLength };
  const signedBytes = serializeSdmfPrefix(prefix);
  const signature = contents.sign(signedBytes);
  const shares = blocks.map((block, shareNumber) => {
    const chain = tree.neededFor(shareNumber).map((node) => [node, tree.node(node)] as const);
    const parts = [contents.publicKeyDer, signature, serializeShareHashChain(chain), leaves[shareNumber]!, block];
    return assembleShare(signedBytes, [...parts, contents.encryptedPrivateKey]);
  });
  return { prefix, checkstring: signedBytes.subarray(0, sdmfCheckstringLength), shares };
}

function encodeBlocks(contents: SdmfContents, segmentSize: number): Uint8Array[] {
  const { sharesNeeded, sharesTotal } = contents;
  const shareNumbers = Array.from({ length: sharesTotal }, (_, shareNumber) => shareNumber);
  if (segmentSize === 0) return shareNumbers.map(() => new Uint8Array(0));
  const { plaintext, iv: salt, readKey } = contents;
  const pieces = segmentPieces(plaintext, { salt, readKey }, sharesNeeded, segmentSize / sharesNeeded);
  return contents.erasureCode.encode(pieces, shareNumbers);
}

/** The block hash tree has the one block as its leaf; for an empty file it has none. */
function blockTreeRootOf(block: Uint8Array, dataLength: number): Uint8Array {
  return buildHashTree(dataLength === 0 ? [] : [blockHash(block)]).root;
}

function assembleShare(signedBytes: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  const header = new Uint8Array(sdmfHeaderLength);
  header.set(signedBytes);
  // the end of each part; the public key needs no offset of its own since it follows the header
  const ends: number[] = [];
  let end = sdmfHeaderLength;
  for (const part of parts) {
    end += part.length;
    ends.push(end);
  }
  ends.slice(0, 4).forEach((offset, index) => {
    writeU32(header, 75 + 4 * index, offset);
  });
  writeU64(header, 91, ends[4]!);
  writeU64(header, 99, ends[5]!);
  return concatBytes([header, ...parts]);
}
