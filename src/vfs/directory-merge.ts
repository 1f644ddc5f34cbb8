/**
 * What the next version of a directory begins with: the base, with every other living version merged into it (vfs
 * blueprint 5.5, 5.6 and 7). Contents come from this node's memory where it has them, else from the servers.
 */
import { type PackedEntry, packDirectory, parseDirectory } from '../dirnode/packing.js';
import { isTahoeError } from '../errors/tahoe-error.js';
import type { Base, Fork } from '../mutable/assess-slot.js';
import { compareVersions, type VersionKey, versionKey } from '../mutable/lineage.js';
import { retrieveVersion } from '../mutable/retrieve.js';
import type { SlotMap } from '../mutable/slot-map.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { VfsCore } from './core.js';
import type { Directory } from './inode.js';
import { type Entries, type ForkCopy, mergeFork } from './merge.js';
import type { Namespace } from './namespace.js';

export interface MergedBase {
  readonly entries: ReadonlyMap<string, PackedEntry>;
  /** What the base contains, what was merged into it, and all that that contains. */
  readonly lineage: readonly VersionKey[];
  readonly copies: readonly ForkCopy[];
  readonly hasForks: boolean;
}

/** The contents of a version could not be brought together, though enough of its shares were seen. */
export class UnreadableVersion {
  readonly key: VersionKey;
  readonly cause: unknown;

  constructor(key: VersionKey, cause: unknown) {
    this.key = key;
    this.cause = cause;
  }
}

export class DirectoryMerge {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;

  constructor(core: VfsCore, namespace: Namespace) {
    this.#core = core;
    this.#namespace = namespace;
  }

  /** Versions whose contents this node has, besides its attempts. */
  async knownVersions(directory: Directory): Promise<Checkstring[]> {
    const base = directory.base?.version;
    const remembered = await this.#core.remembered.get(directory);
    return [base, remembered?.version].filter((version) => version !== undefined);
  }

  /** Makes the base the directory's contents, and merges the forks into it. */
  async mergedBase(directory: Directory, map: SlotMap, base: Base): Promise<MergedBase | UnreadableVersion> {
    const content = await this.#contentOf(directory, map, base.key);
    if (content instanceof UnreadableVersion) return content;
    const before = directory.base;
    const memory = before === undefined ? await this.#core.remembered.get(directory) : undefined;
    const missing = content === 'base' ? [] : this.#namespace.adopt(directory, base.base, content, memory);
    if (base.proven !== undefined) await this.#noteProven(directory, base, content);
    const merged = await this.#withForks(directory, map, base, before);
    const entries = merged instanceof UnreadableVersion ? undefined : merged.entries;
    const isBack = (entry: PackedEntry) => entries?.get(entry.name)?.refersToSame(entry) === true;
    this.#namespace.listMissing(
      directory,
      missing.filter((entry) => !isBack(entry)),
    );
    return merged;
  }

  async #withForks(
    directory: Directory,
    map: SlotMap,
    base: Base,
    before: Directory['base'],
  ): Promise<MergedBase | UnreadableVersion> {
    let entries: Entries = directory.base!.entries;
    const copies: ForkCopy[] = [];
    const restored: string[] = [];
    for (const fork of base.forks) {
      const forkContent = await this.#contentOf(directory, map, fork.key);
      if (forkContent instanceof UnreadableVersion) return forkContent;
      const merged = mergeFork({
        base: entries,
        fork: forkContent === 'base' ? entries : parseDirectory(forkContent, { deepImmutable: false }),
        ancestor: await this.#ancestorOf(directory, map, fork, before),
        isForkHigher: compareVersions(fork.version, base.base) > 0,
        skip: ownNames(directory, fork.key),
      });
      entries = merged.entries;
      copies.push(...merged.copies);
      restored.push(...merged.restored);
    }
    if (base.forks.length > 0) {
      this.#core.platform.log.warn('versions of a directory that were published side by side are merged', {
        directory: directory.inode.number,
        versions: base.forks.length + 1,
        copies: copies.length,
        restored: restored.length,
      });
    }
    const lineage = new Set(base.lineage);
    for (const fork of base.forks) for (const key of [fork.key, ...fork.lineage]) lineage.add(key);
    return { entries, lineage: [...lineage], copies, hasForks: base.forks.length > 0 };
  }

  /** P as seen now: the memory against rollback, also of what others have published. */
  async #noteProven(directory: Directory, { proven, key }: Base, content: Uint8Array | 'base'): Promise<void> {
    if (proven === undefined) return;
    if (directory.proven !== undefined && compareVersions(proven, directory.proven) <= 0) return;
    directory.proven = proven;
    if (versionKey(proven) !== key) return;
    const bytes = content === 'base' ? packDirectory(directory.base!.entries.values()) : content;
    await this.#core.remembered.put(directory, { version: proven, content: bytes });
  }

  /** `base`: what the directory has already. */
  async #contentOf(
    directory: Directory,
    map: SlotMap,
    key: VersionKey,
  ): Promise<Uint8Array | 'base' | UnreadableVersion> {
    const { version } = directory.base ?? {};
    if (version !== undefined && versionKey(version) === key) return 'base';
    const own = directory.attempts.find(({ attempt }) => attempt.key === key);
    if (own !== undefined) return own.attempt.content;
    const remembered = await this.#core.remembered.get(directory);
    if (remembered !== undefined && versionKey(remembered.version) === key) return remembered.content;
    const seen = map.versions.get(key);
    try {
      if (seen !== undefined) return await retrieveVersion(this.#core.slots, directory.keys!, seen);
    } catch (error) {
      if (!isTahoeError(error, 'unrecoverable')) throw error;
      return new UnreadableVersion(key, error);
    }
    return new UnreadableVersion(key, undefined);
  }

  /** The third side of a merge. Without it nothing is lost, but what was removed may come back. */
  async #ancestorOf(
    directory: Directory,
    map: SlotMap,
    { ancestor }: Fork,
    before: Directory['base'],
  ): Promise<Entries | undefined> {
    if (ancestor === undefined) return undefined;
    if (before?.version !== undefined && versionKey(before.version) === ancestor) return before.entries;
    const content = await this.#contentOf(directory, map, ancestor);
    if (content instanceof UnreadableVersion) return undefined;
    return content === 'base' ? directory.base!.entries : parseDirectory(content, { deepImmutable: false });
  }
}

/** Changes of ours are merged by themselves, as they are now: see delta-merge.ts. */
function ownNames({ attempts }: Directory, key: VersionKey): ReadonlySet<string> {
  const own = attempts.find(({ attempt }) => attempt.key === key);
  return new Set(own?.names.map(({ name }) => name));
}
