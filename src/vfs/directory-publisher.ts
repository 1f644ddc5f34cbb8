/**
 * Publishes one directory once: map, base, changes over it, attempt, proof (vfs blueprint 5). What cannot be proven
 * stays an open attempt, and the next round starts from a new map.
 */
import { serializeCap } from '../caps/cap.js';
import { type PackedEntry, packDirectory } from '../dirnode/packing.js';
import type { ServerId } from '../encoding/brands.js';
import { bytesEqual, toHex } from '../encoding/bytes.js';
import { assert } from '../errors/tahoe-error.js';
import { assessSlot } from '../mutable/assess-slot.js';
import { versionKey } from '../mutable/lineage.js';
import { mapSlot } from '../mutable/map-slot.js';
import { type Attempt, makeAttempt, publishAttempt } from '../mutable/publish.js';
import { retrieveSigningKeys, retrieveVersion } from '../mutable/retrieve.js';
import type { SlotKeys } from '../mutable/slot-keys.js';
import { answeredRegisters, type Quorums, quorumsOf, type SlotMap, seenShareNumbers } from '../mutable/slot-map.js';
import type { VfsCore } from './core.js';
import { writeEntry } from './entry-codec.js';
import type { AttemptedName, Directory, DirtyName, Inode } from './inode.js';
import type { KeySource } from './key-pool.js';
import type { Namespace } from './namespace.js';
import { contentId, type DirectoryProof, type StoredContent, sharePlacement } from './receipts.js';
import { isProvenAt } from './tree.js';
import type { WantedFiles } from './wanted-files.js';

/** How long the last servers may take to answer a map after enough have. */
const MAP_PATIENCE_MS = 250;

/** Longer chains of places than this are loops. */
const DEPTH_MAX = 1000;

export type PublishRound =
  /** There is nothing that can be published now. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'proven' }
  | { readonly kind: 'retry'; readonly reason: string; readonly isCollision: boolean }
  /** It does not go on by itself. */
  | { readonly kind: 'stopped'; readonly state: 'conflict' | 'failed'; readonly reason: string };

type KnownShares = Pick<DirectoryProof, 'stored' | 'movedFrom'>;

interface FrozenNames {
  readonly entries: ReadonlyMap<string, PackedEntry>;
  readonly names: readonly AttemptedName[];
}

export class DirectoryPublisher {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #keys: KeySource;
  /** Files whose newest complete generation is wanted now, though they are open or already written again. */
  readonly #wanted: WantedFiles;

  constructor(core: VfsCore, namespace: Namespace, keys: KeySource, wanted: WantedFiles) {
    this.#core = core;
    this.#namespace = namespace;
    this.#keys = keys;
    this.#wanted = wanted;
  }

  /** Names that may go into an attempt now: contents are on the grid, and what they displace is safe elsewhere. */
  eligible(directory: Directory): DirtyName[] {
    const chosen = new Map<string, DirtyName>();
    for (const dirty of directory.dirty.values()) {
      if (dirty.conflict === undefined && this.#isReady(dirty)) chosen.set(dirty.name, dirty);
    }
    for (let removed = true; removed; ) {
      removed = false;
      for (const dirty of chosen.values()) {
        if (!this.#losesDisplaced(directory, dirty, chosen)) continue;
        chosen.delete(dirty.name);
        removed = true;
      }
    }
    return [...chosen.values()];
  }

  async publish(directory: Directory): Promise<PublishRound> {
    const { slots, ledger } = this.#core;
    if (this.eligible(directory).length === 0 && directory.attempts.length === 0 && directory.isBorn)
      return { kind: 'idle' };
    if (directory.cap === undefined) await this.#giveKey(directory);
    const keys = directory.keys!;

    const map = await this.#map(directory, keys);
    const quorums = this.#quorumsOf(map);
    const memory = {
      proven: directory.proven,
      attempts: directory.attempts.map(({ attempt }) => attempt),
      // a first attempt may stand on so few servers that nothing but this would say whose it is
      isUnborn: !directory.isBorn,
    };
    const assessment = assessSlot(map, memory, quorums, keys.readKey);
    switch (assessment.kind) {
      case 'unavailable':
        return { kind: 'retry', reason: assessment.reason, isCollision: false };
      case 'unsettled':
        return assessment.isRolledBack
          ? { kind: 'stopped', state: 'failed', reason: assessment.reason }
          : { kind: 'retry', reason: assessment.reason, isCollision: false };
      case 'rolled-back':
        return { kind: 'stopped', state: 'failed', reason: assessment.reason };
      case 'absent':
        if (directory.isBorn)
          return { kind: 'retry', reason: 'no share of it is on the servers that answer', isCollision: false };
        break;
      case 'base':
        if (assessment.forks.length > 0) {
          const reason = `${assessment.forks.length + 1} living versions of the directory`;
          return { kind: 'stopped', state: 'conflict', reason };
        }
        await this.#adoptBase(directory, map, assessment.key);
        break;
    }
    directory.signing ??= await retrieveSigningKeys(slots, keys, map);

    const frozen = this.#freeze(directory);
    if (frozen.names.length === 0 && directory.attempts.length === 0 && directory.isBorn) return { kind: 'idle' };
    if (directory.isDiscarded) return { kind: 'idle' };
    const stored = this.#storedOf(directory, frozen.names);
    const content = packDirectory(frozen.entries.values());
    const attempt = makeAttempt(slots, {
      keys,
      signing: directory.signing,
      content,
      sequenceNumber: assessment.kind === 'base' ? assessment.highestSequenceNumber + 1 : nextOwnSequence(directory),
      base: assessment.kind === 'base' ? { version: assessment.base, lineage: assessment.lineage } : undefined,
      quorums,
    });
    ledger.attempt(directory, { attempt, names: frozen.names });
    await ledger.sync();
    const usable = assessment.kind === 'base' ? assessment.usable : [...map.answered.keys()];
    const isNew = assessment.kind === 'absent';
    const result = await publishAttempt(slots, keys, attempt, { map, usable, quorums, isNew });
    if (directory.isDiscarded) return { kind: 'idle' };
    if (result.kind !== 'proven') {
      return { kind: 'retry', reason: result.reason, isCollision: result.kind === 'collision' };
    }
    await this.#keepProof(directory, attempt, frozen, { stored, shares: result.shares });
    this.#namespace.adoptOwn(directory, attempt.version, frozen.entries, content.length);
    ledger.proven(directory, attempt.key);
    await ledger.sync();
    return { kind: 'proven' };
  }

  /** Durable before anybody is told: the contents against rollback, and what a receipt says. */
  async #keepProof(
    directory: Directory,
    attempt: Attempt,
    { entries, names }: FrozenNames,
    shown: { readonly stored: KnownShares; readonly shares: ReadonlyMap<number, ReadonlySet<ServerId>> },
  ): Promise<void> {
    const { stored, movedFrom } = shown.stored;
    const proof = {
      version: attempt.key,
      provenMs: this.#core.platform.clock.wallMs(),
      shares: sharePlacement(shown.shares),
      readCaps: [...entries.values()].map(({ readCap }) => readCap),
      stored,
      movedFrom,
    };
    await Promise.all([
      this.#namespace.remember(directory, attempt.version, attempt.content),
      this.#core.receipts.proved(toHex(directory.keys!.storageIndex), proof),
    ]);
    const kept = new Set(stored.values());
    for (const { child } of names) {
      const { content } = child ?? {};
      if (content?.stored !== undefined && kept.has(content.stored.content)) content.stored = undefined;
    }
  }

  /** What is known now of where the contents of these names are: while they are published they may be written again. */
  #storedOf(directory: Directory, names: readonly AttemptedName[]): KnownShares {
    const stored = new Map<string, StoredContent>();
    const movedFrom = new Set<string>();
    for (const { child } of names) {
      const own = child?.content?.stored;
      const id = own === undefined ? undefined : contentId(serializeCap(own.cap));
      if (own !== undefined && id !== undefined) stored.set(id, own.content);
      const from = child?.provenPlace?.directory;
      if (from?.keys !== undefined && from !== directory) movedFrom.add(toHex(from.keys.storageIndex));
    }
    return { stored, movedFrom };
  }

  /** The first servers of the list, or all of them if the shares turn out not to be there. */
  async #map(directory: Directory, keys: SlotKeys): Promise<SlotMap> {
    const { slots, quorums } = this.#core;
    const enough = (sofar: SlotMap) => answeredRegisters(sofar, quorums.sharesTotal) >= quorums.answers;
    const options = { enough, patienceMs: MAP_PATIENCE_MS };
    const map = await mapSlot(slots, keys, { ...options, serverCount: quorums.sharesTotal });
    const isComplete = !directory.isBorn || seenShareNumbers(map).size >= quorums.sharesTotal;
    if (isComplete || slots.servers().length <= map.asked.length) return map;
    return mapSlot(slots, keys, { ...options, serverCount: Number.POSITIVE_INFINITY });
  }

  async #giveKey(directory: Directory): Promise<void> {
    this.#core.ledger.directoryKey(directory, await this.#keys.take());
  }

  /** The encoding that the directory has, or that of new ones; the write quorum honours this node's happiness either way. */
  #quorumsOf(map: SlotMap): Quorums {
    const [seen] = map.versions.values();
    if (seen === undefined) return this.#core.quorums;
    const { sharesNeeded, sharesTotal } = seen.prefix;
    return quorumsOf({ sharesNeeded, sharesTotal, sharesHappy: this.#core.sharesHappy });
  }

  /** Makes the base of the next attempt the directory's contents, and looks for names that somebody else changed too. */
  async #adoptBase(directory: Directory, map: SlotMap, key: string): Promise<void> {
    const own = directory.attempts.find(({ attempt }) => attempt.key === key);
    const seen = map.versions.get(key)!;
    if (!isBaseOf(directory, key)) {
      const content = own?.attempt.content ?? (await retrieveVersion(this.#core.slots, directory.keys!, seen));
      this.#namespace.adopt(directory, seen.prefix, content);
    }
    const { entries } = directory.base!;
    for (const dirty of [...directory.dirty.values()]) {
      const stands = entries.get(dirty.name)?.raw;
      const isOurs = [dirty.expected, ...dirty.carried].some((known) => isSameEntry(known, stands));
      const isAgreed = dirty.child === undefined && stands === undefined;
      if (isOurs || isAgreed) {
        dirty.conflict = undefined;
        continue;
      }
      if (dirty.child === undefined) {
        this.#yieldRemoval(directory, dirty.name);
        continue;
      }
      if (dirty.conflict !== undefined) continue;
      dirty.conflict = `UncoordinatedWriteError: "${dirty.name}" was changed by another writer as well`;
      this.#core.counters.conflictsFound++;
      this.#core.platform.log.error('UncoordinatedWriteError: our change is kept in the journal, theirs on the grid', {
        directory: directory.inode.number,
      });
    }
  }

  /** Changing beats removing: nobody's change goes because somebody else removed what was there before. */
  #yieldRemoval(directory: Directory, name: string): void {
    this.#core.ledger.dropName(directory, name);
    this.#core.notify({ what: 'entry', parent: directory.inode.number, name });
    this.#core.platform.log.warn('a removal was dropped: another writer has changed what was to be removed', {
      directory: directory.inode.number,
    });
  }

  /** The entries of the next version: those of the base with the eligible names as the view has them now. */
  #freeze(directory: Directory): FrozenNames {
    const entries = new Map(directory.base?.entries);
    const names: AttemptedName[] = [];
    const { clock, entropy } = this.#core.platform;
    for (const { name, change, child } of this.eligible(directory)) {
      if (child === undefined) {
        entries.delete(name);
        names.push({ name, change, child, entry: undefined });
        continue;
      }
      const stamp = { nowSeconds: clock.wallMs() / 1000, changeId: entropy.bytes(8) };
      const entry = writeEntry(child, name, contentCap(child), directory.keys!.writeKey!, stamp);
      entries.set(name, entry);
      names.push({ name, change, child, entry: entry.raw });
    }
    return { entries, names };
  }

  /** A file that is being written is not shown half done, unless somebody asks for it or it has been open for long. */
  #isReady({ child, sinceMs }: DirtyName): boolean {
    if (child === undefined) return true;
    if (child.directory !== undefined) return child.directory.isBorn;
    const { content } = child;
    if (content === undefined) return true;
    const { overlay, uploaded, writers, generation } = content;
    // an older one must not be published as if it were what the name was changed for
    if (overlay !== undefined) return uploaded?.generation === generation;
    const isNew = child.provenPlace === undefined && generation === 0;
    if (!isNew || writers === 0 || this.#wanted.has(child)) return true;
    return this.#core.platform.clock.monotonicMs() - sinceMs > this.#core.settings.openFileMs;
  }

  /** True if publishing this name would take away the only name by which the grid has an inode that lives on elsewhere. */
  #losesDisplaced(directory: Directory, dirty: DirtyName, chosen: ReadonlyMap<string, DirtyName>): boolean {
    const { displaced } = dirty;
    if (displaced === undefined || displaced === dirty.child || displaced.place === undefined) return false;
    const { place, provenPlace } = displaced;
    if (!isProvenAt(displaced, directory, dirty.name)) {
      return provenPlace !== undefined && !isReachable(provenPlace.directory, directory, chosen);
    }
    if (place.directory === directory) return !chosen.has(place.name);
    if (place.directory.dirty.has(place.name)) return !isFirstOfRing(dirty);
    return !isReachable(place.directory, directory, chosen);
  }
}

/** The capability that an entry for this inode carries. */
export function contentCap(inode: Inode) {
  const { content } = inode;
  if (content === undefined) return undefined;
  if (content.overlay === undefined) return content.base;
  assert(content.uploaded !== undefined, 'a file whose content is on the grid');
  return content.uploaded.cap;
}

/** True if others can come to a directory by names that are on the grid, or that go there with those chosen now. */
function isReachable(place: Directory, directory: Directory, chosen: ReadonlyMap<string, DirtyName>): boolean {
  for (let at = place, depth = 0; depth < DEPTH_MAX; depth++) {
    const { inode } = at;
    if (!at.isBorn) return false;
    // a root, or one that is known by its capability only
    if (inode.place === undefined) return true;
    if (inode.provenPlace === undefined) {
      if (inode.place.directory !== directory || !chosen.has(inode.place.name)) return false;
      return true;
    }
    at = inode.provenPlace.directory;
  }
  return true;
}

/**
 * Files that changed places across directories wait for each other in a ring. The name changed first goes ahead: what it
 * displaces is then for a moment in this node's journal only.
 */
function isFirstOfRing(dirty: DirtyName): boolean {
  for (let at = dirty, depth = 0; depth < DEPTH_MAX; depth++) {
    const place = at.displaced?.place;
    const next = place?.directory.dirty.get(place.name);
    if (next === dirty) return true;
    if (next === undefined || next.change < dirty.change) return false;
    at = next;
  }
  return false;
}

function isBaseOf(directory: Directory, key: string): boolean {
  const version = directory.base?.version;
  return version !== undefined && versionKey(version) === key;
}

function nextOwnSequence(directory: Directory): number {
  return 1 + Math.max(0, ...directory.attempts.map(({ attempt }) => attempt.version.sequenceNumber));
}

function isSameEntry(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return bytesEqual(a, b);
}
