/** Banana tokens, to change one and number the sequences anew. */
import { concatBytes } from '../../src/encoding/bytes.js';
import type { Structure } from './structure.js';

interface Token {
  readonly type: number;
  readonly value: bigint;
  readonly body: Uint8Array | undefined;
}

const STRING = 0x82;
const LONGINT = 0x85;
const LONGNEG = 0x86;
const OPEN = 0x88;
const CLOSE = 0x89;
const ERROR = 0x8d;
const types = [0x81, STRING, 0x83, LONGINT, LONGNEG, 0x87, OPEN, CLOSE, ERROR, 0x8e, 0x8f, 0x84, 0x8a, 0xff];
const values = [0n, 1n, 127n, 128n, 2n ** 31n - 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 440n];
const none = new Uint8Array(0);

export const bananaTokens: Structure = {
  change: (input, other, random, inner) => {
    const tokens = tokensOf(input);
    if (tokens.length === 0) return undefined;
    const at = random.below(tokens.length);
    const token = tokens[at]!;
    const pick = () => values[random.below(values.length)]!;
    switch (random.below(9)) {
      case 0:
        tokens.splice(at, 1);
        break;
      case 1:
        tokens.splice(at, 0, token);
        break;
      case 2: {
        const foreign = tokensOf(other);
        tokens.splice(
          at,
          random.below(2),
          ...foreign.slice(random.below(foreign.length), 1 + random.below(foreign.length)),
        );
        break;
      }
      case 3:
        tokens.splice(at, 0, ...Array.from({ length: 1 + random.below(200) }, () => tokens[at - 1] ?? token));
        break;
      case 4:
        tokens[at] = { type: types[random.below(types.length)]!, value: pick(), body: token.body };
        break;
      case 5:
        tokens[at] = { ...token, value: pick() };
        break;
      case 6:
        // a sequence that refers to another
        tokens.splice(at, 0, open, named('reference'), integer(BigInt(random.below(40))), close);
        break;
      default: {
        if (token.body === undefined) return undefined;
        const body = inner(token.body);
        tokens[at] = { ...token, value: BigInt(body.length), body };
      }
    }
    return joined(random.below(4) === 0 ? tokens : numbered(tokens));
  },
};

const open: Token = { type: OPEN, value: 0n, body: undefined };
const close: Token = { type: CLOSE, value: 0n, body: undefined };

function named(text: string): Token {
  return { type: STRING, value: BigInt(text.length), body: Buffer.from(text) };
}

function integer(value: bigint): Token {
  return { type: 0x81, value, body: undefined };
}

function tokensOf(bytes: Uint8Array): Token[] {
  const tokens: Token[] = [];
  let value = 0n;
  let shift = 0n;
  for (let at = 0; at < bytes.length; ) {
    const byte = bytes[at++]!;
    if (byte < 0x80) {
      value |= BigInt(byte) << shift;
      shift += 7n;
      continue;
    }
    const hasBody = byte === STRING || byte === LONGINT || byte === LONGNEG || byte === ERROR;
    const length = hasBody ? Number(value) : 0;
    if (at + length > bytes.length) break;
    tokens.push({ type: byte, value, body: hasBody ? bytes.subarray(at, at + length) : undefined });
    at += length;
    value = 0n;
    shift = 0n;
  }
  return tokens;
}

/** Sequences numbered in the order of their beginnings, the first one as it was. */
function numbered(tokens: readonly Token[]): Token[] {
  let count = tokens.find(({ type }) => type === OPEN)?.value ?? 0n;
  const stack: bigint[] = [];
  return tokens.map((token) => {
    if (token.type === OPEN) {
      stack.push(count);
      return { ...token, value: count++ };
    }
    return token.type === CLOSE ? { ...token, value: stack.pop() ?? 0n } : token;
  });
}

function joined(tokens: readonly Token[]): Uint8Array {
  return concatBytes(tokens.flatMap(({ type, value, body }) => [head(value, type), body ?? none]));
}

function head(value: bigint, type: number): Uint8Array {
  const bytes: number[] = [];
  do {
    bytes.push(Number(value & 0x7fn));
    value >>= 7n;
  } while (value > 0n);
  return Uint8Array.of(...bytes, type);
}
