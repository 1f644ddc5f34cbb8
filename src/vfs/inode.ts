/**
 * The objects of the tree: inodes, contents of files, directories. Data only; tree.ts changes them.
 *
 * An inode is what an entry refers to. It knows where this node's view has it (`place`) and where the grid was last
 * proven to have it (`provenPlace`); while the two differ the name in `provenPlace` must not go away on the grid before
 * the name in `place` is proven, so that a file moved between directories is never in neither.
 */
import type { ChkReadCap, DirectoryCap, LitCap, MutableReadCap, MutableWriteCap } from '../caps/cap.js';
import type { ChildCap } from '../caps/child-caps.js';
import type { Metadata } from '../dirnode/metadata.js';
import type { PackedEntry } from '../dirnode/packing.js';
import type { OwnAttempt, Standing } from '../mutable/assess-slot.js';
import { type VersionKey, versionKey } from '../mutable/lineage.js';
import type { Attempt } from '../mutable/publish.js';
import type { RegisterHistory } from '../mutable/register-history.js';
import type { SigningKeys, SlotKeys } from '../mutable/slot-keys.js';
import type { Timer } from '../platform/clock.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { KeyPair } from './key-pool.js';
import type { Overlay, OverlaySnapshot } from './overlay.js';
import type { StoredContent } from './receipts.js';
import { epoch } from './timestamps.js';
import type { ConflictKind, ConflictSide, FileKind, InodeNumber, Timestamp } from './vfs.js';

export interface Place {
  readonly directory: Directory;
  /** Normal form C. */
  readonly name: string;
}

export class Inode {
  readonly number: InodeNumber;
  readonly kind: FileKind;
  mode = 0;
  uid = 0;
  gid = 0;
  rdev = 0;
  accessed: Timestamp = epoch;
  /** Of the content that the name has or will get: see FileContent.written. */
  modified: Timestamp = epoch;
  changed: Timestamp = epoch;
  symlinkTarget = '';
  extended = new Map<string, Uint8Array>();
  /** The name as the user wrote it, if that is not normal form C. */
  displayName: string | undefined;
  /** Metadata of the entry as stored, for the keys that are not ours. */
  metadata: Metadata | undefined;

  place: Place | undefined;
  provenPlace: Place | undefined;

  /** Of a regular file; of a mutable one only while it is open or has something that is not on the grid. */
  content: FileContent | undefined;
  directory: Directory | undefined;
  /** Anything else that an entry may hold: a mutable file, which keeps its capability, or an unknown one. */
  other: ChildCap | undefined;
  /** Size of a mutable file as last seen; it is not in the capability. */
  otherSizeBytes = 0;

  /** How often the kernel holds this number. */
  remembered = 0;
  /** Nobody may ask for it any more: it is there for what is still to be published. */
  isForgotten = false;
  handles = 0;
  /** True once the journal describes this inode, so that replay knows it. */
  journaled = false;

  constructor(number: InodeNumber, kind: FileKind) {
    this.number = number;
    this.kind = kind;
  }
}

/** One version of a mutable file. */
export interface MutableVersion {
  readonly type: 'mutable';
  readonly cap: MutableWriteCap | MutableReadCap;
  readonly version: VersionKey;
  readonly sizeBytes: number;
  /** Attempts of this node on top of it that are not proven. Where the base shows through they have the same bytes. */
  readonly attempts: readonly SlotAttempt[];
}

export interface SlotAttempt extends OwnAttempt {
  readonly generation: number;
}

export type ContentBase = ChkReadCap | LitCap | MutableVersion;

export class FileContent {
  /** The content that the overlay lies over; what the grid has when there is no overlay. */
  base: ContentBase;
  /** Bytes of a mutable base in memory: all of them, as far as it shows through. */
  whole: Uint8Array | undefined;
  /** Bytes of a mutable base in the journal: servers keep no version that was replaced. */
  kept: Overlay | undefined;
  /** Bytes written here that are not proven on the grid. */
  overlay: Overlay | undefined;
  /** Number of the newest snapshot; 0 if there was none since the overlay began. */
  generation = 0;
  snapshot: OverlaySnapshot | undefined;
  /** Bytes were written after the newest snapshot. */
  hasUnsnapshotted = false;
  /** When that was, until a snapshot makes it the time of the inode, which goes into the journal and to the grid. */
  written: Timestamp | undefined;
  /** Made here, never closed and not on the grid: whoever made the file has it open still. */
  isNew = false;
  uploaded: { readonly generation: number; readonly cap: ContentBase } | undefined;
  /** Where the shares of the last upload went; undefined for a content that was not uploaded here. */
  stored: { readonly cap: ChkReadCap | LitCap; readonly content: StoredContent } | undefined;
  writers = 0;
  /** Counts changes, so that cached pages can be known to be old. */
  contentNumber = 1;
  /** Monotonic time since when there is something that is not on the grid. */
  dirtySinceMs: number | undefined;
  upload: UploadState | undefined;
  /** A write that is waiting for room in the journal; later ones come after it. */
  blocked: Promise<void> | undefined;
  failure: string | undefined;

  constructor(base: ContentBase) {
    this.base = base;
    if (base.type === 'mutable') this.contentNumber = contentNumberOf(base);
  }

  get sizeBytes(): number {
    return this.overlay?.sizeBytes ?? contentSize(this.base);
  }
}

export interface UploadState {
  readonly generation: number;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export function contentSize(base: ContentBase): number {
  return base.type === 'lit' ? base.data.length : base.sizeBytes;
}

/** A safe integer out of the hash that stands for all contents: behind format and sequence number in the key. */
export function contentNumberOf({ version }: MutableVersion): number {
  return Number.parseInt(version.slice(18, 30), 16);
}

/** A name whose entry on the grid is not, or may not be, what this node's view has. */
export interface DirtyName {
  readonly name: string;
  /** What the view has under this name; undefined: nothing. */
  child: Inode | undefined;
  /** The entry that the user acted on, as stored; undefined: there was none. */
  expected: Uint8Array | undefined;
  /** The inode of that entry: see `Inode.provenPlace`. */
  displaced: Inode | undefined;
  /** Number of the last change; ascending over all names of the node. */
  change: number;
  /** The last change that an attempt has proven, though the name was changed again meanwhile. */
  provenChange: number;
  sinceMs: number;
  lastMs: number;
  /** What attempts carried that may stand on the grid though they are not proven. */
  carried: CarriedEntry[];
}

export interface CarriedEntry {
  /** The change that it says. */
  readonly change: number;
  /** Undefined: absence. */
  readonly entry: Uint8Array | undefined;
}

/** What this node and another writer both changed, until somebody resolves it. */
export interface OpenConflict {
  readonly id: number;
  readonly kind: ConflictKind;
  readonly directory: Directory;
  /** The name that both changed: theirs keeps it. */
  readonly name: string;
  /** The name that ours has instead, or is given if it is brought back and the name is taken. */
  readonly copyName: string;
  /** Of the name, as it was when the conflict was found. */
  readonly path: string;
  readonly whenMs: number;
  readonly ours: ConflictSide | undefined;
  readonly theirs: ConflictSide | undefined;
  /** Ours was meant for a mutable file that somebody else has changed: it becomes an immutable file of its own. */
  readonly isOfMutable?: boolean;
  /** The entry of ours, as stored, if it is nowhere but in the journal: see lost-names.ts. */
  readonly kept?: Uint8Array | undefined;
  /** The error has been given to somebody who called an operation. */
  isReported: boolean;
}

export interface DirectoryBase {
  /** Undefined for an immutable directory, and for one that has never been published. */
  readonly version: Checkstring | undefined;
  readonly entries: ReadonlyMap<string, PackedEntry>;
  readonly sizeBytes: number;
}

/** An attempt that was sent and is not proven, or was when this node stopped. */
export interface OpenAttempt {
  readonly attempt: Pick<Attempt, 'version' | 'key' | 'base' | 'lineage' | 'content'>;
  readonly names: readonly AttemptedName[];
}

export interface AttemptedName {
  readonly name: string;
  readonly change: number;
  /** What the entry refers to; undefined for a name that the attempt takes away. */
  readonly child: Inode | undefined;
  readonly entry: Uint8Array | undefined;
  /** The change is in the history of the version, and something newer stands under the name. */
  readonly isSuperseded: boolean;
}

/** Where the publishing of one directory is; owned by publish-queue.ts. */
export interface PublishState {
  running: Promise<void> | undefined;
  notBeforeMs: number;
  failures: number;
  /** Monotonic time of the last proof. */
  provenMs: number;
  /** How many wait for it. */
  forced: number;
  lastReason: string | undefined;
  /** Of looks at what has become of it. */
  looks: readonly Timer[];
}

export class Directory {
  readonly inode: Inode;
  /** Undefined while it has no key yet. */
  cap: DirectoryCap | undefined;
  keys: SlotKeys | undefined;
  signing: SigningKeys | undefined;
  /** The key pair of one that was never published: until then it is nowhere but here and in the journal. */
  newKey: KeyPair | undefined;
  /** The contents last read or proven; undefined if never. */
  base: DirectoryBase | undefined;
  checkedAtMs = Number.NEGATIVE_INFINITY;
  /** False until a first version of it is proven on the grid. */
  isBorn: boolean;
  readonly dirty = new Map<string, DirtyName>();
  /** Inodes made for entries of `base`, by name; of dirty names the view is in `dirty`. */
  readonly clean = new Map<string, Inode>();
  readonly attempts: OpenAttempt[] = [];
  proven: Checkstring | undefined;
  /** The version that was last seen on a write quorum, whoever published it. */
  standing: Standing | undefined;
  /** How many wait for `base` to be known to stand on a write quorum. */
  proofsWanted = 0;
  /** The directory that holds it, as last reached. */
  parent: Directory | undefined;
  isRoot = false;
  /** Programs of other make may write it too. */
  isShared = false;
  /** Made by this node, and nobody else can have reached it yet. */
  isMadeHere: boolean;
  /** The servers show less than was proven: to be published again, changed or not. */
  isRolledBack = false;
  /** Conflicts with a name in it. */
  readonly conflicts = new Set<OpenConflict>();
  /** Its link has gone from the grid, and no other is known. */
  isLost = false;
  /** Another writer had removed its link: the next fsync in it says so. */
  isStaleOnce = false;
  /** Versions that could not be read though enough of their shares were seen. */
  readonly unreadable = new Set<VersionKey>();
  /** How long its servers have stood still. */
  history: RegisterHistory | undefined;
  problem: { readonly state: 'failed'; readonly reason: string } | undefined;
  loading: Promise<void> | undefined;
  journaled = false;
  /** Removed from the tree: nothing of it is published any more. */
  isDiscarded = false;
  /** Its versions that whoever removed it here knew of, or has published; none if it was never looked at. */
  removedVersions: readonly VersionKey[] = [];
  /** When it became something to publish, for one that has no dirty names yet. */
  readonly createdMs: number;
  readonly publishing: PublishState = {
    running: undefined,
    notBeforeMs: 0,
    failures: 0,
    provenMs: Number.NEGATIVE_INFINITY,
    forced: 0,
    lastReason: undefined,
    looks: [],
  };

  constructor(inode: Inode, isBorn: boolean, createdMs: number) {
    this.inode = inode;
    this.isBorn = isBorn;
    this.isMadeHere = !isBorn;
    this.createdMs = createdMs;
  }

  /** This node has proven the version that its view shows, or has seen it on a write quorum. */
  get isProven(): boolean {
    if (!this.isBorn) return false;
    if (this.keys === undefined) return true;
    const version = this.base?.version;
    if (version === undefined) return false;
    const key = versionKey(version);
    return this.standing?.key === key || (this.proven !== undefined && versionKey(this.proven) === key);
  }

  /** The versions whose contents its view shows, or that this node may have published from it. */
  get ownVersions(): VersionKey[] {
    const version = this.base?.version;
    return [
      ...(version === undefined ? [] : [versionKey(version)]),
      ...this.attempts.map(({ attempt }) => attempt.key),
    ];
  }

  /** It is to be published as it is if it turns out not to be proven. */
  get isProofDue(): boolean {
    return this.proofsWanted > 0 && !this.isProven;
  }

  /** It has or had the name, here or on the grid as this node last saw it: nothing else may be given it. */
  isTaken(name: string): boolean {
    return this.dirty.has(name) || this.base?.entries.has(name) === true;
  }

  get isWriteable(): boolean {
    return this.cap === undefined || this.keys?.writeKey !== undefined;
  }
}
