/**
 * Operations on names: each loads the directories that it needs, then decides, journals and changes the view in one
 * synchronous step, so that no other operation comes between.
 */
import { type Cap, type DirectoryCap, isDirectory, parseCap } from '../caps/cap.js';
import { childOfCap } from '../caps/child-caps.js';
import { encodeUtf8 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Directory, Inode } from './inode.js';
import { entryKey } from './names.js';
import type { Namespace } from './namespace.js';
import { timestampFromMs } from './timestamps.js';
import { isProvenAt, type NameChange } from './tree.js';
import type { FileKind, Location, NewNode, RenameMode } from './vfs.js';

/** Bytes of a symbolic link's target, as Linux has it. */
const TARGET_BYTES_MAX = 4095;
const emptyFile = { type: 'lit', data: new Uint8Array(0) } as const;

export class NameOperations {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  /** Called after an inode lost its name. */
  readonly #unlinked: (inode: Inode) => void;
  readonly #changed: () => void;
  /** Called before an inode gets another name. */
  readonly #moving: (inode: Inode) => void;

  constructor(
    core: VfsCore,
    namespace: Namespace,
    events: { unlinked(inode: Inode): void; changed(): void; moving(inode: Inode): void },
  ) {
    this.#core = core;
    this.#namespace = namespace;
    this.#unlinked = events.unlinked;
    this.#changed = events.changed;
    this.#moving = events.moving;
  }

  /** The directory, loaded and writeable. */
  async writeable(number: number): Promise<Directory> {
    let directory = this.#core.tree.directory(number);
    await this.#namespace.load(directory);
    // one that another writer made under the same name may have taken its place meanwhile
    while (this.#core.tree.directory(number) !== directory) {
      directory = this.#core.tree.directory(number);
      await this.#namespace.load(directory);
    }
    if (directory.isDiscarded) throw failure('not-found', 'the directory was removed');
    if (!directory.isWriteable)
      throw failure('read-only', 'the directory is read-only: its capability does not allow writing');
    return directory;
  }

  async lookup(parent: number, name: string): Promise<Inode> {
    const directory = this.#core.tree.directory(parent);
    entryKey(name);
    await this.#namespace.load(directory);
    const inode = this.#namespace.child(directory, name);
    if (inode === undefined) throw failure('not-found', 'no such file or directory');
    return inode;
  }

  /** A new file, symlink or special file; kind `exists`. */
  async make(
    parent: number,
    name: string,
    kind: FileKind,
    node: NewNode,
    extra: { target?: string; rdev?: number } = {},
  ): Promise<Inode> {
    const directory = await this.writeable(parent);
    return this.makeIn(directory, name, kind, node, extra);
  }

  /** The same in a directory that was just loaded: synchronous. */
  makeIn(
    directory: Directory,
    name: string,
    kind: FileKind,
    node: NewNode,
    extra: { target?: string; rdev?: number } = {},
  ): Inode {
    const { target = '', rdev = 0 } = extra;
    if (kind === 'symlink' && (target === '' || encodeUtf8(target).length > TARGET_BYTES_MAX)) {
      throw failure('invalid', 'not a possible target of a symbolic link');
    }
    const key = this.#freeName(directory, name);
    const inode = this.#core.tree.addInode(this.#namespace.inodes.newNumber(), kind);
    inode.mode = node.mode & 0o7777;
    inode.uid = node.uid;
    inode.gid = node.gid;
    inode.rdev = rdev;
    inode.symlinkTarget = target;
    inode.displayName = key === name ? undefined : name;
    inode.modified = inode.accessed = inode.changed = this.#now();
    if (kind === 'file') this.#core.tree.addContent(inode, emptyFile);
    if (kind === 'directory') this.#core.tree.addDirectory(inode, undefined, this.#core.platform.clock.monotonicMs());
    this.#commit([this.#change(directory, key, inode)]);
    return inode;
  }

  async unlink(parent: number, name: string): Promise<void> {
    const directory = await this.writeable(parent);
    const inode = this.#present(directory, name);
    if (inode.kind === 'directory') throw failure('is-a-directory', 'it is a directory');
    this.#commit([this.#change(directory, entryKey(name), undefined)]);
    this.#unlinked(inode);
  }

  async removeDirectory(parent: number, name: string): Promise<void> {
    const directory = await this.writeable(parent);
    const inode = this.#present(directory, name);
    if (inode.directory === undefined) throw failure('not-a-directory', 'it is not a directory');
    await this.#loadFresh(inode.directory);
    if (this.#present(directory, name) !== inode) throw failure('not-found', 'it was replaced meanwhile');
    if (!this.#namespace.isEmpty(inode.directory)) throw failure('not-empty', 'the directory is not empty');
    this.#commit([this.#change(directory, entryKey(name), undefined)], inode.directory);
    this.#unlinked(inode);
  }

  /** Unlinks anything; returns the inode. */
  async detach(parent: number, name: string): Promise<Inode> {
    const directory = await this.writeable(parent);
    const inode = this.#present(directory, name);
    this.#commit([this.#change(directory, entryKey(name), undefined)], inode.directory);
    this.#unlinkedBelow(inode);
    return inode;
  }

  async rename(from: Location, to: Location, mode: RenameMode): Promise<void> {
    entryKey(from.name);
    entryKey(to.name);
    const source = await this.writeable(from.parent);
    const target = await this.writeable(to.parent);
    const replaced = this.#namespace.child(target, to.name);
    if (replaced?.directory !== undefined && mode === 'replace') await this.#loadFresh(replaced.directory);
    // from here on nothing waits
    const moved = this.#present(source, from.name);
    const standing = this.#namespace.child(target, to.name);
    if (moved === standing) return;
    this.#checkRename(moved, standing, source, target, mode);
    const fromKey = entryKey(from.name);
    const toKey = entryKey(to.name);
    this.#moving(moved);
    moved.displayName = toKey === to.name ? undefined : to.name;
    moved.changed = this.#now();
    this.#core.ledger.describe(moved);
    const back = mode === 'exchange' ? standing : undefined;
    if (back !== undefined) {
      this.#moving(back);
      back.displayName = fromKey === from.name ? undefined : from.name;
      this.#core.ledger.describe(back);
    }
    const gone = mode === 'exchange' ? undefined : standing;
    this.#commit([this.#change(source, fromKey, back), this.#change(target, toKey, moved)], gone?.directory);
    if (gone !== undefined) this.#unlinked(gone);
  }

  /** Links an existing capability; see Vfs.linkCap. */
  async link(parent: number, name: string, text: string, replace: 'never' | 'only-files' | 'always'): Promise<Inode> {
    const cap = parseCap(text);
    const directory = await this.writeable(parent);
    const standing = this.#namespace.child(directory, name);
    if (
      standing !== undefined &&
      (replace === 'never' || (replace === 'only-files' && standing.kind === 'directory'))
    ) {
      throw failure('exists', 'there was already a child by that name');
    }
    const inode = this.#inodeForCap(cap);
    this.#checkNoLoop(inode.directory, directory);
    const gone = standing === inode ? undefined : standing;
    this.#commit([this.#change(directory, entryKey(name), inode)], gone?.directory);
    if (gone !== undefined) this.#unlinkedBelow(gone);
    return inode;
  }

  /** It lost its name, with everything that is in it. */
  #unlinkedBelow(gone: Inode): void {
    if (gone.directory !== undefined) {
      for (const inode of [...this.#core.tree.dirtyFiles]) if (inode.place === undefined) this.#unlinked(inode);
    }
    this.#unlinked(gone);
  }

  /** The attributes of an inode were changed: its name has to be published again. */
  attributesChanged(inode: Inode): void {
    this.#core.ledger.describe(inode);
    this.renewEntry(inode);
  }

  /** Marks the name of an inode as something to publish, if it has one. */
  renewEntry(inode: Inode): void {
    const { place } = inode;
    if (place === undefined || !place.directory.isWriteable) return;
    this.#journal([this.#change(place.directory, place.name, inode)]);
  }

  #inodeForCap(cap: Cap): Inode {
    const { tree, settings } = this.#core;
    const known = isDirectory(cap) ? tree.findDirectory(cap)?.inode : undefined;
    if (known !== undefined) return known;
    const child = childOfCap(cap);
    if (child.type === 'broken') throw failure('bad-cap', `cannot be put into a directory: ${child.problem}`);
    const isDir = child.type === 'known' && isDirectory(child.cap);
    const inode = tree.addInode(this.#namespace.inodes.newNumber(), isDir ? 'directory' : 'file');
    inode.mode = isDir ? 0o755 : 0o644;
    inode.uid = settings.defaultUid;
    inode.gid = settings.defaultGid;
    inode.modified = inode.accessed = inode.changed = this.#now();
    if (isDir) tree.addDirectory(inode, cap as DirectoryCap, this.#core.platform.clock.monotonicMs());
    else if (cap.type === 'chk' || cap.type === 'lit') tree.addContent(inode, cap);
    else inode.other = child;
    return inode;
  }

  #checkRename(
    moved: Inode,
    standing: Inode | undefined,
    source: Directory,
    target: Directory,
    mode: RenameMode,
  ): void {
    if (mode === 'no-replace' && standing !== undefined) throw failure('exists', 'the new name exists');
    if (mode === 'exchange') {
      if (standing === undefined) throw failure('not-found', 'no such file or directory');
      if (source !== target) throw failure('invalid', 'entries of different directories cannot be exchanged');
      return;
    }
    this.#checkNoLoop(moved.directory, target);
    if (standing === undefined) return;
    if (moved.directory === undefined && standing.directory !== undefined)
      throw failure('is-a-directory', 'the new name is a directory');
    if (moved.directory !== undefined && standing.directory === undefined)
      throw failure('not-a-directory', 'the new name is not a directory');
    if (standing.directory !== undefined && !this.#namespace.isEmpty(standing.directory)) {
      throw failure('not-empty', 'the new name is a directory that is not empty');
    }
  }

  /** A directory inside itself would be an endless path. */
  #checkNoLoop(placed: Directory | undefined, target: Directory): void {
    if (this.#namespace.inodes.leadsBack(target, placed?.inode))
      throw failure('invalid', 'a directory cannot be put into itself');
  }

  /** Empty here is not enough for removing a directory: the grid must say so too. */
  async #loadFresh(directory: Directory): Promise<void> {
    if (directory.isBorn && directory.dirty.size === 0 && directory.attempts.length === 0)
      directory.checkedAtMs = Number.NEGATIVE_INFINITY;
    await this.#namespace.load(directory);
  }

  #present(directory: Directory, name: string): Inode {
    const inode = this.#namespace.child(directory, name);
    if (inode === undefined) throw failure('not-found', 'no such file or directory');
    return inode;
  }

  #freeName(directory: Directory, name: string): string {
    if (this.#namespace.child(directory, name) !== undefined) throw failure('exists', 'the name exists');
    return entryKey(name);
  }

  #change(directory: Directory, name: string, child: Inode | undefined): NameChange {
    const dirty = directory.dirty.get(name);
    if (dirty !== undefined) return { directory, name, child, expected: dirty.expected, displaced: dirty.displaced };
    const standing = this.#namespace.child(directory, name);
    const displaced = standing !== undefined && isProvenAt(standing, directory, name) ? standing : undefined;
    return { directory, name, child, expected: directory.base?.entries.get(name)?.raw, displaced };
  }

  /** Names came or went: journals and applies that, and moves the times of the directories. */
  #commit(changes: readonly NameChange[], removed?: Directory): void {
    this.#journal(changes, removed);
    for (const { directory, name } of changes) {
      // removed or renamed by the user: that is a decision
      for (const conflict of [...directory.conflicts])
        if (conflict.copyName === name) this.#core.ledger.conflictResolved(conflict);
    }
    const now = this.#now();
    for (const { directory } of changes) {
      directory.inode.modified = now;
      directory.inode.changed = now;
    }
  }

  #journal(changes: readonly NameChange[], removed?: Directory): void {
    // what a name displaces must be known to the journal while it lives on under another name
    for (const { displaced } of changes) {
      if (displaced?.place !== undefined && !displaced.journaled) this.#core.ledger.describe(displaced);
    }
    this.#core.ledger.names(changes, removed);
    this.#changed();
  }

  #now() {
    return timestampFromMs(this.#core.platform.clock.wallMs());
  }
}

function failure(kind: ConstructorParameters<typeof TahoeError>[1]['kind'], message: string): TahoeError {
  return new TahoeError(message, { kind, op: 'vfs.names' });
}
