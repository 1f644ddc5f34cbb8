/** Whole Merkle trees in stored form, for writers that keep nothing but packed leaf hashes. */
import { HASH_BYTES, laneHasher } from '../crypto/sha256d-lanes.js';
import { assert } from '../errors/tahoe-error.js';
import { paddingLeaf } from './hash-tree.js';
import { hashTreeNodeCount, paddedLeafCount } from './tree-shape.js';

/** Padding leaves depend on their position only; those of trees of up to this many leaves are computed once. */
const KEPT_PADDING = 4096;
const padding: (Uint8Array | undefined)[] = [];

/** All nodes of the tree over `leaves` (32 bytes each, at least one) in node order: root first, padding included. */
export function packedHashTree(leaves: Uint8Array): Uint8Array {
  const count = leaves.length / HASH_BYTES;
  assert(Number.isInteger(count) && count > 0, 'leaves are whole hashes');
  const padded = paddedLeafCount(count);
  const nodes = new Uint8Array(hashTreeNodeCount(count) * HASH_BYTES);
  const firstLeaf = (padded - 1) * HASH_BYTES;
  nodes.set(leaves, firstLeaf);
  for (let leaf = count; leaf < padded; leaf++) nodes.set(keptPaddingLeaf(leaf), firstLeaf + leaf * HASH_BYTES);
  laneHasher().fillTree(nodes);
  return nodes;
}

function keptPaddingLeaf(leaf: number): Uint8Array {
  if (leaf >= KEPT_PADDING) return paddingLeaf(leaf);
  padding[leaf] ??= paddingLeaf(leaf);
  return padding[leaf];
}
