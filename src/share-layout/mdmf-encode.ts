/** Making the shares of an MDMF version, whole or as the changes to those of the version before: mutable spec 5.3, 5.4. */
import { blockHash } from '../crypto/derivations.js';
import type { ReadKey } from '../encoding/brands.js';
import { concatBytes } from '../encoding/bytes.js';
import type { ErasureCode } from '../erasure/erasure-code.js';
import { assert } from '../errors/tahoe-error.js';
import { buildHashTree, type HashTree } from '../hashtree/hash-tree.js';
import {
  type MdmfOffsets,
  type MdmfPrefix,
  mdmfDataOffset,
  mdmfGeometry,
  mdmfHeaderLength,
  serializeMdmfOffsets,
  serializeMdmfPrefix,
} from './mdmf-share.js';
import { roundUp, segmentPieces, serializeShareHashChain } from './mutable-share.js';

/** Plaintext bytes of a segment, before they are rounded up to a multiple of the shares needed. */
const segmentBytes = 131_072;

/** What new versions are cut into, also tiny ones. */
export function mdmfSegmentSize(sharesNeeded: number): number {
  return roundUp(segmentBytes, sharesNeeded);
}

export interface MdmfContents {
  readonly sequenceNumber: number;
  /** 1 <= sharesNeeded <= sharesTotal <= 255. */
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  readonly segmentSize: number;
  /** Of the whole file as it will be. */
  readonly dataLength: number;
  readonly readKey: ReadKey;
  /** The segments that are written: whole ones from `firstSegment` on, as many as there are salts. */
  readonly plaintext: Uint8Array;
  readonly firstSegment: number;
  /** 16 fresh random bytes for each. */
  readonly salts: readonly Uint8Array[];
  /** Hashes of the blocks that stay, by share number and segment; none if all segments are written. */
  readonly kept: readonly HashTree[];
  /** As fetched from a share if the file exists: never serialised anew. */
  readonly encryptedPrivateKey: Uint8Array;
  readonly publicKeyDer: Uint8Array;
  /** RSASSA-PSS over the signed bytes. */
  readonly sign: (signedBytes: Uint8Array) => Uint8Array;
  /** That of sharesNeeded and sharesTotal. */
  readonly erasureCode: Pick<ErasureCode, 'encode'>;
}

/** Bytes and where they stand in a share. */
export interface PlacedBytes {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** Shares are made when they are asked for, so that not all of them need be in memory at once. */
export interface EncodedMdmf {
  readonly prefix: MdmfPrefix;
  readonly offsets: MdmfOffsets;
  /** A whole share; all segments must have been given. */
  share(shareNumber: number): Uint8Array;
  /** What turns a share of the version before, laid out as writers do, into one of this. Ascending, not overlapping. */
  changes(shareNumber: number): PlacedBytes[];
}

export function encodeMdmf(contents: MdmfContents): EncodedMdmf {
  const { sequenceNumber, sharesNeeded, sharesTotal, segmentSize, dataLength, firstSegment } = contents;
  assert(sharesNeeded >= 1 && sharesNeeded <= sharesTotal && sharesTotal <= 255, '1 <= k <= n <= 255');
  const segments = encryptSegments(contents);
  const trees = blockTrees(contents, segments);
  const shareTree = buildHashTree(trees.map(({ root }) => root));
  const rootHash = shareTree.root;
  const prefix = { sequenceNumber, rootHash, sharesNeeded, sharesTotal, segmentSize, dataLength };
  const signedBytes = serializeMdmfPrefix(prefix);
  const signature = contents.sign(signedBytes);
  const chains = trees.map((_, shareNumber) =>
    serializeShareHashChain(shareTree.neededFor(shareNumber).map((node) => [node, shareTree.node(node)] as const)),
  );
  const offsets = offsetsOf(contents, chains[0]!.length, signature.length, trees[0]!.bytes.length);
  const header = concatBytes([signedBytes, serializeMdmfOffsets(offsets)]);
  const data = (shareNumber: number) => concatBytes(saltedBlocks(contents, segments, shareNumber));
  const changes = (shareNumber: number) => [
    { offset: 0, data: header },
    { offset: offsets.shareHashChain, data: concatBytes([chains[shareNumber]!, signature]) },
    { offset: mdmfDataOffset + mdmfGeometry(prefix).blockOffset(firstSegment), data: data(shareNumber) },
    { offset: offsets.blockHashTree, data: trees[shareNumber]!.bytes },
  ];
  const share = (shareNumber: number) => {
    assert(segments.length === mdmfGeometry(prefix).segmentCount, 'all segments');
    const bytes = new Uint8Array(offsets.endOfFile);
    bytes.set(contents.encryptedPrivateKey, offsets.encryptedPrivateKey);
    bytes.set(contents.publicKeyDer, offsets.publicKey);
    for (const change of changes(shareNumber)) bytes.set(change.data, change.offset);
    return bytes;
  };
  return { prefix, offsets, share, changes };
}

interface EncryptedSegment {
  readonly salt: Uint8Array;
  readonly pieces: readonly Uint8Array[];
}

function encryptSegments(contents: MdmfContents): EncryptedSegment[] {
  const { plaintext, salts, firstSegment, readKey, sharesNeeded } = contents;
  const { segmentLength, blockLength } = mdmfGeometry(contents);
  let position = 0;
  const segments = salts.map((salt, index) => {
    const segment = firstSegment + index;
    const part = plaintext.subarray(position, position + segmentLength(segment));
    position += segmentLength(segment);
    return { salt, pieces: segmentPieces(part, { salt, readKey }, sharesNeeded, blockLength(segment)) };
  });
  assert(position === plaintext.length, 'whole segments');
  return segments;
}

/** The block hash tree of each share: hashes of new blocks in their places among those of the blocks that stay. */
function blockTrees(contents: MdmfContents, segments: readonly EncryptedSegment[]): HashTree[] {
  const { sharesTotal, firstSegment, kept } = contents;
  const { segmentCount } = mdmfGeometry(contents);
  const shareNumbers = Array.from({ length: sharesTotal }, (_, shareNumber) => shareNumber);
  const leaves = shareNumbers.map((shareNumber) =>
    Array.from({ length: segmentCount }, (_, segment) => kept[shareNumber] && leafOf(kept[shareNumber], segment)),
  );
  segments.forEach(({ salt, pieces }, index) => {
    contents.erasureCode.encode(pieces, shareNumbers).forEach((block, shareNumber) => {
      leaves[shareNumber]![firstSegment + index] = blockHash(concatBytes([salt, block]));
    });
  });
  return leaves.map((hashes) =>
    buildHashTree(
      hashes.map((hash) => {
        assert(hash !== undefined, 'every block is new or stays');
        return hash;
      }),
    ),
  );
}

function leafOf(tree: HashTree, leaf: number): Uint8Array | undefined {
  return leaf < tree.leafCount ? tree.node((tree.nodeCount - 1) / 2 + leaf) : undefined;
}

function saltedBlocks(
  { erasureCode }: MdmfContents,
  segments: readonly EncryptedSegment[],
  shareNumber: number,
): Uint8Array[] {
  return segments.flatMap(({ salt, pieces }) => [salt, erasureCode.encode(pieces, [shareNumber])[0]!]);
}

function offsetsOf(
  contents: MdmfContents,
  chainLength: number,
  signatureLength: number,
  treeLength: number,
): MdmfOffsets {
  const shareHashChain = mdmfHeaderLength + contents.encryptedPrivateKey.length;
  const signature = shareHashChain + chainLength;
  const publicKey = signature + signatureLength;
  const publicKeyEnd = publicKey + contents.publicKeyDer.length;
  assert(publicKeyEnd <= mdmfDataOffset, 'the keys fit before the data');
  const blockHashTree = mdmfDataOffset + mdmfGeometry(contents).dataSize;
  return {
    encryptedPrivateKey: mdmfHeaderLength,
    shareHashChain,
    signature,
    publicKey,
    publicKeyEnd,
    shareData: mdmfDataOffset,
    blockHashTree,
    endOfFile: blockHashTree + treeLength,
  };
}
