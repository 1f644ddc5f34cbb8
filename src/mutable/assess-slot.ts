/**
 * Which version of a slot to build on, decided from one map and what this node remembers: vfs blueprint 5.3 to 5.7.
 * Pure: all the rules that keep two writers from losing each other's changes, without a single request.
 *
 * Where this differs from the blueprint's text:
 * - 5.6 merges versions newer than P; here also those with the same sequence number as P, which 5.7 would otherwise
 *   leave alone for ever. To merge more is never wrong.
 * - 5.5 stops to collect tips when their union reaches I; here all of them are merged then, for the same reason.
 * - A share that proves nothing is treated as an unreadable version: 5.7 does not speak of it, and a directory with
 *   many damaged shares would wait for ever.
 */
import type { ReadKey } from '../encoding/brands.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { compareVersions, isBuiltOn, type VersionKey, versionKey } from './lineage.js';
import { answeredRegisters, describeMap, type Quorums, type SlotMap, seenShareNumbers } from './slot-map.js';

/** An attempt of this node that is not proven: its contents are in the journal, so it can be read even from one share. */
export interface OwnAttempt {
  readonly version: Checkstring;
  /** Versions that it contains. */
  readonly lineage: readonly VersionKey[];
}

export interface SlotMemory {
  /** The highest version that this node has proven (P). */
  readonly proven: Checkstring | undefined;
  readonly attempts: readonly OwnAttempt[];
  /** Versions whose contents this node has, besides its own attempts. Default none. */
  readonly known?: readonly Checkstring[];
  /** Versions that turned out not to be readable, whatever their headers promise. Default none. */
  readonly unreadable?: ReadonlySet<VersionKey>;
  /** Nobody but this node has ever known the slot: whatever stands there are its own first attempts. Default false. */
  readonly isUnborn?: boolean;
  /** Every server that answers has held the same for T_settle and was asked again after it. Default false. */
  readonly isSettled?: boolean;
}

/** A living version that the base does not contain: to be merged into the next attempt. */
export interface Fork {
  readonly key: VersionKey;
  readonly version: Checkstring;
  /** What it contains, itself excluded. */
  readonly lineage: readonly VersionKey[];
  /** The newest version that it and the base both contain, as far as can be told: the third side of the merge. */
  readonly ancestor: VersionKey | undefined;
}

export interface Base {
  readonly kind: 'base';
  readonly base: Checkstring;
  readonly key: VersionKey;
  /** What the base contains, itself excluded. */
  readonly lineage: readonly VersionKey[];
  /** Highest first. */
  readonly forks: readonly Fork[];
  /** A quorum stands behind the base alone: what was ever proven is in it. False if it takes the forks for that. */
  readonly isWhole: boolean;
  /** Servers that may be written: first those that hold nothing of `kept`, then in the order of their lowest number. */
  readonly usable: readonly StorageServer[];
  /** Everybody can read it, and it holds all that was proven, as far as that can be told. Undefined if there is none. */
  readonly kept: VersionKey | undefined;
  readonly highestSequenceNumber: number;
  /** P: the highest version known to be proven, remembered or seen on a write quorum just now. */
  readonly proven: Checkstring | undefined;
  /** The base is the remembered P, because the servers show less. Its contents are this node's alone. */
  readonly isRolledBack: boolean;
}

export type Assessment =
  /** No share anywhere: the slot was never published, or is lost. */
  | { readonly kind: 'absent' }
  /** Too few answers, or no versions that a quorum stands behind; try again later. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** It goes on only after everything has stood unchanged for T_settle: others may be at work. */
  | { readonly kind: 'unsettled'; readonly reason: string; readonly isRolledBack: boolean }
  /** Less than the remembered proven version is visible, and its contents are not known here. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  | Base;

interface Node {
  readonly key: VersionKey;
  readonly version: Checkstring;
  readonly shareNumbers: ReadonlySet<number>;
  /** Its contents can be brought together, by this node at least. */
  readonly recoverable: boolean;
  /** Anybody can read it. */
  readonly isReadable: boolean;
  /** The versions that it was built on directly, as far as they are known. */
  readonly parents: Set<VersionKey>;
  readonly lineage: Set<VersionKey>;
}

export function assessSlot(map: SlotMap, memory: SlotMemory, quorums: Quorums, readKey: ReadKey): Assessment {
  if (answeredRegisters(map, quorums.sharesTotal) < quorums.answers) {
    return { kind: 'unavailable', reason: `too few servers answered: ${describeMap(map)}` };
  }
  const isEmpty = [...map.answered.values()].every((shares) => shares.size === 0);
  if (isEmpty && memory.proven === undefined) return { kind: 'absent' };
  return new Judge(map, memory, quorums, readKey).assess();
}

/** The version that a reader takes: the base, also while too few servers may be written. */
export function readableBase(
  map: SlotMap,
  memory: SlotMemory,
  quorums: Quorums,
  readKey: ReadKey,
): VersionKey | undefined {
  if (answeredRegisters(map, quorums.sharesTotal) < quorums.answers) return undefined;
  return new Judge(map, memory, quorums, readKey).readable();
}

/** A version that is on a write quorum. */
export interface Standing {
  readonly key: VersionKey;
  /** What it contains, itself excluded. */
  readonly lineage: readonly VersionKey[];
}

/**
 * What a version is if the map shows it, or versions that contain it, on a write quorum, and above it nothing without it
 * that others might take instead: as good as proven. `known` are versions that it may contain though nobody shows them.
 */
export function standingVersion(
  map: SlotMap,
  version: VersionKey,
  known: readonly Checkstring[],
  quorums: Quorums,
  readKey: ReadKey,
): Standing | undefined {
  const nodes = versionNodes(map, { proven: undefined, attempts: [], known }, quorums, readKey);
  const found = nodes.find(({ key }) => key === version);
  if (found === undefined) return undefined;
  const unanswered = quorums.sharesTotal - answeredRegisters(map, quorums.sharesTotal);
  const numbers = new Set<number>();
  for (const { key, lineage, shareNumbers, version } of nodes) {
    if (key === found.key || lineage.has(found.key)) for (const number of shareNumbers) numbers.add(number);
    else if (
      shareNumbers.size > 0 &&
      shareNumbers.size + unanswered >= quorums.sharesNeeded &&
      compareVersions(version, found.version) > 0
    )
      return undefined;
  }
  return numbers.size < quorums.write ? undefined : { key: version, lineage: [...found.lineage] };
}

/** One assessment. */
class Judge {
  readonly #map: SlotMap;
  readonly #memory: SlotMemory;
  readonly #quorums: Quorums;
  readonly #nodes: readonly Node[];
  readonly #visible: readonly Node[];
  /** P. */
  readonly #proven: Node | undefined;
  readonly #unanswered: number;

  constructor(map: SlotMap, memory: SlotMemory, quorums: Quorums, readKey: ReadKey) {
    this.#map = map;
    this.#memory = memory;
    this.#quorums = quorums;
    this.#unanswered = quorums.sharesTotal - answeredRegisters(map, quorums.sharesTotal);
    this.#nodes = versionNodes(map, memory, quorums, readKey);
    this.#visible = this.#nodes.filter((node) => node.shareNumbers.size > 0);
    const remembered = memory.proven === undefined ? undefined : versionKey(memory.proven);
    this.#proven = this.#nodes.findLast(
      ({ key, shareNumbers }) => key === remembered || shareNumbers.size >= quorums.write,
    );
  }

  readable(): VersionKey | undefined {
    const base = this.#baseOf(this.#tips());
    const isBelowProven = this.#proven !== undefined && base !== undefined && isOlder(base, this.#proven);
    return isBelowProven ? undefined : base?.key;
  }

  assess(): Assessment {
    const proven = this.#proven;
    const tips = this.#tips();
    const base = this.#baseOf(tips);
    const isBelowProven = proven !== undefined && (base === undefined || isOlder(base, proven));
    if (isBelowProven && !this.#visible.some((node) => isNewer(node, proven))) return this.#rolledBack(proven);
    // a version that was proven and replaced is nothing to go back to
    const alive = tips.filter((tip) => proven === undefined || !isOlder(tip, proven));
    if (base !== undefined && alive.includes(base)) return this.#based(base, alive, { isWhole: true });
    return this.#union(alive);
  }

  /** Versions that can be read and that no other such version contains, highest first. */
  #tips(): Node[] {
    const recoverable = this.#visible.filter((node) => node.recoverable);
    const contained = new Set(recoverable.flatMap((node) => [...node.lineage]));
    return recoverable.filter((node) => !contained.has(node.key)).reverse();
  }

  #baseOf(tips: readonly Node[]): Node | undefined {
    return tips.find((tip) => this.#memory.isUnborn || this.#family([tip]) >= this.#quorums.overlap);
  }

  /** No single version has a quorum behind it: after a while all of them together may. */
  #union(tips: readonly Node[]): Assessment {
    const [highest] = tips;
    const reason = `no version stands on enough servers: ${describeMap(this.#map)}`;
    if (highest === undefined || this.#family(tips) < this.#quorums.overlap) return { kind: 'unavailable', reason };
    if (!this.#memory.isSettled) return { kind: 'unsettled', reason, isRolledBack: false };
    return this.#based(highest, tips, { isWhole: false });
  }

  #rolledBack(proven: Node): Assessment {
    const reason = `sequence ${proven.version.sequenceNumber} was proven, but now: ${describeMap(this.#map)}`;
    if (!this.#memory.isSettled) return { kind: 'unsettled', reason, isRolledBack: true };
    const isKnown = [...(this.#memory.known ?? []), ...this.#memory.attempts.map(({ version }) => version)].some(
      (version) => versionKey(version) === proven.key,
    );
    return isKnown ? this.#based(proven, [], { isWhole: true, isRolledBack: true }) : { kind: 'rolled-back', reason };
  }

  #based(
    base: Node,
    tips: readonly Node[],
    { isWhole, isRolledBack = false }: { readonly isWhole: boolean; readonly isRolledBack?: boolean },
  ): Assessment {
    const proven = this.#proven;
    const contained = new Set([base.key, ...base.lineage]);
    // removed from sight by servers that went back, it may be in nobody's lineage
    const isProvenApart =
      proven !== undefined && !contained.has(proven.key) && proven.recoverable && proven.shareNumbers.size > 0;
    if (proven !== undefined && !isProvenApart) contained.add(proven.key);
    const apart = tips.filter((tip) => !contained.has(tip.key));
    if (isProvenApart && !apart.includes(proven)) apart.push(proven);
    const forks = apart.map((node) => this.#forkOf(node, base, contained));
    for (const fork of forks) for (const key of [fork.key, ...fork.lineage]) contained.add(key);
    const kept = this.#kept(base);
    const usable = this.#usable(base, { contained, kept });
    if (usable === undefined) {
      const reason = `too few servers may be written: ${describeMap(this.#map)}`;
      return this.#memory.isSettled
        ? { kind: 'unavailable', reason }
        : { kind: 'unsettled', reason, isRolledBack: false };
    }
    return {
      kind: 'base',
      base: base.version,
      key: base.key,
      lineage: [...base.lineage],
      forks,
      isWhole: isWhole && !isProvenApart,
      usable,
      kept,
      highestSequenceNumber: Math.max(0, ...this.#nodes.map(({ version }) => version.sequenceNumber)),
      proven: proven?.version,
      isRolledBack,
    };
  }

  #forkOf(node: Node, base: Node, contained: ReadonlySet<VersionKey>): Fork {
    const parent = [...node.parents].find((key) => contained.has(key));
    // attempts that were built on each other may lie between the two and what both come from
    const common = this.#nodes.findLast(
      ({ key, recoverable }) => recoverable && node.lineage.has(key) && (key === base.key || base.lineage.has(key)),
    );
    return { key: node.key, version: node.version, lineage: [...node.lineage], ancestor: parent ?? common?.key };
  }

  /** Share numbers that hold one of the tips or a version that it contains. */
  #family(tips: readonly Node[]): number {
    const proven = this.#proven;
    const family = new Set<number>();
    for (const tip of tips) {
      const containsProven = proven !== undefined && (tip === proven || tip.lineage.has(proven.key));
      for (const node of this.#visible) {
        // a proof closes the attempts that would link older registers to anybody
        const isMember = node === tip || tip.lineage.has(node.key) || (containsProven && isOlder(node, proven));
        if (isMember) for (const number of node.shareNumbers) family.add(number);
      }
    }
    return family.size;
  }

  /** What stands on W just now contains every proven version, and so does the base. Else as much of it as can be read. */
  #kept(base: Node): VersionKey | undefined {
    const standing = this.#visible.findLast((node) => node.isReadable && node.shareNumbers.size >= this.#quorums.write);
    const contained = (node: Node) => node === base || base.lineage.has(node.key);
    return (standing ?? this.#visible.findLast((node) => node.isReadable && contained(node)))?.key;
  }

  /** Undefined if those that may be written are fewer than W. */
  #usable(
    base: Node,
    { contained, kept }: { readonly contained: ReadonlySet<VersionKey>; readonly kept: VersionKey | undefined },
  ): StorageServer[] | undefined {
    const floor = this.#proven ?? (this.#memory.isSettled ? base : undefined);
    const replaceable = new Set(contained);
    if (floor !== undefined) for (const node of this.#visible) if (isOlder(node, floor)) replaceable.add(node.key);
    const first = this.#serversWith(kept, (version) => version !== undefined && replaceable.has(version));
    if (this.#isQuorum(first)) return first;
    if (!this.#memory.isSettled) return undefined;
    // what nobody has gone on with and nobody can read any more
    const isDead = (count: number) => count + this.#unanswered < this.#quorums.write;
    for (const node of this.#visible)
      if (!node.recoverable && isDead(node.shareNumbers.size)) replaceable.add(node.key);
    const mayReplaceDamaged = isDead(this.#damagedNumbers());
    const second = this.#serversWith(kept, (version) =>
      version === undefined ? mayReplaceDamaged : replaceable.has(version),
    );
    return this.#isQuorum(second) ? second : undefined;
  }

  /**
   * A server that holds anything else as well may belong to a writer that is still alive, and is left alone. Those that
   * hold nothing of what is kept come first: if the others are not reached then, no share of it has gone for nothing. Of
   * those the newest: what stands there is most likely the rest of a publish that broke off, and of no use to anybody.
   */
  #serversWith(
    kept: VersionKey | undefined,
    mayReplace: (version: VersionKey | undefined) => boolean,
  ): StorageServer[] {
    const sequenceNumbers = new Map(this.#nodes.map(({ key, version }) => [key, version.sequenceNumber]));
    const usable: { server: StorageServer; rank: number; lowest: number }[] = [];
    for (const [server, shares] of this.#map.answered) {
      if (![...shares.values()].every(({ version }) => mayReplace(version))) continue;
      const versions = [...shares.values()].flatMap(({ version }) => (version === undefined ? [] : [version]));
      const newest = Math.max(0, ...versions.map((version) => sequenceNumbers.get(version)!));
      const isHolder = kept !== undefined && versions.includes(kept);
      const lowest = Math.min(Number.POSITIVE_INFINITY, ...shares.keys());
      usable.push({ server, rank: isHolder ? 1 : -newest, lowest });
    }
    return usable.sort((a, b) => a.rank - b.rank || a.lowest - b.lowest).map(({ server }) => server);
  }

  /** Numbers that are nowhere count too where they will be placed: see planWrites. */
  #isQuorum(servers: readonly StorageServer[]): boolean {
    const numbers = new Set<number>();
    for (const server of servers) for (const number of this.#map.answered.get(server)!.keys()) numbers.add(number);
    const missing = this.#map.silent.size > 0 ? 0 : this.#quorums.sharesTotal - seenShareNumbers(this.#map).size;
    return numbers.size + (servers.length === 0 ? 0 : missing) >= this.#quorums.write;
  }

  #damagedNumbers(): number {
    const numbers = new Set<number>();
    for (const shares of this.#map.answered.values()) {
      for (const { shareNumber, version } of shares.values()) if (version === undefined) numbers.add(shareNumber);
    }
    return numbers.size;
  }
}

function isOlder(node: Node, than: Node): boolean {
  return node.version.sequenceNumber < than.version.sequenceNumber;
}

function isNewer(node: Node, than: Node): boolean {
  return node.version.sequenceNumber > than.version.sequenceNumber;
}

/** All versions seen or remembered, ascending, each with what it contains. */
function versionNodes(map: SlotMap, memory: SlotMemory, quorums: Quorums, readKey: ReadKey): Node[] {
  const own = new Map(memory.attempts.map((attempt) => [versionKey(attempt.version), attempt]));
  const known = new Set(memory.known?.map(versionKey));
  const versions = new Map<VersionKey, Checkstring>();
  const remembered = [...(memory.known ?? []), ...(memory.proven === undefined ? [] : [memory.proven])];
  for (const version of remembered) versions.set(versionKey(version), version);
  for (const [key, attempt] of own) versions.set(key, attempt.version);
  for (const seen of map.versions.values()) versions.set(seen.key, seen.prefix);

  const nodes: Node[] = [];
  for (const [key, version] of [...versions].sort(([, a], [, b]) => compareVersions(a, b))) {
    const seen = map.versions.get(key);
    const shareNumbers = new Set(seen?.shares.keys());
    const needed = seen?.prefix.sharesNeeded ?? quorums.sharesNeeded;
    const isReadable = shareNumbers.size >= needed && memory.unreadable?.has(key) !== true;
    const recoverable = isReadable || own.has(key) || known.has(key);
    const recorded = own.get(key)?.lineage ?? [];
    const lineage = new Set(recorded);
    const parents = new Set(recorded.slice(0, 1));
    for (const older of nodes) {
      const isDirect = isBuiltOn(readKey, version, older.version);
      if (isDirect) parents.add(older.key);
      if (!isDirect && !lineage.has(older.key)) continue;
      lineage.add(older.key);
      for (const inherited of older.lineage) lineage.add(inherited);
    }
    nodes.push({ key, version, shareNumbers, recoverable, isReadable, parents, lineage });
  }
  return nodes;
}
