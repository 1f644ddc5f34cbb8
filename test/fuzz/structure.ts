/**
 * Formats made of parts with lengths in front. Changing a part and writing everything around it anew reaches the code
 * behind the length checks, which changing bytes rarely does.
 */
import { concatBytes } from '../../src/encoding/bytes.js';
import type { RandomSource } from '../support/mutations.js';

export interface Structure {
  /** A changed copy; undefined if the input is not built like this. `other` is another input, to take parts from. */
  readonly change: (
    input: Uint8Array,
    other: Uint8Array,
    random: RandomSource,
    inner: ByteChange,
  ) => Uint8Array | undefined;
}

/** Changes the bytes of one part. */
export type ByteChange = (bytes: Uint8Array) => Uint8Array;

/** A tree of parts, taken apart by `split` and put together by `join`. */
interface PartFormat {
  /** The parts of one level; undefined if the bytes have no parts. */
  readonly split: (bytes: Uint8Array) => readonly Uint8Array[] | undefined;
  readonly join: (parts: readonly Uint8Array[]) => Uint8Array;
  readonly depth: number;
}

const netstringFormat: PartFormat = {
  split: splitNetstrings,
  join: (parts) => concatBytes(parts.flatMap((part) => [Buffer.from(`${part.length}:`), part, Buffer.from(',')])),
  depth: 3,
};

/** Netstrings, in netstrings, one after the other. */
export const netstrings: Structure = {
  change: (input, other, random, inner) => changeParts(netstringFormat, input, other, random, inner),
};

/** `key:` and a netstring, over and over, as in a URI extension block. */
export const keyedNetstrings: Structure = {
  change: (input, other, random, inner) =>
    changeParts({ split: splitKeyed, join: joinKeyed, depth: 1 }, input, other, random, inner),
};

/** Lines of text. */
export const lines: Structure = {
  change: (input, other, random, inner) =>
    changeParts(
      { split: (bytes) => splitAt(bytes, 0x0a), join: (parts) => joinWith(parts, '\n'), depth: 1 },
      input,
      other,
      random,
      inner,
    ),
};

function changeParts(
  format: PartFormat,
  input: Uint8Array,
  other: Uint8Array,
  random: RandomSource,
  inner: ByteChange,
  depth = format.depth,
): Uint8Array | undefined {
  const found = format.split(input);
  if (found === undefined || found.length === 0) return undefined;
  const parts = [...found];
  const at = random.below(parts.length);
  switch (random.below(8)) {
    case 0:
      parts.splice(at, 1);
      break;
    case 1:
      parts.splice(at, 0, parts[random.below(parts.length)]!);
      break;
    case 2: {
      const foreign = format.split(other);
      if (foreign !== undefined && foreign.length > 0) parts[at] = foreign[random.below(foreign.length)]!;
      break;
    }
    case 3:
      parts[at] = parts[random.below(parts.length)]!;
      break;
    case 4:
      // one level more
      parts[at] = format.join([parts[at]!]);
      break;
    default:
      parts[at] =
        (depth > 1 ? changeParts(format, parts[at]!, other, random, inner, depth - 1) : undefined) ?? inner(parts[at]!);
  }
  return format.join(parts);
}

function splitNetstrings(bytes: Uint8Array): Uint8Array[] | undefined {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const part = netstringAt(bytes, at);
    if (part === undefined) return undefined;
    parts.push(part.value);
    at = part.end;
  }
  return parts;
}

function netstringAt(bytes: Uint8Array, at: number): { readonly value: Uint8Array; readonly end: number } | undefined {
  const colon = bytes.indexOf(0x3a, at);
  if (colon < 0 || colon - at > 10) return undefined;
  const length = Number(Buffer.from(bytes.subarray(at, colon)).toString('latin1'));
  const end = colon + 1 + length;
  if (!(length >= 0) || end >= bytes.length || bytes[end] !== 0x2c) return undefined;
  return { value: bytes.subarray(colon + 1, end), end: end + 1 };
}

/** Keys and values in turn. */
function splitKeyed(bytes: Uint8Array): Uint8Array[] | undefined {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const colon = bytes.indexOf(0x3a, at);
    const value = colon < 0 ? undefined : netstringAt(bytes, colon + 1);
    if (value === undefined) return undefined;
    parts.push(bytes.subarray(at, colon), value.value);
    at = value.end;
  }
  return parts;
}

function joinKeyed(parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    parts.flatMap((part, index) =>
      index % 2 === 0 ? [part, Buffer.from(':')] : [Buffer.from(`${part.length}:`), part, Buffer.from(',')],
    ),
  );
}

function splitAt(bytes: Uint8Array, separator: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let start = 0;
  for (let end = bytes.indexOf(separator); end >= 0; end = bytes.indexOf(separator, start)) {
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  parts.push(bytes.subarray(start));
  return parts;
}

function joinWith(parts: readonly Uint8Array[], separator: string): Uint8Array {
  return concatBytes(parts.flatMap((part, index) => (index === 0 ? [part] : [Buffer.from(separator), part])));
}
