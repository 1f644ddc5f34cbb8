/**
 * MDMF shares: mutable spec 5.
 *
 * | 0 | u8 version 1 |
 * | 1 | u64 sequence number |
 * | 9 | 32 root of the share hash tree |
 * | 41 | u8 shares needed |
 * | 42 | u8 shares total |
 * | 43 | u64 segment size |
 * | 51 | u64 data length |
 * | 59 | u64 offsets of encrypted private key, share hash chain, signature, public key and its end, share data, block hash tree, end of file |
 * | 123 | encrypted private key, share hash chain, signature, public key, without gaps |
 * | 2167 | per segment its salt (16) and block, then the whole block hash tree |
 *
 * The signature covers [0, 59), the checkstring is [0, 41). The salts are bound by the block hashes, which cover them.
 */
import { blockHash } from '../crypto/derivations.js';
import { signatureLength } from '../crypto/rsa.js';
import { readU64, sliceChecked, writeU8, writeU64 } from '../encoding/bytes.js';
import { assert } from '../errors/tahoe-error.js';
import { hashLength, IncompleteHashTree } from '../hashtree/hash-tree.js';
import { hashTreeNodeCount } from '../hashtree/tree-shape.js';
import {
  type Checkstring,
  checkAscending,
  checkEncoding,
  damagedShare,
  type MutablePrefix,
  parseShareHashChain,
  type SaltedBlock,
  type SegmentRange,
  type SegmentTable,
  saltLength,
  segmentTable,
} from './mutable-share.js';

export const mdmfVersion = 1;
export const mdmfCheckstringLength = 41;
export const mdmfPrefixLength = 59;
export const mdmfHeaderLength = 123;
/** Where writers put the data, so that an update in place never has to move it. */
export const mdmfDataOffset = 2167;

/** A reader holds whole segments in memory: a writer who signs for larger ones is not believed. */
const maximumSegmentSize = 64 * 1024 * 1024;

export interface MdmfPrefix extends MutablePrefix {
  readonly iv?: undefined;
}

/** Each part ends where the next begins, the data where the block hash tree begins, and that at the end of file. */
export interface MdmfOffsets {
  readonly encryptedPrivateKey: number;
  readonly shareHashChain: number;
  readonly signature: number;
  readonly publicKey: number;
  readonly publicKeyEnd: number;
  readonly shareData: number;
  readonly blockHashTree: number;
  readonly endOfFile: number;
}

/** All but the data and its hashes. Byte strings are views of the share. */
export interface MdmfHead {
  readonly prefix: MdmfPrefix;
  readonly offsets: MdmfOffsets;
  /** The 59 bytes that were signed. */
  readonly signedBytes: Uint8Array;
  readonly encryptedPrivateKey: Uint8Array;
  /** Hashes by node number of the share hash tree. */
  readonly shareHashChain: ReadonlyMap<number, Uint8Array>;
  readonly signature: Uint8Array;
  readonly publicKeyDer: Uint8Array;
}

export function serializeMdmfCheckstring(checkstring: Checkstring): Uint8Array {
  assert(checkstring.rootHash.length === hashLength, 'root hash length');
  const bytes = new Uint8Array(mdmfCheckstringLength);
  writeU8(bytes, 0, mdmfVersion);
  writeU64(bytes, 1, checkstring.sequenceNumber);
  bytes.set(checkstring.rootHash, 9);
  return bytes;
}

/** From the first 41 bytes of a share or more; kind `corrupt` if it is not an MDMF share. */
export function parseMdmfCheckstring(bytes: Uint8Array): Checkstring {
  const checkstring = sliceChecked(bytes, 0, mdmfCheckstringLength);
  if (checkstring[0] !== mdmfVersion) throw damagedShare(`version ${checkstring[0]}`);
  return { sequenceNumber: readU64(bytes, 1), rootHash: bytes.slice(9, 41) };
}

export function serializeMdmfPrefix(prefix: MdmfPrefix): Uint8Array {
  const bytes = new Uint8Array(mdmfPrefixLength);
  bytes.set(serializeMdmfCheckstring(prefix));
  writeU8(bytes, 41, prefix.sharesNeeded);
  writeU8(bytes, 42, prefix.sharesTotal);
  writeU64(bytes, 43, prefix.segmentSize);
  writeU64(bytes, 51, prefix.dataLength);
  return bytes;
}

/** From the first 59 bytes or more; kind `corrupt` if the numbers are not those of any MDMF file. */
export function parseMdmfPrefix(bytes: Uint8Array): MdmfPrefix {
  sliceChecked(bytes, 0, mdmfPrefixLength);
  const { sequenceNumber, rootHash } = parseMdmfCheckstring(bytes);
  const prefix: MdmfPrefix = {
    sequenceNumber,
    rootHash,
    sharesNeeded: bytes[41]!,
    sharesTotal: bytes[42]!,
    segmentSize: readU64(bytes, 43),
    dataLength: readU64(bytes, 51),
  };
  checkEncoding(prefix);
  const { segmentSize, sharesNeeded } = prefix;
  const isPossible = segmentSize > 0 && segmentSize % sharesNeeded === 0 && segmentSize <= maximumSegmentSize;
  if (!isPossible) throw damagedShare(`segments of ${segmentSize} bytes in ${sharesNeeded} pieces`);
  return prefix;
}

export function serializeMdmfOffsets(offsets: MdmfOffsets): Uint8Array {
  const bytes = new Uint8Array(mdmfHeaderLength - mdmfPrefixLength);
  const { encryptedPrivateKey, shareHashChain, signature, publicKey, publicKeyEnd } = offsets;
  const { shareData, blockHashTree, endOfFile } = offsets;
  [
    ...[encryptedPrivateKey, shareHashChain, signature, publicKey, publicKeyEnd],
    ...[shareData, blockHashTree, endOfFile],
  ].forEach((offset, index) => {
    writeU64(bytes, 8 * index, offset);
  });
  return bytes;
}

/** From the first 123 bytes; kind `corrupt` unless the parts follow each other and are as long as the prefix says. */
export function parseMdmfOffsets(bytes: Uint8Array, prefix: MdmfPrefix): MdmfOffsets {
  const offset = (index: number) => readU64(bytes, mdmfPrefixLength + 8 * index);
  const offsets: MdmfOffsets = {
    encryptedPrivateKey: offset(0),
    shareHashChain: offset(1),
    signature: offset(2),
    publicKey: offset(3),
    publicKeyEnd: offset(4),
    shareData: offset(5),
    blockHashTree: offset(6),
    endOfFile: offset(7),
  };
  checkAscending([mdmfHeaderLength, ...Object.values(offsets)]);
  const { segmentCount, dataSize } = mdmfGeometry(prefix);
  if (offsets.blockHashTree - offsets.shareData !== dataSize) throw damagedShare('data of the wrong length');
  if (offsets.endOfFile - offsets.blockHashTree !== hashTreeNodeCount(segmentCount) * hashLength)
    throw damagedShare('a block hash tree of the wrong length');
  if (offsets.publicKey - offsets.signature !== signatureLength) throw damagedShare('a signature of the wrong length');
  return offsets;
}

/**
 * Takes the beginning of a share apart; `bytes` reach at least to the end of the public key. Says that it is
 * well-formed, not that it is genuine. Kind `corrupt`.
 */
export function parseMdmfHead(bytes: Uint8Array): MdmfHead {
  const prefix = parseMdmfPrefix(bytes);
  const offsets = parseMdmfOffsets(bytes, prefix);
  const part = (start: number, end: number) => sliceChecked(bytes, start, end);
  return {
    prefix,
    offsets,
    signedBytes: bytes.subarray(0, mdmfPrefixLength),
    encryptedPrivateKey: part(offsets.encryptedPrivateKey, offsets.shareHashChain),
    shareHashChain: parseShareHashChain(part(offsets.shareHashChain, offsets.signature)),
    signature: part(offsets.signature, offsets.publicKey),
    publicKeyDer: part(offsets.publicKey, offsets.publicKeyEnd),
  };
}

export interface MdmfGeometry extends SegmentTable {
  /** Where the salt of a segment begins, from the start of the share data; `segmentCount` gives the end. */
  blockOffset(segment: number): number;
  /** Bytes of all salts and blocks of a share. */
  readonly dataSize: number;
}

export function mdmfGeometry(prefix: Pick<MdmfPrefix, 'segmentSize' | 'dataLength' | 'sharesNeeded'>): MdmfGeometry {
  const table = segmentTable(prefix);
  const { segmentCount, blockLength } = table;
  const stride = saltLength + prefix.segmentSize / prefix.sharesNeeded;
  const dataSize = segmentCount === 0 ? 0 : (segmentCount - 1) * stride + saltLength + blockLength(segmentCount - 1);
  const blockOffset = (segment: number) => (segment >= segmentCount ? dataSize : segment * stride);
  return { ...table, blockOffset, dataSize };
}

/**
 * Nodes of the block hash tree, beside their leaves, that check the segments of a range against the root: at most two
 * of each level. Ascending.
 */
export function nodesBeside({ first, end }: SegmentRange, segmentCount: number): number[] {
  const nodes: number[] = [];
  const nodeCount = hashTreeNodeCount(segmentCount);
  // ends of the range at this level, as positions in it
  let [left, right] = [first, end - 1];
  for (let levelStart = (nodeCount - 1) / 2; levelStart > 0; levelStart = (levelStart - 1) / 2) {
    if (left % 2 === 1) nodes.push(levelStart + left - 1);
    if (right % 2 === 0) nodes.push(levelStart + right + 1);
    left = Math.floor(left / 2);
    right = Math.floor(right / 2);
  }
  return nodes.sort((a, b) => a - b);
}

/** What of a share shows that some of its segments are genuine. */
export interface MdmfEvidence {
  /** Node 0 of its block hash tree. */
  readonly blockTreeRoot: Uint8Array;
  /** Hashes by node number: those of `nodesBeside`, at least. */
  readonly blockTreeNodes: Iterable<readonly [number, Uint8Array]>;
  readonly shareHashChain: ReadonlyMap<number, Uint8Array>;
}

/**
 * The blocks of a range of at least one segment, once they are known to be those that the root hash stands for at this
 * share number; kind `corrupt` otherwise. `data` are their bytes in the share. The root hash itself must have been
 * verified by signature; `shareTree` over sharesTotal leaves learns what it needs.
 */
export function verifyMdmfBlocks(
  prefix: MdmfPrefix,
  shareNumber: number,
  range: SegmentRange & { readonly data: Uint8Array },
  evidence: MdmfEvidence,
  shareTree: IncompleteHashTree,
): SaltedBlock[] {
  const { segmentCount, blockOffset } = mdmfGeometry(prefix);
  const { first, end, data } = range;
  const start = blockOffset(first);
  if (data.length !== blockOffset(end) - start) throw damagedShare('data of the wrong length');
  const blocks: SaltedBlock[] = [];
  const leaves: [number, Uint8Array][] = [];
  for (let segment = first; segment < end; segment++) {
    const salted = data.subarray(blockOffset(segment) - start, blockOffset(segment + 1) - start);
    leaves.push([segment, blockHash(salted)]);
    blocks.push({ salt: salted.subarray(0, saltLength), block: salted.subarray(saltLength) });
  }
  if (evidence.blockTreeRoot.length !== hashLength) throw damagedShare('a block hash tree without root');
  const tree = new IncompleteHashTree(segmentCount, evidence.blockTreeRoot);
  tree.learn(evidence.blockTreeNodes, leaves);
  learnBlockTreeRoot(prefix, shareNumber, evidence, shareTree);
  return blocks;
}

/** Kind `corrupt` unless the root of this share's block hash tree is the one that the root hash stands for. */
export function learnBlockTreeRoot(
  prefix: Pick<MutablePrefix, 'sharesTotal'>,
  shareNumber: number,
  evidence: Pick<MdmfEvidence, 'blockTreeRoot' | 'shareHashChain'>,
  shareTree: IncompleteHashTree,
): void {
  if (shareNumber >= prefix.sharesTotal) throw damagedShare(`share number ${shareNumber}`);
  shareTree.learn(evidence.shareHashChain, [[shareNumber, evidence.blockTreeRoot]]);
}
