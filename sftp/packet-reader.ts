import { TahoeError } from '../src/errors/tahoe-error.js';

/** Reads the fields of one packet in order. Kind `protocol` when a field is not all there or a number is too large. */
export class PacketReader {
  readonly #packet: Uint8Array;
  #offset: number;

  constructor(packet: Uint8Array, offset = 0) {
    this.#packet = packet;
    this.#offset = offset;
  }

  get remaining(): number {
    return this.#packet.length - this.#offset;
  }

  u8(): number {
    return this.#packet[this.#advance(1)]!;
  }

  u32(): number {
    const packet = this.#packet;
    const at = this.#advance(4);
    return packet[at]! * 0x100_0000 + ((packet[at + 1]! << 16) | (packet[at + 2]! << 8) | packet[at + 3]!);
  }

  /** Up to 2^53 - 1: no offset or size that a file here can have is larger. */
  u64(): number {
    const value = this.u32() * 0x1_0000_0000 + this.u32();
    if (!Number.isSafeInteger(value)) throw malformed('a 64-bit number is too large');
    return value;
  }

  /** A `string` field (length and bytes) as a view into the packet. */
  bytes(): Uint8Array {
    const length = this.u32();
    const start = this.#advance(length);
    return this.#packet.subarray(start, start + length);
  }

  /** A `string` field that names something in the protocol itself (an extension); one character a byte. */
  ascii(): string {
    const bytes = this.bytes();
    if (bytes.length > 256) throw malformed('a name is too long');
    return String.fromCharCode(...bytes);
  }

  #advance(length: number): number {
    const start = this.#offset;
    if (length > this.remaining) throw malformed(`${length} bytes wanted, ${this.remaining} left`);
    this.#offset = start + length;
    return start;
  }
}

function malformed(why: string): TahoeError {
  return new TahoeError(`malformed SFTP packet: ${why}`, { kind: 'protocol', op: 'sftp.decode' });
}
