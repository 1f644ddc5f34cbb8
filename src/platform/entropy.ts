/** Randomness as an argument: the operating system's in production, a seeded stream in tests and simulations. */
export interface Entropy {
  /** `length` fresh random bytes in a new buffer. */
  bytes(length: number): Uint8Array;
  /** A number in [0, 1), for back-off and sampling, never for secrets. */
  fraction(): number;
}
