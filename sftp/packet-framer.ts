import { readU32 } from '../src/encoding/bytes.js';
import { TahoeError } from '../src/errors/tahoe-error.js';
import { packetLengthMax } from './protocol.js';

/**
 * Cuts a stream of bytes into packets (4 bytes of length, then as many bytes). Packets that lie whole in a chunk are
 * views of it; others are put together once. Holds at most one unfinished packet.
 */
export class PacketFramer {
  readonly #header = new Uint8Array(4);
  #headerLength = 0;
  #packet: Uint8Array | undefined;
  #packetLength = 0;

  /** True in the middle of a packet: the stream must not end here. */
  get unfinished(): boolean {
    return this.#headerLength > 0;
  }

  /** The packets that `chunk` completes. Kind `protocol` for a length of 0 or over the maximum: close the stream. */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#headerLength < 4) {
        const taken = Math.min(4 - this.#headerLength, chunk.length - offset);
        this.#header.set(chunk.subarray(offset, offset + taken), this.#headerLength);
        this.#headerLength += taken;
        offset += taken;
        if (this.#headerLength < 4) return;
      }
      const length = checkedLength(readU32(this.#header, 0));
      if (this.#packet === undefined && chunk.length - offset >= length) {
        this.#headerLength = 0;
        yield chunk.subarray(offset, offset + length);
        offset += length;
        continue;
      }
      offset += this.#append(chunk, offset, length);
      if (this.#packetLength < length) return;
      const packet = this.#packet!;
      this.#packet = undefined;
      this.#packetLength = 0;
      this.#headerLength = 0;
      yield packet;
    }
  }

  #append(chunk: Uint8Array, offset: number, length: number): number {
    this.#packet ??= new Uint8Array(length);
    const taken = Math.min(length - this.#packetLength, chunk.length - offset);
    this.#packet.set(chunk.subarray(offset, offset + taken), this.#packetLength);
    this.#packetLength += taken;
    return taken;
  }
}

function checkedLength(length: number): number {
  if (length >= 1 && length <= packetLengthMax) return length;
  throw new TahoeError(`an SFTP packet of ${length} bytes is not allowed`, { kind: 'protocol', op: 'sftp.frame' });
}
