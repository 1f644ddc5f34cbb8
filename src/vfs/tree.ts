/**
 * The tree as this node sees it, and the rules by which it changes. Every change here is made twice in the life of the
 * node: when an operation is accepted, and when the journal is replayed. So nothing here asks the grid, the disk or the
 * clock; ledger.ts writes the records and calls the same functions.
 */

import { type ChkReadCap, type DirectoryCap, isMutableFile, type LitCap, serializeCap } from '../caps/cap.js';
import type { ChildCap } from '../caps/child-caps.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import type { VersionKey } from '../mutable/lineage.js';
import { slotKeysOf } from '../mutable/slot-keys.js';
import {
  type AttemptedName,
  type CarriedEntry,
  Directory,
  type DirtyName,
  FileContent,
  Inode,
  type OpenConflict,
} from './inode.js';
import type { FileKind, InodeNumber } from './vfs.js';

export interface NameChange {
  readonly directory: Directory;
  readonly name: string;
  /** What stands under the name from now on; undefined: nothing. */
  readonly child: Inode | undefined;
  /** What stood there on the grid, for a name that was clean until now. */
  readonly expected: Uint8Array | undefined;
  readonly displaced: Inode | undefined;
}

export class Tree {
  readonly inodes = new Map<number, Inode>();
  /** By capability: the same directory is one object however it is reached, but one that may be written is another. */
  readonly #directories = new Map<string, Directory>();
  /** Directories that have something to publish. */
  readonly pending = new Set<Directory>();
  /** Files that have bytes which are not proven on the grid. */
  readonly dirtyFiles = new Set<Inode>();
  /** Directories that show what was proven here last, because the grid could not be asked since the start. */
  readonly fromMemory = new Set<Directory>();
  /** What two writers changed, by id, until it is resolved. */
  readonly conflicts = new Map<number, OpenConflict>();
  /** Numbers of directories that were given up for another one, which answers to them since. */
  readonly #aliases = new Map<number, Inode>();
  #changes = 0;

  inode(number: number): Inode {
    const inode = this.inodes.get(number) ?? this.#aliases.get(number);
    if (inode === undefined || inode.isForgotten)
      throw new TahoeError('no such inode', { kind: 'stale', op: 'vfs.inode', subject: `${number}` });
    return inode;
  }

  directory(number: number): Directory {
    const { directory } = this.inode(number);
    if (directory === undefined)
      throw new TahoeError('not a directory', { kind: 'not-a-directory', op: 'vfs.directory' });
    return directory;
  }

  /** The directory for which this one was given up; undefined for any other. */
  successor({ inode }: Directory): Directory | undefined {
    return this.inodes.has(inode.number) ? undefined : this.#aliases.get(inode.number)?.directory;
  }

  nextChange(): number {
    return ++this.#changes;
  }

  /** Replay has seen this number. */
  sawChange(change: number): void {
    this.#changes = Math.max(this.#changes, change);
  }

  addInode(number: InodeNumber, kind: FileKind): Inode {
    assert(!this.inodes.has(number), 'a fresh inode number');
    const inode = new Inode(number, kind);
    this.inodes.set(number, inode);
    return inode;
  }

  /** A new regular file, empty, or one over a known content. */
  addContent(inode: Inode, base: FileContent['base']): FileContent {
    inode.content = new FileContent(base);
    return inode.content;
  }

  /** Another object stands under the same entry. What is open or was written here stays as it is. */
  takeChild(inode: Inode, child: ChildCap): void {
    const { content } = inode;
    if (inode.kind !== 'file' || content?.overlay !== undefined) return;
    const isImmutable = child.type === 'known' && (child.cap.type === 'chk' || child.cap.type === 'lit');
    if (inode.handles > 0 && (!isImmutable || inode.other !== undefined)) return;
    if (!isImmutable) {
      inode.content = undefined;
      inode.other = child;
      return;
    }
    inode.other = undefined;
    if (content === undefined) this.addContent(inode, child.cap as ChkReadCap | LitCap);
    else content.base = child.cap as ChkReadCap | LitCap;
    inode.content!.contentNumber++;
  }

  /** The content of a mutable file is known for as long as somebody has it open or something of it waits. */
  closeIfUnused(inode: Inode): void {
    const { content } = inode;
    if (inode.other === undefined || content === undefined || inode.handles > 0 || content.overlay !== undefined)
      return;
    inode.otherSizeBytes = content.sizeBytes;
    inode.content = undefined;
  }

  /** `cap` undefined: a new one, which has no key yet. `nowMs`: monotonic. */
  addDirectory(inode: Inode, cap: DirectoryCap | undefined, nowMs: number): Directory {
    const directory = new Directory(inode, cap !== undefined, nowMs);
    inode.directory = directory;
    if (cap !== undefined) this.setDirectoryCap(directory, cap);
    else this.pending.add(directory);
    return directory;
  }

  setDirectoryCap(directory: Directory, cap: DirectoryCap): void {
    const before = directory.cap === undefined ? undefined : serializeCap(directory.cap);
    if (before !== undefined && this.#directories.get(before) === directory) this.#directories.delete(before);
    directory.cap = cap;
    const { inner } = cap;
    if (isMutableFile(inner)) directory.keys = slotKeysOf(inner);
    this.#directories.set(serializeCap(cap), directory);
  }

  /**
   * The directory of this very capability if it is known. What is linked to be read only is another object than the same
   * directory linked to be written: its name would otherwise be published with the right to write.
   */
  findDirectory(cap: DirectoryCap): Directory | undefined {
    return this.#directories.get(serializeCap(cap));
  }

  /** A directory that turned out not to be readable. */
  forgetDirectory(directory: Directory): void {
    if (directory.cap !== undefined) this.#directories.delete(serializeCap(directory.cap));
    this.inodes.delete(directory.inode.number);
  }

  /** What the view has under a name that is dirty or has been looked at; `unknown` if only the base can tell. */
  known(directory: Directory, name: string): Inode | undefined | 'unknown' {
    const dirty = directory.dirty.get(name);
    if (dirty !== undefined) return dirty.child;
    return directory.clean.get(name) ?? (directory.base?.entries.has(name) === false ? undefined : 'unknown');
  }

  /** One accepted operation on names; all of its changes go into the same attempt or wait together. */
  applyNames(changes: readonly NameChange[], change: number, nowMs: number): void {
    for (const { directory, name } of changes) {
      const before = directory.dirty.get(name)?.child ?? directory.clean.get(name);
      if (before?.place?.directory === directory && before.place.name === name) before.place = undefined;
    }
    for (const each of changes) this.#applyName(each, change, nowMs);
  }

  #applyName({ directory, name, child, expected, displaced }: NameChange, change: number, nowMs: number): void {
    let dirty = directory.dirty.get(name);
    if (dirty === undefined) {
      dirty = newDirtyName(name, expected, displaced, nowMs);
      directory.dirty.set(name, dirty);
    }
    const carriedChild = dirty.carried.length > 0 && dirty.child !== child ? dirty.child : undefined;
    if (carriedChild !== undefined) {
      // an attempt may have put it there: it must not go away before it is proven elsewhere
      dirty.displaced = carriedChild;
      carriedChild.provenPlace ??= { directory, name };
    }
    dirty.child = child;
    dirty.change = change;
    dirty.lastMs = nowMs;
    directory.clean.delete(name);
    if (child !== undefined) child.place = { directory, name };
    if (child?.directory !== undefined) child.directory.isLost = false;
    // created and removed before anything of it was sent: as if it had never been
    if (child === undefined && dirty.expected === undefined && dirty.carried.length === 0) directory.dirty.delete(name);
    this.notePending(directory);
  }

  /** Replay: a name that attempts carry, before it is applied like any other. */
  restoreCarried({ directory, name, expected, displaced }: NameChange, carried: CarriedEntry[], nowMs: number): void {
    const dirty = directory.dirty.get(name) ?? newDirtyName(name, expected, displaced, nowMs);
    dirty.carried = carried;
    directory.dirty.set(name, dirty);
  }

  /** The names of an attempt are on the grid as it says. */
  applyProven(directory: Directory, names: readonly AttemptedName[]): void {
    directory.isBorn = true;
    for (const { name, change, entry, child, isSuperseded } of names) {
      const dirty = directory.dirty.get(name);
      if (dirty === undefined) continue;
      if (isSuperseded) {
        if (dirty.change === change && child?.content?.overlay === undefined) {
          this.dropName(directory, name);
          continue;
        }
        // changed again since, or about to be: a change of what we had published, not of what others made of it
        dirty.provenChange = change;
        dirty.expected = dirty.carried.findLast((carried) => carried.change === change)?.entry;
        dirty.carried = [];
        continue;
      }
      if (dirty.displaced !== child) this.#leaveGrid(dirty.displaced, directory, name);
      if (child !== undefined) child.provenPlace = { directory, name };
      if (child?.directory !== undefined) child.directory.isMadeHere = false;
      if (child?.content !== undefined) child.content.isNew = false;
      if (dirty.change === change) {
        directory.dirty.delete(name);
        if (child !== undefined) directory.clean.set(name, child);
        continue;
      }
      dirty.expected = entry;
      dirty.displaced = child;
      dirty.carried = [];
      dirty.provenChange = change;
    }
    this.notePending(directory);
  }

  /** Replay: where an inode stood on the grid when the journal first spoke of it. */
  placeClean(inode: Inode, directory: Directory, name: string): void {
    if (inode.place !== undefined || directory.dirty.has(name)) return;
    inode.place = { directory, name };
    inode.provenPlace ??= inode.place;
    directory.clean.set(name, inode);
  }

  /** What this node did to the name is given up: the view has what the grid has, as soon as that is looked at. */
  dropName(directory: Directory, name: string): void {
    const dirty = directory.dirty.get(name);
    if (dirty === undefined) return;
    this.#leaveGrid(dirty.displaced, directory, name);
    directory.dirty.delete(name);
    const { child } = dirty;
    if (child?.place?.directory === directory && child.place.name === name) directory.clean.set(name, child);
    this.notePending(directory);
  }

  /** Ours goes under the name of its copy, as something new there; the name is theirs. */
  applyConflict(conflict: OpenConflict, nowMs: number): void {
    const { directory, name, copyName, id } = conflict;
    this.addConflict(conflict);
    const dirty = directory.dirty.get(name);
    if (dirty === undefined) return;
    this.#leaveGrid(dirty.displaced, directory, name);
    this.#leaveGrid(dirty.child, directory, name);
    directory.dirty.delete(name);
    const copy = newDirtyName(copyName, undefined, undefined, nowMs);
    copy.child = dirty.child;
    copy.change = id;
    copy.lastMs = nowMs;
    directory.dirty.set(copyName, copy);
    directory.clean.delete(copyName);
    if (dirty.child !== undefined) {
      dirty.child.place = { directory, name: copyName };
      dirty.child.displayName = undefined;
      if (conflict.isOfMutable === true) this.#becomeImmutable(dirty.child);
    }
    this.notePending(directory);
  }

  /** What was written over a mutable file goes on as a file of its own. */
  #becomeImmutable(inode: Inode): void {
    inode.other = undefined;
    if (inode.content !== undefined) inode.content.uploaded = undefined;
  }

  /** The name of an inode is somebody else's now. */
  #leaveGrid(inode: Inode | undefined, directory: Directory, name: string): void {
    if (inode !== undefined && isProvenAt(inode, directory, name)) inode.provenPlace = undefined;
  }

  addConflict(conflict: OpenConflict): void {
    this.conflicts.set(conflict.id, conflict);
    conflict.directory.conflicts.add(conflict);
  }

  removeConflict(id: number): void {
    const conflict = this.conflicts.get(id);
    if (conflict === undefined) return;
    this.conflicts.delete(id);
    conflict.directory.conflicts.delete(conflict);
  }

  /** The change is one of another entry from now on, and with that another change. */
  rebase(directory: Directory, name: string, expected: Uint8Array, change: number): void {
    const dirty = directory.dirty.get(name);
    if (dirty === undefined) return;
    dirty.expected = expected;
    dirty.change = change;
  }

  /** Whoever asks for `from` by its number gets `to`, which was adopted in its place. */
  alias(from: Inode, to: Inode): void {
    for (const [number, known] of this.#aliases) if (known === from) this.#aliases.set(number, to);
    this.#aliases.set(from.number, to);
    to.remembered += from.remembered;
    this.inodes.delete(from.number);
  }

  notePending(directory: Directory): void {
    if (directory.isDiscarded) this.pending.delete(directory);
    else if (isPending(directory)) this.pending.add(directory);
    else this.pending.delete(directory);
  }

  /** Removed from the tree, as it was in one of these versions: nothing of it will be published any more. */
  discardDirectory(directory: Directory, versions: readonly VersionKey[]): void {
    directory.isDiscarded = true;
    directory.removedVersions = versions;
    this.fromMemory.delete(directory);
    // whoever finds it linked again gets it as it is on the grid
    if (directory.cap !== undefined && this.#directories.get(serializeCap(directory.cap)) === directory)
      this.#directories.delete(serializeCap(directory.cap));
    for (const { child, displaced } of directory.dirty.values()) {
      if (displaced?.provenPlace?.directory === directory) displaced.provenPlace = undefined;
      // moved elsewhere meanwhile
      if (child?.place?.directory !== directory) continue;
      child.place = undefined;
      if (child.directory !== undefined) this.discardDirectory(child.directory, child.directory.ownVersions);
    }
    directory.dirty.clear();
    directory.attempts.length = 0;
    this.pending.delete(directory);
  }

  /** A directory that was forgotten as an inode is found again. False if its number was given away meanwhile. */
  revive(inode: Inode): boolean {
    const there = this.inodes.get(inode.number) ?? inode;
    if (there !== inode) return false;
    this.inodes.set(inode.number, inode);
    inode.isForgotten = false;
    return true;
  }

  /** Forgets an inode that nothing refers to any more. */
  dropIfUnused(inode: Inode): void {
    const isNeeded =
      inode.place !== undefined || inode.handles > 0 || inode.remembered > 0 || inode.directory?.isRoot === true;
    if (isNeeded || this.dirtyFiles.has(inode)) return;
    if (inode.directory !== undefined && this.pending.has(inode.directory)) return;
    inode.isForgotten = true;
    if (!isDisplaced(inode)) this.inodes.delete(inode.number);
  }
}

/** A name is still to be taken from it on the grid: until then the journal speaks of it by its number. */
export function isDisplaced(inode: Inode): boolean {
  const { provenPlace } = inode;
  return provenPlace?.directory.dirty.get(provenPlace.name)?.displaced === inode;
}

function isPending({ dirty, isBorn, attempts, isRolledBack, isProofDue }: Directory): boolean {
  return dirty.size > 0 || !isBorn || attempts.length > 0 || isRolledBack || isProofDue;
}

export function isProvenAt(inode: Inode, directory: Directory, name: string): boolean {
  return inode.provenPlace?.directory === directory && inode.provenPlace.name === name;
}

function newDirtyName(
  name: string,
  expected: Uint8Array | undefined,
  displaced: Inode | undefined,
  nowMs: number,
): DirtyName {
  return {
    name,
    child: undefined,
    expected,
    displaced,
    change: 0,
    provenChange: 0,
    sinceMs: nowMs,
    lastMs: nowMs,
    carried: [],
  };
}
