/** Encrypts, hashes and erasure-codes one file segment by segment, synchronously (immutable spec 3.3 to 3.7). */
import { type AesCtrStream, createAes128Ctr } from '../crypto/aes-ctr.js';
import { TaggedHasher } from '../crypto/hashes.js';
import { HASH_BYTES } from '../crypto/sha256d-lanes.js';
import { ciphertextSegmentTag, ciphertextTag } from '../crypto/tags.js';
import type { ChkKey } from '../encoding/brands.js';
import { assert } from '../errors/tahoe-error.js';
import { packedHashTree } from '../hashtree/packed-tree.js';
import { blockLength, type ChkGeometry, segmentLength } from '../share-layout/chk-geometry.js';
import { serializeUeb } from '../share-layout/chk-ueb.js';
import { hashBlocks } from './block-hashes.js';
import type { SlotParity, SlotViews } from './segment-slots.js';

/** Bytes per call of the cipher, hashed while they are still in the cache. */
const CIPHER_PIECE_BYTES = 65536;

/** What is known once the last segment is encoded. */
export interface EncodedTrees {
  readonly ueb: Uint8Array;
  /** All nodes, as stored in every share. */
  readonly crypttextTree: Uint8Array;
  /** All nodes of the tree over the shares. */
  readonly shareTree: Uint8Array;
}

export class SegmentEncoder {
  readonly #geometry: ChkGeometry;
  readonly #cipher: AesCtrStream;
  readonly #views: SlotViews;
  readonly #parity: SlotParity;
  readonly #crypttextHasher = new TaggedHasher(ciphertextTag);
  /** Leaves of the trees: of the ciphertext, and of each share one after the other. */
  readonly #crypttextLeaves: Uint8Array;
  readonly #blockLeaves: Uint8Array;
  #done = 0;

  constructor(geometry: ChkGeometry, key: ChkKey, views: SlotViews, parity: SlotParity) {
    this.#geometry = geometry;
    this.#cipher = createAes128Ctr(key);
    this.#views = views;
    this.#parity = parity;
    this.#crypttextLeaves = new Uint8Array(geometry.segmentCount * HASH_BYTES);
    this.#blockLeaves = new Uint8Array(geometry.sharesTotal * geometry.segmentCount * HASH_BYTES);
  }

  /** The next segment: its plaintext, in `slot`, becomes ciphertext, and its parity blocks are filled in. */
  encode(segment: number, slot: number): void {
    assert(segment === this.#done, 'segments are encoded in order');
    const { segmentCount, sharesNeeded, sharesTotal } = this.#geometry;
    const length = segmentLength(this.#geometry, segment);
    const bytes = this.#views.segment(slot, sharesNeeded * blockLength(this.#geometry, segment));
    this.#crypttextLeaves.set(this.#encrypt(bytes.subarray(0, length)), segment * HASH_BYTES);
    bytes.fill(0, length);
    this.#parity.encode(this.#geometry, this.#views, slot, segment);
    const blocks = Array.from({ length: sharesTotal }, (_, share) => this.#views.block(slot, segment, share));
    hashBlocks(blocks, (share, hash) => this.#blockLeaves.set(hash, (share * segmentCount + segment) * HASH_BYTES));
    this.#done++;
  }

  /** In place; returns the segment's hash. */
  #encrypt(bytes: Uint8Array): Uint8Array {
    const hasher = new TaggedHasher(ciphertextSegmentTag);
    for (let at = 0; at < bytes.length; at += CIPHER_PIECE_BYTES) {
      const piece = this.#cipher.update(bytes.subarray(at, at + CIPHER_PIECE_BYTES));
      hasher.update(piece);
      this.#crypttextHasher.update(piece);
      bytes.set(piece, at);
    }
    return hasher.digest();
  }

  /** After the last segment, once. */
  finish(): EncodedTrees {
    const { segmentCount, sharesTotal } = this.#geometry;
    assert(this.#done === segmentCount, 'every segment is encoded');
    const crypttextTree = packedHashTree(this.#crypttextLeaves);
    const shareRoots = new Uint8Array(sharesTotal * HASH_BYTES);
    for (let share = 0; share < sharesTotal; share++) {
      shareRoots.set(this.blockTree(share).subarray(0, HASH_BYTES), share * HASH_BYTES);
    }
    const shareTree = packedHashTree(shareRoots);
    const ueb = serializeUeb(this.#geometry, {
      crypttextHash: this.#crypttextHasher.digest(),
      crypttextRootHash: crypttextTree.subarray(0, HASH_BYTES),
      shareRootHash: shareTree.subarray(0, HASH_BYTES),
    });
    return { ueb, crypttextTree, shareTree };
  }

  /** All nodes of one share's block hash tree: built again each time, so that only leaves are kept. */
  blockTree(share: number): Uint8Array {
    const size = this.#geometry.segmentCount * HASH_BYTES;
    const leaves = this.#blockLeaves.subarray(share * size, (share + 1) * size);
    return this.#geometry.segmentCount === 1 ? leaves.slice() : packedHashTree(leaves);
  }
}
