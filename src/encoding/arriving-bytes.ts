/** Bytes that come piece by piece, up to a number that another side announced: memory is taken as they come. */
export class ArrivingBytes {
  readonly #maxLength: number;
  #buffer: Uint8Array;
  #length = 0;

  /** Fills `first`, which may be shorter than `maxLength`, before it takes more memory. */
  constructor(maxLength: number, first: Uint8Array) {
    this.#maxLength = maxLength;
    this.#buffer = first;
  }

  /** How many more may come. */
  get missing(): number {
    return this.#maxLength - this.#length;
  }

  /** Throws a RangeError if it is more than what is missing. */
  append(piece: Uint8Array): void {
    const needed = this.#length + piece.length;
    if (needed > this.#buffer.length) {
      const larger = new Uint8Array(Math.min(this.#maxLength, Math.max(needed, 2 * this.#buffer.length)));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(piece, this.#length);
    this.#length = needed;
  }

  /** All that came, without a copy if its memory is used up. */
  bytes(): Uint8Array {
    const { buffer, byteOffset, length } = this.#buffer;
    const view = new Uint8Array(buffer, byteOffset, this.#length);
    return this.#length === length ? view : view.slice();
  }
}
