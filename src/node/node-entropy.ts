import { randomBytes } from 'node:crypto';
import type { Entropy } from '../platform/entropy.js';

/** The operating system's random generator. */
export class NodeEntropy implements Entropy {
  bytes(length: number): Uint8Array {
    // A copy with its own memory: small Buffers share a pool, and these are often secrets.
    return new Uint8Array(randomBytes(length));
  }

  fraction(): number {
    return Math.random();
  }
}
