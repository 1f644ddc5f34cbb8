/**
 * Keys for many directories of one grid without the 65 ms that each takes: every two of some primes make another one.
 * For tests only, of course: who knows two such keys knows the primes.
 */
import { generatePrimeSync } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { importPrivateKey, modulusBits, publicKeyDerOf } from '../../src/crypto/rsa.js';
import { rsaKeyObject, rsaNumbers } from '../../src/crypto/rsa-from-primes.js';
import type { KeyPair, KeySource } from '../../src/vfs/key-pool.js';

const PRIMES = 120;
/** For one process, which must not take those of another. */
const KEYS_EACH = 64;
export const KEY_OWNERS = Math.floor((PRIMES * Math.floor((PRIMES - 1) / 2)) / KEYS_EACH);

export async function writePrimes(path: string): Promise<void> {
  const primes = Array.from({ length: PRIMES }, () => generatePrimeSync(modulusBits / 2, { bigint: true }));
  await writeFile(path, primes.map((prime) => prime.toString(16)).join('\n'));
}

export class PairedKeys implements KeySource {
  readonly #primes: readonly bigint[];
  #next: number;
  readonly #end: number;

  private constructor(primes: readonly bigint[], owner: number) {
    this.#primes = primes;
    this.#next = owner * KEYS_EACH;
    this.#end = this.#next + KEYS_EACH;
  }

  /** Those of one of KEY_OWNERS owners. */
  static async open(path: string, owner: number): Promise<PairedKeys> {
    const primes = (await readFile(path, 'utf8')).split('\n').map((hex) => BigInt(`0x${hex}`));
    return new PairedKeys(primes, owner);
  }

  async take(): Promise<KeyPair> {
    while (this.#next < this.#end) {
      const number = this.#next++;
      const first = number % PRIMES;
      const second = (first + 1 + Math.floor(number / PRIMES)) % PRIMES;
      const numbers = rsaNumbers(this.#primes[first]!, this.#primes[second]!);
      if (numbers === undefined) continue;
      const privateKeyDer = new Uint8Array(rsaKeyObject(numbers).export({ type: 'pkcs8', format: 'der' }));
      return { privateKeyDer, publicKeyDer: publicKeyDerOf(importPrivateKey(privateKeyDer)) };
    }
    throw new Error('a node needs more keys than the test has for it');
  }

  async close(): Promise<void> {}
}
