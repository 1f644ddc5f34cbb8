/**
 * Writing a mutable file: maps, attempts and proofs until one attempt is proven (vfs blueprint 5, 10). Contents are never
 * merged: whoever finds somebody else at work stops and says so.
 */
import type { ServerId } from '../encoding/brands.js';
import { concatBytes } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { sleep } from '../platform/clock.js';
import { assessSlot, type Base, type OwnAttempt } from './assess-slot.js';
import { type VersionKey, versionKey } from './lineage.js';
import { mapForWriting } from './map-slot.js';
import { type Attempt, makeAttempt, publishAttempt } from './publish.js';
import { RegisterHistory } from './register-history.js';
import { retrieveSigningKeys, retrieveVersion } from './retrieve.js';
import type { SlotContext } from './slot-context.js';
import type { SlotKeys } from './slot-keys.js';
import { type Quorums, quorumsSeen, type SeenVersion, type SlotMap, seenShareNumbers } from './slot-map.js';
import { makeUpdate, type RangeChange, type UpdateInput } from './update-in-place.js';

/** Attempts that are not proven, or maps with too few answers, before the caller is told. */
const roundsMax = 4;
/** Longest pause between them. */
const pauseMaxMs = 2000;
/** How long the last servers may take to answer a map after enough have: an update in place needs all of them. */
const mapPatienceMs = 1000;
/** How often servers are asked while nothing may be written until they have stood still. */
const settlePollMs = 5000;
/** A caller is not kept waiting for longer than that: the slot of a large file takes its time to settle. */
const unsettledMaxMs = 120_000;

export type SlotChange =
  /** The whole contents, whatever they were. */
  | { readonly kind: 'replace'; readonly content: Uint8Array }
  | ({ readonly kind: 'update' } & RangeChange)
  | ({ readonly kind: 'version' } & NewVersion);

/** The next version of a file; `offset` and `length` are where it differs from the version that is expected. */
export interface NewVersion {
  readonly sizeBytes: number;
  readonly offset: number;
  readonly length: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface ChangeOptions {
  /** Of new files: the file's own encoding is kept. */
  readonly quorums: Quorums;
  readonly sharesHappy: number;
  /** The change is made to nothing but this version. Default: to whatever stands. */
  readonly expected?: ExpectedVersion;
  readonly signal?: AbortSignal | undefined;
}

export interface ExpectedVersion {
  readonly version: VersionKey;
  /** What was built on it before and never proven. */
  readonly attempts: readonly EarlierAttempt[];
  /** An attempt is sent when this has resolved. */
  readonly onAttempt: (attempt: OwnAttempt) => Promise<void>;
}

export interface EarlierAttempt extends OwnAttempt {
  /** It is an attempt at this change, not at one before it. */
  readonly hasChange: boolean;
}

export interface ProvenChange {
  readonly version: VersionKey;
  /** Where it was seen: servers by share number. Undefined if another version goes on from it already. */
  readonly shares: ReadonlyMap<number, ReadonlySet<ServerId>> | undefined;
}

/**
 * Resolves with the version that holds the change when that is proven. Kinds: `unhappy` (it may or may not stand),
 * `unrecoverable` (no shares, or none with the private key), `uncoordinated-write` (another writer; theirs stands),
 * `invalid` (an update behind the end), `too-large` (an update that takes a rewrite of more than fits into memory),
 * `read-only`.
 */
export function changeSlot(
  context: SlotContext,
  keys: SlotKeys,
  change: SlotChange,
  options: ChangeOptions,
): Promise<ProvenChange> {
  return new SlotWriter(context, keys, change, options).run();
}

type Round =
  | { readonly kind: 'proven'; readonly change: ProvenChange }
  | { readonly kind: 'again'; readonly reason: string }
  /** Somebody may be at work. */
  | { readonly kind: 'unsettled'; readonly reason: string };

class SlotWriter {
  readonly #context: SlotContext;
  readonly #keys: SlotKeys;
  readonly #change: SlotChange;
  readonly #options: ChangeOptions;
  readonly #history: RegisterHistory;
  /** Attempts that were sent and not proven. */
  readonly #attempts: EarlierAttempt[];

  constructor(context: SlotContext, keys: SlotKeys, change: SlotChange, options: ChangeOptions) {
    this.#context = context;
    this.#keys = keys;
    this.#change = change;
    this.#options = options;
    this.#history = new RegisterHistory(context);
    this.#attempts = [...(options.expected?.attempts ?? [])];
  }

  async run(): Promise<ProvenChange> {
    const { clock, entropy } = this.#context;
    const { signal, expected } = this.#options;
    if (this.#keys.writeKey === undefined) throw failure('read-only', 'the capability does not allow writing');
    const startedMs = clock.monotonicMs();
    for (let round = 1; ; ) {
      signal?.throwIfAborted();
      const result = await this.#round();
      if (result.kind === 'proven') return result.change;
      if (result.kind === 'unsettled') {
        const { settleMs } = this.#history;
        if (clock.monotonicMs() - startedMs > Math.min(2 * settleMs, unsettledMaxMs)) {
          // whoever expects a version has not seen another one yet
          throw expected === undefined ? foreign(result.reason) : failure('unhappy', result.reason);
        }
        await sleep(clock, Math.min(settlePollMs, settleMs / 4), signal);
        continue;
      }
      if (round++ === roundsMax) throw failure('unhappy', `the file could not be written: ${result.reason}`);
      await sleep(clock, entropy.fraction() * Math.min(pauseMaxMs, 200 * 2 ** round), signal);
    }
  }

  async #round(): Promise<Round> {
    const map = await this.#map();
    const isSettled = this.#history.note(map);
    const quorums = quorumsSeen(map, this.#options.sharesHappy) ?? this.#options.quorums;
    const memory = { proven: undefined, attempts: this.#attempts, isSettled };
    const assessment = assessSlot(map, memory, quorums, this.#keys.readKey);
    switch (assessment.kind) {
      case 'absent':
        throw failure('unrecoverable', 'no share of the file was found');
      case 'unavailable':
      case 'rolled-back':
        return { kind: 'again', reason: assessment.reason };
      case 'unsettled':
        return { kind: 'unsettled', reason: assessment.reason };
      case 'base':
        return this.#judge(assessment) ?? this.#publish(map, quorums, assessment, isSettled);
    }
  }

  /** Undefined if what stands is what was expected. */
  #judge(base: Base): Round | undefined {
    const { expected } = this.#options;
    if (expected === undefined) return undefined;
    const own = new Set([expected.version, ...this.#attempts.map(({ version }) => versionKey(version))]);
    if ([base, ...base.forks].every(({ key }) => own.has(key))) return undefined;
    const within = this.#attempts.find((each) => each.hasChange && base.lineage.includes(versionKey(each.version)));
    if (within === undefined || base.forks.length > 0) throw foreign('a version that was not expected stands');
    // whoever wrote after us has seen ours
    if (base.proven !== undefined && versionKey(base.proven) === base.key)
      return { kind: 'proven', change: { version: versionKey(within.version), shares: undefined } };
    return { kind: 'unsettled', reason: 'another writer goes on from what was written' };
  }

  async #publish(map: SlotMap, quorums: Quorums, base: Base, isSettled: boolean): Promise<Round> {
    const { forks, usable, kept } = base;
    if (forks.length > 0) {
      const reason = `${forks.length + 1} versions that do not contain each other`;
      if (!isSettled) return { kind: 'unsettled', reason };
      // a fork that nobody goes on with was never proven if a quorum stands behind the base; else it is anybody's guess
      if (this.#change.kind === 'update' && !base.isWhole) throw foreign(reason);
    }
    const attempt = await this.#attempt(map, quorums, base);
    const { version, lineage } = attempt;
    this.#attempts.push({ version, lineage, hasChange: true });
    await this.#options.expected?.onAttempt({ version, lineage });
    const result = await publishAttempt(this.#context, this.#keys, attempt, {
      map,
      usable,
      kept,
      quorums,
      isNew: false,
    });
    if (result.kind === 'proven') return { kind: 'proven', change: { version: attempt.key, shares: result.shares } };
    // who expects a version learns from the next map whose it was: a late message of its own is possible
    if (result.kind === 'collision' && this.#options.expected === undefined) throw foreign(result.reason);
    return { kind: 'again', reason: result.reason };
  }

  async #attempt(map: SlotMap, quorums: Quorums, base: Base): Promise<Attempt> {
    const { forks, usable } = base;
    const signing = await retrieveSigningKeys(this.#context, this.#keys, map);
    const lineage = { version: base.base, lineage: [...base.lineage, ...forks.flatMap((f) => [f.key, ...f.lineage])] };
    const common = { keys: this.#keys, signing, quorums, sequenceNumber: base.highestSequenceNumber + 1 };
    const change = this.#change;
    const source = findReadable(map, base);
    if (change.kind === 'version' && source?.key === base.key) {
      const update = await this.#updateTo(change, { ...common, map, usable, lineage, base: source });
      if (update !== undefined) return update;
    }
    if (change.kind !== 'update') {
      const content = change.kind === 'replace' ? change.content : await change.read(0, change.sizeBytes);
      return makeAttempt(this.#context, { ...common, content, base: lineage });
    }
    if (source === undefined) throw failure('unrecoverable', 'no version of the file can be read');
    if (change.offset > source.prefix.dataLength)
      throw failure('invalid', `offset ${change.offset} is behind the end of the file (${source.prefix.dataLength})`);
    const update =
      source.key === base.key
        ? await makeUpdate(this.#context, { ...common, map, usable, base: source, lineage, change })
        : undefined;
    if (update !== undefined) return update;
    const before = await retrieveVersion(this.#context, this.#keys, source);
    return makeAttempt(this.#context, { ...common, content: splice(before, change), base: lineage });
  }

  /** Undefined if it has to be written whole. */
  async #updateTo(change: NewVersion, input: Omit<UpdateInput, 'change'>): Promise<Attempt | undefined> {
    const { sizeBytes, offset, length } = change;
    const { dataLength } = input.base.prefix;
    if (this.#keys.format !== 'mdmf' || length === 0 || sizeBytes < dataLength || offset > dataLength) return undefined;
    return makeUpdate(this.#context, { ...input, change: { offset, data: await change.read(offset, length) } });
  }

  #map(): Promise<SlotMap> {
    const { quorums } = this.#options;
    const isComplete = (map: SlotMap) => {
      const [seen] = map.versions.values();
      return seenShareNumbers(map).size >= (seen?.prefix.sharesTotal ?? quorums.sharesTotal);
    };
    return mapForWriting(this.#context, this.#keys, { quorums, patienceMs: mapPatienceMs, isComplete });
  }
}

/** The base, or what it was built on while too few of its own shares are there: an update gives the same on either. */
function findReadable(map: SlotMap, { key, lineage }: Base): SeenVersion | undefined {
  for (const each of [key, ...lineage]) {
    const seen = map.versions.get(each);
    if (seen !== undefined && seen.shares.size >= seen.prefix.sharesNeeded) return seen;
  }
  return undefined;
}

function splice(before: Uint8Array, { offset, data }: RangeChange): Uint8Array {
  return concatBytes([before.subarray(0, offset), data, before.subarray(offset + data.length)]);
}

function foreign(reason: string): TahoeError {
  return failure('uncoordinated-write', `another writer changed the file: ${reason}`);
}

function failure(kind: TahoeError['kind'], message: string): TahoeError {
  return new TahoeError(message, { kind, op: 'mutable.write' });
}
