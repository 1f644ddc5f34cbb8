/**
 * The Vfs as one frontend has it. Changes that come in through one view are told to the watchers of the others, which
 * may hold caches (the kernel does), and not to its own, which knows.
 */
import type * as vfs from './vfs.js';

export type Announce = (change: vfs.Change) => void;

/** Calls on a handle that change the file are announced too. */
class AnnouncingHandle implements vfs.FileHandle {
  readonly #handle: vfs.FileHandle;
  readonly #announce: Announce;

  constructor(handle: vfs.FileHandle, announce: Announce) {
    this.#handle = handle;
    this.#announce = announce;
  }

  get inode(): vfs.InodeNumber {
    return this.#handle.inode;
  }

  get contentNumber(): number {
    return this.#handle.contentNumber;
  }

  read(offset: number, length: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array> {
    return this.#handle.read(offset, length, options);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#handle.write(offset, data);
    this.#announce({ what: 'content', inode: this.inode });
  }

  flush(): Promise<void> {
    return this.#handle.flush();
  }

  fsync(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#handle.fsync(options);
  }

  release(): Promise<void> {
    return this.#handle.release();
  }
}

export class VfsView implements vfs.Vfs {
  readonly #vfs: vfs.Vfs;
  readonly #announce: Announce;
  readonly #watch: (listener: Announce) => () => void;

  /** `announce` tells the other views; `watch` registers a listener for changes that do not come from this view. */
  constructor(engine: vfs.Vfs, announce: Announce, watch: (listener: Announce) => () => void) {
    this.#vfs = engine;
    this.#announce = announce;
    this.#watch = watch;
  }

  watch(listener: Announce): () => void {
    return this.#watch(listener);
  }

  async setAttributes(inode: vfs.InodeNumber, changes: vfs.AttributeChanges): Promise<vfs.Attributes> {
    const attributes = await this.#vfs.setAttributes(inode, changes);
    this.#announce({ what: changes.sizeBytes === undefined ? 'attributes' : 'content', inode });
    return attributes;
  }

  async create(parent: vfs.InodeNumber, name: string, node: vfs.NewNode, flags: vfs.OpenFlags) {
    const { attributes, handle } = await this.#vfs.create(parent, name, node, flags);
    this.#announce({ what: 'entry', parent, name });
    return { attributes, handle: new AnnouncingHandle(handle, this.#announce) };
  }

  async open(inode: vfs.InodeNumber, flags: vfs.OpenFlags): Promise<vfs.FileHandle> {
    const handle = await this.#vfs.open(inode, flags);
    if (flags.truncate) this.#announce({ what: 'content', inode });
    return flags.write ? new AnnouncingHandle(handle, this.#announce) : handle;
  }

  async makeDirectory(parent: vfs.InodeNumber, name: string, node: vfs.NewNode): Promise<vfs.Attributes> {
    return this.#entry(parent, name, await this.#vfs.makeDirectory(parent, name, node));
  }

  async makeSymlink(parent: vfs.InodeNumber, name: string, target: string, node: vfs.NewNode): Promise<vfs.Attributes> {
    return this.#entry(parent, name, await this.#vfs.makeSymlink(parent, name, target, node));
  }

  async makeNode(parent: vfs.InodeNumber, name: string, kind: vfs.FileKind, rdev: number, node: vfs.NewNode) {
    return this.#entry(parent, name, await this.#vfs.makeNode(parent, name, kind, rdev, node));
  }

  async unlink(parent: vfs.InodeNumber, name: string): Promise<void> {
    this.#entry(parent, name, await this.#vfs.unlink(parent, name));
  }

  async removeDirectory(parent: vfs.InodeNumber, name: string): Promise<void> {
    this.#entry(parent, name, await this.#vfs.removeDirectory(parent, name));
  }

  async rename(from: vfs.Location, to: vfs.Location, mode: vfs.RenameMode): Promise<void> {
    await this.#vfs.rename(from, to, mode);
    this.#announce({ what: 'entry', parent: from.parent, name: from.name });
    this.#announce({ what: 'entry', parent: to.parent, name: to.name });
  }

  async setExtendedAttribute(
    inode: vfs.InodeNumber,
    name: string,
    value: Uint8Array,
    mode: 'any' | 'create' | 'replace',
  ) {
    await this.#vfs.setExtendedAttribute(inode, name, value, mode);
    this.#announce({ what: 'attributes', inode });
  }

  async removeExtendedAttribute(inode: vfs.InodeNumber, name: string): Promise<void> {
    await this.#vfs.removeExtendedAttribute(inode, name);
    this.#announce({ what: 'attributes', inode });
  }

  async linkCap(parent: vfs.InodeNumber, name: string, cap: string, replace: 'never' | 'only-files' | 'always') {
    return this.#entry(parent, name, await this.#vfs.linkCap(parent, name, cap, replace));
  }

  async detach(parent: vfs.InodeNumber, name: string): Promise<string | undefined> {
    return this.#entry(parent, name, await this.#vfs.detach(parent, name));
  }

  openRoot(cap: string): Promise<vfs.Attributes> {
    return this.#vfs.openRoot(cap);
  }

  lookup(parent: vfs.InodeNumber, name: string): Promise<vfs.Attributes> {
    return this.#vfs.lookup(parent, name);
  }

  parentOf(directory: vfs.InodeNumber): Promise<vfs.Attributes> {
    return this.#vfs.parentOf(directory);
  }

  attributes(inode: vfs.InodeNumber): Promise<vfs.Attributes> {
    return this.#vfs.attributes(inode);
  }

  readDirectory(directory: vfs.InodeNumber): Promise<readonly vfs.DirectoryEntry[]> {
    return this.#vfs.readDirectory(directory);
  }

  readSymlink(inode: vfs.InodeNumber): Promise<string> {
    return this.#vfs.readSymlink(inode);
  }

  fsyncDirectory(directory: vfs.InodeNumber, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    return this.#vfs.fsyncDirectory(directory, options);
  }

  getExtendedAttribute(inode: vfs.InodeNumber, name: string): Promise<Uint8Array> {
    return this.#vfs.getExtendedAttribute(inode, name);
  }

  listExtendedAttributes(inode: vfs.InodeNumber): Promise<readonly string[]> {
    return this.#vfs.listExtendedAttributes(inode);
  }

  fileSystemStatistics(): Promise<vfs.FileSystemStatistics> {
    return this.#vfs.fileSystemStatistics();
  }

  remember(inode: vfs.InodeNumber): void {
    this.#vfs.remember(inode);
  }

  forget(inode: vfs.InodeNumber, count: number): void {
    this.#vfs.forget(inode, count);
  }

  capOf(inode: vfs.InodeNumber): Promise<string | undefined> {
    return this.#vfs.capOf(inode);
  }

  createUnlinkedDirectory(): Promise<string> {
    return this.#vfs.createUnlinkedDirectory();
  }

  state(inode: vfs.InodeNumber): Promise<vfs.SyncState> {
    return this.#vfs.state(inode);
  }

  receipt(inode: vfs.InodeNumber): Promise<vfs.Receipt | vfs.NoReceipt> {
    return this.#vfs.receipt(inode);
  }

  metrics(): vfs.VfsMetrics {
    return this.#vfs.metrics();
  }

  status(): vfs.VfsStatus {
    return this.#vfs.status();
  }

  conflicts(): readonly vfs.Conflict[] {
    return this.#vfs.conflicts();
  }

  resolveConflict(id: number, choice: vfs.ConflictChoice): Promise<void> {
    return this.#vfs.resolveConflict(id, choice);
  }

  drain(options: Parameters<vfs.Vfs['drain']>[0]): Promise<void> {
    return this.#vfs.drain(options);
  }

  #entry<Result>(parent: vfs.InodeNumber, name: string, result: Result): Result {
    this.#announce({ what: 'entry', parent, name });
    return result;
  }
}
