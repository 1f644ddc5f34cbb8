/**
 * Directories that a publish takes away, removed or moved elsewhere: another node may have put something into a removed
 * one, and two nodes may move two directories into each other. Looked at before the publish, so that it is seldom needed
 * to undo something, and after it, because nobody can prevent what happens meanwhile.
 */
import { versionKey } from '../mutable/lineage.js';
import { readSlotVersion } from '../mutable/read-slot.js';
import type { VfsCore } from './core.js';
import type { AttemptedName, Directory, Inode } from './inode.js';
import type { Namespace } from './namespace.js';
import { newConflict } from './new-conflict.js';

type TakenName = Pick<AttemptedName, 'name' | 'child'>;

/** By name: what is nowhere else, and what was moved to another directory. */
export interface Departed {
  readonly removed: ReadonlyMap<string, Directory>;
  readonly moved: ReadonlyMap<string, Inode>;
}

export class Departures {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;

  constructor(core: VfsCore, namespace: Namespace) {
    this.#core = core;
    this.#namespace = namespace;
  }

  /** What these names take from the directory. */
  of(directory: Directory, names: readonly TakenName[]): Departed {
    const removed = new Map<string, Directory>();
    const moved = new Map<string, Inode>();
    for (const { name, child } of names) {
      const displaced = directory.dirty.get(name)?.displaced;
      if (displaced === undefined || displaced === child) continue;
      if (displaced.place === undefined) {
        if (this.#isGone(displaced.directory)) removed.set(name, displaced.directory);
      } else if (child === undefined && displaced.place.directory !== directory) moved.set(name, displaced);
    }
    return { removed, moved };
  }

  /**
   * Before these names are published: the new place of what was moved must be there, and still lead to a root; what
   * somebody has put something into since it was removed here stays.
   */
  async recheck(directory: Directory, names: readonly TakenName[]): Promise<void> {
    const { removed, moved } = this.of(directory, names);
    for (const inode of moved.values()) await this.#namespace.recheckChain(inode);
    for (const [name, gone] of await this.#changed(removed)) this.#reopen(directory, name, gone);
  }

  /** The same when they were published: what would be lost from sight is linked again. */
  async settle(directory: Directory, { removed, moved }: Departed): Promise<void> {
    for (const [name, gone] of await this.#changed(removed)) this.#reopen(directory, name, gone);
    for (const [name, inode] of moved) {
      const isLost = inode.place !== undefined && !(await this.#namespace.recheckChain(inode));
      if (isLost) this.#restore(directory, name, inode);
    }
  }

  /** True if it is on the grid, and not linked again as another object. */
  #isGone(directory: Directory | undefined): directory is Directory {
    if (directory?.cap === undefined || !directory.isBorn) return false;
    return this.#core.tree.findDirectory(directory.cap)?.inode.place === undefined;
  }

  /** Those that somebody has put something into since they were removed. */
  async #changed(removed: ReadonlyMap<string, Directory>): Promise<[string, Directory][]> {
    const all = [...removed];
    const isChanged = await Promise.all(all.map(([, gone]) => this.#isChanged(gone)));
    return all.filter((_, index) => isChanged[index]);
  }

  async #isChanged({ keys, removedVersions }: Directory): Promise<boolean> {
    if (keys === undefined || removedVersions.length === 0) return false;
    const version = await readSlotVersion(this.#core.slots, keys, this.#core.quorums);
    return version !== undefined && !removedVersions.includes(versionKey(version));
  }

  #reopen(directory: Directory, name: string, gone: Directory): void {
    this.#restore(directory, name, this.#namespace.inodes.reopen(gone));
  }

  #restore(directory: Directory, name: string, child: Inode): void {
    const { platform, notify } = this.#core;
    const shown = this.#linkAgain(directory, name, child);
    notify({ what: 'entry', parent: directory.inode.number, name: shown });
    platform.log.warn('what was removed or moved away is linked again: another node has changed the same directories', {
      inode: child.number,
    });
  }

  /** Under its name, or beside what this node has put there instead. Returns the name. */
  #linkAgain(directory: Directory, name: string, child: Inode): string {
    const { ledger } = this.#core;
    const dirty = directory.dirty.get(name);
    if (dirty !== undefined && dirty.child === undefined) {
      const { expected, displaced } = dirty;
      ledger.names([{ directory, name, child, expected, displaced }]);
      return name;
    }
    const sides = { ours: undefined, theirs: undefined };
    const conflict = newConflict(this.#core, { kind: 'fork', directory, name, ...sides, isReported: true });
    const { copyName } = conflict;
    ledger.names([{ directory, name: copyName, child, expected: undefined, displaced: undefined }]);
    ledger.listConflict(conflict);
    return copyName;
  }
}
