/** From the objects of the tree to what the journal's records say of them, and the small parts of it back. */
import { type ChkReadCap, isMutableFile, type LitCap, parseKnownCap, serializeCap } from '../caps/cap.js';
import { childSlotsOf } from '../caps/child-caps.js';
import { formatJson } from '../dirnode/metadata-json.js';
import { fromHex } from '../encoding/bytes.js';
import { versionKey } from '../mutable/lineage.js';
import { parseCheckstring } from '../share-layout/checkstring.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { ContentBase, Directory, DirtyName, Inode, OpenConflict } from './inode.js';
import * as records from './records.js';
import { isProvenAt } from './tree.js';
import type { Timestamp } from './vfs.js';

export function inodeRecord(inode: Inode): records.InodeRecord {
  const slots = inode.other === undefined ? undefined : childSlotsOf(inode.other, { deepImmutable: false });
  return {
    i: inode.number,
    k: inode.kind,
    m: inode.mode,
    u: inode.uid,
    g: inode.gid,
    r: inode.rdev,
    mt: pair(inode.modified),
    at: pair(inode.accessed),
    ct: pair(inode.changed),
    t: inode.symlinkTarget,
    x: Object.fromEntries([...inode.extended].map(([name, value]) => [name, records.toBase64(value)])),
    n: inode.displayName ?? null,
    md: inode.metadata === undefined ? null : records.toBase64(formatJson(inode.metadata)),
    o: slots === undefined ? null : { w: slots.writeCap, r: slots.readCap },
  };
}

export function directoryRecord(directory: Directory): records.DirectoryRecord {
  const { inode, cap, isBorn, proven, isRoot } = directory;
  const place = inode.place;
  return {
    i: inode.number,
    cap: cap === undefined ? null : serializeCap(cap),
    born: isBorn,
    proven: proven === undefined ? null : versionKey(proven),
    parent:
      place !== undefined && isProvenAt(inode, place.directory, place.name)
        ? { d: place.directory.inode.number, n: place.name }
        : null,
    root: isRoot,
    made: directory.isMadeHere,
    ...(directory.isDiscarded ? { removed: directory.removedVersions } : {}),
  };
}

export function checkpointedName(directory: Directory, dirty: DirtyName): records.NamesRecord {
  return {
    t: dirty.change,
    c: [
      {
        d: directory.inode.number,
        n: dirty.name,
        i: dirty.child?.number ?? null,
        e: encodeEntry(dirty.expected),
        w: dirty.displaced?.number ?? null,
        a: dirty.carried.map(({ change, entry }) => [change, encodeEntry(entry)] as const),
      },
    ],
  };
}

export function conflictRecord(conflict: OpenConflict): records.ConflictRecord {
  const { id, kind, directory, name, copyName, path, whenMs, ours, theirs, isReported, isOfMutable, kept } = conflict;
  return {
    id,
    i: directory.inode.number,
    kind,
    n: name,
    c: copyName,
    path,
    ms: whenMs,
    ours: ours ?? null,
    theirs: theirs ?? null,
    reported: isReported,
    ...(isOfMutable === true ? { mutable: true } : {}),
    ...(kept === undefined ? {} : { kept: records.toBase64(kept) }),
  };
}

export function parseConflict(record: records.ConflictRecord, directory: Directory): OpenConflict {
  const { id, kind, n: name, c: copyName, path, ms: whenMs, ours, theirs, reported: isReported } = record;
  const sides = { ours: ours ?? undefined, theirs: theirs ?? undefined };
  return {
    id,
    kind,
    directory,
    name,
    copyName,
    path,
    whenMs,
    ...sides,
    isReported,
    isOfMutable: record.mutable === true,
    kept: record.kept === undefined ? undefined : records.fromBase64(record.kept),
  };
}

export function encodeBase(base: ContentBase): Pick<records.ContentRecord, 'base' | 'm'> {
  if (base.type !== 'mutable') return { base: serializeCap(base) };
  const a = base.attempts.map(
    ({ generation, version, lineage }) => [generation, versionKey(version), lineage] as const,
  );
  return { base: serializeCap(base.cap), m: { v: base.version, size: base.sizeBytes, a } };
}

export function decodeBase({ base, m }: Pick<records.ContentRecord, 'base' | 'm'>): ContentBase {
  const cap = parseKnownCap(base);
  if (m === undefined || !isMutableFile(cap)) return cap as ChkReadCap | LitCap;
  const attempts = m.a.map(([generation, key, lineage]) => ({ generation, version: parseVersion(key), lineage }));
  return { type: 'mutable', cap, version: m.v, sizeBytes: m.size, attempts };
}

function encodeEntry(entry: Uint8Array | undefined): string | null {
  return entry === undefined ? null : records.toBase64(entry);
}

export function decodeEntry(text: string | null): Uint8Array | undefined {
  return text === null ? undefined : records.fromBase64(text);
}

export function parseVersion(key: string): Checkstring {
  return parseCheckstring(fromHex(key));
}

export function pair({ seconds, nanoseconds }: Timestamp): readonly [number, number] {
  return [seconds, nanoseconds];
}

export function timestamp([seconds, nanoseconds]: readonly [number, number]): Timestamp {
  return { seconds, nanoseconds };
}
