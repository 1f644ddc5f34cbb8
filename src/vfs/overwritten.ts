/**
 * Additions of ours that another program's version has overwritten. A client that does not test what it replaces (the
 * reference repeats a change over the version that it read first) publishes a version without them, and nothing in it
 * says what it was made from (vfs blueprint 11, "Reference writer"). But such a program takes one name away with each
 * version that it publishes, and keeps what it does not know in the metadata of an entry that it changes. Pure.
 */
import type { PackedEntry } from '../dirnode/packing.js';
import type { ReadKey } from '../encoding/brands.js';
import { bytesEqual, decodeLatin1 } from '../encoding/bytes.js';
import { isBuiltOn } from '../mutable/lineage.js';
import { authorOf } from './conflict-name.js';
import type { DirectoryBase } from './inode.js';
import type { Entries } from './merge.js';

/**
 * What was written longer ago is taken for removed. A program that overwrites without having seen does so within seconds,
 * and a directory that it writes too is looked at again half a minute after each publish; the rest is for servers that
 * are away meanwhile and for a restart. The entries say when they were written, so that nothing else need be kept.
 */
const RECENT_SECONDS = 600;

export interface OverwriteContext {
  readonly readKey: ReadKey;
  readonly nodeName: string;
  readonly nowSeconds: number;
}

/** Entries of `before` that this node wrote lately and that `after` has no more. */
export interface OverwrittenNames {
  /** More are gone than can have been removed. */
  readonly overwritten: readonly PackedEntry[];
  /** They may have been removed, or were replaced by somebody who may not have seen them. */
  readonly doubtful: readonly PackedEntry[];
}

const nothing: OverwrittenNames = { overwritten: [], doubtful: [] };

/** Names that were removed for certain are in neither list: a removal is nothing to tell anybody of. */
export function overwrittenNames(
  before: DirectoryBase,
  after: DirectoryBase,
  { readKey, nodeName, nowSeconds }: OverwriteContext,
): OverwrittenNames {
  if (before.version === undefined || after.version === undefined) return nothing;
  if (isBuiltOn(readKey, after.version, before.version)) return nothing;
  const isRecent = (seconds: number) => Math.abs(nowSeconds - seconds) < RECENT_SECONDS;
  const isOurs = (entry: PackedEntry) => {
    const { node, seconds } = authorOf(entry);
    return node === nodeName && isRecent(seconds);
  };
  const { gone, renamed, replaced, foreignChanges } = difference(before.entries, after.entries);
  const own = gone.filter(isOurs);
  const unseen = replaced.filter(isOurs);
  if (own.length + unseen.length === 0) return nothing;
  const versions = after.version.sequenceNumber - before.version.sequenceNumber;
  if (foreignChanges > 0) {
    // the version that added something took nothing away
    const removedMax = versions - 1 - renamed;
    if (gone.length > removedMax) return { overwritten: own, doubtful: unseen };
    return { overwritten: [], doubtful: [...own, ...unseen] };
  }
  // other nodes of this make take many names away at once, and do not overwrite
  const isForeign =
    (versions === 1 && after.version.iv !== undefined) ||
    [before, after].some(({ entries }) => [...entries.values()].some((entry) => isForeignSince(entry, isRecent)));
  const isRemoved = gone.length === versions || !isForeign;
  return { overwritten: [], doubtful: isRemoved ? unseen : [...own, ...unseen] };
}

interface Difference {
  readonly gone: readonly PackedEntry[];
  /** How many of the names that are gone stand under another one. */
  readonly renamed: number;
  /** Entries whose name has another one now that was not made from it. */
  readonly replaced: readonly PackedEntry[];
  /** How many entries were added or changed by programs of other make. */
  readonly foreignChanges: number;
}

function difference(before: Entries, after: Entries): Difference {
  const missing = [...before.values()].filter(({ name }) => !after.has(name));
  const goneIds = new Set(missing.map((entry) => authorOf(entry).id).filter((id) => id !== undefined));
  const replaced: PackedEntry[] = [];
  const renamedIds = new Set<string>();
  let foreignChanges = 0;
  for (const entry of after.values()) {
    const old = before.get(entry.name);
    if (old !== undefined && bytesEqual(old.raw, entry.raw)) continue;
    const author = authorOf(entry);
    const previous = old === undefined ? undefined : authorOf(old);
    if (author.id !== undefined && goneIds.has(author.id)) renamedIds.add(author.id);
    const isMadeFromIt = author.id !== undefined && author.id === previous?.id;
    if (author.id === undefined || isMadeFromIt || renamedIds.has(author.id)) foreignChanges++;
    if (old === undefined || isMadeFromIt) continue;
    const isOlder = author.node === previous?.node && author.seconds < (previous?.seconds ?? 0);
    if (author.id === undefined || isOlder) replaced.push(old);
  }
  const gone = missing.filter((entry) => !renamedIds.has(authorOf(entry).id ?? ''));
  return { gone, renamed: renamedIds.size, replaced, foreignChanges };
}

const STAMP = '"by"';

/** True if some entries may be those of other programs, or nothing says that they are not. */
export function hasForeignEntries({ entries }: DirectoryBase): boolean {
  return entries.size === 0 || [...entries.values()].some(isForeign);
}

function isForeignSince(entry: PackedEntry, isRecent: (seconds: number) => boolean): boolean {
  return isForeign(entry) && isRecent(authorOf(entry).seconds);
}

/** It does not say who wrote it. */
function isForeign({ metadataJson }: PackedEntry): boolean {
  return !decodeLatin1(metadataJson).includes(STAMP);
}
