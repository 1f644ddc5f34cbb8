import { TahoeError } from '../src/errors/tahoe-error.js';

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads the fields of one kernel message in order, little-endian. Throws kind `protocol` when the message is shorter
 * than its structure, `invalid` when a name is not UTF-8, `too-large` for a 64-bit value above 2^53 - 1.
 */
export class MessageReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(message: Uint8Array, start: number) {
    this.#bytes = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
    this.#at = start;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  uint16(): number {
    return this.#bytes.readUInt16LE(this.#take(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  uint64(): number {
    const at = this.#take(8);
    const value = this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * 2 ** 32;
    if (!Number.isSafeInteger(value)) throw problem('too-large', 'a 64-bit value is out of range');
    return value;
  }

  /** Seconds since the epoch, also before it. */
  int64(): number {
    const at = this.#take(8);
    const value = this.#bytes.readUInt32LE(at) + this.#bytes.readInt32LE(at + 4) * 2 ** 32;
    if (!Number.isSafeInteger(value)) throw problem('too-large', 'a 64-bit value is out of range');
    return value;
  }

  skip(count: number): void {
    this.#take(count);
  }

  /** The next `count` bytes, as a view of the message. */
  view(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** Text up to a NUL byte, which must be there. */
  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0 || this.remaining <= 0) throw problem('protocol', 'a name does not end');
    const bytes = this.#bytes.subarray(this.#at, end);
    this.#at = end + 1;
    try {
      return strictUtf8.decode(bytes);
    } catch (error) {
      throw problem('invalid', 'a name is not UTF-8', error);
    }
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw problem('protocol', 'a message is shorter than its structure');
    this.#at = at + count;
    return at;
  }
}

function problem(kind: 'protocol' | 'invalid' | 'too-large', message: string, cause?: unknown): TahoeError {
  return new TahoeError(message, { kind, op: 'mount.decode', cause });
}
