/**
 * An in-memory `Vfs` with the meaning of the contract and no grid, for tests of the frontends. Deterministic: inode
 * numbers count up from 1 and, unless a clock is given, every change is one millisecond after the one before.
 *
 * Each frontend takes a `view()`: the same files, but `watch` on a view reports only what came through other views.
 */
import { type ErrorKind, TahoeError } from '../../src/errors/tahoe-error.js';
import type {
  AttributeChanges,
  Attributes,
  Change,
  Conflict,
  ConflictChoice,
  DirectoryEntry,
  FileHandle,
  FileKind,
  FileSystemStatistics,
  InodeNumber,
  Location,
  NewNode,
  NoReceipt,
  OpenFlags,
  RenameMode,
  SyncState,
  Timestamp,
  Vfs,
  VfsMetrics,
  VfsStatus,
} from '../../src/vfs/vfs.js';
import { attributesOf, MemoryHandle, type MemoryHandleOwner, type MemoryNode, newMemoryNode } from './memory-node.js';

export interface MemoryVfsOptions {
  /** The time of changes; without it a counter. */
  readonly now?: () => Timestamp;
  /**
   * Called before every operation with its name (`lookup`, `read`, `fsync` ...): throw to make it fail, return a
   * promise to make it wait.
   */
  readonly onOperation?: (operation: string, signal: AbortSignal | undefined) => Promise<void> | undefined;
}

interface Shared {
  readonly options: MemoryVfsOptions;
  readonly nodes: Map<number, MemoryNode>;
  readonly roots: Map<string, MemoryNode>;
  readonly watchers: Set<{ readonly view: MemoryVfs; readonly listener: (change: Change) => void }>;
  nextInode: number;
  ticks: number;
}

const stateAttribute = 'user.tahoe.state';
const attributeSizeMax = 65536;

export class MemoryVfs implements Vfs, MemoryHandleOwner {
  readonly #shared: Shared;

  constructor(options: MemoryVfsOptions = {}, shared?: Shared) {
    this.#shared = shared ?? {
      options,
      nodes: new Map(),
      roots: new Map(),
      watchers: new Set(),
      nextInode: 1,
      ticks: 0,
    };
  }

  /** The same file system as another frontend sees it. */
  view(): MemoryVfs {
    return new MemoryVfs({}, this.#shared);
  }

  /** How many lookups of live inodes were remembered and not yet forgotten, without roots: 0 after a clean unmount. */
  rememberedCount(): number {
    let count = 0;
    for (const node of this.#shared.nodes.values()) count += node.remembered;
    return count;
  }

  /** Open handles of all views. */
  openHandleCount(): number {
    let count = 0;
    for (const node of this.#shared.nodes.values()) count += node.openHandles;
    return count;
  }

  async openRoot(cap: string): Promise<Attributes> {
    await this.enter('openRoot');
    let root = this.#shared.roots.get(cap);
    if (root === undefined) {
      root = this.#newNode('directory', { mode: 0o755, uid: 0, gid: 0 });
      this.#shared.roots.set(cap, root);
    }
    return attributesOf(root);
  }

  async lookup(parent: InodeNumber, name: string): Promise<Attributes> {
    await this.enter('lookup');
    return attributesOf(this.#child(parent, name, 'vfs.lookup'));
  }

  async parentOf(directory: InodeNumber): Promise<Attributes> {
    const node = this.#directory(directory, 'vfs.parentOf');
    return attributesOf(node.parent ?? node);
  }

  async attributes(inode: InodeNumber): Promise<Attributes> {
    await this.enter('attributes');
    return attributesOf(this.#node(inode, 'vfs.attributes'));
  }

  async setAttributes(inode: InodeNumber, changes: AttributeChanges): Promise<Attributes> {
    await this.enter('setAttributes');
    const op = 'vfs.setAttributes';
    const node = this.#node(inode, op);
    const now = this.#now();
    if (changes.sizeBytes !== undefined) {
      if (node.kind === 'directory') throw failure('is-a-directory', op);
      if (node.kind !== 'file') throw failure('invalid', op, 'only files have a size');
      node.content.truncate(changes.sizeBytes);
      this.contentChanged(node);
    }
    node.mode = (changes.mode ?? node.mode) & 0o7777;
    node.uid = changes.uid ?? node.uid;
    node.gid = changes.gid ?? node.gid;
    node.accessed = changes.accessed === 'now' ? now : (changes.accessed ?? node.accessed);
    node.modified = changes.modified === 'now' ? now : (changes.modified ?? node.modified);
    node.changed = now;
    this.#notify({ what: 'attributes', inode });
    return attributesOf(node);
  }

  async readDirectory(directory: InodeNumber): Promise<readonly DirectoryEntry[]> {
    await this.enter('readDirectory');
    const node = this.#directory(directory, 'vfs.readDirectory');
    return [...node.children]
      .sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
      .map(([name, child]) => ({ name, attributes: attributesOf(child) }));
  }

  async create(
    parent: InodeNumber,
    name: string,
    node: NewNode,
    flags: OpenFlags,
  ): Promise<{ readonly attributes: Attributes; readonly handle: FileHandle }> {
    await this.enter('create');
    const op = 'vfs.create';
    const directory = this.#directory(parent, op);
    checkName(name, op);
    const existing = directory.children.get(name);
    if (existing !== undefined && flags.exclusive) throw failure('exists', op, name);
    const file = existing ?? this.#add(directory, name, this.#newNode('file', node));
    return { handle: this.#openNode(file, flags, op), attributes: attributesOf(file) };
  }

  async makeDirectory(parent: InodeNumber, name: string, node: NewNode): Promise<Attributes> {
    await this.enter('makeDirectory');
    return this.#make('vfs.makeDirectory', parent, name, () => this.#newNode('directory', node));
  }

  async makeSymlink(parent: InodeNumber, name: string, target: string, node: NewNode): Promise<Attributes> {
    await this.enter('makeSymlink');
    if (target === '') throw failure('invalid', 'vfs.makeSymlink', 'empty target');
    return this.#make('vfs.makeSymlink', parent, name, () => this.#newNode('symlink', node, { target }));
  }

  async makeNode(parent: InodeNumber, name: string, kind: FileKind, rdev: number, node: NewNode): Promise<Attributes> {
    await this.enter('makeNode');
    if (kind === 'directory' || kind === 'symlink') throw failure('invalid', 'vfs.makeNode', kind);
    return this.#make('vfs.makeNode', parent, name, () => this.#newNode(kind, node, { rdev }));
  }

  async readSymlink(inode: InodeNumber): Promise<string> {
    await this.enter('readSymlink');
    const node = this.#node(inode, 'vfs.readSymlink');
    if (node.kind !== 'symlink') throw failure('invalid', 'vfs.readSymlink', 'not a symbolic link');
    return node.target;
  }

  async unlink(parent: InodeNumber, name: string): Promise<void> {
    await this.enter('unlink');
    const child = this.#child(parent, name, 'vfs.unlink');
    if (child.kind === 'directory') throw failure('is-a-directory', 'vfs.unlink', name);
    this.#remove(this.#directory(parent, 'vfs.unlink'), name);
  }

  async removeDirectory(parent: InodeNumber, name: string): Promise<void> {
    await this.enter('removeDirectory');
    const child = this.#child(parent, name, 'vfs.removeDirectory');
    if (child.kind !== 'directory') throw failure('not-a-directory', 'vfs.removeDirectory', name);
    if (child.children.size > 0) throw failure('not-empty', 'vfs.removeDirectory', name);
    this.#remove(this.#directory(parent, 'vfs.removeDirectory'), name);
  }

  async rename(from: Location, to: Location, mode: RenameMode): Promise<void> {
    await this.enter('rename');
    const op = 'vfs.rename';
    const source = this.#directory(from.parent, op);
    const moved = this.#child(from.parent, from.name, op);
    const destination = this.#directory(to.parent, op);
    checkName(to.name, op);
    const replaced = destination.children.get(to.name);
    if (isWithin(destination, moved)) throw failure('invalid', op, 'into its own subtree');
    if (mode === 'exchange') {
      if (replaced === undefined) throw failure('not-found', op, to.name);
      if (source !== destination) throw failure('invalid', op, 'exchange across directories');
      source.children.set(from.name, replaced).set(to.name, moved);
    } else {
      if (replaced === moved) return;
      if (replaced !== undefined) checkReplaceable(moved, replaced, mode, op);
      if (replaced !== undefined) this.#remove(destination, to.name);
      source.children.delete(from.name);
      destination.children.set(to.name, moved);
      moved.parent = destination;
      if (moved.kind === 'directory') {
        source.subdirectories--;
        destination.subdirectories++;
      }
    }
    moved.changed = this.#now();
    this.#entryChanged(source, from.name);
    this.#entryChanged(destination, to.name);
  }

  async open(inode: InodeNumber, flags: OpenFlags): Promise<FileHandle> {
    await this.enter('open');
    return this.#openNode(this.#node(inode, 'vfs.open'), flags, 'vfs.open');
  }

  async fsyncDirectory(directory: InodeNumber, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    const node = this.#directory(directory, 'vfs.fsyncDirectory');
    await this.enter('fsyncDirectory', options?.signal);
    node.synced = true;
    for (const child of node.children.values()) child.synced = true;
  }

  async getExtendedAttribute(inode: InodeNumber, name: string): Promise<Uint8Array> {
    await this.enter('getExtendedAttribute');
    const op = 'vfs.getExtendedAttribute';
    const node = this.#node(inode, op);
    checkAttributeName(name, op);
    if (name === stateAttribute) return new TextEncoder().encode((await this.state(inode)).state);
    const value = node.extendedAttributes.get(name);
    if (value === undefined) throw failure('no-attribute', op, name);
    return value.slice();
  }

  async listExtendedAttributes(inode: InodeNumber): Promise<readonly string[]> {
    await this.enter('listExtendedAttributes');
    return [...this.#node(inode, 'vfs.listExtendedAttributes').extendedAttributes.keys()];
  }

  async setExtendedAttribute(
    inode: InodeNumber,
    name: string,
    value: Uint8Array,
    mode: 'any' | 'create' | 'replace',
  ): Promise<void> {
    await this.enter('setExtendedAttribute');
    const op = 'vfs.setExtendedAttribute';
    const node = this.#node(inode, op);
    checkAttributeName(name, op);
    if (name === stateAttribute) throw failure('permission', op, name);
    if (value.length > attributeSizeMax) throw failure('too-large', op, name);
    const exists = node.extendedAttributes.has(name);
    if (mode === 'create' && exists) throw failure('exists', op, name);
    if (mode === 'replace' && !exists) throw failure('no-attribute', op, name);
    node.extendedAttributes.set(name, value.slice());
    node.changed = this.#now();
    this.#notify({ what: 'attributes', inode });
  }

  async removeExtendedAttribute(inode: InodeNumber, name: string): Promise<void> {
    await this.enter('removeExtendedAttribute');
    const op = 'vfs.removeExtendedAttribute';
    const node = this.#node(inode, op);
    checkAttributeName(name, op);
    if (name === stateAttribute) throw failure('permission', op, name);
    if (!node.extendedAttributes.delete(name)) throw failure('no-attribute', op, name);
    node.changed = this.#now();
    this.#notify({ what: 'attributes', inode });
  }

  async fileSystemStatistics(): Promise<FileSystemStatistics> {
    await this.enter('fileSystemStatistics');
    const inodes = 2 ** 40;
    return {
      blockSizeBytes: 4096,
      blocks: 2 ** 36,
      blocksFree: 2 ** 35,
      inodes,
      inodesFree: inodes - this.#shared.nodes.size,
      nameLengthMax: 255,
    };
  }

  remember(inode: InodeNumber): void {
    this.#node(inode, 'vfs.remember').remembered++;
  }

  forget(inode: InodeNumber, count: number): void {
    const node = this.#shared.nodes.get(inode);
    if (node === undefined) return;
    if (count > node.remembered) throw failure('internal', 'vfs.forget', `forgets ${count} of ${node.remembered}`);
    node.remembered -= count;
    this.#dropIfUnused(node);
  }

  watch(listener: (change: Change) => void): () => void {
    const watcher = { view: this, listener };
    this.#shared.watchers.add(watcher);
    return () => this.#shared.watchers.delete(watcher);
  }

  async capOf(inode: InodeNumber): Promise<string | undefined> {
    const node = this.#node(inode, 'vfs.capOf');
    for (const [cap, root] of this.#shared.roots) if (root === node) return cap;
    if (node.kind !== 'directory') return node.synced ? `memory:${inode}` : undefined;
    this.#shared.roots.set(`memory:${inode}`, node);
    return `memory:${inode}`;
  }

  /** Knows only capabilities that `capOf`, `detach` and `createUnlinkedDirectory` gave; a file is copied. */
  async linkCap(
    parent: InodeNumber,
    name: string,
    cap: string,
    replace: 'never' | 'only-files' | 'always',
  ): Promise<Attributes> {
    await this.enter('linkCap');
    const op = 'vfs.linkCap';
    const directory = this.#directory(parent, op);
    checkName(name, op);
    const source = this.#shared.roots.get(cap) ?? this.#shared.nodes.get(Number(/^memory:(\d+)$/.exec(cap)?.[1]));
    if (source === undefined) throw failure('bad-cap', op);
    const old = directory.children.get(name);
    if (old !== undefined) {
      if (replace === 'never' || (replace === 'only-files' && old.kind === 'directory')) throw failure('exists', op);
      this.#remove(directory, name);
    }
    const node = source.kind === 'directory' ? source : this.#newNode('file', source);
    if (node !== source) node.content.write(0, source.content.read(0, source.content.sizeBytes));
    node.linked = true;
    return attributesOf(this.#add(directory, name, node));
  }

  async detach(parent: InodeNumber, name: string): Promise<string | undefined> {
    await this.enter('detach');
    const child = this.#child(parent, name, 'vfs.detach');
    const cap = await this.capOf(child.inode);
    this.#remove(this.#directory(parent, 'vfs.detach'), name);
    return cap;
  }

  async createUnlinkedDirectory(): Promise<string> {
    const node = this.#newNode('directory', { mode: 0o755, uid: 0, gid: 0 });
    this.#shared.roots.set(`memory:${node.inode}`, node);
    return `memory:${node.inode}`;
  }

  async state(inode: InodeNumber): Promise<SyncState> {
    return { state: this.#node(inode, 'vfs.state').synced ? 'grid' : 'local' };
  }

  async receipt(): Promise<NoReceipt> {
    return { kind: 'none', reason: 'local', message: 'nothing leaves the memory' };
  }

  metrics(): VfsMetrics {
    return { fsyncFailures: 0, namesMissing: 0, fsyncSeconds: { buckets: [], sum: 0, count: 0 } };
  }

  status(): VfsStatus {
    const pending = [...this.#shared.nodes.values()].filter((node) => !node.synced);
    const files = pending.filter((node) => node.kind === 'file');
    return {
      filesPending: files.length,
      bytesPending: files.reduce((sum, node) => sum + node.content.sizeBytes, 0),
      directoriesPending: pending.filter((node) => node.kind === 'directory').length,
      directoriesFromMemory: 0,
      oldestPendingSeconds: 0,
      idleSeconds: 0,
      publishes: 0,
      uploads: 0,
      journalBytes: 0,
      journalFreeBytes: 2 ** 40,
      conflicts: 0,
      conflictsFound: 0,
      uncoordinatedWriteErrors: 0,
      problems: [],
    };
  }

  conflicts(): readonly Conflict[] {
    return [];
  }

  async resolveConflict(id: number, _choice: ConflictChoice): Promise<void> {
    throw failure('not-found', 'vfs.resolveConflict', String(id));
  }

  async drain(options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (status: VfsStatus) => void;
  }): Promise<void> {
    await this.enter('drain', options.signal);
    for (const node of this.#shared.nodes.values()) node.synced = true;
    options.onProgress?.(this.status());
  }

  enter(operation: string, signal?: AbortSignal): Promise<void> | undefined {
    return this.#shared.options.onOperation?.(operation, signal);
  }

  contentChanged(node: MemoryNode): void {
    node.contentNumber++;
    node.synced = false;
    node.modified = this.#now();
    node.changed = node.modified;
    this.#notify({ what: 'content', inode: node.inode });
  }

  closed(node: MemoryNode): void {
    this.#dropIfUnused(node);
  }

  #newNode(kind: FileKind, node: NewNode, extra?: { readonly rdev?: number; readonly target?: string }): MemoryNode {
    const made = newMemoryNode(this.#shared.nextInode++, kind, node, this.#now(), extra);
    this.#shared.nodes.set(made.inode, made);
    return made;
  }

  #make(op: string, parent: InodeNumber, name: string, build: () => MemoryNode): Attributes {
    const directory = this.#directory(parent, op);
    checkName(name, op);
    if (directory.children.has(name)) throw failure('exists', op, name);
    return attributesOf(this.#add(directory, name, build()));
  }

  #add(directory: MemoryNode, name: string, node: MemoryNode): MemoryNode {
    directory.children.set(name, node);
    if (node.kind === 'directory') directory.subdirectories++;
    node.parent = directory;
    this.#entryChanged(directory, name);
    return node;
  }

  #remove(directory: MemoryNode, name: string): void {
    const node = directory.children.get(name);
    if (node === undefined) throw failure('not-found', 'vfs.remove', name);
    directory.children.delete(name);
    if (node.kind === 'directory') directory.subdirectories--;
    node.linked = false;
    node.changed = this.#now();
    this.#entryChanged(directory, name);
    this.#dropIfUnused(node);
  }

  #openNode(node: MemoryNode, flags: OpenFlags, op: string): FileHandle {
    if (node.kind === 'directory') throw failure('is-a-directory', op);
    if (node.kind !== 'file') throw failure('invalid', op, `cannot open a ${node.kind}`);
    if (flags.truncate && node.content.sizeBytes > 0) {
      node.content.truncate(0);
      this.contentChanged(node);
    }
    return new MemoryHandle(node, flags, this);
  }

  #entryChanged(directory: MemoryNode, name: string): void {
    directory.modified = this.#now();
    directory.changed = directory.modified;
    directory.synced = false;
    this.#notify({ what: 'entry', parent: directory.inode, name });
  }

  #notify(change: Change): void {
    for (const watcher of this.#shared.watchers) if (watcher.view !== this) watcher.listener(change);
  }

  #dropIfUnused(node: MemoryNode): void {
    if (node.linked || node.openHandles > 0 || node.remembered > 0) return;
    if ([...this.#shared.roots.values()].includes(node)) return;
    this.#shared.nodes.delete(node.inode);
  }

  #node(inode: InodeNumber, op: string): MemoryNode {
    const node = this.#shared.nodes.get(inode);
    if (node === undefined) throw failure('stale', op, String(inode));
    return node;
  }

  #directory(inode: InodeNumber, op: string): MemoryNode {
    const node = this.#node(inode, op);
    if (node.kind !== 'directory') throw failure('not-a-directory', op);
    if (!node.linked) throw failure('stale', op, 'the directory was removed');
    return node;
  }

  #child(parent: InodeNumber, name: string, op: string): MemoryNode {
    const directory = this.#directory(parent, op);
    checkName(name, op);
    const child = directory.children.get(name);
    if (child === undefined) throw failure('not-found', op, name);
    return child;
  }

  #now(): Timestamp {
    if (this.#shared.options.now !== undefined) return this.#shared.options.now();
    const tick = this.#shared.ticks++;
    return { seconds: 1_700_000_000 + Math.floor(tick / 1000), nanoseconds: (tick % 1000) * 1_000_000 };
  }
}

function checkName(name: string, op: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name) || /\p{Surrogate}/u.test(name)) {
    throw failure('invalid', op, 'not a name');
  }
  if (Buffer.byteLength(name) > 255) throw failure('name-too-long', op);
}

function checkAttributeName(name: string, op: string): void {
  if (!name.startsWith('user.') || name.length === 5) throw failure('unsupported', op, name);
}

function checkReplaceable(moved: MemoryNode, replaced: MemoryNode, mode: RenameMode, op: string): void {
  if (mode === 'no-replace') throw failure('exists', op);
  if (replaced.kind === 'directory' && moved.kind !== 'directory') throw failure('is-a-directory', op);
  if (replaced.kind !== 'directory' && moved.kind === 'directory') throw failure('not-a-directory', op);
  if (replaced.children.size > 0) throw failure('not-empty', op);
}

function isWithin(directory: MemoryNode, ancestor: MemoryNode): boolean {
  for (let at: MemoryNode | undefined = directory; at !== undefined; at = at.parent) if (at === ancestor) return true;
  return false;
}

function failure(kind: ErrorKind, op: string, subject?: string): TahoeError {
  return new TahoeError(subject === undefined ? kind : `${kind}: ${subject}`, { kind, op, subject });
}
