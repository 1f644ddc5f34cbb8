/**
 * Directories that two writers made, removed or replaced: what was put into ours goes where theirs is, or ours is linked
 * again so that it can be reached (vfs blueprint 7, rows `mkdir` and "children in a directory whose link is gone").
 */
import { isDirectory, isWriteable } from '../caps/cap.js';
import type { PackedEntry } from '../dirnode/packing.js';
import { conflictName } from './conflict-name.js';
import type { VfsCore } from './core.js';
import { factsOf } from './entry-codec.js';
import type { Directory, Inode } from './inode.js';
import { entryKey } from './names.js';
import type { Namespace } from './namespace.js';
import { newConflict } from './new-conflict.js';
import { upwards } from './paths.js';

export class DirectoryAdoption {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;

  constructor(core: VfsCore, namespace: Namespace) {
    this.#core = core;
    this.#namespace = namespace;
  }

  /** True if what stands there is a directory that this node can put things into. */
  canAdopt(parent: Directory, entry: PackedEntry): boolean {
    const { child } = factsOf(parent, entry);
    if (child.type !== 'known' || !isDirectory(child.cap) || !isWriteable(child.cap)) return false;
    return this.#namespace.inodes.of(parent, entry).directory !== undefined;
  }

  /**
   * `own`, made here as `name` and loaded, gives way to what stands there. Everything in it becomes new in theirs, where
   * it is judged again when that is published: so directories inside are adopted in turn. Each step is whole in the
   * journal; after a crash between two of them the rest is done by the next publish.
   */
  adopt(parent: Directory, name: string, own: Directory, entry: PackedEntry): void {
    const { ledger, notify, platform } = this.#core;
    const theirs = this.#takeTheirs(parent, entry, own);
    const target = theirs.directory!;
    for (const [shown, child] of this.#namespace.children(own)) {
      this.#move(own, target, entryKey(shown), child);
      if (child.directory === undefined || !own.isMadeHere) continue;
      // it could be reached through ours only
      child.directory.isMadeHere = true;
      ledger.describeDirectory(child.directory);
    }
    ledger.dropName(parent, name);
    this.#placeTheirs(parent, name, theirs);
    this.#giveUp(own, theirs);
    notify({ what: 'entry', parent: parent.inode.number, name });
    platform.log.warn('a directory that another node made too is theirs now, with what was put into ours', {
      directory: target.inode.number,
    });
  }

  /**
   * The link of a directory is gone or leads elsewhere. True if the name is changed again by this node, because there is
   * work below that would be lost from sight.
   */
  linkGone(parent: Directory, name: string, inode: Inode, entry: PackedEntry | undefined): boolean {
    const own = inode.directory!;
    if (own.isDiscarded || !parent.isWriteable || !this.#hasWorkBelow(own)) return false;
    if (this.#isElsewhere(own)) return false;
    const { ledger, platform, notify, tree } = this.#core;
    inode.provenPlace = undefined;
    if (tree.fromMemory.has(parent)) {
      // older than what the journal knows: that is a change of it, to be judged by what the grid has
      ledger.names([{ directory: parent, name, child: inode, expected: entry?.raw, displaced: undefined }]);
      return true;
    }
    own.isStaleOnce = true;
    if (entry !== undefined && this.canAdopt(parent, entry)) {
      const theirs = this.#takeTheirs(parent, entry, own);
      const target = theirs.directory!;
      this.#placeTheirs(parent, name, theirs);
      for (const [key, { child }] of [...own.dirty]) if (child !== undefined) this.#move(own, target, key, child);
      target.isStaleOnce = true;
      this.#giveUp(own, theirs);
      platform.log.warn('a directory was replaced by another one; what was changed here goes there', {
        directory: theirs.number,
      });
      return true;
    }
    ledger.names([{ directory: parent, name, child: inode, expected: undefined, displaced: undefined }]);
    if (entry === undefined) {
      platform.log.warn('a directory that another writer removed is linked again: there are changes in it', {
        directory: inode.number,
      });
    } else this.#setAside(parent, name);
    notify({ what: 'entry', parent: parent.inode.number, name });
    return true;
  }

  /** The name is theirs, and not a directory: ours goes beside it. */
  #setAside(parent: Directory, name: string): void {
    const { ledger, platform } = this.#core;
    const conflict = newConflict(this.#core, {
      kind: 'removed-above',
      directory: parent,
      name,
      ours: undefined,
      theirs: undefined,
      isReported: false,
    });
    ledger.conflict(conflict);
    platform.log.error('UncoordinatedWriteError: a directory with changes of ours was replaced; it is beside it', {
      directory: parent.inode.number,
      conflict: conflict.id,
    });
  }

  /** One name from ours to theirs, as something new there. */
  #move(own: Directory, target: Directory, key: string, child: Inode): void {
    const { ledger, platform, nodeName } = this.#core;
    const dirty = own.dirty.get(key);
    const expected = dirty?.expected ?? own.base?.entries.get(key)?.raw;
    const mark = { node: nodeName, wallMs: platform.clock.wallMs() };
    const isTaken = (candidate: string) => target.dirty.has(candidate);
    const name = target.dirty.has(key) ? conflictName(key, mark, isTaken) : key;
    if (child.provenPlace?.directory === own) child.provenPlace = undefined;
    ledger.names([
      { directory: own, name: key, child: undefined, expected, displaced: undefined },
      { directory: target, name, child, expected: undefined, displaced: undefined },
    ]);
  }

  /** What stands there. If it was moved into ours here, and in the place of ours by them, it is where they put it. */
  #takeTheirs(parent: Directory, entry: PackedEntry, own: Directory): Inode {
    const theirs = this.#namespace.inodes.of(parent, entry);
    for (const [name, { child, expected }] of [...own.dirty]) {
      if (child !== theirs) continue;
      this.#core.ledger.names([{ directory: own, name, child: undefined, expected, displaced: undefined }]);
      theirs.provenPlace = undefined;
    }
    return theirs;
  }

  /** In the journal too: after a crash its link is to be looked at, as that of any directory with work in it. */
  #placeTheirs(parent: Directory, name: string, theirs: Inode): void {
    this.#namespace.place(parent, name, theirs);
    this.#core.ledger.describeDirectory(theirs.directory!);
  }

  /** Whoever holds the number of ours finds theirs. */
  #giveUp(own: Directory, theirs: Inode): void {
    const { ledger, tree } = this.#core;
    own.inode.place = undefined;
    own.inode.provenPlace = undefined;
    ledger.discardDirectory(own);
    tree.alias(own.inode, theirs);
  }

  /** Another writer has moved it to where this node has looked already. */
  #isElsewhere(own: Directory): boolean {
    const inode = own.inode;
    const { place } = inode;
    for (const { directory } of this.#core.tree.inodes.values()) {
      if (directory?.base === undefined || directory.isDiscarded) continue;
      for (const entry of directory.base.entries.values()) {
        if (directory.dirty.has(entry.name) || !entry.readCap.includes('URI:DIR2')) continue;
        if (directory === place?.directory && entry.name === place.name) continue;
        if (!this.#namespace.inodes.leadsTo(directory, entry, own)) continue;
        inode.place = undefined;
        inode.provenPlace = undefined;
        this.#namespace.place(directory, entry.name, inode);
        return true;
      }
    }
    return false;
  }

  #hasWorkBelow(own: Directory): boolean {
    const { pending, dirtyFiles } = this.#core.tree;
    const isBelow = (inode: Inode) => {
      for (const { place } of upwards(inode)) if (place?.directory === own) return true;
      return false;
    };
    for (const directory of pending) {
      if (directory === own || isBelow(directory.inode)) return true;
      // moved into it from where it will be taken away: it must not be in neither place
      for (const { displaced } of directory.dirty.values())
        if (displaced !== undefined && isBelow(displaced)) return true;
    }
    for (const inode of dirtyFiles) if (isBelow(inode)) return true;
    return false;
  }
}
