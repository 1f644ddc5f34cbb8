import { TahoeError } from '../src/errors/tahoe-error.js';

/** Cuts a stream of kernel messages, each of which starts with its length as a 32-bit number, into messages. */
export class MessageSplitter {
  readonly #bytesMin: number;
  readonly #bytesMax: number;
  readonly #length = Buffer.alloc(4);
  #lengthBytes = 0;
  #message: Buffer | undefined;
  #filled = 0;

  constructor(bytesMin: number, bytesMax: number) {
    this.#bytesMin = bytesMin;
    this.#bytesMax = bytesMax;
  }

  /** Calls `onMessage` with every message completed by `chunk`, each in memory of its own. Kind `protocol`. */
  add(chunk: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#message === undefined) {
        const taken = Math.min(4 - this.#lengthBytes, chunk.length - at);
        this.#length.set(chunk.subarray(at, at + taken), this.#lengthBytes);
        this.#lengthBytes += taken;
        at += taken;
        if (this.#lengthBytes < 4) return;
        this.#message = this.#begin(this.#length.readUInt32LE(0));
      }
      const message = this.#message;
      const taken = Math.min(message.length - this.#filled, chunk.length - at);
      message.set(chunk.subarray(at, at + taken), this.#filled);
      this.#filled += taken;
      at += taken;
      if (this.#filled === message.length) {
        this.#message = undefined;
        this.#lengthBytes = 0;
        onMessage(message);
      }
    }
  }

  #begin(length: number): Buffer {
    if (length < this.#bytesMin || length > this.#bytesMax) {
      throw new TahoeError(`a message cannot be ${length} bytes long`, { kind: 'protocol', op: 'mount.pump' });
    }
    const message = Buffer.allocUnsafe(length);
    message.set(this.#length);
    this.#filled = 4;
    return message;
  }
}
