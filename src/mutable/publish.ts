/**
 * One attempt to publish a version of a slot and to prove that it stands: vfs blueprint 5.8 to 5.11.
 *
 * An attempt is never repeated and never believed: either the read-back proves it, or the caller maps again and makes
 * another attempt that contains or replaces it.
 */

import { signPss } from '../crypto/rsa.js';
import type { ServerId } from '../encoding/brands.js';
import { bytesEqual } from '../encoding/bytes.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { describeError } from '../errors/tahoe-error.js';
import { encodeSdmfShares, type SdmfCheckstring, sdmfCheckstringLength } from '../share-layout/sdmf-share.js';
import type { StorageServer, TestWrite } from '../storage-protocol/storage-server.js';
import { compareVersions, isBuiltOn, lineageIv, type VersionKey, versionKey } from './lineage.js';
import { mapSlot } from './map-slot.js';
import { retrieveVersion } from './retrieve.js';
import { type SlotContext, slotSecrets } from './slot-context.js';
import type { SigningKeys, SlotKeys } from './slot-keys.js';
import { answeredRegisters, describeMap, type Quorums, type SlotMap, seenShareNumbers } from './slot-map.js';

/** A proof must be complete within this time of the first test-and-set (T_pub), so that nobody has given us up. */
export function publishTimeMs(context: SlotContext): number {
  return context.publishMs ?? 15_000;
}

export interface Attempt {
  readonly version: SdmfCheckstring;
  readonly key: VersionKey;
  readonly base: SdmfCheckstring | undefined;
  /** Every version that it contains. */
  readonly lineage: readonly VersionKey[];
  readonly content: Uint8Array;
  /** Index = share number. */
  readonly shares: readonly Uint8Array[];
}

export interface AttemptInput {
  readonly keys: SlotKeys;
  readonly signing: SigningKeys;
  readonly content: Uint8Array;
  /** One more than the highest ever seen, unreadable ones and own attempts included. */
  readonly sequenceNumber: number;
  /** `lineage`: what the base contains, and what was merged into it with all that that contains. */
  readonly base: { readonly version: SdmfCheckstring; readonly lineage: readonly VersionKey[] } | undefined;
  readonly quorums: Quorums;
}

/** Encodes and signs; sends nothing. Journal the result before it is sent. */
export function makeAttempt(context: SlotContext, input: AttemptInput): Attempt {
  const { keys, signing, content, sequenceNumber, base, quorums } = input;
  const { sharesNeeded, sharesTotal } = quorums;
  const iv = lineageIv(keys.readKey, context.entropy.bytes(8), base?.version);
  const encoded = encodeSdmfShares({
    sequenceNumber,
    iv,
    readKey: keys.readKey,
    plaintext: content,
    sharesNeeded,
    sharesTotal,
    encryptedPrivateKey: signing.encryptedPrivateKey,
    publicKeyDer: signing.publicKeyDer,
    sign: (bytes) => signPss(signing.privateKey, bytes),
    erasureCode: erasureCode(sharesNeeded, sharesTotal),
  });
  const version = { sequenceNumber, rootHash: encoded.prefix.rootHash, iv };
  const lineage = base === undefined ? [] : [versionKey(base.version), ...base.lineage];
  return { version, key: versionKey(version), base: base?.version, lineage, content, shares: encoded.shares };
}

export type PublishResult =
  /** Where the read-back saw it, or a version that contains it: servers by share number. */
  | { readonly kind: 'proven'; readonly shares: ReadonlyMap<number, ReadonlySet<ServerId>> }
  /** Another writer was first; nothing or little of ours was written. */
  | { readonly kind: 'collision'; readonly reason: string }
  /** Answers are missing or the proof failed: it may or may not stand. */
  | { readonly kind: 'unproven'; readonly reason: string };

/**
 * Writes the attempt to the usable servers, each only if it still holds exactly what the map showed, and reads back.
 * The first server decides between racing writers and is written alone, unless the slot is new: then nobody else knows it.
 */
export async function publishAttempt(
  context: SlotContext,
  keys: SlotKeys,
  attempt: Attempt,
  target: PublishTarget,
): Promise<PublishResult> {
  const startedMs = context.clock.monotonicMs();
  const plans = planWrites(attempt, target);
  const written = new Set<number>();
  const refused: string[] = [];
  const unknown: string[] = [];

  const write = async (plan: WritePlan): Promise<boolean> => {
    const { server } = plan;
    const secrets = slotSecrets(context, server, keys.storageIndex, keys.writeKey!);
    const readVector = [{ offset: 0, length: sdmfCheckstringLength }];
    const request = { storageIndex: keys.storageIndex, ...secrets, shares: plan.shares, readVector };
    const timeoutMs = context.requestTimeoutMs + plan.bytes / 64;
    try {
      const { applied } = await server.readTestWrite(request, { timeoutMs });
      if (!applied) refused.push(server.nickname);
      else for (const number of plan.written) written.add(number);
      return applied;
    } catch (error) {
      unknown.push(`${server.nickname}: ${describeError(error)}`);
      return false;
    }
  };

  const [first, ...rest] = plans;
  if (first === undefined) return { kind: 'unproven', reason: 'no server may be written' };
  if (!target.isNew) {
    if (!(await write(first))) {
      if (refused.length > 0)
        return { kind: 'collision', reason: `another writer was first on ${first.server.nickname}` };
      return { kind: 'unproven', reason: unknown.join('; ') };
    }
    await Promise.all(rest.map(write));
  } else {
    await Promise.all(plans.map(write));
  }
  const { write: quorum } = target.quorums;
  if (written.size < quorum) {
    const why = [...refused.map((name) => `${name} holds something else`), ...unknown].join('; ');
    const reason = `written on ${written.size} shares, ${quorum} needed (${why || 'too few servers'})`;
    return { kind: refused.length > 0 ? 'collision' : 'unproven', reason };
  }
  const proof = await proveAttempt(context, keys, attempt, target.quorums, target.map.asked.length);
  if (typeof proof === 'string') return { kind: 'unproven', reason: proof };
  const tookMs = context.clock.monotonicMs() - startedMs;
  if (tookMs > publishTimeMs(context))
    return { kind: 'unproven', reason: `the proof took ${Math.round(tookMs / 1000)} s` };
  return { kind: 'proven', shares: proof };
}

export interface PublishTarget {
  readonly map: SlotMap;
  readonly usable: readonly StorageServer[];
  readonly quorums: Quorums;
  /** No share of it is anywhere. */
  readonly isNew: boolean;
}

interface WritePlan {
  readonly server: StorageServer;
  readonly shares: ReadonlyMap<number, TestWrite>;
  readonly written: readonly number[];
  readonly bytes: number;
}

/**
 * One read-test-write per server for all its shares. Shares found stay where they are. A number must never stand on two
 * servers: those of a new slot have one home each, and numbers that are missing later are placed only if no server was
 * silent, on those that hold the least.
 */
function planWrites(attempt: Attempt, { map, usable, isNew }: PublishTarget): WritePlan[] {
  const placed = seenShareNumbers(map);
  const missing = attempt.shares.map((_, number) => number).filter((number) => !placed.has(number));
  const byLoad = [...usable].sort((a, b) => map.answered.get(a)!.size - map.answered.get(b)!.size);
  const homes = isNew ? map.asked : map.silent.size === 0 ? byLoad : [];
  const assigned = new Map<StorageServer, number[]>(usable.map((server) => [server, []]));
  missing.forEach((number, index) => {
    const home = homes[(isNew ? number : index) % homes.length];
    if (home !== undefined) assigned.get(home)?.push(number);
  });
  return usable
    .map((server) => planServer(attempt, server, map, assigned.get(server)!))
    .filter((plan) => plan.written.length > 0);
}

function planServer(attempt: Attempt, server: StorageServer, map: SlotMap, added: readonly number[]): WritePlan {
  const held = map.answered.get(server)!;
  const shares = new Map<number, TestWrite>();
  const written: number[] = [];
  let bytes = 0;
  attempt.shares.forEach((share, number) => {
    const seen = held.get(number);
    if (seen === undefined && !added.includes(number)) {
      // asserts absence and creates nothing
      shares.set(number, { tests: [absent], writes: [], newLength: 0 });
      return;
    }
    const tests = [seen === undefined ? absent : exactly(seen.head)];
    shares.set(number, { tests, writes: [{ offset: 0, data: share }], newLength: share.length });
    written.push(number);
    bytes += share.length;
  });
  for (const [number, seen] of held) {
    if (!shares.has(number)) shares.set(number, { tests: [exactly(seen.head)], writes: [], newLength: null });
  }
  return { server, shares, written, bytes };
}

const absent = { offset: 0, size: 1, specimen: new Uint8Array(0) };

function exactly(head: Uint8Array) {
  const specimen = head.subarray(0, sdmfCheckstringLength);
  return { offset: 0, size: sdmfCheckstringLength, specimen };
}

/** Reads back. The shares that showed it if the attempt stands, else why not. */
async function proveAttempt(
  context: SlotContext,
  keys: SlotKeys,
  attempt: Attempt,
  quorums: Quorums,
  serverCount: number,
): Promise<ReadonlyMap<number, ReadonlySet<ServerId>> | string> {
  const map = await mapSlot(context, keys, {
    serverCount,
    enough: (sofar) => shownOn(sofar, versionsContaining(keys, sofar, attempt)).size >= quorums.sharesTotal,
  });
  const containing = versionsContaining(keys, map, attempt);
  const shown = shownOn(map, containing);
  if (shown.size < quorums.write) return `read back on too few servers: ${describeMap(map)}`;
  const unanswered = quorums.sharesTotal - answeredRegisters(map, quorums.sharesTotal);
  for (const { prefix, shares, key } of map.versions.values()) {
    if (containing.has(key) || compareVersions(prefix, attempt.version) < 0) continue;
    // readers of other make would choose it
    if (shares.size + unanswered >= prefix.sharesNeeded) return `a version above it is visible: ${describeMap(map)}`;
  }
  const own = map.versions.get(attempt.key);
  // whoever built on it has read it whole
  if (own === undefined || (own.shares.size < own.prefix.sharesNeeded && containing.size > 1)) return shown;
  const readBack = await retrieveVersion(context, keys, own);
  return bytesEqual(readBack, attempt.content) ? shown : 'the contents read back differ';
}

/** The attempt and the visible versions that were built on it, directly or through each other. */
function versionsContaining(keys: SlotKeys, map: SlotMap, attempt: Attempt): Set<VersionKey> {
  const found = new Map<VersionKey, SdmfCheckstring>([[attempt.key, attempt.version]]);
  const ascending = [...map.versions.values()].sort((a, b) => compareVersions(a.prefix, b.prefix));
  for (const { key, prefix } of ascending) {
    if ([...found.values()].some((base) => isBuiltOn(keys.readKey, prefix, base))) found.set(key, prefix);
  }
  return new Set(found.keys());
}

/** Share numbers that hold one of the versions, and where. */
function shownOn(map: SlotMap, versions: ReadonlySet<VersionKey>): Map<number, Set<ServerId>> {
  const servers = new Map<number, Set<ServerId>>();
  for (const { shares, key } of map.versions.values()) {
    if (!versions.has(key)) continue;
    for (const [number, seen] of shares) {
      const known = servers.get(number) ?? new Set();
      for (const { server } of seen) known.add(server.id);
      servers.set(number, known);
    }
  }
  return servers;
}
