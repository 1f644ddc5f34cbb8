/**
 * This node's changes of a directory over what the grid has now: each is judged by the table in merge.ts, and what the
 * table says is done and journaled, so that a repetition finds nothing to do (vfs blueprint 5.8 and 7).
 */
import { type PackedEntry, parseEntry } from '../dirnode/packing.js';
import { bytesEqual, optionalBytesEqual } from '../encoding/bytes.js';
import type { VersionKey } from '../mutable/lineage.js';
import { authorOf, conflictName, copyNameOf } from './conflict-name.js';
import type { VfsCore } from './core.js';
import type { DirectoryAdoption } from './directory-adoption.js';
import { contentCap, type EligibleNames } from './eligible-names.js';
import { applyEntry, type EntryFacts, factsOf, writeEntry } from './entry-codec.js';
import type { AttemptedName, Directory, DirtyName, Inode } from './inode.js';
import { entrySide } from './lost-names.js';
import { type Decision, type Entries, mergeTable, ourChange, theirChange, withMergedAttributes } from './merge.js';
import type { Namespace } from './namespace.js';
import { newConflict } from './new-conflict.js';
import type { ConflictSide } from './vfs.js';

export interface FrozenNames {
  readonly entries: ReadonlyMap<string, PackedEntry>;
  readonly names: readonly AttemptedName[];
}

export interface MergeInput {
  readonly directory: Directory;
  /** What the next version begins with. */
  readonly merged: Entries;
  /** The base and all that it contains: changes that went into one of these are not made again. */
  readonly history: ReadonlySet<VersionKey>;
}

/** What is to be written for one name. */
type Outcome =
  | { readonly kind: 'write'; readonly dirty: DirtyName; readonly entry: PackedEntry | undefined }
  /** It is in the history of the base, and somebody who saw it has changed it again. */
  | { readonly kind: 'superseded'; readonly dirty: DirtyName };

export class DeltaMerge {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #eligible: EligibleNames;
  readonly #adoption: DirectoryAdoption;

  constructor(core: VfsCore, namespace: Namespace, eligible: EligibleNames, adoption: DirectoryAdoption) {
    this.#core = core;
    this.#namespace = namespace;
    this.#eligible = eligible;
    this.#adoption = adoption;
  }

  /** The entries of the next version, and the names that it answers for. Nothing of the directory changes afterwards. */
  async freeze(input: MergeInput): Promise<FrozenNames> {
    for (;;) {
      const outcomes = this.#judgeAll(input);
      if (Array.isArray(outcomes)) return this.#write(input, outcomes);
      // what we put into a directory that gives way to theirs must be known before it is moved
      if (outcomes !== 'again') await this.#namespace.load(outcomes);
    }
  }

  /** All outcomes; `again` if names have come or gone meanwhile; a directory that has to be loaded first. */
  #judgeAll(input: MergeInput): Outcome[] | 'again' | Directory {
    const outcomes: Outcome[] = [];
    for (const dirty of this.#eligible.of(input.directory)) {
      const outcome = this.#judge(input, dirty);
      if (outcome === 'again' || !('kind' in outcome)) return outcome;
      outcomes.push(outcome);
    }
    return outcomes;
  }

  #judge(input: MergeInput, dirty: DirtyName): Outcome | 'again' | Directory {
    const { directory, merged, history } = input;
    const stands = merged.get(dirty.name);
    const carried = dirty.carried.findLast(({ change }) => change === dirty.change);
    if (carried !== undefined && optionalBytesEqual(carried.entry, stands?.raw))
      return { kind: 'write', dirty, entry: stands };
    const ours = carried === undefined ? this.#entryOf(directory, dirty) : optionalEntry(carried.entry);
    if (carried !== undefined && isInHistory(directory, dirty, history)) {
      // a fork that was merged into the base has taken the name from it
      const isDisplaced =
        ours !== undefined && optionalBytesEqual(directory.base?.entries.get(dirty.name)?.raw, ours.raw);
      if (!isDisplaced) return { kind: 'superseded', dirty };
      return this.#decide('copy', { ...input, dirty, ours, expected: optionalEntry(dirty.expected), stands });
    }
    const isOurs = [dirty.expected, ...dirty.carried.map(({ entry }) => entry)].some((each) =>
      optionalBytesEqual(each, stands?.raw),
    );
    if (isOurs) return { kind: 'write', dirty, entry: ours };
    const expected = expectedEntry(dirty, stands);
    const { child } = dirty;
    const isMadeHere = child?.directory?.isMadeHere === true && child.provenPlace === undefined;
    const change = ourChange(ours, expected, isMadeHere);
    // bytes that are being written are a change of the content, also before they are closed
    const row = change === 'attributes' && child?.content?.overlay !== undefined ? 'content' : change;
    const decision = mergeTable[row][theirChange(ours, expected, stands)];
    return this.#decide(decision, { ...input, dirty, ours, expected, stands });
  }

  #decide(decision: Decision, judged: Judged): Outcome | 'again' | Directory {
    const { directory, dirty, ours, stands } = judged;
    switch (decision) {
      case 'done':
        return { kind: 'write', dirty, entry: undefined };
      case 'apply':
        this.#log('a name that another writer has removed stays: it was changed here', judged);
        return { kind: 'write', dirty, entry: ours };
      case 'apply-with-theirs':
        this.#takeAttributes(judged, ours!);
        return 'again';
      case 'theirs-with-ours':
        if (dirty.child?.directory === undefined) {
          const { child } = factsOf(directory, stands!);
          this.#core.tree.takeChild(dirty.child!, child);
          this.#core.notify({ what: 'content', inode: dirty.child!.number });
          this.#takeAttributes(judged, stands!);
        } else this.#yield(judged);
        return 'again';
      case 'yield':
        this.#yield(judged);
        return 'again';
      case 'copy':
        this.#copy(judged);
        return 'again';
      case 'adopt': {
        const own = dirty.child!.directory!;
        if (!this.#adoption.canAdopt(directory, stands!)) {
          this.#copy(judged);
          return 'again';
        }
        if (this.#namespace.isLoadDue(own) && own.base === undefined) return own;
        this.#adoption.adopt(directory, dirty.name, own, stands!);
        return 'again';
      }
    }
  }

  /** Ours is from now on a change of theirs, with the fields that only they changed. */
  #takeAttributes({ directory, dirty, ours, expected, stands }: Judged, of: PackedEntry): void {
    const merged = withMergedAttributes(of, { ancestor: expected, ours: ours!, theirs: stands! });
    const child = dirty.child!;
    this.#applyAttributes(child, factsOf(directory, merged));
    this.#core.ledger.describe(child);
    this.#core.ledger.rebase(directory, dirty.name, stands!.raw);
    this.#core.notify({ what: 'attributes', inode: child.number });
  }

  #applyAttributes(inode: Inode, facts: EntryFacts): void {
    const { defaultUid: uid, defaultGid: gid } = this.#core.settings;
    applyEntry(inode, facts, { uid, gid });
  }

  /** Changing beats removing, and nobody's change goes because somebody else removed what was there before. */
  #yield(judged: Judged): void {
    const { directory, dirty } = judged;
    this.#log('a change was given up: another writer has changed the same name', judged);
    this.#core.ledger.dropName(directory, dirty.name);
    this.#namespace.refollow(directory, dirty.name);
    this.#core.notify({ what: 'entry', parent: directory.inode.number, name: dirty.name });
  }

  /** Theirs keeps the name. Ours gets one of its own, and the inode and its handles go with it. */
  #copy(judged: Judged): void {
    const { directory, dirty, expected, stands } = judged;
    const { ledger, platform, notify } = this.#core;
    const copyName = this.#copyName(judged);
    const conflict = newConflict(this.#core, {
      kind: expected === undefined ? 'created' : 'changed',
      directory,
      name: dirty.name,
      copyName,
      ours: inodeSide(dirty.child!),
      theirs: entrySide(directory, stands!),
      isReported: false,
    });
    ledger.conflict(conflict);
    for (const name of [dirty.name, copyName]) notify({ what: 'entry', parent: directory.inode.number, name });
    platform.log.error('UncoordinatedWriteError: another writer has changed the same name; ours is beside it', {
      directory: directory.inode.number,
      conflict: conflict.id,
    });
  }

  #copyName({ directory, merged, dirty }: Judged): string {
    const carried = dirty.carried.findLast(({ change, entry }) => change === dirty.change && entry !== undefined);
    const isTaken = (candidate: string) => directory.isTaken(candidate) || merged.has(candidate);
    if (carried === undefined) {
      const mark = { node: this.#core.nodeName, wallMs: this.#core.platform.clock.wallMs() };
      return conflictName(dirty.name, mark, isTaken);
    }
    // somebody who merged an attempt of ours may have made the copy already: then it has this name
    const entry = optionalEntry(carried.entry)!;
    return copyNameOf(entry, (candidate, copy) => {
      const there = merged.get(candidate);
      return isTaken(candidate) && (there === undefined || !bytesEqual(there.raw, copy.raw));
    });
  }

  /** Copies that a merge of forks has made, for the list. Once: the name says which. */
  listCopies(directory: Directory, copies: readonly { name: string; copyName: string; entry: PackedEntry }[]): void {
    const { ledger, platform } = this.#core;
    for (const { name, copyName, entry } of copies) {
      if ([...directory.conflicts].some((known) => known.copyName === copyName)) continue;
      const theirs = directory.base?.entries.get(name);
      const conflict = newConflict(this.#core, {
        kind: 'fork',
        directory,
        name,
        copyName,
        ours: entrySide(directory, entry),
        theirs: theirs === undefined ? undefined : entrySide(directory, theirs),
        // it was nobody's operation here
        isReported: true,
      });
      ledger.listConflict(conflict);
      platform.log.error('UncoordinatedWriteError: two versions of a directory had the same name; both are kept', {
        directory: directory.inode.number,
        conflict: conflict.id,
        writer: authorOf(entry).node,
      });
    }
  }

  #write({ merged }: MergeInput, outcomes: readonly Outcome[]): FrozenNames {
    const entries = new Map(merged);
    const names = outcomes.map((outcome): AttemptedName => {
      const { name, change, child } = outcome.dirty;
      if (outcome.kind === 'superseded')
        return { name, change, child, entry: entries.get(name)?.raw, isSuperseded: true };
      if (outcome.entry === undefined) entries.delete(name);
      else entries.set(name, outcome.entry);
      return { name, change, child, entry: outcome.entry?.raw, isSuperseded: false };
    });
    return { entries, names };
  }

  #entryOf(directory: Directory, { name, child }: DirtyName): PackedEntry | undefined {
    if (child === undefined) return undefined;
    const { clock, entropy } = this.#core.platform;
    const stamp = { nowSeconds: clock.wallMs() / 1000, changeId: entropy.bytes(8), node: this.#core.nodeName };
    return writeEntry(child, name, contentCap(child), directory.keys!.writeKey!, stamp);
  }

  #log(message: string, { directory, dirty }: Judged): void {
    this.#core.platform.log.warn(message, { directory: directory.inode.number, change: dirty.change });
  }
}

interface Judged extends MergeInput {
  readonly dirty: DirtyName;
  readonly ours: PackedEntry | undefined;
  readonly expected: PackedEntry | undefined;
  readonly stands: PackedEntry | undefined;
}

export function inodeSide({ kind, content, modified }: Inode): ConflictSide {
  return { kind, sizeBytes: content?.sizeBytes ?? 0, modified };
}

/** The change as it is now has gone into a version that the base contains. */
function isInHistory({ attempts }: Directory, { name, change }: DirtyName, history: ReadonlySet<VersionKey>): boolean {
  return attempts.some(
    ({ attempt, names }) =>
      history.has(attempt.key) && names.some((each) => each.name === name && each.change === change),
  );
}

/** The entry of ours that theirs was made from: an attempt may have shown them a later one than the user began with. */
function expectedEntry({ expected, carried }: DirtyName, stands: PackedEntry | undefined): PackedEntry | undefined {
  const shown = carried.flatMap(({ entry }) => (entry === undefined ? [] : [parseEntry(entry)]));
  const same = stands === undefined ? undefined : shown.findLast((entry) => entry.refersToSame(stands));
  return same ?? optionalEntry(expected);
}

function optionalEntry(raw: Uint8Array | undefined): PackedEntry | undefined {
  return raw === undefined ? undefined : parseEntry(raw);
}
