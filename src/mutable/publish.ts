/**
 * One attempt to publish a version of a slot and to prove that it stands: vfs blueprint 5.8 to 5.11.
 *
 * An attempt is never repeated and never believed: either the read-back proves it, or the caller maps again and makes
 * another attempt that contains or replaces it.
 */

import type { ServerId } from '../encoding/brands.js';
import { bytesEqual } from '../encoding/bytes.js';
import { describeError } from '../errors/tahoe-error.js';
import { checkstringLengthMax } from '../share-layout/checkstring.js';
import type { PlacedBytes } from '../share-layout/mdmf-encode.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { StorageServer, TestWrite } from '../storage-protocol/storage-server.js';
import { compareVersions, isBuiltOn, type VersionKey, versionKey } from './lineage.js';
import { mapSlot } from './map-slot.js';
import { retrieveRange } from './retrieve.js';
import { shareFormat } from './share-format.js';
import { failedWrites, type SlotContext, slotSecrets } from './slot-context.js';
import type { SigningKeys, SlotKeys } from './slot-keys.js';
import { answeredRegisters, describeMap, type Quorums, type SlotMap, seenShareNumbers } from './slot-map.js';
import { WriteOrder, type WritePlan } from './write-order.js';

/** A proof must be complete within this time of the first test-and-set (T_pub), so that nobody has given us up. */
export function publishTimeMs(context: SlotContext): number {
  return context.publishMs ?? 15_000;
}

/** Bytes of shares being sent at the same time. */
const bytesAtOnce = 64 * 1024 * 1024;

export interface Attempt {
  readonly version: Checkstring;
  readonly key: VersionKey;
  readonly base: Checkstring | undefined;
  /** Every version that it contains. */
  readonly lineage: readonly VersionKey[];
  /** What it writes into the file: all of it, or the bytes from `contentOffset` on. */
  readonly content: Uint8Array;
  readonly contentOffset: number;
  readonly sharesTotal: number;
  /** About as many bytes as one share takes to send. */
  readonly shareBytes: number;
  /** Makes one share. Called when it is sent, so that they need not all be in memory at once. */
  share(shareNumber: number): ShareWrite;
}

/** What a share of the version before becomes one of this by; or one that stands nowhere yet. */
export interface ShareWrite {
  readonly writes: readonly PlacedBytes[];
  /** Bytes behind it are those of a longer version. */
  readonly length: number;
}

export interface AttemptInput {
  readonly keys: SlotKeys;
  readonly signing: SigningKeys;
  readonly content: Uint8Array;
  /** One more than the highest ever seen, unreadable ones and own attempts included. */
  readonly sequenceNumber: number;
  /** `lineage`: what the base contains, and what was merged into it with all that that contains. */
  readonly base: { readonly version: Checkstring; readonly lineage: readonly VersionKey[] } | undefined;
  readonly quorums: Quorums;
}

/** Encodes and signs; sends nothing. Journal the result before it is sent. */
export function makeAttempt(context: SlotContext, input: AttemptInput): Attempt {
  const { keys, signing, content, sequenceNumber, base, quorums } = input;
  const { sharesNeeded, sharesTotal } = quorums;
  const { version, shareSize, share } = shareFormat(keys.format).encode({
    readKey: keys.readKey,
    signing,
    content,
    sequenceNumber,
    base: base?.version,
    sharesNeeded,
    sharesTotal,
    entropy: context.entropy,
  });
  return {
    version,
    key: versionKey(version),
    base: base?.version,
    lineage: lineageOf(base),
    content,
    contentOffset: 0,
    sharesTotal,
    shareBytes: shareSize,
    share: (shareNumber) => ({ writes: [{ offset: 0, data: share(shareNumber) }], length: shareSize }),
  };
}

/** What a version built on this one contains. */
export function lineageOf(base: AttemptInput['base']): VersionKey[] {
  return base === undefined ? [] : [versionKey(base.version), ...base.lineage];
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
 * In the order of write-order.ts, unless the slot is new: then nobody else knows it, and nothing stands there.
 */
export async function publishAttempt(
  context: SlotContext,
  keys: SlotKeys,
  attempt: Attempt,
  target: PublishTarget,
): Promise<PublishResult> {
  const startedMs = context.clock.monotonicMs();
  const limitMs = publishTimeMs(context) + sendMs(attempt.shareBytes * attempt.sharesTotal);
  const tookMs = () => context.clock.monotonicMs() - startedMs;
  const plans = planWrites(attempt, target);
  const doubtful = failedWrites(context);
  const order = new WriteOrder(plans, { ...target, doubtful });
  const refused: string[] = [];
  const unknown: string[] = [];

  const write = async (plan: WritePlan): Promise<void> => {
    const { server } = plan;
    const secrets = slotSecrets(context, server, keys.storageIndex, keys.writeKey!);
    const readVector = [{ offset: 0, length: checkstringLengthMax }];
    const request = { storageIndex: keys.storageIndex, ...secrets, shares: testWrites(attempt, plan), readVector };
    const timeoutMs = context.requestTimeoutMs + sendMs(attempt.shareBytes * plan.written.length);
    try {
      const { applied } = await server.readTestWrite(request, { timeoutMs });
      doubtful.delete(server);
      if (applied) order.applied(plan);
      else refused.push(server.nickname);
    } catch (error) {
      doubtful.add(server);
      unknown.push(`${server.nickname}: ${describeError(error)}`);
    }
  };

  const { written } = order;
  const { write: quorum } = target.quorums;
  // shares that share a server are lost together, and where they stand they stay
  const homes = Math.min(quorum, context.servers().length);
  if (target.isNew && plans.length < homes)
    return { kind: 'unproven', reason: `${plans.length} servers answer, ${homes} are needed for something new` };
  if (target.isNew) await writeAll(plans, attempt, write);
  else {
    for (let next = order.next(); next.length > 0 && tookMs() <= limitMs; next = order.next()) {
      await writeAll(next, attempt, write);
      // whoever loses a race stops before he has touched anything
      if (written.size === 0 && refused.length > 0)
        return { kind: 'collision', reason: `another writer was first on ${refused.join(', ')}` };
    }
  }
  if (written.size < quorum) {
    const why = [...refused.map((name) => `${name} holds something else`), ...unknown].join('; ');
    const reason = `written on ${written.size} shares, ${quorum} needed (${why || 'too few servers'})`;
    return { kind: refused.length > 0 ? 'collision' : 'unproven', reason };
  }
  const proof = await proveAttempt(context, keys, attempt, target.quorums, target.map.asked);
  if (typeof proof === 'string') return { kind: 'unproven', reason: proof };
  if (tookMs() > limitMs) return { kind: 'unproven', reason: `the proof took ${Math.round(tookMs() / 1000)} s` };
  return { kind: 'proven', shares: proof };
}

export interface PublishTarget {
  readonly map: SlotMap;
  readonly usable: readonly StorageServer[];
  /** The version that stays readable until the attempt is. Undefined if nobody can read any. */
  readonly kept: VersionKey | undefined;
  readonly quorums: Quorums;
  /** No share of it is anywhere. */
  readonly isNew: boolean;
}

/** All at once, unless the shares are so large that memory is the limit. */
async function writeAll(
  plans: readonly WritePlan[],
  attempt: Attempt,
  write: (plan: WritePlan) => Promise<void>,
): Promise<void> {
  const waiting = [...plans];
  const writeNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await write(next);
  };
  const atOnce = Math.max(1, Math.floor(bytesAtOnce / attempt.shareBytes));
  await Promise.all(Array.from({ length: Math.min(atOnce, plans.length) }, writeNext));
}

/** How long these bytes may take on the way: more than any request, but not for ever: a floor of 64 KiB/s. */
export function sendMs(bytes: number): number {
  return bytes / 64;
}

/**
 * One read-test-write per server for all its shares. Shares found stay where they are. A number must never stand on two
 * servers: those of a new slot have one home each, and numbers that are missing later are placed only if no server was
 * silent, on those that hold the least.
 */
function planWrites(attempt: Attempt, { map, usable, isNew }: PublishTarget): WritePlan[] {
  const placed = seenShareNumbers(map);
  const numbers = Array.from({ length: attempt.sharesTotal }, (_, number) => number);
  const missing = numbers.filter((number) => !placed.has(number));
  const byLoad = [...usable].sort((a, b) => map.answered.get(a)!.size - map.answered.get(b)!.size);
  const homes = isNew ? map.asked : map.silent.size === 0 ? byLoad : [];
  const assigned = new Map<StorageServer, number[]>(usable.map((server) => [server, []]));
  missing.forEach((number, index) => {
    const home = homes[(isNew ? number : index) % homes.length];
    if (home !== undefined) assigned.get(home)?.push(number);
  });
  return usable
    .map((server) => {
      const held = map.answered.get(server)!;
      const added = assigned.get(server)!;
      return { server, held, written: numbers.filter((number) => held.has(number) || added.includes(number)) };
    })
    .filter((plan) => plan.written.length > 0);
}

function testWrites(attempt: Attempt, { held, written }: WritePlan): Map<number, TestWrite> {
  const shares = new Map<number, TestWrite>();
  for (let number = 0; number < attempt.sharesTotal; number++) {
    const seen = held.get(number);
    if (!written.includes(number)) {
      // asserts absence and creates nothing
      shares.set(number, { tests: [absent], writes: [], newLength: 0 });
      continue;
    }
    const { writes, length } = attempt.share(number);
    shares.set(number, { tests: [seen === undefined ? absent : exactly(seen.head)], writes, newLength: length });
  }
  for (const [number, seen] of held) {
    if (!shares.has(number)) shares.set(number, { tests: [exactly(seen.head)], writes: [], newLength: null });
  }
  return shares;
}

const absent = { offset: 0, size: 1, specimen: new Uint8Array(0) };

/** The checkstring, with what stands behind it where that is shorter. */
function exactly(head: Uint8Array) {
  return { offset: 0, size: checkstringLengthMax, specimen: head.subarray(0, checkstringLengthMax) };
}

/** Reads back. The shares that showed it if the attempt stands, else why not. */
async function proveAttempt(
  context: SlotContext,
  keys: SlotKeys,
  attempt: Attempt,
  quorums: Quorums,
  asked: readonly StorageServer[],
): Promise<ReadonlyMap<number, ReadonlySet<ServerId>> | string> {
  const map = await mapSlot(context, keys, asked, {
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
  const { content, contentOffset } = attempt;
  const readBack = await retrieveRange(context, keys, own, { offset: contentOffset, length: content.length });
  return bytesEqual(readBack, content) ? shown : 'the contents read back differ';
}

/** The attempt and the visible versions that were built on it, directly or through each other. */
function versionsContaining(keys: SlotKeys, map: SlotMap, attempt: Attempt): Set<VersionKey> {
  const found = new Map<VersionKey, Checkstring>([[attempt.key, attempt.version]]);
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
