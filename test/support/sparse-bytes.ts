const chunkBytes = 65536;

/** Growable bytes with holes: 64 KiB chunks, the short last one grown by doubling. Reads beyond the end are short. */
export class SparseBytes {
  #chunks = new Map<number, Uint8Array>();
  #size = 0;

  get sizeBytes(): number {
    return this.#size;
  }

  read(offset: number, length: number): Uint8Array {
    const end = Math.min(offset + length, this.#size);
    if (end <= offset) return new Uint8Array(0);
    const result = new Uint8Array(end - offset);
    for (let at = offset; at < end; ) {
      const within = at % chunkBytes;
      const count = Math.min(chunkBytes - within, end - at);
      const chunk = this.#chunks.get((at - within) / chunkBytes);
      if (chunk !== undefined && within < chunk.length) {
        result.set(chunk.subarray(within, within + count), at - offset);
      }
      at += count;
    }
    return result;
  }

  write(offset: number, data: Uint8Array): void {
    for (let done = 0; done < data.length; ) {
      const within = (offset + done) % chunkBytes;
      const count = Math.min(chunkBytes - within, data.length - done);
      this.#chunk((offset + done - within) / chunkBytes, within + count).set(data.subarray(done, done + count), within);
      done += count;
    }
    this.#size = Math.max(this.#size, offset + data.length);
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#size) {
      const last = Math.floor(sizeBytes / chunkBytes);
      for (const index of [...this.#chunks.keys()]) if (index > last) this.#chunks.delete(index);
      this.#chunks.get(last)?.fill(0, sizeBytes % chunkBytes);
    }
    this.#size = sizeBytes;
  }

  #chunk(index: number, needed: number): Uint8Array {
    const old = this.#chunks.get(index);
    if (old !== undefined && old.length >= needed) return old;
    let length = Math.max(256, old?.length ?? 0);
    while (length < needed) length *= 2;
    const grown = new Uint8Array(length);
    if (old !== undefined) grown.set(old);
    this.#chunks.set(index, grown);
    return grown;
  }
}
