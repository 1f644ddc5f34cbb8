/**
 * The tokens of the Banana stream (introducer spec 6): digits of a number in base 128, least significant first, a type
 * byte, and for some a body. Every bound that keeps a hostile stream from taking memory stands here or in
 * banana-tree.ts.
 */
import { ArrivingBytes } from '../encoding/arriving-bytes.js';
import { concatBytes, encodeAscii, encodeUtf8 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { vocabularyIndex, vocabularyWord } from './vocabulary.js';

export type BananaToken =
  /** `number` while it is a safe integer, `bigint` beyond. */
  | { readonly kind: 'integer'; readonly value: number | bigint }
  /** A STRING, or the word that a VOCAB stands for. */
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'open' | 'close'; readonly number: number }
  /** The digits as they came: a PONG repeats them. */
  | { readonly kind: 'ping' | 'pong'; readonly digits: Uint8Array }
  /** The sender's last words. */
  | { readonly kind: 'error'; readonly message: string };

const INT = 0x81;
const STRING = 0x82;
const NEG = 0x83;
const LONGINT = 0x85;
const LONGNEG = 0x86;
const VOCAB = 0x87;
const OPEN = 0x88;
const CLOSE = 0x89;
const ERROR = 0x8d;
const PING = 0x8e;
const PONG = 0x8f;

const MAX_DIGITS = 64;
const MAX_LONG_BYTES = 64;
const MAX_ERROR_BYTES = 1000;
const MAX_INT = 2 ** 31 - 1;
const MIN_INT = -(2 ** 31);
const FIRST_BODY_BYTES = 4096;

/** Cuts a stream into tokens. After an error it must not be used again. */
export class BananaTokenizer {
  readonly #maxBodyBytes: number;
  readonly #digits = new Uint8Array(MAX_DIGITS);
  #digitCount = 0;
  #body: ArrivingBody | undefined;

  constructor(limits: { readonly maxBodyBytes: number }) {
    this.#maxBodyBytes = limits.maxBodyBytes;
  }

  /** Gives each token that `chunk` completes to `onToken`, in order. Kind `protocol`; also passes on what `onToken` throws. */
  push(chunk: Uint8Array, onToken: (token: BananaToken, sizeBytes: number) => void): void {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#body !== undefined) {
        const { type, headSize, arriving } = this.#body;
        const piece = chunk.subarray(offset, offset + arriving.missing);
        arriving.append(piece);
        offset += piece.length;
        if (arriving.missing > 0) return;
        this.#body = undefined;
        const bytes = arriving.bytes();
        onToken(bodyToken(type, bytes), headSize + bytes.length);
        continue;
      }
      const byte = chunk[offset]!;
      offset += 1;
      if (byte < 0x80) {
        if (this.#digitCount === MAX_DIGITS) throw protocolError('a token with too many digits');
        this.#digits[this.#digitCount] = byte;
        this.#digitCount += 1;
        continue;
      }
      const digits = this.#digits.subarray(0, this.#digitCount);
      const headSize = this.#digitCount + 1;
      this.#digitCount = 0;
      const maximum = maxBodyOf(byte, this.#maxBodyBytes);
      const length = maximum === undefined ? 0 : numberOf(digits);
      if (maximum === undefined) {
        onToken(plainToken(byte, digits), headSize);
      } else if (length > maximum) {
        throw protocolError(`a token of ${length} bytes, more than ${maximum}`);
      } else if (length === 0) {
        onToken(bodyToken(byte, new Uint8Array(0)), headSize);
      } else {
        const arriving = new ArrivingBytes(length, new Uint8Array(Math.min(length, FIRST_BODY_BYTES)));
        this.#body = { type: byte, headSize, arriving };
      }
    }
  }
}

/** A body on its way. */
interface ArrivingBody {
  readonly type: number;
  readonly headSize: number;
  readonly arriving: ArrivingBytes;
}

/** The most bytes that may follow a type byte; undefined for types without a body. */
function maxBodyOf(type: number, maxStringBytes: number): number | undefined {
  switch (type) {
    case STRING:
      return maxStringBytes;
    case LONGINT:
    case LONGNEG:
      return MAX_LONG_BYTES;
    case ERROR:
      return MAX_ERROR_BYTES;
    default:
      return undefined;
  }
}

function bodyToken(type: number, bytes: Uint8Array): BananaToken {
  if (type === STRING) return { kind: 'bytes', bytes };
  if (type === ERROR) return { kind: 'error', message: new TextDecoder().decode(bytes) };
  const magnitude = bytes.reduce((value, byte) => value * 256n + BigInt(byte), 0n);
  return { kind: 'integer', value: narrow(type === LONGNEG ? -magnitude : magnitude) };
}

function plainToken(type: number, digits: Uint8Array): BananaToken {
  switch (type) {
    case INT:
    case NEG: {
      const magnitude = numberOf(digits);
      const value = type === INT || magnitude === 0 ? magnitude : -magnitude;
      if (value > MAX_INT || value < MIN_INT) throw protocolError('an integer token beyond 31 bits');
      return { kind: 'integer', value };
    }
    case VOCAB:
      return { kind: 'bytes', bytes: vocabularyWord(numberOf(digits)) };
    case OPEN:
    case CLOSE:
      return { kind: type === OPEN ? 'open' : 'close', number: numberOf(digits) };
    case PING:
    case PONG:
      return { kind: type === PING ? 'ping' : 'pong', digits: digits.slice() };
    default:
      throw protocolError(`a token of type 0x${type.toString(16)}`);
  }
}

/** No digits are 0. */
function numberOf(digits: Uint8Array): number {
  let value = 0;
  for (let index = digits.length - 1; index >= 0; index--) value = value * 128 + digits[index]!;
  if (!Number.isSafeInteger(value)) throw protocolError('a number too large for its token');
  return value;
}

function narrow(value: bigint): number | bigint {
  const asNumber = Number(value);
  return Number.isSafeInteger(asNumber) ? asNumber : value;
}

export function encodeToken(token: BananaToken): Uint8Array {
  switch (token.kind) {
    case 'integer':
      return encodeInteger(token.value);
    case 'bytes': {
      const index = vocabularyIndex(token.bytes);
      return index === undefined ? withBody(STRING, token.bytes) : head(VOCAB, index);
    }
    case 'open':
      return head(OPEN, token.number);
    case 'close':
      return head(CLOSE, token.number);
    case 'ping':
      return concatBytes([token.digits, Uint8Array.of(PING)]);
    case 'pong':
      return concatBytes([token.digits, Uint8Array.of(PONG)]);
    case 'error':
      return withBody(ERROR, encodeUtf8(token.message).subarray(0, MAX_ERROR_BYTES));
  }
}

function encodeInteger(value: number | bigint): Uint8Array {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) {
    throw new TahoeError(`${value} is no integer`, { kind: 'invalid', op: 'banana.encode' });
  }
  if (value >= 0 && value <= MAX_INT) return head(INT, Number(value));
  if (value < 0 && value >= MIN_INT) return head(NEG, -Number(value));
  const magnitude = BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  const hex = magnitude.toString(16);
  const body = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex');
  if (body.length > MAX_LONG_BYTES) {
    throw new TahoeError('an integer of more than 512 bits', { kind: 'invalid', op: 'banana.encode' });
  }
  return withBody(value < 0 ? LONGNEG : LONGINT, body);
}

function head(type: number, value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  do {
    bytes.push(left % 128);
    left = Math.floor(left / 128);
  } while (left > 0);
  bytes.push(type);
  return Uint8Array.from(bytes);
}

function withBody(type: number, body: Uint8Array): Uint8Array {
  return concatBytes([head(type, body.length), body]);
}

/** Names of sequences and the like. */
export function bytesToken(text: string): BananaToken {
  return { kind: 'bytes', bytes: encodeAscii(text) };
}

export function protocolError(message: string): TahoeError {
  return new TahoeError(`the peer sent ${message}`, { kind: 'protocol', op: 'banana.decode' });
}
