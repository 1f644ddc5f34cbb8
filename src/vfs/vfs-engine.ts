/** The Vfs of a node: opens the journal, replays it, and puts the parts together. The contract is in vfs.ts. */
import { serializeCap } from '../caps/cap.js';
import { childSlotsOf } from '../caps/child-caps.js';
import { compareNames } from '../dirnode/packing.js';
import { encodeUtf8 } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Grid } from '../grid/grid.js';
import type { SlotContext } from '../mutable/slot-context.js';
import { quorumsOf } from '../mutable/slot-map.js';
import type { Platform } from '../platform/platform.js';
import { Activity } from './activity.js';
import { ConflictBook } from './conflict-book.js';
import { nodeNameOf } from './conflict-name.js';
import { ContentReader } from './content-reader.js';
import { defaultSettings, type VfsCore, type VfsSettings } from './core.js';
import { Counters } from './counters.js';
import { checkKeyIsThere, finishReplacement, replaceDamagedJournal } from './damaged-journal.js';
import { DeltaMerge } from './delta-merge.js';
import { DirectoryAdoption } from './directory-adoption.js';
import { DirectoryMerge } from './directory-merge.js';
import { DirectoryPublisher } from './directory-publisher.js';
import { Effects } from './effects.js';
import { EligibleNames } from './eligible-names.js';
import { OpenFile } from './file-handle.js';
import { readyToChange } from './file-writer.js';
import type { Directory, Inode } from './inode.js';
import { loadOrCreateJournalKey } from './journal/key.js';
import type { Log, LogPosition } from './journal/log.js';
import { type LogOptions, type OpenedLog, openLog } from './journal/log-engine.js';
import { SealedStore } from './journal/sealed-store.js';
import type { KeySource } from './key-pool.js';
import { Ledger } from './ledger.js';
import { openMutableContent, openMutableFile } from './mutable-content.js';
import { NameOperations } from './name-operations.js';
import { Namespace } from './namespace.js';
import { ReceiptReader } from './receipt-reader.js';
import { Receipts } from './receipts.js';
import { Replay } from './replay.js';
import { SyncOperations } from './sync-operations.js';
import { timestampFromMs } from './timestamps.js';
import { Tree } from './tree.js';
import type * as vfs from './vfs.js';
import { VfsView } from './vfs-view.js';
import { WantedFiles } from './wanted-files.js';
import { WriteBack } from './write-back.js';

export interface VfsOptions {
  readonly platform: Platform;
  readonly grid: Grid;
  readonly slots: SlotContext;
  readonly keys: KeySource;
  readonly encoding: { readonly sharesNeeded: number; readonly sharesHappy: number; readonly sharesTotal: number };
  /** Absolute; the journal and the remembered directories go below it. */
  readonly directory: string;
  /** The node's nickname, for names of conflict copies. */
  readonly nodeName?: string;
  /** File of the journal's key. */
  readonly keyPath: string;
  readonly journalBytesMax: number;
  /** Part of it that only draining may use. Default 256 MiB. */
  readonly journalReserveBytes?: number;
  /** See LogOptions. */
  readonly journalSegmentBytes?: number;
  readonly settings?: Partial<VfsSettings>;
  /** Opens the journal, for those who keep it their own way. Default: encrypted segments below `directory`. */
  readonly openJournal?: (options: LogOptions) => Promise<OpenedLog>;
}

/** The Vfs of a node. `view` gives each frontend its own, so that it hears of what the others change. */
export interface NodeVfs extends vfs.Vfs {
  view(): vfs.Vfs;
  /** Keeps in the journal what is not on the grid yet. */
  close(): Promise<void>;
}

const JOURNAL_RESERVE_BYTES = 256 * 1024 * 1024;
const EXTENDED_VALUE_BYTES_MAX = 16 * 1024;
const EXTENDED_TOTAL_BYTES_MAX = 32 * 1024;
const STATE_ATTRIBUTE = 'user.tahoe.state';
const RECEIPT_ATTRIBUTE = 'user.tahoe.receipt';
const BLOCK_BYTES = 4096;

/**
 * Opens the journal below `directory` and resumes what was pending. The caller holds the lock of the node's directory.
 * A journal that is damaged where it was promised is set aside: see damaged-journal. Kinds: `permission` (the journal's key
 * is missing or another one), `no-space`.
 */
export async function createVfs(options: VfsOptions): Promise<NodeVfs> {
  const { platform, grid, slots, encoding, directory } = options;
  const settings: VfsSettings = { ...defaultSettings, ...options.settings };
  await checkKeyIsThere(platform.files, directory, options.keyPath);
  const masterKey = await loadOrCreateJournalKey(platform.files, options.keyPath, platform.entropy);
  const sealed = { files: platform.files, masterKey, entropy: platform.entropy, log: platform.log };
  await finishReplacement(platform.files, directory);
  const { opened, effects } = await openJournal(options, {
    ...sealed,
    directory: `${directory}/journal`,
    limitBytes: options.journalBytesMax,
    reserveBytes: options.journalReserveBytes ?? JOURNAL_RESERVE_BYTES,
    ...(options.journalSegmentBytes === undefined ? {} : { segmentBytes: options.journalSegmentBytes }),
  });
  const { tree } = effects;
  const ledger = new Ledger(effects, platform.clock);
  const watchers = new Set<(change: vfs.Change) => void>();
  const remembered = new SealedStore({ ...sealed, directory: `${directory}/remembered` });
  const core: VfsCore = {
    platform,
    settings,
    tree,
    ledger,
    activity: new Activity(platform.clock),
    grid,
    slots,
    quorums: quorumsOf(encoding),
    sharesHappy: encoding.sharesHappy,
    nodeName: nodeNameOf(options.nodeName ?? ''),
    contents: new ContentReader(opened.log, grid, slots, quorumsOf(encoding)),
    remembered,
    receipts: new Receipts(remembered, platform.log),
    notify: (change) => {
      for (const watcher of watchers) watcher(change);
    },
    counters: new Counters(),
  };
  const engine = new VfsEngine(core, options.keys, watchers);
  await engine.resume();
  return engine;
}

interface ReplayedJournal {
  readonly opened: OpenedLog;
  readonly effects: Effects;
}

/** The journal, replayed; a damaged one is replaced by what can be read of it first. */
async function openJournal(options: VfsOptions, logOptions: LogOptions): Promise<ReplayedJournal> {
  try {
    return await replayJournal(options, logOptions);
  } catch (error) {
    // whoever keeps the journal elsewhere knows better what to do about it
    if (!isTahoeError(error, 'corrupt') || options.openJournal !== undefined) throw error;
    await replaceDamagedJournal(logOptions, options.directory, options.platform, error.message);
    return replayJournal(options, logOptions);
  }
}

async function replayJournal({ openJournal: open = openLog, platform }: VfsOptions, logOptions: LogOptions) {
  const opened = await open(logOptions);
  try {
    const effects = new Effects(opened.log, new Tree(), platform.clock);
    const replay = new Replay(effects);
    let verifiedFrom = Number.POSITIVE_INFINITY;
    for await (const record of opened.replay) {
      verifiedFrom = Math.min(verifiedFrom, record.position);
      replay.apply(record);
    }
    replay.finish();
    await verifyOlderBytes(opened.log, effects.tree, verifiedFrom);
    await opened.log.finishReplay();
    return { opened, effects };
  } catch (error) {
    await opened.log.close();
    throw error;
  }
}

/** What was read by replay is verified; the checkpoint may refer to bytes in older segments. Kind `corrupt`. */
async function verifyOlderBytes(log: Log, tree: Tree, verifiedFrom: LogPosition): Promise<void> {
  const older = new Set<LogPosition>();
  for (const { content } of tree.dirtyFiles) {
    for (const view of [content?.overlay, content?.snapshot, content?.kept]) {
      for (const { position } of view?.extents() ?? []) if (position < verifiedFrom) older.add(position);
    }
  }
  for (const position of [...older].sort((a, b) => a - b)) await log.read(position);
}

class VfsEngine implements NodeVfs {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #names: NameOperations;
  readonly #writeBack: WriteBack;
  readonly #sync: SyncOperations;
  readonly #conflicts: ConflictBook;
  readonly #receipts: ReceiptReader;
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
      changed: () => {
        core.activity.note();
        this.#writeBack.noteNames();
      },
    });
    this.#conflicts = new ConflictBook(core, this.#namespace, this.#names, (inode, flags) =>
      this.#openInode(inode, flags),
    );
    this.#sync = new SyncOperations(core, this.#namespace, this.#names, this.#writeBack, this.#conflicts);
    this.#receipts = new ReceiptReader(core, this.#namespace, (inode) => this.#sync.stateOf(inode));
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
    if (changes.modified !== undefined) inode.modified = time(changes.modified);
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
    const inode = this.#core.tree.inode(number);
    checkExtendedName(name);
    if (name === STATE_ATTRIBUTE) {
      const { state, reason } = this.#sync.stateOf(inode);
      return encodeUtf8(reason === undefined ? state : `${state} (${reason})`);
    }
    if (name === RECEIPT_ATTRIBUTE) return encodeUtf8(JSON.stringify(await this.#receipts.read(inode)));
    const value = inode.extended.get(name);
    if (value === undefined) throw noAttribute();
    return value;
  }

  async listExtendedAttributes(number: vfs.InodeNumber): Promise<readonly string[]> {
    return [STATE_ATTRIBUTE, ...this.#core.tree.inode(number).extended.keys()];
  }

  async setExtendedAttribute(
    number: vfs.InodeNumber,
    name: string,
    value: Uint8Array,
    mode: 'any' | 'create' | 'replace',
  ) {
    const inode = this.#core.tree.inode(number);
    checkExtendedName(name);
    this.#checkWriteable(inode);
    if (name === STATE_ATTRIBUTE || name === RECEIPT_ATTRIBUTE)
      throw new TahoeError('it is read only', { kind: 'permission', op: 'vfs.set-xattr' });
    const isThere = inode.extended.has(name);
    if (mode === 'create' && isThere)
      throw new TahoeError('the attribute exists', { kind: 'exists', op: 'vfs.set-xattr' });
    if (mode === 'replace' && !isThere) throw noAttribute();
    let totalBytes = value.length;
    for (const [other, bytes] of inode.extended) if (other !== name) totalBytes += bytes.length;
    if (value.length > EXTENDED_VALUE_BYTES_MAX || totalBytes > EXTENDED_TOTAL_BYTES_MAX) {
      throw new TahoeError('the extended attributes would be too large', { kind: 'too-large', op: 'vfs.set-xattr' });
    }
    inode.extended.set(name, value.slice());
    this.#touchAttributes(inode);
  }

  async removeExtendedAttribute(number: vfs.InodeNumber, name: string): Promise<void> {
    const inode = this.#core.tree.inode(number);
    checkExtendedName(name);
    this.#checkWriteable(inode);
    if (!inode.extended.delete(name)) throw noAttribute();
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
    if (sizeBytes !== content.sizeBytes) this.#core.ledger.truncate(inode, sizeBytes);
    inode.modified = timestampFromMs(this.#core.platform.clock.wallMs());
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

function attributesOf(inode: Inode): vfs.Attributes {
  return {
    inode: inode.number,
    kind: inode.kind,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    // 1 for directories too, as file systems do that do not count: 2 would promise that there are no subdirectories
    links: inode.place === undefined && inode.directory?.isRoot !== true ? 0 : 1,
    sizeBytes: sizeOf(inode),
    rdev: inode.rdev,
    accessed: inode.accessed,
    modified: inode.modified,
    changed: inode.changed,
  };
}

function sizeOf(inode: Inode): number {
  if (inode.content !== undefined) return inode.content.sizeBytes;
  if (inode.directory !== undefined) return BLOCK_BYTES;
  if (inode.kind === 'symlink') return encodeUtf8(inode.symlinkTarget).length;
  return inode.otherSizeBytes;
}

function checkExtendedName(name: string): void {
  if (name.startsWith('user.') && name.length > 5 && encodeUtf8(name).length <= 255) return;
  throw new TahoeError('only attributes in the user namespace are kept', { kind: 'unsupported', op: 'vfs.xattr' });
}

function noAttribute(): TahoeError {
  return new TahoeError('no such attribute', { kind: 'no-attribute', op: 'vfs.xattr' });
}
