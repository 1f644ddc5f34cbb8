import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';
import { rootNodeId } from './kernel-constants.js';

/**
 * What the kernel knows of inodes: the number it was given (its root is always 1), how often each was given out and
 * not yet forgotten, and which content its page cache holds.
 */
export class NodeTable {
  readonly root: InodeNumber;
  readonly #vfs: Vfs;
  readonly #counts = new Map<InodeNumber, number>();
  readonly #cachedContent = new Map<InodeNumber, number>();

  constructor(vfs: Vfs, root: InodeNumber) {
    this.#vfs = vfs;
    this.root = root;
    this.remember(root);
  }

  /** The kernel's number: the root is 1, and an inode that is 1 elsewhere takes the root's number. */
  nodeIdOf(inode: InodeNumber): number {
    if (inode === this.root) return rootNodeId;
    return inode === rootNodeId ? this.root : inode;
  }

  inodeOf(nodeId: number): InodeNumber {
    if (nodeId === rootNodeId) return this.root;
    return (nodeId === this.root ? rootNodeId : nodeId) as InodeNumber;
  }

  /** To be called once for every answer that carries the inode. */
  remember(inode: InodeNumber): void {
    this.#vfs.remember(inode);
    this.#counts.set(inode, (this.#counts.get(inode) ?? 0) + 1);
  }

  forget(nodeId: number, count: number): void {
    const inode = this.inodeOf(nodeId);
    const have = this.#counts.get(inode) ?? 0;
    const forgotten = Math.min(count, have);
    if (forgotten === 0) return;
    if (forgotten === have) {
      this.#counts.delete(inode);
      this.#cachedContent.delete(inode);
    } else {
      this.#counts.set(inode, have - forgotten);
    }
    this.#vfs.forget(inode, forgotten);
  }

  /** At the end: the kernel sends no forgets when it unmounts. */
  forgetAll(): void {
    for (const [inode, count] of this.#counts) this.#vfs.forget(inode, count);
    this.#counts.clear();
    this.#cachedContent.clear();
  }

  isKnown(inode: InodeNumber): boolean {
    return this.#counts.has(inode);
  }

  /** Whether pages of this content number are what the kernel has; from now on they are taken to be. */
  keepsPages(inode: InodeNumber, contentNumber: number): boolean {
    const keeps = this.#cachedContent.get(inode) === contentNumber;
    this.#cachedContent.set(inode, contentNumber);
    return keeps;
  }

  hasPagesOf(inode: InodeNumber, contentNumber: number): boolean {
    return this.#cachedContent.get(inode) === contentNumber;
  }

  /** After a write through the kernel's own cache, unless somebody else changed the content meanwhile. */
  advancePages(inode: InodeNumber, contentNumber: number): void {
    if (this.#cachedContent.has(inode)) this.#cachedContent.set(inode, contentNumber);
  }

  dropPages(inode: InodeNumber): void {
    this.#cachedContent.delete(inode);
  }
}
