import type { Change } from '../src/vfs/vfs.js';
import type { FuseDevice } from './fuse-device.js';
import type { NodeTable } from './node-table.js';
import { encodeInvalidateEntry, encodeInvalidateInode } from './reply.js';

/**
 * Tells the kernel what others changed. One notification is under way at a time and equal ones behind it are told
 * once: the kernel may make a notification wait for requests that this process has yet to answer.
 */
export class Invalidator {
  readonly #device: FuseDevice;
  readonly #nodes: NodeTable;
  readonly #pending = new Map<string, Change>();
  #running = false;

  constructor(device: FuseDevice, nodes: NodeTable) {
    this.#device = device;
    this.#nodes = nodes;
  }

  add(change: Change): void {
    if (!this.#nodes.isKnown(change.what === 'entry' ? change.parent : change.inode)) return;
    if (change.what === 'content') this.#nodes.dropPages(change.inode);
    this.#pending.set(keyOf(change), change);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (const [key, change] of this.#pending) {
      this.#pending.delete(key);
      await this.#device.notify(this.#encode(change));
    }
    this.#running = false;
  }

  #encode(change: Change): Uint8Array {
    if (change.what === 'entry') return encodeInvalidateEntry(this.#nodes.nodeIdOf(change.parent), change.name);
    return encodeInvalidateInode(this.#nodes.nodeIdOf(change.inode), change.what === 'content');
  }
}

function keyOf(change: Change): string {
  return change.what === 'entry' ? `${change.what} ${change.parent} ${change.name}` : `${change.what} ${change.inode}`;
}
