import { join } from 'node:path';
import { isTahoeError } from '../errors/tahoe-error.js';
import type { FileStore } from './file-store.js';
import { writeFileDurably } from './write-file.js';

/** Small text files of a directory, such as a node's. */
export class TextFiles {
  readonly #files: FileStore;
  readonly #directory: string;

  constructor(files: FileStore, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  /** Undefined if there is none. */
  async read(name: string): Promise<string | undefined> {
    try {
      return new TextDecoder().decode(await this.#files.readFile(join(this.#directory, name)));
    } catch (error) {
      if (isTahoeError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async write(name: string, text: string): Promise<void> {
    await writeFileDurably(this.#files, join(this.#directory, name), new TextEncoder().encode(text));
  }

  /** Writes only what is not there already. */
  async keep(name: string, text: string): Promise<void> {
    if ((await this.read(name)) !== text) await this.write(name, text);
  }
}
