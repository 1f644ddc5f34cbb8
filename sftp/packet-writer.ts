import { encodeUtf8, writeU32, writeU64 } from '../src/encoding/bytes.js';

/** Builds one packet, length field first, in one buffer that is ready to be sent. */
export class PacketWriter {
  #buffer: Uint8Array;
  #length = 4;

  constructor(type: number, capacity = 128) {
    this.#buffer = new Uint8Array(capacity);
    this.u8(type);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length - 1] = value;
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    writeU32(this.#buffer, this.#length - 4, value);
    return this;
  }

  u64(value: number): this {
    this.#reserve(8);
    writeU64(this.#buffer, this.#length - 8, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.u32(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length - value.length);
    return this;
  }

  text(value: string): this {
    return this.bytes(encodeUtf8(value));
  }

  /** Sets the number at `position`, which was written before as a placeholder. */
  patchU32(position: number, value: number): void {
    writeU32(this.#buffer, position, value);
  }

  /** The packet. The writer must not be used afterwards. */
  finish(): Uint8Array {
    this.patchU32(0, this.#length - 4);
    return this.#buffer.subarray(0, this.#length);
  }

  #reserve(length: number): void {
    this.#length += length;
    if (this.#length <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(this.#length, 2 * this.#buffer.length));
    grown.set(this.#buffer);
    this.#buffer = grown;
  }
}
