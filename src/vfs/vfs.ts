/**
 * The file system that every frontend shares: FUSE, SFTP, the web API and the command line hold handles and inode
 * numbers, never file state. What is true of a file is true through all of them at once.
 *
 * What an answer means (README "The promise"):
 * - a write that returned is in this node's journal and survives `kill -9` of the node;
 * - a flush (close) that returned survives power loss, and the upload goes on by itself;
 * - an fsync that returned success has been seen on the grid: shares on at least `happy` servers, every directory from
 *   the file up to a mount root published on a write quorum and read back.
 *
 * Operations on names and attributes are answered from this node's view (the proven contents of the directory with
 * this node's pending changes over it) and are journaled before they are answered.
 *
 * All methods fail with TahoeError. Besides the kinds named at each: `not-found`, `not-a-directory`, `stale` (the inode
 * is unknown here or its directory is gone), `read-only` (no write capability), `name-too-long` (over 255 bytes of
 * UTF-8), `invalid` (empty name, `.`, `..`, slash or NUL in it, lone surrogate), `no-space` (journal full: refused
 * before it is taken), `unrecoverable`, `unreachable` (a directory could not be read), `closed` (the node is stopping).
 */
import type { Branded } from '../encoding/brands.js';

/** 1 to 2^53 - 1. Stable as long as the entry exists, on every node: stored in the entry, or derived from it. */
export type InodeNumber = Branded<number, 'InodeNumber'>;

export interface Vfs {
  /**
   * The inode of a directory given by capability (text of a DIR2, DIR2-RO, DIR2-MDMF, DIR2-CHK or DIR2-LIT cap). The
   * same directory always has the same inode, however it is reached; but what is reached by a capability to read is
   * another inode and gives nothing more than reading, all the way down, whatever else this node knows. Reads the
   * directory once, so that a wrong capability is noticed here; without the grid what was proven here last is shown. Kinds
   * `bad-cap`, `unknown-cap`, `not-a-directory`, `unrecoverable`, `unreachable`.
   */
  openRoot(cap: string): Promise<Attributes>;

  lookup(parent: InodeNumber, name: string): Promise<Attributes>;
  /** The directory that holds this directory; itself for a root. */
  parentOf(directory: InodeNumber): Promise<Attributes>;
  attributes(inode: InodeNumber): Promise<Attributes>;
  /**
   * Changes the given attributes and returns all of them. A new size truncates or extends with zeros (`is-a-directory`,
   * `invalid` for other kinds of file). Open handles see the change.
   */
  setAttributes(inode: InodeNumber, changes: AttributeChanges): Promise<Attributes>;
  /** All entries as of now, without `.` and `..`, sorted by UTF-8 bytes of the name. Costs no request when warm. */
  readDirectory(directory: InodeNumber): Promise<readonly DirectoryEntry[]>;

  /** Kind `exists` if the name is there and `flags.exclusive`; otherwise opens what is there (`is-a-directory`). */
  create(
    parent: InodeNumber,
    name: string,
    node: NewNode,
    flags: OpenFlags,
  ): Promise<{ readonly attributes: Attributes; readonly handle: FileHandle }>;
  /** Kind `exists`. */
  makeDirectory(parent: InodeNumber, name: string, node: NewNode): Promise<Attributes>;
  /** Kind `exists`. `target` is any non-empty text. */
  makeSymlink(parent: InodeNumber, name: string, target: string, node: NewNode): Promise<Attributes>;
  /** A fifo, socket, device or empty file that is not opened. Kind `exists`. */
  makeNode(parent: InodeNumber, name: string, kind: FileKind, rdev: number, node: NewNode): Promise<Attributes>;
  /** Kind `invalid` if the inode is not a symbolic link. */
  readSymlink(inode: InodeNumber): Promise<string>;

  /** Kind `is-a-directory`. An open file stays readable and writable until its last handle is released. */
  unlink(parent: InodeNumber, name: string): Promise<void>;
  /** Kind `not-empty`. */
  removeDirectory(parent: InodeNumber, name: string): Promise<void>;
  /**
   * Atomic in this node's view, one publish within one directory. Replaces a file by a file and an empty directory by a
   * directory (`exists` with mode `no-replace`, `not-empty`, `is-a-directory`, `not-a-directory`; `invalid` into its own
   * subtree). Mode `exchange` swaps two entries of one directory (`invalid` across directories). For what was written to a
   * file that is open it is a close: after a crash that has the name.
   */
  rename(from: Location, to: Location, mode: RenameMode): Promise<void>;

  /** Kind `is-a-directory`. */
  open(inode: InodeNumber, flags: OpenFlags): Promise<FileHandle>;

  /** Synced: every name accepted in this directory before the call, its contents, and the chain up to a root. */
  fsyncDirectory(directory: InodeNumber, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;

  /**
   * Extended attributes: `user.*` as stored, and `user.tahoe.state` and `user.tahoe.receipt` (read only). Kind `no-attribute` if absent;
   * `exists` / `no-attribute` for modes `create` / `replace`; `unsupported` outside `user.`; `too-large` over 64 KiB.
   */
  getExtendedAttribute(inode: InodeNumber, name: string): Promise<Uint8Array>;
  listExtendedAttributes(inode: InodeNumber): Promise<readonly string[]>;
  setExtendedAttribute(
    inode: InodeNumber,
    name: string,
    value: Uint8Array,
    mode: 'any' | 'create' | 'replace',
  ): Promise<void>;
  removeExtendedAttribute(inode: InodeNumber, name: string): Promise<void>;

  /** From what the servers say; unknown is reported as large, never as full. */
  fileSystemStatistics(): Promise<FileSystemStatistics>;

  /**
   * A frontend that keeps an inode number beyond the answer (the kernel) remembers it once per answer and forgets as
   * many times when it is done. Inodes that are not remembered, open or pending may be dropped and then are `stale`.
   */
  remember(inode: InodeNumber): void;
  forget(inode: InodeNumber, count: number): void;
  /** Calls `listener` after a change that did not come through this listener's own frontend. Returns a function that stops it. */
  watch(listener: (change: Change) => void): () => void;

  // what capability-speaking frontends need (web API, command line)

  /** The strongest capability of this object that is on the grid; undefined while its content was never uploaded. */
  capOf(inode: InodeNumber): Promise<string | undefined>;
  /**
   * Links an existing capability (any kind, unknown ones kept whole) under a name. Kind `exists` as `replace` says.
   * `only-files` replaces anything but a directory.
   */
  linkCap(
    parent: InodeNumber,
    name: string,
    cap: string,
    replace: 'never' | 'only-files' | 'always',
  ): Promise<Attributes>;
  /** Unlinks whatever is there, also a directory that is not empty, and returns its capability if it had one. */
  detach(parent: InodeNumber, name: string): Promise<string | undefined>;
  /** A new empty directory on the grid that no directory names yet; returns its write capability. */
  createUnlinkedDirectory(): Promise<string>;

  // where things are

  state(inode: InodeNumber): Promise<SyncState>;
  /**
   * What this node last saw proven of the inode's name: kept over restarts, and never more than was shown. Also the
   * extended attribute `user.tahoe.receipt` (JSON, not listed). Kind `stale` for an inode without a name.
   */
  receipt(inode: InodeNumber): Promise<Receipt | NoReceipt>;
  status(): VfsStatus;
  metrics(): VfsMetrics;
  /**
   * What this node changed and another writer changed too, oldest first. Kept over restarts until it is resolved: by
   * `resolveConflict`, or by removing or renaming the copy.
   */
  conflicts(): readonly Conflict[];
  /**
   * Settles a conflict and forgets it; what that changes is then pending like any other change. Kinds `not-found` (no
   * such conflict, or settled already), `stale` (its directory is gone), and those of rename and unlink.
   */
  resolveConflict(id: number, choice: ConflictChoice): Promise<void>;
  /**
   * Publishes everything without delay and resolves when nothing is pending. Rejects with the signal's reason when
   * aborted; what is pending stays in the journal.
   */
  drain(options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (status: VfsStatus) => void;
  }): Promise<void>;
}

/** A file open in one frontend. Calls on one handle are applied in the order in which they are made. */
export interface FileHandle {
  readonly inode: InodeNumber;
  /** Changes whenever the content has been changed since; equal numbers mean that cached pages are still right. */
  readonly contentNumber: number;
  /**
   * Up to `length` bytes at `offset`; fewer only at the end of the file. Sees all writes that returned.
   * Kinds `permission` (not opened for reading), `unrecoverable`, `stale` (mutable file overwritten meanwhile), `closed`.
   */
  read(offset: number, length: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
  /**
   * Writes all of `data` at `offset`, or at the end if opened for append. `data` is not kept after it resolves.
   * Kinds `permission`, `no-space`, `too-large`, `closed`.
   */
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Close of one descriptor: bytes and intent are durable in the journal when it resolves. May be called many times. */
  flush(): Promise<void>;
  /** Resolves when content, name and every directory up to a root are proven on the grid. */
  fsync(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** The last call. Flushes what was written after the last flush. */
  release(): Promise<void>;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

export interface Timestamp {
  readonly seconds: number;
  /** 0 to 999,999,999 */
  readonly nanoseconds: number;
}

export interface Attributes {
  readonly inode: InodeNumber;
  readonly kind: FileKind;
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  readonly sizeBytes: number;
  readonly rdev: number;
  readonly accessed: Timestamp;
  readonly modified: Timestamp;
  readonly changed: Timestamp;
}

export interface AttributeChanges {
  readonly mode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly sizeBytes?: number | undefined;
  readonly accessed?: Timestamp | 'now' | undefined;
  readonly modified?: Timestamp | 'now' | undefined;
}

export interface NewNode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface OpenFlags {
  readonly read: boolean;
  readonly write: boolean;
  readonly append?: boolean;
  readonly truncate?: boolean;
  /** With create only. */
  readonly exclusive?: boolean;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: Attributes;
}

export interface Location {
  readonly parent: InodeNumber;
  readonly name: string;
}

export type RenameMode = 'replace' | 'no-replace' | 'exchange';

export interface FileSystemStatistics {
  readonly blockSizeBytes: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly inodes: number;
  readonly inodesFree: number;
  readonly nameLengthMax: number;
}

export type Change =
  | { readonly what: 'content'; readonly inode: InodeNumber }
  | { readonly what: 'attributes'; readonly inode: InodeNumber }
  | { readonly what: 'entry'; readonly parent: InodeNumber; readonly name: string };

/** The weakest link of content, own name and all ancestors, in the order failed, conflict, local, uploading, grid. */
export interface SyncState {
  readonly state: 'local' | 'uploading' | 'grid' | 'conflict' | 'failed';
  /** Why, for `failed` and `conflict`. */
  readonly reason?: string | undefined;
}

/**
 * - `created`: both made the name; `changed`: both changed what stood there; `removed-above`: ours lies in a directory
 *   that they replaced by something else;
 * - `fork`: two versions of the whole directory were found, both with this name; neither need be ours;
 * - `missing`: ours was synced under this name, and is not there any more: a program of other make has overwritten it
 *   without having seen it, or has removed it.
 */
export type ConflictKind = 'created' | 'changed' | 'removed-above' | 'fork' | 'missing';

/**
 * `both`: the copy stays as an ordinary file under its name. `theirs`: the copy is removed. `ours`: the copy replaces
 * what stands under the name, whoever wrote it; a mutable file that both wrote gets its contents instead. Of what is
 * missing: `theirs` leaves it so, `ours` gives it its name again, `both` too if nothing has the name, else another one.
 */
export type ConflictChoice = 'ours' | 'theirs' | 'both';

export interface Conflict {
  /** Stable over restarts, never given twice by one node. */
  readonly id: number;
  readonly kind: ConflictKind;
  /** The name that both changed, from the root of its mount: `/directory/name`. Theirs stands there. */
  readonly path: string;
  /** Where ours stands: `/directory/name.conflict-NODE-UTC`. Undefined while it is in this node's journal only. */
  readonly conflictPath: string | undefined;
  /** When it was found, by the wall clock of this node: for people to read. */
  readonly whenMs: number;
  /** The two contents as they were then; undefined if it is not known. */
  readonly ours: ConflictSide | undefined;
  readonly theirs: ConflictSide | undefined;
  /** The read capability of ours if no directory has it. */
  readonly keptCap?: string | undefined;
}

export interface ConflictSide {
  readonly kind: FileKind;
  readonly sizeBytes: number;
  readonly modified: Timestamp;
}

/** Ascending share numbers of each server. */
export type SharePlacement = readonly { readonly server: string; readonly shareNumbers: readonly number[] }[];

export interface Receipt {
  readonly kind: 'receipt';
  /** Reads what was proven, and no more than that; of what is mutable, whatever version stands. */
  readonly cap: string;
  /** Of a mutable file: the version that was proven. Of a directory see `directories`. */
  readonly version?: { readonly sequenceNumber: number; readonly rootHash: string };
  /** Where its shares are; empty if the capability holds the content itself. */
  readonly shares: SharePlacement;
  /** Wall time at which the servers had taken them. */
  readonly storedMs: number;
  /** The directory that names it (for a directory: itself), the one above, and so on up to a root. */
  readonly directories: readonly DirectoryReceipt[];
  /** False if it was changed since, here or by another writer: what is there now is not what is described. */
  readonly isCurrent: boolean;
}

export interface DirectoryReceipt {
  readonly path: string;
  /**
   * `published`: this node has published that version and read it back from these servers; `read`: another writer has,
   * and this node has read it; `immutable`: it has no versions.
   */
  readonly how: 'published' | 'read' | 'immutable';
  /** Base32, as all hashes here. Undefined for an immutable directory. */
  readonly storageIndex: string | undefined;
  readonly sequenceNumber: number | undefined;
  readonly rootHash: string | undefined;
  readonly shares: SharePlacement;
  /** Wall time of the proof. */
  readonly provenMs: number | undefined;
}

export interface NoReceipt {
  readonly kind: 'none';
  readonly reason: 'local' | 'not-stored-here';
  readonly message: string;
}

/** Counted since the node started. */
export interface VfsMetrics {
  readonly fsyncFailures: number;
  /** Names synced here that programs of other make have removed or overwritten: which cannot be told. */
  readonly namesMissing: number;
  /** How long fsync took, of those that succeeded; bucket counts are cumulative. */
  readonly fsyncSeconds: {
    readonly buckets: readonly { readonly upperBound: number; readonly count: number }[];
    readonly sum: number;
    readonly count: number;
  };
}

export interface VfsStatus {
  readonly filesPending: number;
  readonly bytesPending: number;
  readonly directoriesPending: number;
  /** Directories that are shown as they were proven here last, because the grid could not be asked since the start. */
  readonly directoriesFromMemory: number;
  readonly oldestPendingSeconds: number;
  /** What has waited longest; undefined if nothing waits. */
  readonly oldestPending?: { readonly path: string; readonly state: SyncState } | undefined;
  /** How long nothing has moved: no bytes sent, nothing uploaded or proven. */
  readonly idleSeconds: number;
  readonly publishes: number;
  readonly uploads: number;
  readonly journalBytes: number;
  readonly journalFreeBytes: number;
  /** Conflicts that nobody has resolved yet. */
  readonly conflicts: number;
  /** Conflicts found since the node was started, and UncoordinatedWriteErrors given to callers of operations. */
  readonly conflictsFound: number;
  readonly uncoordinatedWriteErrors: number;
  /** What cannot go on by itself, with the reason. */
  readonly problems: readonly { readonly path: string; readonly state: SyncState }[];
}
