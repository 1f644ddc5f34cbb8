/**
 * Publishes one directory once: map, base, changes over it, attempt, proof (vfs blueprint 5). What cannot be proven
 * stays an open attempt, and the next round starts from a new map.
 *
 * Where this differs from the blueprint: registers that lag behind after a proof are not brought up in the background
 * (5.10); the next publish does it, and the model check found it not to be needed.
 */
import { serializeCap } from '../caps/cap.js';
import { packDirectory } from '../dirnode/packing.js';
import type { ServerId } from '../encoding/brands.js';
import { toHex } from '../encoding/bytes.js';
import { describeError } from '../errors/tahoe-error.js';
import { type Assessment, assessSlot } from '../mutable/assess-slot.js';
import { versionKey } from '../mutable/lineage.js';
import { mapForWriting } from '../mutable/map-slot.js';
import { type Attempt, makeAttempt, publishAttempt } from '../mutable/publish.js';
import { RegisterHistory } from '../mutable/register-history.js';
import { retrieveSigningKeys } from '../mutable/retrieve.js';
import type { SlotKeys } from '../mutable/slot-keys.js';
import { describeMap, type Quorums, quorumsSeen, type SlotMap, seenShareNumbers } from '../mutable/slot-map.js';
import type { VfsCore } from './core.js';
import type { DeltaMerge, FrozenNames } from './delta-merge.js';
import { Departures } from './departures.js';
import { type DirectoryMerge, type MergedBase, UnreadableVersion } from './directory-merge.js';
import type { EligibleNames } from './eligible-names.js';
import type { AttemptedName, Directory, DirtyName } from './inode.js';
import type { KeySource } from './key-pool.js';
import type { Namespace } from './namespace.js';
import { contentId, type DirectoryProof, type StoredContent, sharePlacement } from './receipts.js';

/** How long the last servers may take to answer a map after enough have. */
const MAP_PATIENCE_MS = 250;

export type PublishRound =
  /** There is nothing that can be published now. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'proven' }
  /** `collision`: another writer was first; `unsettled`: it goes on when nothing has moved for a while. */
  | { readonly kind: 'retry'; readonly reason: string; readonly why: 'collision' | 'unsettled' | 'failure' }
  /** It does not go on by itself. */
  | { readonly kind: 'stopped'; readonly reason: string };

type KnownShares = Pick<DirectoryProof, 'stored' | 'movedFrom'>;

export interface PublisherParts {
  readonly namespace: Namespace;
  readonly eligible: EligibleNames;
  readonly merge: DirectoryMerge;
  readonly deltas: DeltaMerge;
  readonly keys: KeySource;
}

/** What an attempt is made of. */
interface Ground {
  readonly map: SlotMap;
  readonly quorums: Quorums;
  readonly assessment: Extract<Assessment, { kind: 'base' | 'absent' }>;
  readonly merged: MergedBase;
}

const nothing: MergedBase = { entries: new Map(), lineage: [], copies: [], hasForks: false };

export class DirectoryPublisher {
  readonly #core: VfsCore;
  readonly #parts: PublisherParts;
  readonly #departures: Departures;

  constructor(core: VfsCore, parts: PublisherParts) {
    this.#core = core;
    this.#parts = parts;
    this.#departures = new Departures(core, parts.namespace);
  }

  eligible(directory: Directory): DirtyName[] {
    return this.#parts.eligible.of(directory);
  }

  async publish(directory: Directory): Promise<PublishRound> {
    if (this.#isIdle(directory)) return { kind: 'idle' };
    if (!directory.isWriteable) return this.#watch(directory);
    if (directory.cap === undefined) await this.#giveKey(directory);
    const ground = await this.#ground(directory, directory.keys!);
    if ('kind' in ground) return ground;
    const { map, merged, assessment } = ground;
    if (this.#isLeftToOthers(directory, merged)) return this.#notStanding(map);
    directory.signing ??= await retrieveSigningKeys(this.#core.slots, directory.keys!, map);
    await this.#departures.recheck(directory, this.eligible(directory));
    const history = new Set(assessment.kind === 'base' ? [assessment.key, ...assessment.lineage] : []);
    const frozen = await this.#parts.deltas.freeze({ directory, merged: merged.entries, history });
    const isNeeded = merged.hasForks || !this.#isIdle(directory, frozen.names);
    if (!isNeeded || directory.isDiscarded) return { kind: 'idle' };
    return this.#attempt(directory, ground, frozen);
  }

  #isIdle(directory: Directory, names: readonly unknown[] = this.eligible(directory)): boolean {
    return !directory.isProofDue && this.#hasNothingOfOurs(directory, names);
  }

  #hasNothingOfOurs({ attempts, isBorn, isRolledBack }: Directory, names: readonly unknown[]): boolean {
    return names.length === 0 && attempts.length === 0 && isBorn && !isRolledBack;
  }

  /** Somebody waits for a version of another writer, who may be in the midst of it: once that is waited for. */
  #isLeftToOthers(directory: Directory, { hasForks }: MergedBase): boolean {
    const { isProofDue, publishing } = directory;
    if (!isProofDue || hasForks || publishing.failures > 0) return false;
    return this.#hasNothingOfOurs(directory, this.eligible(directory));
  }

  /** Of a directory that can only be read. */
  async #watch(directory: Directory): Promise<PublishRound> {
    const map = await this.#parts.namespace.lookAgain(directory);
    return directory.isProven ? { kind: 'idle' } : this.#notStanding(map);
  }

  #notStanding(map: SlotMap): PublishRound {
    const reason = `what another writer has published is on too few servers: ${describeMap(map)}`;
    return { kind: 'retry', reason, why: 'collision' };
  }

  async #ground(directory: Directory, keys: SlotKeys): Promise<Ground | PublishRound> {
    const { slots } = this.#core;
    const map = await this.#map(directory, keys);
    const quorums = quorumsSeen(map, this.#core.sharesHappy) ?? this.#core.quorums;
    directory.history ??= new RegisterHistory(slots);
    const memory = {
      proven: directory.proven,
      attempts: directory.attempts.map(({ attempt }) => attempt),
      known: await this.#parts.merge.knownVersions(directory),
      unreadable: directory.unreadable,
      // a first attempt may stand on so few servers that nothing but this would say whose it is
      isUnborn: !directory.isBorn,
      isSettled: directory.history.note(map),
    };
    const assessment = assessSlot(map, memory, quorums, keys.readKey);
    switch (assessment.kind) {
      case 'unavailable':
        return { kind: 'retry', reason: assessment.reason, why: 'failure' };
      case 'unsettled':
        return { kind: 'retry', reason: assessment.reason, why: 'unsettled' };
      case 'rolled-back':
        return { kind: 'stopped', reason: `rolled back on the servers: ${assessment.reason}` };
      case 'absent':
        if (!directory.isBorn) return this.#newGround(directory, { map, quorums, assessment, merged: nothing });
        return { kind: 'retry', reason: 'no share of it is on the servers that answer', why: 'failure' };
      case 'base': {
        if (assessment.isRolledBack) this.#alarm(directory, map);
        else directory.isRolledBack = false;
        const merged = await this.#parts.merge.mergedBase(directory, map, assessment);
        if (!(merged instanceof UnreadableVersion)) {
          const { key, lineage, proven } = assessment;
          if (proven !== undefined && versionKey(proven) === key) directory.standing = { key, lineage };
          return { map, quorums, assessment, merged };
        }
        // judged again without it
        directory.unreadable.add(merged.key);
        return { kind: 'retry', reason: 'a version of the directory cannot be read', why: 'collision' };
      }
    }
  }

  /**
   * Nothing of a directory that was never proven is seen. What was sent may stand where nobody answers, and the same
   * share numbers must not be placed elsewhere: it begins anew in another slot, since nobody knows of this one.
   */
  async #newGround(directory: Directory, ground: Ground): Promise<Ground | PublishRound> {
    if (directory.attempts.length === 0 || ground.map.silent.size === 0) return ground;
    await this.#giveKey(directory);
    return { kind: 'retry', reason: 'servers that may hold a first version do not answer', why: 'unsettled' };
  }

  #alarm(directory: Directory, map: SlotMap): void {
    directory.isRolledBack = true;
    this.#core.platform.log.error('the servers show less of a directory than was proven: it is published again', {
      directory: directory.inode.number,
      provenSequence: directory.proven?.sequenceNumber,
      seenSequence: Math.max(0, ...[...map.versions.values()].map(({ prefix }) => prefix.sequenceNumber)),
    });
  }

  async #attempt(directory: Directory, ground: Ground, frozen: FrozenNames): Promise<PublishRound> {
    const { slots, ledger } = this.#core;
    const { map, quorums, assessment, merged } = ground;
    const keys = directory.keys!;
    const stored = this.#storedOf(directory, frozen.names);
    const departed = this.#departures.of(directory, frozen.names);
    const isBased = assessment.kind === 'base';
    const attempt = makeAttempt(slots, {
      keys,
      signing: directory.signing!,
      content: packDirectory(frozen.entries.values()),
      sequenceNumber: isBased ? assessment.highestSequenceNumber + 1 : nextOwnSequence(directory),
      base: isBased ? { version: assessment.base, lineage: merged.lineage } : undefined,
      quorums,
    });
    ledger.attempt(directory, { attempt, names: frozen.names });
    await ledger.sync();
    const usable = isBased ? assessment.usable : [...map.answered.keys()];
    const kept = isBased ? assessment.kept : undefined;
    const result = await publishAttempt(slots, keys, attempt, { map, usable, kept, quorums, isNew: !isBased });
    if (directory.isDiscarded) return { kind: 'idle' };
    if (result.kind !== 'proven') {
      return { kind: 'retry', reason: result.reason, why: 'collision' };
    }
    // before anybody is told: what was published must be reachable, and what was removed must have been known
    if (!(await this.#parts.namespace.recheckLink(directory)))
      return { kind: 'retry', reason: 'its link is gone from the directory above', why: 'unsettled' };
    // and before the attempt is closed: after a crash between the two it is all looked at again
    await this.#departures.settle(directory, departed);
    await this.#keepProof(directory, attempt, frozen, { stored, shares: result.shares });
    this.#proven(directory, attempt, frozen, merged);
    await ledger.sync();
    return { kind: 'proven' };
  }

  #proven(directory: Directory, attempt: Attempt, frozen: FrozenNames, merged: MergedBase): void {
    const { namespace, deltas } = this.#parts;
    const superseded = frozen.names.filter(({ isSuperseded }) => isSuperseded);
    if (merged.hasForks) namespace.adopt(directory, attempt.version, attempt.content);
    else namespace.adoptOwn(directory, attempt.version, frozen.entries, attempt.content.length);
    const displaced = frozen.names.map(({ name }) => directory.dirty.get(name)?.displaced);
    this.#core.ledger.proven(directory, attempt.key);
    for (const inode of displaced) if (inode !== undefined) this.#core.tree.dropIfUnused(inode);
    directory.standing = { key: attempt.key, lineage: attempt.lineage };
    directory.isRolledBack = false;
    directory.unreadable.clear();
    for (const { name } of superseded) if (!directory.dirty.has(name)) namespace.refollow(directory, name);
    deltas.listCopies(directory, merged.copies);
  }

  /** Reads what has become of it; whatever another program has overwritten is noticed by that. Never fails. */
  async look(directory: Directory): Promise<void> {
    directory.checkedAtMs = Number.NEGATIVE_INFINITY;
    try {
      await this.#parts.namespace.load(directory);
    } catch (error) {
      this.#core.platform.log.debug('a directory was not looked at again', { error: describeError(error) });
    }
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
      this.#core.remembered.put(directory, attempt),
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

  #map(directory: Directory, keys: SlotKeys): Promise<SlotMap> {
    const { slots, quorums } = this.#core;
    return mapForWriting(slots, keys, {
      quorums,
      patienceMs: MAP_PATIENCE_MS,
      isNew: !directory.isBorn && directory.attempts.length === 0,
      isComplete: (map) => !directory.isBorn || seenShareNumbers(map).size >= quorums.sharesTotal,
    });
  }

  async #giveKey(directory: Directory): Promise<void> {
    this.#core.ledger.directoryKey(directory, await this.#parts.keys.take());
  }
}

function nextOwnSequence(directory: Directory): number {
  return 1 + Math.max(0, ...directory.attempts.map(({ attempt }) => attempt.version.sequenceNumber));
}
