import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';

/** Inodes that must not be dropped while something (a request, an open directory, a session) works with them. */
export class InodePins {
  readonly #vfs: Vfs;
  readonly #pinned: InodeNumber[] = [];

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  /** Kind `stale` if it is gone already. */
  pin(inode: InodeNumber): void {
    this.#vfs.remember(inode);
    this.#pinned.push(inode);
  }

  /** The last call. */
  release(): void {
    for (const inode of this.#pinned) this.#vfs.forget(inode, 1);
    this.#pinned.length = 0;
  }
}
