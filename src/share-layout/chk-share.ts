/**
 * The byte string of one immutable share (immutable spec 5).
 *
 * | v1 at | v2 at | field |
 * |---|---|---|
 * | 0x00 u32 | 0x00 u32 | version |
 * | 0x04 u32 | 0x04 u64 | block size, ignored by readers |
 * | 0x08 u32 | 0x0c u64 | bytes of blocks, ignored by readers |
 * | 0x0c u32 | 0x14 u64 | offset of the blocks |
 * | 0x10 u32 | 0x1c u64 | offset of an unused tree, zero bytes |
 * | 0x14 u32 | 0x24 u64 | offset of the ciphertext hash tree |
 * | 0x18 u32 | 0x2c u64 | offset of the block hash tree |
 * | 0x1c u32 | 0x34 u64 | offset of the share hashes, 34 bytes each |
 * | 0x20 u32 | 0x3c u64 | offset of the length (u32 or u64) of the URI extension block, which follows it |
 */
import { readU32, readU64, writeU32, writeU64 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { hashTreeNodeCount } from '../hashtree/tree-shape.js';
import type { ChkGeometry } from './chk-geometry.js';
import { SHARE_HASH_BYTES, shareHashCount } from './chk-share-hashes.js';

export interface ChkOffsets {
  readonly data: number;
  readonly plaintextTree: number;
  readonly crypttextTree: number;
  readonly blockTree: number;
  readonly shareHashes: number;
  readonly uriExtension: number;
}

export interface ChkShareHeader {
  readonly version: 1 | 2;
  readonly offsets: ChkOffsets;
}

export interface ChkShareLayout extends ChkShareHeader {
  readonly headerLength: number;
  /** Bytes of each of the three hash trees. */
  readonly treeLength: number;
  /** Width of the length in front of the URI extension block. */
  readonly uebLengthWidth: 4 | 8;
}

const HEADER_LENGTHS = { 1: 0x24, 2: 0x44 } as const;
/** Enough to parse the header of either version. */
export const MAXIMUM_HEADER_LENGTH = 0x44;
const HASH_BYTES = 32;
const U32_LIMIT = 0x1_0000_0000;

/** The layout that writers choose: version 1 unless a field needs more than 32 bits, or version 2 is forced. */
export function chkShareLayout(geometry: ChkGeometry, forcedVersion?: 1 | 2): ChkShareLayout {
  const small = layoutOf(geometry, 1);
  const large = Math.max(geometry.blockSize, geometry.shareDataLength, small.offsets.uriExtension) >= U32_LIMIT;
  return (forcedVersion ?? (large ? 2 : 1)) === 1 ? small : layoutOf(geometry, 2);
}

function layoutOf(geometry: ChkGeometry, version: 1 | 2): ChkShareLayout {
  const headerLength = HEADER_LENGTHS[version];
  const treeLength = hashTreeNodeCount(geometry.segmentCount) * HASH_BYTES;
  const plaintextTree = headerLength + geometry.shareDataLength;
  const shareHashes = plaintextTree + 3 * treeLength;
  return {
    version,
    headerLength,
    treeLength,
    uebLengthWidth: version === 1 ? 4 : 8,
    offsets: {
      data: headerLength,
      plaintextTree,
      crypttextTree: plaintextTree + treeLength,
      blockTree: plaintextTree + 2 * treeLength,
      shareHashes,
      uriExtension: shareHashes + shareHashCount(geometry.sharesTotal) * SHARE_HASH_BYTES,
    },
  };
}

/** Exact length of a share with this layout and a URI extension block of `uebLength` bytes. */
export function chkShareLength(layout: ChkShareLayout, uebLength: number): number {
  return layout.offsets.uriExtension + layout.uebLengthWidth + uebLength;
}

export function serializeChkHeader(layout: ChkShareLayout, geometry: ChkGeometry): Uint8Array {
  const { data, plaintextTree, crypttextTree, blockTree, shareHashes, uriExtension } = layout.offsets;
  const offsets = [data, plaintextTree, crypttextTree, blockTree, shareHashes, uriExtension];
  const fields = [geometry.blockSize, geometry.shareDataLength, ...offsets];
  const header = new Uint8Array(layout.headerLength);
  writeU32(header, 0, layout.version);
  for (const [index, field] of fields.entries()) {
    if (layout.version === 1) writeU32(header, 4 + 4 * index, field);
    else writeU64(header, 4 + 8 * index, field);
  }
  return header;
}

/** The length field in front of the URI extension block. */
export function serializeUebLength(layout: ChkShareLayout, uebLength: number): Uint8Array {
  const field = new Uint8Array(layout.uebLengthWidth);
  if (layout.version === 1) writeU32(field, 0, uebLength);
  else writeU64(field, 0, uebLength);
  return field;
}

/** Reads a header from the first bytes of a share. Kind `corrupt` if it is not one (immutable spec 9.3). */
export function parseChkHeader(bytes: Uint8Array): ChkShareHeader {
  const version = readU32(bytes, 0);
  if (version !== 1 && version !== 2) throw corrupt(`share layout version ${version} is not known`);
  const field = (index: number) => (version === 1 ? readU32(bytes, 4 + 4 * index) : readU64(bytes, 4 + 8 * index));
  const offsets = {
    data: field(2),
    plaintextTree: field(3),
    crypttextTree: field(4),
    blockTree: field(5),
    shareHashes: field(6),
    uriExtension: field(7),
  };
  const chainLength = offsets.uriExtension - offsets.shareHashes;
  const treeLength = offsets.shareHashes - offsets.blockTree;
  if (chainLength < 0 || chainLength % SHARE_HASH_BYTES !== 0) throw corrupt('the share hashes have an odd length');
  if (treeLength < 0 || treeLength % HASH_BYTES !== 0) throw corrupt('the block hash tree has an odd length');
  return { version, offsets };
}

/** Bytes of the length field in front of the URI extension block. */
export function uebLengthWidth(header: ChkShareHeader): 4 | 8 {
  return header.version === 1 ? 4 : 8;
}

/** Length of the URI extension block from the bytes at its offset. Kind `corrupt` if none could be that long. */
export function parseUebLength(header: ChkShareHeader, bytes: Uint8Array): number {
  const length = header.version === 1 ? readU32(bytes, 0) : readU64(bytes, 0);
  if (length > MAXIMUM_UEB_LENGTH) throw corrupt(`a URI extension block of ${length} bytes`);
  return length;
}

/** Real ones have about 310 bytes, the oldest about 450. */
export const MAXIMUM_UEB_LENGTH = 2000;

function corrupt(message: string): TahoeError {
  return new TahoeError(message, { kind: 'corrupt', op: 'chk-share.parse' });
}
