/** Which bytes of a stored hash tree to read in order to check one leaf: the nodes needed and their neighbours. */
import type { IncompleteHashTree } from '../hashtree/hash-tree.js';
import { leafNode, nodeLevel } from '../hashtree/tree-shape.js';
import type { ByteRange } from '../storage-protocol/storage-server.js';

const HASH_BYTES = 32;
/** Nodes read together at one level: the next segments will need the neighbours. */
const GROUP = 64;
/** Ranges closer than this are read as one. */
const GAP_BYTES = 2048;

/** Ranges relative to the start of the stored tree, ascending; none if the leaf is known. */
export function treeRanges(tree: IncompleteHashTree, leaf: number): ByteRange[] {
  if (tree.leaf(leaf) !== undefined) return [];
  const ranges: { offset: number; length: number }[] = [];
  const nodes = [...tree.neededFor(leaf), leafNode(tree.leafCount, leaf)].sort((a, b) => a - b);
  for (const node of nodes) {
    const levelStart = 2 ** nodeLevel(node) - 1;
    const first = levelStart + Math.floor((node - levelStart) / GROUP) * GROUP;
    const end = Math.min(first + GROUP, 2 * levelStart + 1);
    const last = ranges.at(-1);
    if (last !== undefined && first * HASH_BYTES <= last.offset + last.length + GAP_BYTES) {
      last.length = Math.max(last.length, end * HASH_BYTES - last.offset);
    } else {
      ranges.push({ offset: first * HASH_BYTES, length: (end - first) * HASH_BYTES });
    }
  }
  return ranges;
}

/** The nodes in bytes read from such a range. A trailing part of a node is left out. */
export function nodesIn(range: ByteRange, bytes: Uint8Array): [number, Uint8Array][] {
  const first = range.offset / HASH_BYTES;
  return Array.from({ length: Math.floor(bytes.length / HASH_BYTES) }, (_, index) => [
    first + index,
    bytes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES),
  ]);
}
