/** Merkle trees over 32-byte leaf hashes: immutable spec 4, mutable spec 3. */
import { taggedHash, taggedPairHash } from '../crypto/hashes.js';
import { merkleEmptyLeafTag, merkleInternalNodeTag } from '../crypto/tags.js';
import { bytesEqual, encodeAscii } from '../encoding/bytes.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import {
  hashTreeNodeCount,
  leafNode,
  nodeLevel,
  paddedLeafCount,
  parentNode,
  siblingNode,
  siblingPath,
} from './tree-shape.js';

export const hashLength = 32;

/** A complete tree. Nodes are views of `bytes`. */
export interface HashTree {
  /** Without padding. */
  readonly leafCount: number;
  readonly nodeCount: number;
  /** All nodes in order, 32 bytes each, root and padding included: the stored form. */
  readonly bytes: Uint8Array;
  readonly root: Uint8Array;
  node(index: number): Uint8Array;
  /** Indexes of the nodes a reader needs beside leaf `leaf` to check it against the root, ascending. */
  neededFor(leaf: number): number[];
}

/** The tree over these leaves. No leaves at all give the one-node tree of the first padding leaf (an empty mutable file). */
export function buildHashTree(leaves: readonly Uint8Array[]): HashTree {
  const padded = paddedLeafCount(leaves.length);
  const bytes = new Uint8Array(hashTreeNodeCount(leaves.length) * hashLength);
  for (let leaf = 0; leaf < padded; leaf++) {
    bytes.set(leaves[leaf] ?? paddingLeaf(leaf), (padded - 1 + leaf) * hashLength);
  }
  const nodeAt = (index: number) => bytes.subarray(index * hashLength, (index + 1) * hashLength);
  for (let index = padded - 2; index >= 0; index--) {
    bytes.set(parentHash(nodeAt(2 * index + 1), nodeAt(2 * index + 2)), index * hashLength);
  }
  return completeTree(leaves.length, bytes);
}

/**
 * A tree in stored form whose every node has been checked against its children; kind `corrupt` if the length is not
 * that of a tree over `leafCount` leaves or a node is wrong. Says nothing about whether the root is the right one.
 */
export function parseHashTree(leafCount: number, bytes: Uint8Array): HashTree {
  if (bytes.length !== hashTreeNodeCount(leafCount) * hashLength) throw badTree('a hash tree of the wrong size');
  const tree = completeTree(leafCount, bytes);
  for (let index = paddedLeafCount(leafCount) - 2; index >= 0; index--) {
    const expected = parentHash(tree.node(2 * index + 1), tree.node(2 * index + 2));
    if (!bytesEqual(expected, tree.node(index))) throw badTree(`node ${index} of a hash tree is wrong`);
  }
  return tree;
}

/** Hash that stands in for the missing leaf `leaf`. */
export function paddingLeaf(leaf: number): Uint8Array {
  return taggedHash(merkleEmptyLeafTag, encodeAscii(`${leaf}`));
}

export function parentHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  return taggedPairHash(merkleInternalNodeTag, left, right);
}

function completeTree(leafCount: number, bytes: Uint8Array): HashTree {
  const nodeCount = bytes.length / hashLength;
  const node = (index: number) => {
    assert(Number.isInteger(index) && index >= 0 && index < nodeCount, 'a node of this tree');
    return bytes.subarray(index * hashLength, (index + 1) * hashLength);
  };
  return {
    leafCount,
    nodeCount,
    bytes,
    root: node(0),
    node,
    neededFor(leaf) {
      assert(leaf >= 0 && leaf < paddedLeafCount(leafCount), 'a leaf of this tree');
      return siblingPath(leafCount, leaf);
    },
  };
}

/**
 * A tree of which only the root is trusted at first, and which learns nodes that prove themselves against it.
 * Memory is what has been learned, whatever the number of leaves claimed.
 */
export class IncompleteHashTree {
  readonly leafCount: number;
  readonly #nodeCount: number;
  readonly #known = new Map<number, Uint8Array>();

  constructor(leafCount: number, root: Uint8Array) {
    assert(root.length === hashLength, 'a root hash has 32 bytes');
    this.leafCount = leafCount;
    this.#nodeCount = hashTreeNodeCount(leafCount);
    this.#known.set(0, root);
  }

  get root(): Uint8Array {
    return this.#known.get(0)!;
  }

  /** A trusted node, or undefined while it has not been learned. */
  node(index: number): Uint8Array | undefined {
    return this.#known.get(index);
  }

  leaf(leaf: number): Uint8Array | undefined {
    return this.#known.get(leafNode(this.leafCount, leaf));
  }

  /** Nodes still to be learned, beside the leaf itself, before `learn` can accept leaf `leaf`; ascending. */
  neededFor(leaf: number): number[] {
    assert(leaf >= 0 && leaf < paddedLeafCount(this.leafCount), 'a leaf of this tree');
    const path = siblingPath(this.leafCount, leaf);
    // a trusted node needs nothing above it
    const nearest = this.#nearestKnownLevel(leafNode(this.leafCount, leaf));
    return path.filter((index) => !this.#known.has(index) && nodeLevel(index) > nearest);
  }

  /**
   * Learns a batch of nodes and leaves (leaf number, hash) together. All of it is kept, or nothing: kind `corrupt` if a
   * hash contradicts a trusted one, if a node cannot be connected to the root, or if there is no such node.
   */
  learn(nodes: Iterable<readonly [number, Uint8Array]>, leaves: Iterable<readonly [number, Uint8Array]> = []): void {
    const added = new Map<number, Uint8Array>();
    for (const [index, hash] of nodes) this.#stage(added, index, hash);
    for (const [leaf, hash] of leaves) {
      if (!(leaf >= 0 && leaf < paddedLeafCount(this.leafCount))) throw badTree(`there is no leaf ${leaf}`);
      this.#stage(added, leafNode(this.leafCount, leaf), hash);
    }
    this.#connect(added);
    for (const [index, hash] of added) this.#known.set(index, hash);
  }

  #stage(added: Map<number, Uint8Array>, index: number, hash: Uint8Array): void {
    if (!Number.isInteger(index) || index < 0 || index >= this.#nodeCount) throw badTree(`there is no node ${index}`);
    if (hash.length !== hashLength) throw badTree('a hash has 32 bytes');
    const known = this.#known.get(index) ?? added.get(index);
    if (known === undefined) added.set(index, hash);
    else if (!bytesEqual(known, hash)) throw badTree(`node ${index} of a hash tree is wrong`);
  }

  /** Computes parents upward from the deepest added level until every path ends in a trusted node. */
  #connect(added: Map<number, Uint8Array>): void {
    const levels: number[][] = [];
    for (const index of added.keys()) {
      const level = nodeLevel(index);
      levels[level] ??= [];
      levels[level].push(index);
    }
    for (let level = levels.length - 1; level > 0; level--) {
      for (const index of levels[level] ?? []) {
        // with both children new, the left one computes the parent
        if (index % 2 === 0 && added.has(index - 1)) continue;
        const parent = parentNode(index);
        const hash = this.#parentOf(added, index);
        const known = this.#known.get(parent) ?? added.get(parent);
        if (known === undefined) {
          added.set(parent, hash);
          levels[level - 1] ??= [];
          levels[level - 1]!.push(parent);
        } else if (!bytesEqual(known, hash)) {
          throw badTree(`node ${index} of a hash tree does not lead to its root`);
        }
      }
    }
  }

  #parentOf(added: Map<number, Uint8Array>, index: number): Uint8Array {
    const sibling = siblingNode(index);
    const own = added.get(index)!;
    const other = this.#known.get(sibling) ?? added.get(sibling);
    if (other === undefined) throw badTree(`node ${sibling} of a hash tree is missing`);
    return index % 2 === 1 ? parentHash(own, other) : parentHash(other, own);
  }

  #nearestKnownLevel(node: number): number {
    let current = node;
    while (!this.#known.has(current)) current = parentNode(current);
    return nodeLevel(current);
  }
}

function badTree(reason: string): TahoeError {
  return new TahoeError(reason, { kind: 'corrupt', op: 'hash-tree.check' });
}
