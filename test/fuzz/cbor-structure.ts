/** CBOR items in an encoding, whatever profile they belong to: for changing one and leaving the others whole. */
import { concatBytes } from '../../src/encoding/bytes.js';
import type { Structure } from './structure.js';

interface Item {
  readonly start: number;
  readonly headEnd: number;
  readonly end: number;
  readonly major: number;
}

const boundaries: readonly bigint[] = [
  0n,
  1n,
  2n,
  23n,
  24n,
  255n,
  256n,
  65_535n,
  65_536n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];

export const cborItems: Structure = {
  change: (input, other, random, inner) => {
    const items = itemsOf(input);
    if (items.length === 0) return undefined;
    const { start, headEnd, end, major } = items[random.below(items.length)]!;
    const whole = input.subarray(start, end);
    const replaced = (...parts: readonly Uint8Array[]) =>
      concatBytes([input.subarray(0, start), ...parts, input.subarray(end)]);
    const pick = () => boundaries[random.below(boundaries.length)]!;
    switch (random.below(10)) {
      case 0:
        return replaced(head(major, pick()), input.subarray(headEnd, end));
      case 1:
        return replaced(head(random.below(8), pick()));
      case 2:
        return replaced();
      case 3:
        return replaced(whole, whole);
      case 4:
        return replaced(...Array.from({ length: 1 + random.below(600) }, () => Uint8Array.of(0x81)), whole);
      case 5:
        return replaced(head(6, random.below(2) === 0 ? 258n : pick()), whole);
      case 6: {
        const foreign = itemsOf(other);
        if (foreign.length === 0) return undefined;
        const taken = foreign[random.below(foreign.length)]!;
        return replaced(other.subarray(taken.start, taken.end));
      }
      case 7:
        // floats, simple values, indefinite lengths and breaks
        return replaced(
          Uint8Array.of([0xf4, 0xf5, 0xf6, 0xf7, 0xf9, 0xfb, 0x5f, 0x7f, 0x9f, 0xbf, 0xff][random.below(11)]!),
        );
      default: {
        if (major !== 2 && major !== 3) return replaced(head(major, pick()), input.subarray(headEnd, end));
        const content = inner(input.subarray(headEnd, end));
        return replaced(head(major, BigInt(content.length)), content);
      }
    }
  },
};

/** Shortest form. */
function head(major: number, argument: bigint): Uint8Array {
  const type = major << 5;
  if (argument < 24n) return Uint8Array.of(type | Number(argument));
  const width = argument < 256n ? 1 : argument < 65_536n ? 2 : argument < 2n ** 32n ? 4 : 8;
  const bytes = new Uint8Array(1 + width);
  bytes[0] = type | (24 + Math.log2(width));
  for (let index = width; index > 0; index--) {
    bytes[index] = Number(argument & 0xffn);
    argument >>= 8n;
  }
  return bytes;
}

const MOST_ITEMS = 2000;

/** All items, outer ones before those in them; as far as the input makes sense. */
function itemsOf(bytes: Uint8Array): Item[] {
  const items: Item[] = [];
  const itemAt = (start: number, depth: number): number => {
    const initial = bytes[start];
    if (initial === undefined || depth > 12 || items.length > MOST_ITEMS) return -1;
    const major = initial >> 5;
    const info = initial & 31;
    const width = info < 24 ? 0 : info < 28 ? 1 << (info - 24) : -1;
    if (width < 0 || start + 1 + width > bytes.length) return -1;
    let argument = info < 24 ? info : 0;
    for (let index = 0; index < width; index++) argument = argument * 256 + bytes[start + 1 + index]!;
    const headEnd = start + 1 + width;
    const place = items.length;
    items.push({ start, headEnd, end: headEnd, major });
    let end = headEnd;
    if (major === 2 || major === 3) end += argument;
    const children = major === 4 ? argument : major === 5 ? 2 * argument : major === 6 ? 1 : 0;
    for (let child = 0; child < children; child++) {
      end = itemAt(end, depth + 1);
      if (end < 0) break;
    }
    if (end < 0 || end > bytes.length) {
      items.length = place;
      return -1;
    }
    items[place] = { start, headEnd, end, major };
    return end;
  };
  itemAt(0, 0);
  return items;
}
