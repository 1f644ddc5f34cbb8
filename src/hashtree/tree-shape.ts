/**
 * Numbering of the nodes of a Merkle tree (immutable spec 4): breadth-first, root 0, children of i are 2i+1 and 2i+2.
 * L leaves are padded to the next power of two P; leaf j is node P-1+j; there are 2P-1 nodes.
 */

/** Leaves including padding: the smallest power of two that is at least `leafCount` and at least 1. */
export function paddedLeafCount(leafCount: number): number {
  let padded = 1;
  while (padded < leafCount) padded *= 2;
  return padded;
}

export function hashTreeNodeCount(leafCount: number): number {
  return 2 * paddedLeafCount(leafCount) - 1;
}

export function leafNode(leafCount: number, leaf: number): number {
  return paddedLeafCount(leafCount) - 1 + leaf;
}

export function parentNode(node: number): number {
  return Math.floor((node - 1) / 2);
}

export function siblingNode(node: number): number {
  return node % 2 === 1 ? node + 1 : node - 1;
}

/** Depth of a node, 0 for the root. */
export function nodeLevel(node: number): number {
  return Math.floor(Math.log2(node + 1));
}

/** Nodes needed to check leaf `leaf` against the root: the sibling of the leaf and of each ancestor, ascending. */
export function siblingPath(leafCount: number, leaf: number): number[] {
  const path: number[] = [];
  for (let node = leafNode(leafCount, leaf); node > 0; node = parentNode(node)) path.push(siblingNode(node));
  return path.reverse();
}
