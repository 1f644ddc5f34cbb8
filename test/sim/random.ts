/** Seeded randomness: the same label gives the same stream, whatever else was drawn before. */
import type { Entropy } from '../../src/platform/entropy.js';

export class Random {
  readonly #label: string;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(label: string) {
    this.#label = label;
    let hash = 0x811c9dc5;
    for (const character of label) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
    this.#a = hash;
    this.#b = hash ^ 0x9e3779b9;
    this.#c = Math.imul(hash, 0x85ebca6b);
    for (let round = 0; round < 12; round++) this.#word();
  }

  /** A stream of its own, which does not disturb this one. */
  fork(label: string): Random {
    return new Random(`${this.#label}/${label}`);
  }

  /** In [0, 1). */
  fraction(): number {
    return this.#word() / 2 ** 32;
  }

  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** A whole number in [from, to]. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<Value>(values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }

  /** One of the keys, as often as its number says. */
  weighted<Key extends string>(weights: Readonly<Record<Key, number>>): Key {
    const entries = Object.entries<number>(weights) as [Key, number][];
    let at = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      at -= weight;
      if (at < 0) return key;
    }
    return entries[0]![0];
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at++) bytes[at] = this.#word() >>> 24;
    return bytes;
  }

  /** sfc32 */
  #word(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }
}

export function seededEntropy(random: Random): Entropy {
  return { bytes: (length) => random.bytes(length), fraction: () => random.fraction() };
}
