/** The share hash entries of an immutable share (immutable spec 5.4): u16 node number, 32-byte hash. */
import { readU16, writeU16 } from '../encoding/bytes.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import { leafNode, paddedLeafCount, siblingPath } from '../hashtree/tree-shape.js';

const HASH_BYTES = 32;
export const SHARE_HASH_BYTES = 2 + HASH_BYTES;
/** Nodes of the tree over 256 shares: no honest section holds more. */
const MAXIMUM_ENTRIES = 511;

/** Entries in each share of a file with this many shares. */
export function shareHashCount(sharesTotal: number): number {
  return Math.log2(paddedLeafCount(sharesTotal)) + 1;
}

/** The section of share `shareNumber`, from all nodes of the share hash tree. */
export function serializeShareHashes(treeNodes: Uint8Array, sharesTotal: number, shareNumber: number): Uint8Array {
  const order = shareHashOrder(sharesTotal, shareNumber);
  const section = new Uint8Array(order.length * SHARE_HASH_BYTES);
  for (const [index, node] of order.entries()) {
    writeU16(section, index * SHARE_HASH_BYTES, node);
    section.set(treeNodes.subarray(node * HASH_BYTES, (node + 1) * HASH_BYTES), index * SHARE_HASH_BYTES + 2);
  }
  return section;
}

/** Any order is accepted. Kind `corrupt` if it is not whole entries or more than any tree has. */
export function parseShareHashes(section: Uint8Array): [number, Uint8Array][] {
  const count = section.length / SHARE_HASH_BYTES;
  if (!Number.isInteger(count) || count > MAXIMUM_ENTRIES) {
    throw new TahoeError(`share hashes of ${section.length} bytes`, { kind: 'corrupt', op: 'chk-share.parse' });
  }
  return Array.from({ length: count }, (_, index) => {
    const at = index * SHARE_HASH_BYTES;
    return [readU16(section, at), section.subarray(at + 2, at + SHARE_HASH_BYTES)];
  });
}

/** Orders by n, then share number; few n are ever used for writing. */
const orders = new Map<number, number[][]>();

/**
 * Nodes in the order in which the reference writes them, which is that of a CPython set of small integers: nothing
 * depends on it but equality of shares bit for bit.
 */
export function shareHashOrder(sharesTotal: number, shareNumber: number): readonly number[] {
  const known = orders.get(sharesTotal) ?? [];
  orders.set(sharesTotal, known);
  known[shareNumber] ??= computeOrder(sharesTotal, shareNumber);
  return known[shareNumber];
}

function computeOrder(sharesTotal: number, shareNumber: number): number[] {
  const upward = siblingPath(sharesTotal, shareNumber).reverse();
  let table = new Array<number | undefined>(8).fill(undefined);
  let used = 0;
  for (const node of [...upward, leafNode(sharesTotal, shareNumber)]) {
    insert(table, node);
    used++;
    if (used * 5 >= (table.length - 1) * 3) table = grown(table, used);
  }
  return table.filter((node) => node !== undefined);
}

function grown(table: readonly (number | undefined)[], used: number): (number | undefined)[] {
  let size = 8;
  while (size <= used * 4) size *= 2;
  const larger = new Array<number | undefined>(size).fill(undefined);
  for (const node of table) if (node !== undefined) insert(larger, node);
  return larger;
}

/** Nine further slots are tried in a row where they fit, then a jump. */
const LINEAR_PROBES = 9;

function insert(table: (number | undefined)[], node: number): void {
  const mask = table.length - 1;
  let perturbation = node;
  let slot = node & mask;
  for (let round = 0; ; round++) {
    assert(round < 1000, 'a free slot is found');
    const probes = slot + LINEAR_PROBES <= mask ? LINEAR_PROBES : 0;
    for (let at = slot; at <= slot + probes; at++) {
      if (table[at] === undefined) {
        table[at] = node;
        return;
      }
    }
    perturbation >>>= 5;
    slot = (5 * slot + 1 + perturbation) & mask;
  }
}
