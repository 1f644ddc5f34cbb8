/**
 * AES-128 in counter mode (mutable spec 0): the counter block starts at zero and counts up as one 128-bit big-endian
 * number. Encryption and decryption are the same operation.
 */
import { createCipheriv } from 'node:crypto';
import { writeU64 } from '../encoding/bytes.js';
import { assert } from '../errors/tahoe-error.js';

const blockLength = 16;

export interface AesCtrStream {
  /** The next `data.length` bytes, processed, in a new buffer. */
  update(data: Uint8Array): Uint8Array;
}

/** A stream that begins `byteOffset` bytes into the key stream. `key` has 16 bytes. */
export function createAes128Ctr(key: Uint8Array, byteOffset = 0): AesCtrStream {
  assert(key.length === 16, 'an AES-128 key has 16 bytes');
  assert(Number.isSafeInteger(byteOffset) && byteOffset >= 0, 'a key stream offset is a whole number');
  const counter = new Uint8Array(blockLength);
  writeU64(counter, 8, Math.floor(byteOffset / blockLength));
  const cipher = createCipheriv('aes-128-ctr', key, counter);
  const skipped = byteOffset % blockLength;
  if (skipped > 0) cipher.update(new Uint8Array(skipped));
  return {
    update(data) {
      const output = cipher.update(data);
      return new Uint8Array(output.buffer, output.byteOffset, output.length);
    },
  };
}

/** All of `data`, which stands `byteOffset` bytes into the key stream, in a new buffer. */
export function aes128Ctr(key: Uint8Array, data: Uint8Array, byteOffset = 0): Uint8Array {
  return createAes128Ctr(key, byteOffset).update(data);
}
