/**
 * What becomes of names that were synced here and that the version of another program has not: see overwritten.ts. What
 * was overwritten for certain is added again. What may have been removed stays away, is kept in the journal and listed
 * among the conflicts, until it is there again or somebody decides.
 */
import { type PackedEntry, parseEntry } from '../dirnode/packing.js';
import { bytesEqual } from '../encoding/bytes.js';
import { versionKey } from '../mutable/lineage.js';
import type { VfsCore } from './core.js';
import { factsOf, modifiedTime } from './entry-codec.js';
import { contentSize, type Directory, type DirectoryBase, type Inode, type OpenConflict } from './inode.js';
import type { Namespace } from './namespace.js';
import { newConflict } from './new-conflict.js';
import { type OverwrittenNames, overwrittenNames } from './overwritten.js';
import type { ConflictSide } from './vfs.js';

export class LostNames {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;

  constructor(core: VfsCore, namespace: Namespace) {
    this.#core = core;
    this.#namespace = namespace;
  }

  /** The contents of a directory have become others than `before`. Returns what is doubtful: see `list`. */
  restore(directory: Directory, before: DirectoryBase | undefined): readonly PackedEntry[] {
    this.settle(directory);
    const { overwritten, doubtful } = this.#overwritten(directory, before);
    const { ledger, platform, counters } = this.#core;
    let restored = 0;
    for (const entry of overwritten) {
      const child = directory.clean.get(entry.name) ?? this.#namespace.inodes.of(directory, entry);
      if (!isFreeFor(child, directory, entry.name)) continue;
      child.provenPlace = undefined;
      ledger.names([{ directory, name: entry.name, child, expected: undefined, displaced: undefined }]);
      restored++;
    }
    if (restored > 0) {
      counters.uncoordinatedWriteErrors++;
      platform.log.error(
        'UncoordinatedWriteError: another program has overwritten names that were synced; added again',
        {
          directory: directory.inode.number,
          names: restored,
          sequence: directory.base?.version?.sequenceNumber,
        },
      );
      this.#namespace.changed();
    }
    // what is being written is published again in any case
    return doubtful.filter(({ name }) => directory.clean.get(name)?.content?.overlay === undefined);
  }

  /** Tells of names that are gone, and may have been overwritten. */
  list(directory: Directory, entries: readonly PackedEntry[]): void {
    const { ledger, platform, counters } = this.#core;
    let listed = 0;
    for (const entry of entries) {
      const isListed = [...directory.conflicts].some(({ kept }) => kept !== undefined && bytesEqual(kept, entry.raw));
      if (isListed) continue;
      ledger.listConflict(this.#conflict(directory, entry));
      counters.namesMissing++;
      listed++;
    }
    if (listed === 0) return;
    platform.log.error(
      'UncoordinatedWriteError: names that were synced are gone; another program has overwritten or removed them',
      { directory: directory.inode.number, names: listed, sequence: directory.base?.version?.sequenceNumber },
    );
  }

  /** What is there again is no matter any more. */
  settle({ base, conflicts }: Directory): void {
    for (const conflict of [...conflicts]) {
      if (conflict.kept === undefined) continue;
      const stands = base?.entries.get(conflict.name);
      if (stands?.refersToSame(parseEntry(conflict.kept)) === true) this.#core.ledger.conflictResolved(conflict);
    }
  }

  /** Gives ours a name again, that of its copy: for whoever has decided so. Kind `corrupt`. */
  bringBack(conflict: OpenConflict & { readonly kept: Uint8Array }): void {
    const { directory, copyName: name } = conflict;
    if (directory.isTaken(name)) return;
    const child = this.#namespace.inodes.of(directory, parseEntry(conflict.kept));
    child.displayName = undefined;
    this.#core.ledger.names([{ directory, name, child, expected: undefined, displaced: undefined }]);
    this.#core.notify({ what: 'entry', parent: directory.inode.number, name });
    this.#namespace.changed();
  }

  #overwritten(directory: Directory, before: DirectoryBase | undefined): OverwrittenNames {
    const { base, keys, attempts, proven, isWriteable, dirty } = directory;
    const none: OverwrittenNames = { overwritten: [], doubtful: [] };
    if (before === undefined || base?.version === undefined || keys === undefined || !isWriteable) return none;
    const key = versionKey(base.version);
    if (attempts.some(({ attempt }) => attempt.key === key)) return none;
    if (proven !== undefined && versionKey(proven) === key) return none;
    const { platform, nodeName } = this.#core;
    const context = { readKey: keys.readKey, nodeName, nowSeconds: platform.clock.wallMs() / 1000 };
    const found = overwrittenNames(before, base, context);
    const isClean = ({ name }: PackedEntry) => !dirty.has(name);
    return { overwritten: found.overwritten.filter(isClean), doubtful: found.doubtful.filter(isClean) };
  }

  #conflict(directory: Directory, entry: PackedEntry): OpenConflict {
    const theirs = directory.base?.entries.get(entry.name);
    return newConflict(this.#core, {
      kind: 'missing',
      directory,
      name: entry.name,
      ours: entrySide(directory, entry),
      theirs: theirs === undefined ? undefined : entrySide(directory, theirs),
      kept: entry.raw.slice(),
      // it was nobody's operation here
      isReported: true,
    });
  }
}

/** What an entry says, for people. */
export function entrySide(directory: Directory, entry: PackedEntry): ConflictSide {
  const facts = factsOf(directory, entry);
  const { kind, child } = facts;
  const { cap } = child.type === 'known' ? child : { cap: undefined };
  const sizeBytes = cap?.type === 'chk' || cap?.type === 'lit' ? contentSize(cap) : 0;
  return { kind, sizeBytes, modified: modifiedTime(facts) };
}

/** It is nowhere else. */
function isFreeFor({ place }: Inode, directory: Directory, name: string): boolean {
  return place === undefined || (place.directory === directory && place.name === name);
}
