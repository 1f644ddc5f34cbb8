/**
 * Directory entries to inodes and back. What POSIX knows and Tahoe does not stands in the entry's metadata under `unix`:
 * mode, uid, gid, mtime, atime, ctime ([seconds, nanoseconds]), ino, rdev, kind, target, xattrs (base64), name (the
 * user's form), id (64 random bits, new with every write, so that the same content written again is a new change), by (the
 * node that wrote it).
 * Keys of other programs are kept.
 */
import { type ChkReadCap, isDirectory, type LitCap, type ReadCap, type WriteCap } from '../caps/cap.js';
import { type ChildCap, childCapOf, childSlotsOf } from '../caps/child-caps.js';
import { linkTimes, type Metadata, parseMetadata, updateMetadata } from '../dirnode/metadata.js';
import { formatJson, type JsonValue, jsonNumber } from '../dirnode/metadata-json.js';
import { decryptWriteCap, type PackedEntry, packEntry } from '../dirnode/packing.js';
import type { WriteKey } from '../encoding/brands.js';
import { encodeUtf8, toHex } from '../encoding/bytes.js';
import type { Directory, Inode } from './inode.js';
import { epoch, timestampFromMs } from './timestamps.js';
import type { FileKind, Timestamp } from './vfs.js';

/** What an entry says, before there is an inode for it. */
export interface EntryFacts {
  readonly kind: FileKind;
  readonly child: ChildCap;
  readonly metadata: Metadata | undefined;
  /** The inode number that the entry carries, if any. */
  readonly inodeNumber: number | undefined;
  readonly displayName: string | undefined;
}

export interface EntryDefaults {
  readonly uid: number;
  readonly gid: number;
}

/** The last second that a Date can name. */
const SECONDS_MAX = 8_640_000_000_000;

const kinds: readonly FileKind[] = ['symlink', 'fifo', 'socket', 'character-device', 'block-device'];

export function readEntry(entry: PackedEntry, writeKey: WriteKey | undefined, deepImmutable: boolean): EntryFacts {
  const { readCap } = entry;
  // an immutable child has no write capability, whatever is encrypted there
  const isPlain = readCap.startsWith('URI:CHK:') || readCap.startsWith('URI:LIT:');
  const writeCap = isPlain || writeKey === undefined ? '' : decryptWriteCap(entry.encryptedWriteCap, writeKey);
  const child = childCapOf({ writeCap, readCap }, { deepImmutable });
  const metadata = parseMetadata(entry.metadataJson);
  const unix = unixOf(metadata);
  const kind = kindOf(child, unix);
  const inodeNumber = jsonNumber(unix?.get('ino'));
  const name = unix?.get('name');
  const displayName = typeof name === 'string' && name.normalize('NFC') === entry.name ? name : undefined;
  return { kind, child, metadata, inodeNumber, displayName };
}

/** `readEntry` with the keys of the directory that it stands in. */
export function factsOf({ keys }: Directory, entry: PackedEntry): EntryFacts {
  return readEntry(entry, keys?.writeKey, keys === undefined);
}

/** What kind of object an entry refers to, as far as can be told without keys. */
export function entryKind(entry: PackedEntry): FileKind {
  if (/^(?:ro\.|imm\.)?URI:DIR2/.test(entry.readCap)) return 'directory';
  const kind = unixOf(parseMetadata(entry.metadataJson))?.get('kind');
  return kinds.find((known) => known === kind) ?? 'file';
}

/** Fills an inode's attributes from its entry; what the entry does not say gets a sensible value. */
export function applyEntry(inode: Inode, facts: EntryFacts, defaults: EntryDefaults): void {
  const unix = unixOf(facts.metadata);
  const usable = facts.child.type === 'known';
  inode.metadata = facts.metadata;
  inode.displayName = facts.displayName;
  inode.mode = intOf(unix, 'mode', 0o7777) ?? (usable ? (inode.kind === 'directory' ? 0o755 : 0o644) : 0);
  inode.uid = intOf(unix, 'uid', 0xffff_ffff) ?? defaults.uid;
  inode.gid = intOf(unix, 'gid', 0xffff_ffff) ?? defaults.gid;
  inode.rdev = intOf(unix, 'rdev', 0xffff_ffff) ?? 0;
  inode.modified = modifiedTime(facts);
  inode.accessed = timeOf(unix, 'atime') ?? inode.modified;
  inode.changed = timeOf(unix, 'ctime') ?? inode.modified;
  const target = unix?.get('target');
  inode.symlinkTarget = typeof target === 'string' ? target : '';
  inode.extended = extendedOf(unix);
}

/** When the content was changed last, as well as the entry says it. */
export function modifiedTime({ metadata }: EntryFacts): Timestamp {
  const times = metadata === undefined ? undefined : linkTimes(metadata);
  const legacy = jsonNumber(metadata?.get('mtime'));
  return timeOf(unixOf(metadata), 'mtime') ?? linkTime(legacy ?? times?.changedSeconds);
}

export interface EntryStamp {
  readonly nowSeconds: number;
  /** 8 random bytes. */
  readonly changeId: Uint8Array;
  /** The node that writes it. */
  readonly node: string;
}

/** A new entry for this inode. `content`: the capability of a regular file's content. */
export function writeEntry(
  inode: Inode,
  name: string,
  content: ChkReadCap | LitCap | undefined,
  directoryWriteKey: WriteKey,
  stamp: EntryStamp,
): PackedEntry {
  const { readCap, writeCap } = childSlotsOf(childOf(inode, content), { deepImmutable: false });
  const given = new Map<string, JsonValue>(inode.metadata ?? []);
  given.set('unix', unixMetadata(inode, stamp));
  const metadata = updateMetadata(inode.metadata, given, stamp.nowSeconds);
  return packEntry({ name, readCap, writeCap, metadataJson: formatJson(metadata) }, directoryWriteKey);
}

function childOf(inode: Inode, content: ChkReadCap | LitCap | undefined): ChildCap {
  if (inode.other !== undefined) return inode.other;
  if (content !== undefined) return { type: 'known', cap: content };
  if (inode.directory !== undefined) return { type: 'known', cap: inode.directory.cap as ReadCap | WriteCap };
  // a symbolic link reads as its target for programs that know nothing of it; the others as nothing
  return { type: 'known', cap: { type: 'lit', data: encodeUtf8(inode.symlinkTarget) } };
}

function unixMetadata(inode: Inode, { changeId, node }: EntryStamp): JsonValue {
  const unix = new Map<string, JsonValue>([
    ['mode', inode.mode],
    ['uid', inode.uid],
    ['gid', inode.gid],
    ['mtime', [inode.modified.seconds, inode.modified.nanoseconds]],
    ['atime', [inode.accessed.seconds, inode.accessed.nanoseconds]],
    ['ctime', [inode.changed.seconds, inode.changed.nanoseconds]],
    ['ino', inode.number],
    ['id', toHex(changeId)],
    ['by', node],
  ]);
  if (inode.kind !== 'file' && inode.kind !== 'directory') unix.set('kind', inode.kind);
  if (inode.kind === 'symlink') unix.set('target', inode.symlinkTarget);
  if (inode.rdev !== 0) unix.set('rdev', inode.rdev);
  if (inode.displayName !== undefined) unix.set('name', inode.displayName);
  if (inode.extended.size > 0) {
    unix.set(
      'xattrs',
      new Map([...inode.extended].map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
    );
  }
  return unix;
}

function kindOf(child: ChildCap, unix: Metadata | undefined): FileKind {
  if (child.type === 'known' && isDirectory(child.cap)) return 'directory';
  const kind = unix?.get('kind');
  return kinds.find((known) => known === kind) ?? 'file';
}

function unixOf(metadata: Metadata | undefined): Metadata | undefined {
  const unix = metadata?.get('unix');
  return unix instanceof Map ? (unix as Metadata) : undefined;
}

function intOf(unix: Metadata | undefined, key: string, maximum: number): number | undefined {
  const value = jsonNumber(unix?.get(key));
  return value !== undefined && Number.isInteger(value) && value >= 0 && value <= maximum ? value : undefined;
}

function timeOf(unix: Metadata | undefined, key: string): Timestamp | undefined {
  const value = unix?.get(key);
  if (!Array.isArray(value)) return undefined;
  const [seconds, nanoseconds] = value.map(jsonNumber);
  const isTime = isDate(seconds) && Number.isInteger(nanoseconds) && nanoseconds! >= 0 && nanoseconds! < 1_000_000_000;
  return isTime && Number.isInteger(seconds) ? { seconds: seconds!, nanoseconds: nanoseconds! } : undefined;
}

/** When a link was made or changed, as other programs write it: any number that JSON can hold. */
function linkTime(seconds: number | undefined): Timestamp {
  return isDate(seconds) ? timestampFromMs(1000 * seconds) : epoch;
}

/** Programs could show no other times, and the kernel could not be told of them. */
function isDate(seconds: number | undefined): seconds is number {
  return seconds !== undefined && Math.abs(seconds) <= SECONDS_MAX;
}

function extendedOf(unix: Metadata | undefined): Map<string, Uint8Array> {
  const stored = unix?.get('xattrs');
  const extended = new Map<string, Uint8Array>();
  if (!(stored instanceof Map)) return extended;
  for (const [name, value] of stored as Metadata) {
    if (typeof value === 'string') extended.set(name, new Uint8Array(Buffer.from(value, 'base64')));
  }
  return extended;
}
