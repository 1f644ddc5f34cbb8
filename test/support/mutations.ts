/** Small damage to byte strings, the same for the same seed. */
export interface RandomSource {
  /** A whole number in [0, limit). */
  below(limit: number): number;
}

/** xorshift32; `seed` is not 0. */
export function randomSource(seed: number): RandomSource {
  let state = seed >>> 0;
  return {
    below(limit) {
      state ^= state << 13;
      state >>>= 0;
      state ^= state >>> 17;
      state ^= state << 5;
      state >>>= 0;
      return state % limit;
    },
  };
}

/** A copy with one to three of: a bit turned, a byte set, bytes removed, inserted or doubled, the end cut off. */
export function mutate(bytes: Uint8Array, random: RandomSource): Uint8Array {
  let mutated: Uint8Array = bytes.slice();
  for (let round = 1 + random.below(3); round > 0; round--) mutated = mutateOnce(mutated, random);
  return mutated;
}

function mutateOnce(bytes: Uint8Array, random: RandomSource): Uint8Array {
  const at = random.below(bytes.length + 1);
  const width = random.below(20);
  const head = bytes.subarray(0, at);
  switch (random.below(6)) {
    case 0: {
      const copy = bytes.slice();
      if (at < copy.length) copy[at]! ^= 1 << random.below(8);
      return copy;
    }
    case 1: {
      const copy = bytes.slice();
      // digits and separators do the most harm
      const values = [0, 0xff, 0x2c, 0x30, 0x31, 0x39, 0x3a, random.below(256)];
      if (at < copy.length) copy[at] = values[random.below(values.length)]!;
      return copy;
    }
    case 2:
      return Uint8Array.from([...head, ...bytes.subarray(at + width)]);
    case 3:
      return Uint8Array.from([
        ...head,
        ...Array.from({ length: width }, () => random.below(256)),
        ...bytes.subarray(at),
      ]);
    case 4:
      return Uint8Array.from([...head, ...bytes.subarray(at, at + width), ...bytes.subarray(at)]);
    default:
      return head.slice();
  }
}
