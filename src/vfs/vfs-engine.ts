/** The Vfs of a node: passes each operation to the part that does it. The contract is in vfs.ts. */
import { serializeCap } from '../caps/cap.js';
import { childSlotsOf } from '../caps/child-caps.js';
import { compareNames } from '../dirnode/packing.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { attributesOf, BLOCK_BYTES } from './attributes.js';
import { ConflictBook } from './conflict-book.js';
import type { VfsCore } from './core.js';
import { DeltaMerge } from './delta-merge.js';
import { DirectoryAdoption } from './directory-adoption.js';
import { DirectoryMerge } from './directory-merge.js';
import { DirectoryPublisher } from './directory-publisher.js';
import { EligibleNames } from './eligible-names.js';
import { ExtendedAttributes } from './extended-attributes.js';
import { OpenFile } from './file-handle.js';
import { readyToChange } from './file-writer.js';
import type { Directory, Inode } from './inode.js';
import type { KeySource } from './key-pool.js';
import { openMutableContent, openMutableFile } from './mutable-content.js';
import { NameOperations } from './name-operations.js';
import { Namespace } from './namespace.js';
import { ReceiptReader } from './receipt-reader.js';
import { SyncOperations } from './sync-operations.js';
import { timestampFromMs } from './timestamps.js';
import type * as vfs from './vfs.js';
import { VfsView } from './vfs-view.js';
import { WantedFiles } from './wanted-files.js';
import { WriteBack } from './write-back.js';

/** The Vfs of a node. `view` gives each frontend its own, so that it hears of what the others change. */
export interface NodeVfs extends vfs.Vfs {
  view(): vfs.Vfs;
  /** Keeps in the journal what is not on the grid yet. */
  close(): Promise<void>;
}

export class VfsEngine implements NodeVfs {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #names: NameOperations;
  readonly #writeBack: WriteBack;
  readonly #sync: SyncOperations;
  readonly #conflicts: ConflictBook;
  readonly #receipts: ReceiptReader;
  readonly #extended: ExtendedAttributes;
  readonly #watchers: Set<(change: vfs.Change) => void>;

  constructor(core: VfsCore, keys: KeySource, watchers: Set<(change: vfs.Change) => void>) {
    this.#core = core;
    this.#watchers = watchers;
    this.#namespace = new Namespace(core);
    const wanted = new WantedFiles();
    const publisher = newPublisher(core, this.#namespace, keys, wanted);
    this.#writeBack = new WriteBack(core, publisher, wanted);
    this.#namespace.changed = () => this.#writeBack.noteNames();
    this.#names = new NameOperations(core, this.#namespace, {
      unlinked: (inode) => this.#sync.dropIfOrphan(inode),
      // whoever renames a file that is still open says that what it holds belongs to the name: after a crash there must
      // not be nothing where the file was that it replaced (and sshfs may close after the rename)
      moving: (inode) => this.#sync.snapshotIfDirty(inode),
      changed: () => {
        core.activity.note();
        this.#writeBack.noteNames();
      },
    });
    this.#conflicts = new ConflictBook(core, this.#namespace, this.#names, (inode, flags) =>
      this.#openInode(inode, flags),
    );
    this.#sync = new SyncOperations(core, this.#namespace, this.#names, this.#writeBack, this.#conflicts);
    const stateOf = (inode: Inode) => this.#sync.stateOf(inode);
    this.#receipts = new ReceiptReader(core, this.#namespace, stateOf);
    this.#extended = new ExtendedAttributes(stateOf, this.#receipts);
  }

  /** After replay: what was pending goes on. */
  async resume(): Promise<void> {
    await this.#sync.resume();
  }

  view(): vfs.Vfs {
    const own = new Set<(change: vfs.Change) => void>();
    const announce = (change: vfs.Change) => {
      for (const watcher of this.#watchers) if (!own.has(watcher)) watcher(change);
    };
    return new VfsView(this, announce, (listener) => {
      own.add(listener);
      const stop = this.watch(listener);
      return () => {
        own.delete(listener);
        stop();
      };
    });
  }

  async close(): Promise<void> {
    await this.#writeBack.stop();
    await this.#core.ledger.log.close();
  }

  async openRoot(cap: string): Promise<vfs.Attributes> {
    const directory = await this.#namespace.openRoot(cap);
    return attributesOf(directory.inode);
  }

  async lookup(parent: vfs.InodeNumber, name: string): Promise<vfs.Attributes> {
    this.#core.activity.note();
    return this.#freshAttributes(await this.#names.lookup(parent, name));
  }

  async parentOf(directory: vfs.InodeNumber): Promise<vfs.Attributes> {
    const { inode } = this.#core.tree.directory(directory);
    return attributesOf(inode.place?.directory.inode ?? inode);
  }

  async attributes(inode: vfs.InodeNumber): Promise<vfs.Attributes> {
    return this.#freshAttributes(this.#core.tree.inode(inode));
  }

  async setAttributes(number: vfs.InodeNumber, changes: vfs.AttributeChanges): Promise<vfs.Attributes> {
    const inode = this.#core.tree.inode(number);
    this.#checkWriteable(inode);
    const { sizeBytes } = changes;
    if (sizeBytes !== undefined) {
      this.#checkHasSize(inode, sizeBytes);
      await this.#withContent(inode, { write: true, bytes: sizeBytes > 0 }, () => this.#resize(inode, sizeBytes));
    }
    const now = timestampFromMs(this.#core.platform.clock.wallMs());
    const time = (value: vfs.Timestamp | 'now') => (value === 'now' ? now : value);
    if (changes.mode !== undefined) inode.mode = changes.mode & 0o7777;
    if (changes.uid !== undefined) inode.uid = changes.uid;
    if (changes.gid !== undefined) inode.gid = changes.gid;
    if (changes.accessed !== undefined) inode.accessed = time(changes.accessed);
    if (changes.modified !== undefined) {
      inode.modified = time(changes.modified);
      if (inode.content !== undefined) inode.content.written = undefined;
    }
    inode.changed = now;
    this.#names.attributesChanged(inode);
    return attributesOf(inode);
  }

  async readDirectory(number: vfs.InodeNumber): Promise<readonly vfs.DirectoryEntry[]> {
    const directory = this.#core.tree.directory(number);
    await this.#namespace.load(directory);
    return this.#namespace
      .children(directory)
      .map(([name, inode]) => ({ name, attributes: attributesOf(inode) }))
      .sort((a, b) => compareNames(a.name, b.name));
  }

  async create(parent: vfs.InodeNumber, name: string, node: vfs.NewNode, flags: vfs.OpenFlags) {
    const directory = await this.#names.writeable(parent);
    const standing = this.#namespace.child(directory, name);
    if (standing !== undefined && flags.exclusive)
      throw new TahoeError('the name exists', { kind: 'exists', op: 'vfs.create' });
    const inode = standing ?? this.#names.makeIn(directory, name, 'file', node);
    if (standing === undefined) inode.content!.isNew = true;
    const handle = await this.#openInode(inode, flags);
    return { attributes: attributesOf(inode), handle };
  }

  async makeDirectory(parent: vfs.InodeNumber, name: string, node: vfs.NewNode): Promise<vfs.Attributes> {
    return attributesOf(await this.#names.make(parent, name, 'directory', node));
  }

  async makeSymlink(parent: vfs.InodeNumber, name: string, target: string, node: vfs.NewNode): Promise<vfs.Attributes> {
    return attributesOf(await this.#names.make(parent, name, 'symlink', node, { target }));
  }

  async makeNode(parent: vfs.InodeNumber, name: string, kind: vfs.FileKind, rdev: number, node: vfs.NewNode) {
    if (kind === 'directory' || kind === 'symlink')
      throw new TahoeError('not made like this', { kind: 'invalid', op: 'vfs.make-node' });
    return attributesOf(await this.#names.make(parent, name, kind, node, { rdev }));
  }

  async readSymlink(number: vfs.InodeNumber): Promise<string> {
    const inode = this.#core.tree.inode(number);
    if (inode.kind !== 'symlink')
      throw new TahoeError('not a symbolic link', { kind: 'invalid', op: 'vfs.read-symlink' });
    return inode.symlinkTarget;
  }

  unlink(parent: vfs.InodeNumber, name: string): Promise<void> {
    return this.#names.unlink(parent, name);
  }

  removeDirectory(parent: vfs.InodeNumber, name: string): Promise<void> {
    return this.#names.removeDirectory(parent, name);
  }

  rename(from: vfs.Location, to: vfs.Location, mode: vfs.RenameMode): Promise<void> {
    return this.#names.rename(from, to, mode);
  }

  async open(number: vfs.InodeNumber, flags: vfs.OpenFlags): Promise<vfs.FileHandle> {
    return this.#openInode(this.#core.tree.inode(number), flags);
  }

  fsyncDirectory(
    directory: vfs.InodeNumber,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    return this.#sync.fsyncDirectory(this.#core.tree.directory(directory), options.signal);
  }

  async getExtendedAttribute(number: vfs.InodeNumber, name: string): Promise<Uint8Array> {
    return this.#extended.get(this.#core.tree.inode(number), name);
  }

  async listExtendedAttributes(number: vfs.InodeNumber): Promise<readonly string[]> {
    return this.#extended.list(this.#core.tree.inode(number));
  }

  async setExtendedAttribute(
    number: vfs.InodeNumber,
    name: string,
    value: Uint8Array,
    mode: 'any' | 'create' | 'replace',
  ) {
    const inode = this.#core.tree.inode(number);
    this.#checkWriteable(inode);
    this.#extended.set(inode, name, value, mode);
    this.#touchAttributes(inode);
  }

  async removeExtendedAttribute(number: vfs.InodeNumber, name: string): Promise<void> {
    const inode = this.#core.tree.inode(number);
    this.#checkWriteable(inode);
    this.#extended.remove(inode, name);
    this.#touchAttributes(inode);
  }

  async fileSystemStatistics(): Promise<vfs.FileSystemStatistics> {
    return this.#sync.statistics(BLOCK_BYTES);
  }

  remember(number: vfs.InodeNumber): void {
    const inode = this.#core.tree.inodes.get(number);
    if (inode !== undefined) inode.remembered++;
  }

  forget(number: vfs.InodeNumber, count: number): void {
    const inode = this.#core.tree.inodes.get(number);
    if (inode === undefined) return;
    inode.remembered = Math.max(0, inode.remembered - count);
    if (!this.#sync.dropIfOrphan(inode)) this.#core.tree.dropIfUnused(inode);
  }

  watch(listener: (change: vfs.Change) => void): () => void {
    this.#watchers.add(listener);
    return () => {
      this.#watchers.delete(listener);
    };
  }

  async capOf(number: vfs.InodeNumber): Promise<string | undefined> {
    const { content, directory, other } = this.#core.tree.inode(number);
    if (directory !== undefined)
      return directory.cap === undefined || !directory.isBorn ? undefined : serializeCap(directory.cap);
    if (other === undefined) {
      if (content === undefined || content.overlay !== undefined || content.base.type === 'mutable') return undefined;
      return serializeCap(content.base);
    }
    // with the prefix that says what it may be used for; in an entry the slot says it
    if (other.type === 'unknown') return other.writeCap ?? other.readCap;
    const { writeCap, readCap } = childSlotsOf(other, { deepImmutable: false });
    return writeCap || readCap || undefined;
  }

  async linkCap(parent: vfs.InodeNumber, name: string, cap: string, replace: 'never' | 'only-files' | 'always') {
    return attributesOf(await this.#names.link(parent, name, cap, replace));
  }

  async detach(parent: vfs.InodeNumber, name: string): Promise<string | undefined> {
    const inode = await this.#names.lookup(parent, name);
    const cap = await this.capOf(inode.number);
    await this.#names.detach(parent, name);
    return cap;
  }

  createUnlinkedDirectory(): Promise<string> {
    return this.#sync.createUnlinkedDirectory();
  }

  async state(inode: vfs.InodeNumber): Promise<vfs.SyncState> {
    return this.#sync.stateOf(this.#core.tree.inode(inode));
  }

  receipt(inode: vfs.InodeNumber): Promise<vfs.Receipt | vfs.NoReceipt> {
    return this.#receipts.read(this.#core.tree.inode(inode));
  }

  metrics(): vfs.VfsMetrics {
    return this.#core.counters.metrics();
  }

  status(): vfs.VfsStatus {
    return this.#sync.status();
  }

  conflicts(): readonly vfs.Conflict[] {
    return this.#conflicts.list();
  }

  async resolveConflict(id: number, choice: vfs.ConflictChoice): Promise<void> {
    await this.#conflicts.resolve(id, choice);
    this.#writeBack.noteNames();
  }

  drain(options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (status: vfs.VfsStatus) => void;
  }): Promise<void> {
    return this.#sync.drain(options);
  }

  async #openInode(inode: Inode, flags: vfs.OpenFlags): Promise<vfs.FileHandle> {
    if (inode.directory !== undefined)
      throw new TahoeError('it is a directory', { kind: 'is-a-directory', op: 'vfs.open' });
    if (flags.write) this.#checkWriteable(inode);
    this.#conflicts.report(inode);
    const isEmptied = flags.truncate === true && flags.write;
    return this.#withContent(inode, { write: flags.write, bytes: !isEmptied }, async () => {
      const handle = new OpenFile(this.#core, this.#sync, inode, flags);
      if (isEmptied) await this.#resize(inode, 0);
      return handle;
    });
  }

  /** The content of a mutable file is there while `body` runs; that of any other always is. */
  async #withContent<Result>(
    inode: Inode,
    use: { readonly write: boolean; readonly bytes: boolean },
    body: () => Promise<Result>,
  ): Promise<Result> {
    inode.handles++;
    try {
      if (inode.other !== undefined || inode.content === undefined) await openMutableContent(this.#core, inode, use);
      return await body();
    } finally {
      inode.handles--;
      if (!this.#sync.dropIfOrphan(inode)) this.#core.tree.closeIfUnused(inode);
    }
  }

  #checkHasSize(inode: Inode, sizeBytes: number): void {
    if (inode.directory !== undefined)
      throw new TahoeError('it is a directory', { kind: 'is-a-directory', op: 'vfs.truncate' });
    if (inode.kind !== 'file' || !Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
      throw new TahoeError('its size cannot be changed', { kind: 'invalid', op: 'vfs.truncate' });
    }
  }

  async #resize(inode: Inode, sizeBytes: number): Promise<void> {
    const content = inode.content!;
    await readyToChange(this.#core, inode, sizeBytes);
    if (sizeBytes !== content.sizeBytes || content.hasUnsnapshotted) this.#core.ledger.truncate(inode, sizeBytes);
    else if (!content.isNew) {
      inode.modified = timestampFromMs(this.#core.platform.clock.wallMs());
      this.#touchAttributes(inode);
    }
    if (content.writers === 0) await this.#sync.flush(inode);
  }

  #touchAttributes(inode: Inode): void {
    inode.changed = timestampFromMs(this.#core.platform.clock.wallMs());
    this.#names.attributesChanged(inode);
  }

  /** Authority to change an inode is that over the directory which names it. */
  #checkWriteable(inode: Inode): void {
    const parent: Directory | undefined = inode.place?.directory;
    const isAllowed = parent?.isWriteable ?? inode.directory?.isWriteable ?? true;
    if (!isAllowed)
      throw new TahoeError('read-only: the capability does not allow writing', { kind: 'read-only', op: 'vfs.write' });
  }

  async #freshAttributes(inode: Inode): Promise<vfs.Attributes> {
    const file = inode.content === undefined ? await openMutableFile(this.#core, inode) : undefined;
    if (file !== undefined) inode.otherSizeBytes = file.sizeBytes;
    return attributesOf(inode);
  }
}

function newPublisher(core: VfsCore, namespace: Namespace, keys: KeySource, wanted: WantedFiles): DirectoryPublisher {
  const adoption = new DirectoryAdoption(core, namespace);
  namespace.linkGone = (parent, name, inode, entry) => adoption.linkGone(parent, name, inode, entry);
  const eligible = new EligibleNames(core, wanted);
  const deltas = new DeltaMerge(core, namespace, eligible, adoption);
  return new DirectoryPublisher(core, {
    namespace,
    eligible,
    deltas,
    keys,
    merge: new DirectoryMerge(core, namespace),
  });
}
