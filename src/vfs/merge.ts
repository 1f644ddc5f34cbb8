/**
 * What becomes of a change of ours when another writer has changed the same name, and of two versions of a directory
 * that were published side by side: vfs blueprint 7, as one table and three pure functions. Entries are compared as raw
 * bytes: identical content written again is a new change.
 */
import { parseMetadata } from '../dirnode/metadata.js';
import { formatJson } from '../dirnode/metadata-json.js';
import type { PackedEntry } from '../dirnode/packing.js';
import { bytesEqual, optionalBytesEqual } from '../encoding/bytes.js';
import { copyNameOf } from './conflict-name.js';
import { entryKind } from './entry-codec.js';
import { mergeMetadata } from './metadata-merge.js';

/**
 * Our change of a name: new contents for what stood there (a rename over it too), a name that was free (made, linked or
 * moved there), a directory made here and never reachable by others, other attributes only, nothing.
 */
export type OurChange = 'content' | 'create' | 'mkdir' | 'attributes' | 'delete';

/**
 * What stands there now, beside the entry that the user acted on: the same bytes; the same object with other attributes;
 * what ours is too (same capability and kind); another object of the same kind, of another kind; nothing any more.
 */
export type TheirChange = 'none' | 'attributes' | 'alike' | 'content' | 'kind' | 'deleted';

export type Decision =
  /** Ours takes the name. */
  | 'apply'
  /** Ours takes the name, with the attributes that only they changed. */
  | 'apply-with-theirs'
  /** Theirs keeps the name, with the attributes that we changed. */
  | 'theirs-with-ours'
  /** Theirs keeps the name, ours goes beside it under a name of its own. */
  | 'copy'
  /** Theirs is the directory, and what we put into ours goes there. */
  | 'adopt'
  /** Ours is given up, and said so in the log. */
  | 'yield'
  /** It is as we wanted it. */
  | 'done';

type Row = Readonly<Record<TheirChange, Decision>>;

export const mergeTable: Readonly<Record<OurChange, Row>> = {
  content: {
    none: 'apply',
    attributes: 'apply-with-theirs',
    alike: 'apply-with-theirs',
    content: 'copy',
    kind: 'copy',
    // modify beats delete
    deleted: 'apply',
  },
  create: {
    none: 'apply',
    attributes: 'apply-with-theirs',
    alike: 'apply-with-theirs',
    content: 'copy',
    kind: 'copy',
    deleted: 'apply',
  },
  mkdir: {
    none: 'apply',
    attributes: 'apply-with-theirs',
    alike: 'apply-with-theirs',
    content: 'adopt',
    kind: 'copy',
    deleted: 'apply',
  },
  attributes: {
    none: 'apply',
    attributes: 'apply-with-theirs',
    alike: 'apply-with-theirs',
    content: 'theirs-with-ours',
    kind: 'yield',
    deleted: 'yield',
  },
  delete: {
    none: 'apply',
    attributes: 'yield',
    alike: 'yield',
    content: 'yield',
    kind: 'yield',
    deleted: 'done',
  },
};

/** `isMadeHere`: a directory that this node made and that nobody else can have reached. */
export function ourChange(
  ours: PackedEntry | undefined,
  expected: PackedEntry | undefined,
  isMadeHere: boolean,
): OurChange {
  if (ours === undefined) return 'delete';
  if (isMadeHere) return 'mkdir';
  if (expected === undefined) return 'create';
  return isSameObject(ours, expected) ? 'attributes' : 'content';
}

export function theirChange(
  ours: PackedEntry | undefined,
  expected: PackedEntry | undefined,
  stands: PackedEntry | undefined,
): TheirChange {
  if (stands === undefined) return expected === undefined ? 'none' : 'deleted';
  if (expected !== undefined) {
    if (bytesEqual(stands.raw, expected.raw)) return 'none';
    if (isSameObject(stands, expected)) return 'attributes';
  }
  if (ours !== undefined && isSameObject(ours, stands)) return 'alike';
  const before = expected ?? ours;
  return before !== undefined && entryKind(before) === entryKind(stands) ? 'content' : 'kind';
}

/** The attributes of three sides in one entry: `ours` where we changed them, else theirs. The object is that of `of`. */
export function withMergedAttributes(
  of: PackedEntry,
  sides: { readonly ancestor: PackedEntry | undefined; readonly ours: PackedEntry; readonly theirs: PackedEntry },
): PackedEntry {
  const ours = parseMetadata(sides.ours.metadataJson);
  const theirs = parseMetadata(sides.theirs.metadataJson);
  if (ours === undefined || theirs === undefined) return of;
  const ancestor = sides.ancestor === undefined ? undefined : parseMetadata(sides.ancestor.metadataJson);
  return of.withMetadata(formatJson(mergeMetadata(ancestor, ours, theirs)));
}

export type Entries = ReadonlyMap<string, PackedEntry>;

export interface ForkCopy {
  /** Both versions have this name. */
  readonly name: string;
  /** Where the loser stands now. */
  readonly copyName: string;
  readonly entry: PackedEntry;
}

export interface MergedFork {
  readonly entries: Map<string, PackedEntry>;
  readonly copies: readonly ForkCopy[];
  /** Names that one of the two does not have and that are kept, though it may have removed them. */
  readonly restored: readonly string[];
}

export interface ForkSides {
  readonly base: Entries;
  readonly fork: Entries;
  /** The version that both were built on, if it is known. */
  readonly ancestor: Entries | undefined;
  /** The fork is the higher version: of two contents for one name its own keeps it. */
  readonly isForkHigher: boolean;
  /** Names that are not taken from the fork: they are changes of ours, which are merged by themselves. */
  readonly skip: ReadonlySet<string>;
}

/**
 * All that is in either version. Doing it again changes nothing, and whoever does it gets the same: names of copies come
 * from the entry that they hold.
 */
export function mergeFork({ base, fork, ancestor, isForkHigher, skip }: ForkSides): MergedFork {
  const entries = new Map(base);
  const copies: ForkCopy[] = [];
  const restored: string[] = [];
  for (const name of new Set([...fork.keys(), ...(ancestor?.keys() ?? [])])) {
    if (skip.has(name)) continue;
    const [stands, other, before] = [base.get(name), fork.get(name), ancestor?.get(name)];
    if (isSame(stands, other)) continue;
    if (ancestor !== undefined && isSame(other, before)) continue;
    if (ancestor !== undefined && isSame(stands, before)) {
      if (other === undefined) entries.delete(name);
      else entries.set(name, other);
      continue;
    }
    // removed there, changed here
    if (other === undefined) {
      restored.push(name);
      continue;
    }
    if (stands === undefined) {
      entries.set(name, other);
      // without an ancestor it may be new, or removed from the other
      restored.push(name);
      continue;
    }
    const [winner, loser] = isForkHigher ? [other, stands] : [stands, other];
    if (isSameObject(winner, loser)) {
      entries.set(name, withMergedAttributes(winner, { ancestor: before, ours: winner, theirs: loser }));
      continue;
    }
    entries.set(name, winner);
    const copyName = copyNameOf(loser, (candidate, copy) => {
      const taken = entries.get(candidate) ?? fork.get(candidate);
      return taken !== undefined && !bytesEqual(taken.raw, copy.raw);
    });
    const entry = loser.renamed(copyName);
    entries.set(copyName, entry);
    copies.push({ name, copyName, entry });
  }
  return { entries, copies, restored };
}

function isSameObject(a: PackedEntry, b: PackedEntry): boolean {
  return a.refersToSame(b) && entryKind(a) === entryKind(b);
}

function isSame(a: PackedEntry | undefined, b: PackedEntry | undefined): boolean {
  return optionalBytesEqual(a?.raw, b?.raw);
}
