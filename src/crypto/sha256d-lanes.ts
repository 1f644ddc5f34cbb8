/**
 * SHA-256d of many small messages and of whole Merkle trees in WebAssembly, four at a time: a third of the cost of one
 * hash call each. Without WebAssembly the ordinary hash functions give the same bytes.
 */
import { createKernelMemory, loadKernel } from '../encoding/web-assembly.js';
import { assert } from '../errors/tahoe-error.js';
import { sha256d, taggedPairHash } from './hashes.js';
import { simd } from './sha256d-wasm.js';
import { merkleInternalNodeTag } from './tags.js';

export const HASH_BYTES = 32;

/** The two jobs, done by the kernel or by its twin. */
export interface LaneHasher {
  /** SHA-256d of messages of `length` bytes that lie one after the other in `messages`; 32 bytes each, in order. */
  hashMessages(messages: Uint8Array, length: number): Uint8Array;
  /**
   * Fills in the inner nodes of a Merkle tree (immutable spec 4): heap order, 32 bytes a node, 2P - 1 nodes of which the
   * last P, a power of two, are given.
   */
  fillTree(nodes: Uint8Array): void;
}

/** The exported functions of assembly/sha256d.ts; numbers are addresses in the bound memory. */
interface Sha256dKernel {
  workspace(): number;
  hashMessages(messages: number, stride: number, length: number, count: number, out: number): void;
  hashPairs(pairs: number, count: number, out: number): void;
  buildTree(nodes: number, leaves: number): void;
}

const MEMORY_BYTES = 256 << 10;
/** Trees of up to this many leaves are built in one call. */
const LEAVES_AT_ONCE = 2048;
const PAIRS_AT_ONCE = 2048;

class WasmLaneHasher implements LaneHasher {
  readonly #kernel: Sha256dKernel;
  readonly #bytes: Uint8Array;
  readonly #base: number;

  constructor(kernel: Sha256dKernel, buffer: SharedArrayBuffer) {
    this.#kernel = kernel;
    this.#base = kernel.workspace();
    this.#bytes = new Uint8Array(buffer, this.#base);
  }

  hashMessages(messages: Uint8Array, length: number): Uint8Array {
    const count = messages.length / length;
    assert(Number.isInteger(count), 'messages have equal lengths');
    const batch = Math.floor(this.#bytes.length / (length + HASH_BYTES));
    assert(batch > 0, 'a message fits in the kernel memory');
    const hashes = new Uint8Array(count * HASH_BYTES);
    for (let first = 0; first < count; first += batch) {
      const size = Math.min(batch, count - first);
      const out = size * length;
      this.#bytes.set(messages.subarray(first * length, first * length + out));
      this.#kernel.hashMessages(this.#base, length, length, size, this.#base + out);
      hashes.set(this.#bytes.subarray(out, out + size * HASH_BYTES), first * HASH_BYTES);
    }
    return hashes;
  }

  fillTree(nodes: Uint8Array): void {
    const leaves = leavesOf(nodes);
    for (let parents = leaves / 2; parents >= LEAVES_AT_ONCE; parents /= 2) this.#fillLevel(nodes, parents);
    const top = nodes.subarray(0, (2 * Math.min(leaves, LEAVES_AT_ONCE) - 1) * HASH_BYTES);
    this.#bytes.set(top);
    this.#kernel.buildTree(this.#base, Math.min(leaves, LEAVES_AT_ONCE));
    top.set(this.#bytes.subarray(0, top.length));
  }

  #fillLevel(nodes: Uint8Array, parents: number): void {
    for (let done = 0; done < parents; done += PAIRS_AT_ONCE) {
      const count = Math.min(PAIRS_AT_ONCE, parents - done);
      const first = parents - 1 + done;
      const out = count * 2 * HASH_BYTES;
      this.#bytes.set(nodes.subarray((2 * first + 1) * HASH_BYTES, (2 * (first + count) + 1) * HASH_BYTES));
      this.#kernel.hashPairs(this.#base, count, this.#base + out);
      nodes.set(this.#bytes.subarray(out, out + count * HASH_BYTES), first * HASH_BYTES);
    }
  }
}

/** The same with one hash call per message. */
export const plainLaneHasher: LaneHasher = {
  hashMessages(messages, length) {
    const hashes = new Uint8Array((messages.length / length) * HASH_BYTES);
    for (let at = 0, out = 0; at < messages.length; at += length, out += HASH_BYTES) {
      hashes.set(sha256d(messages.subarray(at, at + length)), out);
    }
    return hashes;
  },
  fillTree(nodes) {
    for (let parent = leavesOf(nodes) - 2; parent >= 0; parent--) {
      const left = (2 * parent + 1) * HASH_BYTES;
      const right = left + HASH_BYTES;
      const children = [nodes.subarray(left, right), nodes.subarray(right, right + HASH_BYTES)] as const;
      nodes.set(taggedPairHash(merkleInternalNodeTag, ...children), parent * HASH_BYTES);
    }
  },
};

function leavesOf(nodes: Uint8Array): number {
  const leaves = (nodes.length / HASH_BYTES + 1) / 2;
  assert(Number.isInteger(leaves) && Number.isInteger(Math.log2(leaves)), 'a tree has a power of two of leaves');
  return leaves;
}

let hasher: LaneHasher | undefined;

/** The fastest hasher of this engine, made on first use. Not reentrant, like every synchronous function. */
export function laneHasher(): LaneHasher {
  hasher ??= createLaneHasher();
  return hasher;
}

function createLaneHasher(): LaneHasher {
  const kernel = loadKernel<Sha256dKernel>([simd]);
  const memory = kernel && createKernelMemory(MEMORY_BYTES);
  return kernel && memory ? new WasmLaneHasher(kernel.bind(memory), memory.buffer) : plainLaneHasher;
}
