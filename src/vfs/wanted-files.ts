import type { Inode } from './inode.js';

/** Files that somebody waits for, counted: two may wait for the same one, and the first to be done must not stop the other. */
export class WantedFiles {
  readonly #waiters = new Map<Inode, number>();

  get size(): number {
    return this.#waiters.size;
  }

  has(inode: Inode): boolean {
    return this.#waiters.has(inode);
  }

  add(inode: Inode): void {
    this.#waiters.set(inode, (this.#waiters.get(inode) ?? 0) + 1);
  }

  remove(inode: Inode): void {
    const left = (this.#waiters.get(inode) ?? 0) - 1;
    if (left > 0) this.#waiters.set(inode, left);
    else this.#waiters.delete(inode);
  }
}
