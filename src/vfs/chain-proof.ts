/**
 * What an fsync shows of directories that it has not published itself (vfs blueprint 9): that they still lead from a root to
 * the inode, and that what this node's view has of them is on a write quorum. A version that another writer is still
 * publishing, or has broken off, may be read already and be gone again.
 */
import { TahoeError } from '../errors/tahoe-error.js';
import { versionKey } from '../mutable/lineage.js';
import type { Directory, Inode } from './inode.js';
import type { Namespace } from './namespace.js';
import { upwards } from './paths.js';
import type { WriteBack } from './write-back.js';

export class ChainProof {
  readonly #namespace: Namespace;
  readonly #writeBack: WriteBack;

  constructor(namespace: Namespace, writeBack: WriteBack) {
    this.#namespace = namespace;
    this.#writeBack = writeBack;
  }

  /** Kind `stale` if another writer has taken the inode or a directory above it away; else rejects as `waitForProof`. */
  async prove(inode: Inode, signal: AbortSignal | undefined): Promise<void> {
    const chain = linksTo(inode);
    const directories = chain.map(({ place }) => place?.directory ?? gone());
    for (const directory of directories) await this.#namespace.load(directory);
    const own = inode.directory;
    if (own !== undefined && !own.isProven) {
      await this.#namespace.load(own);
      directories.unshift(own);
    }
    checkLinks(chain);
    for (const directory of directories) {
      if (!directory.isProven) await this.#writeBack.waitForProof(directory, signal);
    }
    checkLinks(chain);
  }
}

/** The inode and the directories above it, as far as each has a name. */
function linksTo(inode: Inode): Inode[] {
  return [...upwards(inode)].filter(({ place }) => place !== undefined);
}

function checkLinks(chain: readonly Inode[]): void {
  for (const { place } of chain) {
    if (place === undefined || !place.directory.isStaleOnce) continue;
    place.directory.isStaleOnce = false;
    gone();
  }
  if (chain.some(({ place }) => place === undefined)) gone();
}

function gone(): never {
  throw new TahoeError('another writer has removed it or a directory above it', { kind: 'stale', op: 'vfs.fsync' });
}

/** What the view has of a directory, or of a file that was not changed here, though no quorum is known to hold it. */
export interface ShownVersion {
  /** Kind `uncoordinated-write` if it was lost in a publish that another writer has broken off. The chain must be proven. */
  checkKept(): void;
}

/** Undefined if there is nothing that could be lost. */
export function versionShown(inode: Inode): ShownVersion | undefined {
  const { place } = inode;
  const isChangedHere =
    inode.directory === undefined &&
    (inode.content?.overlay !== undefined || place?.directory.dirty.has(place.name) === true);
  const directory = inode.directory ?? place?.directory;
  const version = directory?.base?.version;
  if (directory === undefined || version === undefined || directory.isProven || isChangedHere) return undefined;
  const shown = versionKey(version);
  return {
    checkKept: () => {
      const isMoved = inode.directory === undefined && inode.place?.directory !== directory;
      if (isMoved || contains(directory, shown)) return;
      throw new TahoeError('another writer had not published it yet, and something else stands there now', {
        kind: 'uncoordinated-write',
        op: 'vfs.fsync',
      });
    },
  };
}

function contains({ standing }: Directory, version: string): boolean {
  return standing?.key === version || standing?.lineage.includes(version) === true;
}
