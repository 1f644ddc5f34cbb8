import { Readable } from 'node:stream';

/** Bytes of one write to the socket: larger ones leave the processor's cache before they are encrypted and sent. */
const PIECE_BYTES = 256 * 1024;
/** The first piece goes out together with the header, and what goes out together is copied together. */
const FIRST_PIECE_BYTES = 4096;

/**
 * A request body out of several parts that are sent from where they lie. The socket takes one piece at a time: what waits
 * in its queue would be joined, which costs more than the encryption.
 */
export class PartsBody extends Readable {
  readonly #parts: readonly Uint8Array[];
  #part = 0;
  #position = 0;
  #pieceBytes = FIRST_PIECE_BYTES;

  constructor(parts: readonly Uint8Array[]) {
    super({ highWaterMark: 1 });
    this.#parts = parts;
  }

  override _read(): void {
    const part = this.#parts[this.#part];
    if (part === undefined) {
      this.push(null);
      return;
    }
    const piece = part.subarray(this.#position, this.#position + this.#pieceBytes);
    this.#position += piece.length;
    if (this.#position >= part.length) {
      this.#part++;
      this.#position = 0;
    }
    this.#pieceBytes = PIECE_BYTES;
    if (piece.length === 0) this._read();
    else this.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
  }
}
