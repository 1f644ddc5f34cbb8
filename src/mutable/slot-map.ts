/** What one round of questions to the servers showed of a slot: mutable spec 7, vfs blueprint 5.1. */
import type { KeyObject } from 'node:crypto';
import type { MutablePrefix } from '../share-layout/mutable-share.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import type { VersionKey } from './lineage.js';

export interface SeenShare {
  readonly server: StorageServer;
  readonly shareNumber: number;
  /** The first bytes of the share, all of them if it is short. */
  readonly head: Uint8Array;
  /** The version whose valid signature it carries; undefined for a damaged share. */
  readonly version: VersionKey | undefined;
}

export interface SeenVersion {
  readonly key: VersionKey;
  readonly prefix: MutablePrefix;
  /** By share number; the same number may be on several servers. */
  readonly shares: Map<number, SeenShare[]>;
}

export interface SlotMap {
  /** Servers that were asked, in permuted order. */
  readonly asked: readonly StorageServer[];
  /** Servers that answered, with all shares they hold. */
  readonly answered: ReadonlyMap<StorageServer, ReadonlyMap<number, SeenShare>>;
  /** Servers that did not, with why. */
  readonly silent: ReadonlyMap<StorageServer, unknown>;
  readonly versions: ReadonlyMap<VersionKey, SeenVersion>;
  /** The file's public key once a share has shown it. */
  readonly publicKey: { readonly der: Uint8Array; readonly key: KeyObject } | undefined;
  readonly takenAtMs: number;
}

/** How many distinct share numbers each step needs (vfs blueprint 0). */
export interface Quorums {
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  /** W: a version on this many is published. */
  readonly write: number;
  /** Rq: answers that a map needs. */
  readonly answers: number;
  /** I: the least number that meets every write quorum. */
  readonly overlap: number;
}

export function quorumsOf(encoding: {
  readonly sharesNeeded: number;
  readonly sharesHappy: number;
  readonly sharesTotal: number;
}): Quorums {
  const { sharesNeeded, sharesTotal } = encoding;
  const happy = Math.min(encoding.sharesHappy, sharesTotal);
  const write = Math.max(happy, Math.floor(sharesTotal / 2) + 1, sharesNeeded);
  return {
    sharesNeeded,
    sharesTotal,
    write,
    answers: Math.max(write, sharesTotal - write + sharesNeeded),
    overlap: sharesTotal - write + 1,
  };
}

/** The encoding that the slot itself shows, with the write quorum of whoever asks for this happiness. */
export function quorumsSeen(map: SlotMap, sharesHappy: number): Quorums | undefined {
  const [seen] = map.versions.values();
  if (seen === undefined) return undefined;
  const { sharesNeeded, sharesTotal } = seen.prefix;
  return quorumsOf({ sharesNeeded, sharesTotal, sharesHappy });
}

/**
 * Registers that answered, in share numbers: the distinct numbers seen, plus one for each server that answered to hold
 * none (its share is lost or was never placed), as long as each silent server may hold one that nobody has shown.
 */
export function answeredRegisters(map: SlotMap, sharesTotal: number): number {
  if (map.silent.size === 0) return sharesTotal;
  const seen = seenShareNumbers(map).size;
  const empty = [...map.answered.values()].filter((shares) => shares.size === 0).length;
  return Math.max(seen, Math.min(seen + empty, sharesTotal - map.silent.size));
}

/** The distinct share numbers on the servers that answered, damaged ones included. */
export function seenShareNumbers(map: SlotMap): Set<number> {
  const numbers = new Set<number>();
  for (const shares of map.answered.values()) for (const number of shares.keys()) numbers.add(number);
  return numbers;
}

/** One line for logs and messages: what was seen where, without secrets. */
export function describeMap(map: SlotMap): string {
  const versions = [...map.versions.values()].map(
    ({ prefix, shares }) =>
      `sequence ${prefix.sequenceNumber} on shares ${[...shares.keys()].sort((a, b) => a - b).join(' ')}`,
  );
  const seen = versions.length === 0 ? 'no share found' : versions.join('; ');
  return `${map.answered.size} of ${map.asked.length} servers answered; ${seen}`;
}
