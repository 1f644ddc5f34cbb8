import { blockHash } from '../crypto/derivations.js';
import { HASH_BYTES, laneHasher } from '../crypto/sha256d-lanes.js';
import { blockTag } from '../crypto/tags.js';
import { encodeAscii } from '../encoding/bytes.js';

const prefix = encodeAscii(`${blockTag.length}:${blockTag},`);
/** Longer blocks are hashed faster one by one with the processor's own instructions. */
const LANE_LIMIT_BYTES = 800;

/** Hashes of blocks of one length, 32 bytes each, written to `out` by `at(index)`. */
export function hashBlocks(blocks: readonly Uint8Array[], store: (index: number, hash: Uint8Array) => void): void {
  const length = prefix.length + (blocks[0]?.length ?? 0);
  if (length > LANE_LIMIT_BYTES || blocks.length < 3) {
    for (const [index, block] of blocks.entries()) store(index, blockHash(block));
    return;
  }
  const messages = new Uint8Array(blocks.length * length);
  for (const [index, block] of blocks.entries()) {
    messages.set(prefix, index * length);
    messages.set(block, index * length + prefix.length);
  }
  const hashes = laneHasher().hashMessages(messages, length);
  for (let index = 0; index < blocks.length; index++) {
    store(index, hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES));
  }
}
