/**
 * Which version of a slot to build on, decided from one map and what this node remembers: vfs blueprint 5.3 to 5.7.
 * Pure: all the rules that keep two writers from losing each other's changes, without a single request.
 *
 * Where more than one living version stands on the servers the answer is `uncoordinated`: nothing may be written.
 */
import type { ReadKey } from '../encoding/brands.js';
import type { SdmfCheckstring } from '../share-layout/sdmf-share.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { compareVersions, isBuiltOn, type VersionKey, versionKey } from './lineage.js';
import { answeredRegisters, describeMap, highestSequenceNumber, type Quorums, type SlotMap } from './slot-map.js';

/** An attempt of this node that is not proven: its contents are in the journal, so it can be read even from one share. */
export interface OwnAttempt {
  readonly version: SdmfCheckstring;
  /** Versions that it contains. */
  readonly lineage: readonly VersionKey[];
}

export interface SlotMemory {
  /** The highest version that this node has proven (P). */
  readonly proven: SdmfCheckstring | undefined;
  readonly attempts: readonly OwnAttempt[];
}

export type Assessment =
  /** No share anywhere: the slot was never published, or is lost. */
  | { readonly kind: 'absent' }
  /** Too few answers, or no version that a quorum stands behind; try again later. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** More than one living version. */
  | { readonly kind: 'uncoordinated'; readonly reason: string }
  /** Less than the remembered proven version is visible. */
  | { readonly kind: 'rolled-back'; readonly reason: string }
  | {
      readonly kind: 'base';
      readonly base: SdmfCheckstring;
      readonly key: VersionKey;
      /** What the base contains, itself excluded. */
      readonly lineage: readonly VersionKey[];
      /** Servers that may be written, in the order of their lowest share number. */
      readonly usable: readonly StorageServer[];
      readonly highestSequenceNumber: number;
    };

interface Node {
  readonly key: VersionKey;
  readonly version: SdmfCheckstring;
  readonly shareNumbers: ReadonlySet<number>;
  readonly recoverable: boolean;
  lineage: Set<VersionKey>;
}

export function assessSlot(map: SlotMap, memory: SlotMemory, quorums: Quorums, readKey: ReadKey): Assessment {
  if (answeredRegisters(map, quorums.sharesTotal) < quorums.answers) {
    return { kind: 'unavailable', reason: `too few servers answered: ${describeMap(map)}` };
  }
  const nodes = versionNodes(map, memory, quorums, readKey);
  const visible = nodes.filter((node) => node.shareNumbers.size > 0);
  const damaged = [...map.answered.values()].some((shares) => shares.size > 0);
  if (visible.length === 0) {
    if (damaged || memory.proven !== undefined) return rolledBack(map, memory);
    return { kind: 'absent' };
  }

  const recoverable = visible.filter((node) => node.recoverable);
  const contained = new Set(recoverable.flatMap((node) => [...node.lineage]));
  const tips = recoverable
    .filter((node) => !contained.has(node.key))
    .sort((a, b) => compareVersions(b.version, a.version));
  const base = tips.find((tip) => familySize(tip, visible, memory.proven) >= quorums.overlap);
  if (base === undefined) {
    return { kind: 'unavailable', reason: `no version stands on enough servers: ${describeMap(map)}` };
  }
  const { proven } = memory;
  if (proven !== undefined && compareVersions(base.version, proven) < 0) return rolledBack(map, memory);
  const forks = tips.filter(
    (tip) => tip !== base && (proven === undefined || compareVersions(tip.version, proven) > 0),
  );
  if (forks.length > 0) {
    return { kind: 'uncoordinated', reason: `${forks.length + 1} living versions: ${describeMap(map)}` };
  }
  return {
    kind: 'base',
    base: base.version,
    key: base.key,
    lineage: [...base.lineage],
    usable: usableServers(map, base, proven),
    highestSequenceNumber: Math.max(
      highestSequenceNumber(map),
      ...memory.attempts.map((own) => own.version.sequenceNumber),
    ),
  };
}

/** All versions seen or remembered, ascending, each with what it contains. */
function versionNodes(map: SlotMap, memory: SlotMemory, quorums: Quorums, readKey: ReadKey): Node[] {
  const own = new Map(memory.attempts.map((attempt) => [versionKey(attempt.version), attempt]));
  const versions = new Map<VersionKey, SdmfCheckstring>();
  if (memory.proven !== undefined) versions.set(versionKey(memory.proven), memory.proven);
  for (const [key, attempt] of own) versions.set(key, attempt.version);
  for (const seen of map.versions.values()) versions.set(seen.key, seen.prefix);

  const nodes: Node[] = [];
  for (const [key, version] of [...versions].sort(([, a], [, b]) => compareVersions(a, b))) {
    const seen = map.versions.get(key);
    const shareNumbers = new Set(seen?.shares.keys());
    const needed = seen?.prefix.sharesNeeded ?? quorums.sharesNeeded;
    const recoverable = shareNumbers.size >= needed || (own.has(key) && shareNumbers.size > 0);
    const lineage = new Set(own.get(key)?.lineage);
    for (const older of nodes) {
      if (!lineage.has(older.key) && !isBuiltOn(readKey, version, older.version)) continue;
      lineage.add(older.key);
      for (const inherited of older.lineage) lineage.add(inherited);
    }
    nodes.push({ key, version, shareNumbers, recoverable, lineage });
  }
  return nodes;
}

/** Share numbers that hold the version or one that it contains. */
function familySize(tip: Node, visible: readonly Node[], proven: SdmfCheckstring | undefined): number {
  const containsProven =
    proven !== undefined && (tip.key === versionKey(proven) || tip.lineage.has(versionKey(proven)));
  const family = new Set<number>();
  for (const node of visible) {
    const older = containsProven && node.version.sequenceNumber < proven.sequenceNumber;
    if (node !== tip && !tip.lineage.has(node.key) && !older) continue;
    for (const number of node.shareNumbers) family.add(number);
  }
  return family.size;
}

/** A register holding anything else may belong to a writer that is still alive, and is left alone. */
function usableServers(map: SlotMap, base: Node, proven: SdmfCheckstring | undefined): StorageServer[] {
  const usable: { server: StorageServer; lowest: number }[] = [];
  for (const [server, shares] of map.answered) {
    const mayReplace = [...shares.values()].every(({ version }) => {
      if (version === undefined) return false;
      if (version === base.key || base.lineage.has(version)) return true;
      const seen = map.versions.get(version);
      return seen !== undefined && proven !== undefined && seen.prefix.sequenceNumber < proven.sequenceNumber;
    });
    if (mayReplace) usable.push({ server, lowest: Math.min(Number.POSITIVE_INFINITY, ...shares.keys()) });
  }
  return usable.sort((a, b) => a.lowest - b.lowest).map(({ server }) => server);
}

function rolledBack(map: SlotMap, memory: SlotMemory): Assessment {
  const proven =
    memory.proven === undefined ? 'the shares are damaged' : `sequence ${memory.proven.sequenceNumber} was proven`;
  return { kind: 'rolled-back', reason: `${proven}, but now: ${describeMap(map)}` };
}
