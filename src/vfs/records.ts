/**
 * What the journal's records say: the kinds of vfs blueprint 3. File bytes and attempt contents are binary, everything
 * else is JSON, which costs a few microseconds and can be read in years. Byte strings inside JSON are base64.
 */
import { concatBytes, decodeUtf8, encodeUtf8, readU32, readU64, writeU32, writeU64 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { StoredContent } from './receipts.js';
import type { ConflictKind, ConflictSide, FileKind } from './vfs.js';

export const recordKinds = {
  write: 1,
  inode: 2,
  content: 3,
  truncate: 4,
  snapshot: 5,
  names: 6,
  directory: 7,
  directoryKey: 8,
  uploaded: 9,
  attemptPart: 10,
  attempt: 11,
  proven: 12,
  overlayPart: 13,
  overlay: 14,
  discard: 15,
  nameDropped: 16,
  conflict: 17,
  conflictReported: 18,
  conflictResolved: 19,
  rebased: 20,
  /** As write: bytes of the base of a mutable file, not of a change. */
  baseWrite: 21,
  slotAttempt: 22,
  slotStands: 23,
} as const;

/** Bytes of file content in one record: the unit in which it is decrypted again. */
export const WRITE_BYTES_MAX = 64 * 1024;
/** Bytes before the data of a write record. */
export const WRITE_HEADER_BYTES = 16;
/** Bytes of one part of something that is longer than a record. */
export const PART_BYTES = 60 * 1024;

export interface InodeRecord {
  readonly i: number;
  readonly k: FileKind;
  readonly m: number;
  readonly u: number;
  readonly g: number;
  readonly r: number;
  readonly mt: readonly [number, number];
  readonly at: readonly [number, number];
  readonly ct: readonly [number, number];
  readonly t: string;
  readonly x: Readonly<Record<string, string>>;
  readonly n: string | null;
  /** Stored metadata of the entry. */
  readonly md: string | null;
  /** Slots of a child that is neither file nor directory of ours. */
  readonly o: { readonly w: string; readonly r: string } | null;
}

/** The content begins anew over this base; what was written before does not count. */
export interface ContentRecord {
  readonly i: number;
  readonly base: string;
  /** If the base is a mutable file: version, size, attempts (generation, version, what it contains). */
  readonly m?: {
    readonly v: string;
    readonly size: number;
    readonly a: readonly (readonly [number, string, readonly string[]])[];
  };
  /** Directory and name where it stands on the grid, if nothing but its content changes. */
  readonly at: { readonly d: number; readonly n: string } | null;
  /** Servers that hold its shares, if this node uploaded it for a name that is not proven. */
  readonly s?: StoredContent;
  /** Present if the file was never closed. */
  readonly new?: true;
}

export interface TruncateRecord {
  readonly i: number;
  readonly size: number;
}

export interface SnapshotRecord {
  readonly i: number;
  readonly g: number;
  readonly mt: readonly [number, number];
  readonly ct: readonly [number, number];
}

export interface NamesRecord {
  /** Number of the change. */
  readonly t: number;
  readonly c: readonly {
    readonly d: number;
    readonly n: string;
    readonly i: number | null;
    readonly e: string | null;
    readonly w: number | null;
    /** In checkpoints: entries carried by attempts, each with the number of the change. */
    readonly a?: readonly (readonly [number, string | null])[];
  }[];
  /** The directory that is removed by it, and its versions: see Directory.removedVersions. */
  readonly x?: readonly [number, readonly string[]];
}

export interface DirectoryRecord {
  readonly i: number;
  readonly cap: string | null;
  readonly born: boolean;
  readonly proven: string | null;
  /** Where the grid has it, for the chain of an fsync. */
  readonly parent: { readonly d: number; readonly n: string } | null;
  readonly root: boolean;
  /** See Directory.isMadeHere. Not in records of earlier versions. */
  readonly made?: boolean;
  /** Present if it was removed: see Directory.removedVersions. */
  readonly removed?: readonly string[];
}

/** A directory gave way to another one. */
export interface DiscardRecord {
  readonly i: number;
}

/** A removal that gave way to another writer's change. */
export interface NameDroppedRecord {
  readonly i: number;
  readonly n: string;
}

export interface ConflictRecord {
  /** Number of the change that found it. */
  readonly id: number;
  readonly i: number;
  readonly kind: ConflictKind;
  readonly n: string;
  /** Name of the copy. */
  readonly c: string;
  readonly path: string;
  readonly ms: number;
  readonly ours: ConflictSide | null;
  readonly theirs: ConflictSide | null;
  readonly reported: boolean;
  /** What the view has under the name goes to that of the copy; not in checkpoints, where it is there already. */
  readonly move?: boolean;
  /** See OpenConflict.isOfMutable. */
  readonly mutable?: boolean;
  /** See OpenConflict.kept. */
  readonly kept?: string;
}

export interface ConflictIdRecord {
  readonly id: number;
}

/** See Ledger.rebase. */
export interface RebasedRecord {
  readonly i: number;
  readonly n: string;
  readonly e: string;
  readonly t: number;
}

export interface DirectoryKeyRecord {
  readonly i: number;
  readonly private: string;
  readonly public: string;
}

export interface UploadedRecord {
  readonly i: number;
  readonly g: number;
  readonly cap: string;
  /** Servers that took its shares, and when; not of a content that was there before. */
  readonly s?: StoredContent;
}

/** A version of a mutable file is about to be sent: generation `g` of its content, whose bytes the journal has. */
export interface SlotAttemptRecord {
  readonly i: number;
  readonly g: number;
  readonly version: string;
  readonly lineage: readonly string[];
}

/** It stands: generation `g`, of `size` bytes. */
export interface SlotStandsRecord {
  readonly i: number;
  readonly g: number;
  readonly version: string;
  readonly size: number;
}

/** Names and whole contents are in `parts` part records before it: see encodeAttemptBody. */
export interface AttemptRecord {
  readonly i: number;
  readonly version: string;
  readonly base: string | null;
  readonly lineage: readonly string[];
  readonly parts: number;
}

/** The attempt of this version, recorded before, stands. */
export interface ProvenRecord {
  readonly i: number;
  readonly version: string;
}

/** In checkpoints: the extents of a file, gathered from `parts` part records before it. */
export interface OverlayRecord {
  readonly i: number;
  /** `base`: bytes of the base of a mutable file. */
  readonly which: 'overlay' | 'snapshot' | 'base';
  readonly parts: number;
  readonly g: number;
  readonly unsnapshotted: boolean;
}

export function encodeJson(record: object): Uint8Array {
  return encodeUtf8(JSON.stringify(record));
}

/** The journal is authenticated, so what it holds is what this program wrote. */
export function decodeJson<Record>(payload: Uint8Array): Record {
  try {
    return JSON.parse(decodeUtf8(payload)) as Record;
  } catch (cause) {
    throw new TahoeError('a journal record that cannot be read', { kind: 'corrupt', op: 'journal.replay', cause });
  }
}

/** Header of a write record: inode, offset in the file. The data follows. */
export function encodeWriteHeader(inode: number, offset: number): Uint8Array {
  const header = new Uint8Array(WRITE_HEADER_BYTES);
  writeU64(header, 0, inode);
  writeU64(header, 8, offset);
  return header;
}

export function decodeWriteHeader(payload: Uint8Array): { inode: number; offset: number; length: number } {
  return { inode: readU64(payload, 0), offset: readU64(payload, 8), length: payload.length - WRITE_HEADER_BYTES };
}

/** Header of a part: inode of what it belongs to, number of the part. */
export function encodePartHeader(inode: number, part: number): Uint8Array {
  const header = new Uint8Array(12);
  writeU64(header, 0, inode);
  writeU32(header, 8, part);
  return header;
}

/** Name, number of its change, inode of what it refers to, 1 if it is superseded. */
export type AttemptedNameRecord = readonly [string, number, number | null, 1?];

/** u32 length of the names, the names in JSON, the contents of the directory. */
export function encodeAttemptBody(names: readonly AttemptedNameRecord[], content: Uint8Array): Uint8Array {
  const json = encodeUtf8(JSON.stringify(names));
  const length = new Uint8Array(4);
  writeU32(length, 0, json.length);
  return concatBytes([length, json, content]);
}

export function decodeAttemptBody(body: Uint8Array): {
  names: readonly AttemptedNameRecord[];
  content: Uint8Array;
} {
  const end = 4 + readU32(body, 0);
  return { names: decodeJson(body.subarray(4, end)), content: body.subarray(end) };
}

/** Collects the parts of one thing after the other. */
export class PartCollector {
  #inode = 0;
  #parts: Uint8Array[] = [];

  add(payload: Uint8Array): void {
    const inode = readU64(payload, 0);
    const part = readU32(payload, 8);
    if (part === 0 || inode !== this.#inode) this.#parts = [];
    this.#inode = inode;
    this.#parts.push(payload.slice(12));
  }

  /** Kind `corrupt` if the parts of this inode are not all there. */
  take(inode: number, parts: number): Uint8Array[] {
    const collected = this.#parts;
    this.#parts = [];
    if (parts === 0) return [];
    if (this.#inode !== inode || collected.length !== parts) {
      throw new TahoeError('a journal record with missing parts', { kind: 'corrupt', op: 'journal.replay' });
    }
    return collected;
  }
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}
