/**
 * Additions of ours that another program's version has overwritten. A client that does not test what it replaces (the
 * reference repeats a change over the version that it read first) publishes a version without them, and nothing in it
 * says what it was made from (vfs blueprint 11, "Reference writer"). But such a program takes one name away with each
 * version that it publishes: if more are gone, this is no removal.
 */
import type { ReadKey } from '../encoding/brands.js';
import { decodeLatin1 } from '../encoding/bytes.js';
import { isBuiltOn } from '../mutable/lineage.js';
import { authorOf } from './conflict-name.js';
import type { DirectoryBase } from './inode.js';
import type { Entries } from './merge.js';

/** What was added longer ago is taken for removed: other nodes of this make take many names away at once. */
const RECENT_SECONDS = 600;

export interface OverwriteContext {
  readonly readKey: ReadKey;
  readonly nodeName: string;
  readonly nowSeconds: number;
}

/** Names of `before` that this node wrote lately and that `after` has lost; none if they may have been removed. */
export function overwrittenNames(
  before: DirectoryBase,
  after: DirectoryBase,
  { readKey, nodeName, nowSeconds }: OverwriteContext,
): string[] {
  if (before.version === undefined || after.version === undefined) return [];
  const versions = after.version.sequenceNumber - before.version.sequenceNumber;
  if (versions < 1 || isBuiltOn(readKey, after.version, before.version)) return [];
  const gone = missingFrom(before.entries, after.entries);
  const added = missingFrom(after.entries, before.entries).filter((entry) => authorOf(entry).node === undefined);
  // the version that added something took nothing away
  if (added.length === 0 || gone.length <= versions - 1) return [];
  const own = gone.filter((entry) => {
    const { node, seconds } = authorOf(entry);
    return node === nodeName && nowSeconds - seconds < RECENT_SECONDS;
  });
  return own.map(({ name }) => name);
}

const STAMP = '"by"';

/** True if some entries may be those of other programs: they do not say who wrote them. */
export function hasForeignEntries({ entries }: DirectoryBase): boolean {
  return [...entries.values()].some(({ metadataJson }) => !decodeLatin1(metadataJson).includes(STAMP));
}

function missingFrom(entries: Entries, other: Entries) {
  return [...entries.values()].filter(({ name }) => !other.has(name));
}
