import type { FileStore } from '../platform/file-store.js';

/**
 * Makes directories durable with few flushes: all who ask while one is running share the next one. A flush that began
 * before the change of the asker would not be enough for it.
 */
export class GroupedSync {
  readonly #files: FileStore;
  readonly #running = new Map<string, Promise<void>>();
  readonly #waiting = new Map<string, Promise<void>>();

  constructor(files: FileStore) {
    this.#files = files;
  }

  /** Resolves when every change made in this directory before the call is durable. */
  sync(directory: string): Promise<void> {
    const running = this.#running.get(directory);
    if (running === undefined) return this.#begin(directory);
    const shared = this.#waiting.get(directory);
    if (shared !== undefined) return shared;
    const begin = () => {
      this.#waiting.delete(directory);
      return this.#begin(directory);
    };
    const next = running.then(begin, begin);
    this.#waiting.set(directory, next);
    return next;
  }

  #begin(directory: string): Promise<void> {
    const flush = this.#files.syncDirectory(directory).finally(() => {
      if (this.#running.get(directory) === flush) this.#running.delete(directory);
    });
    this.#running.set(directory, flush);
    return flush;
  }
}
