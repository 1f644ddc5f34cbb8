/** Reading a slot: the newest version that a quorum stands behind, verified (vfs blueprint 11, "Freshness"). */

import { bytesEqual, toHex } from '../encoding/bytes.js';
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { sleep } from '../platform/clock.js';
import { checkstringLengthMax, parseCheckstring, serializeCheckstring } from '../share-layout/checkstring.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { ByteRange, StorageServer } from '../storage-protocol/storage-server.js';
import { readableBase, type SlotMemory } from './assess-slot.js';
import { compareVersions } from './lineage.js';
import { askServer, mapSlot, slotServers } from './map-slot.js';
import { retrieveRange, retrieveVersion } from './retrieve.js';
import type { SlotContext } from './slot-context.js';
import type { SlotKeys } from './slot-keys.js';
import { describeMap, type Quorums, quorumsSeen, type SeenVersion, type SlotMap } from './slot-map.js';

export interface SlotContents {
  readonly version: Checkstring;
  readonly content: Uint8Array;
  readonly map: SlotMap;
}

/** When the first servers have not all said that nothing has changed by then, the others are asked too. */
const LATE_MS = 300;

/** Happiness of readers, who do not know what writers ask for. */
const bareMajority = 1;

/** A version is looked for again so many times if it was overwritten while it was read. */
const readAttemptsMax = 4;

/**
 * The best version, whole. Kind `unrecoverable` if no version has enough shares on the servers that answer, naming what
 * was found; `stale` if it is overwritten faster than it can be read.
 */
export async function readSlot(context: SlotContext, keys: SlotKeys, options: FindOptions): Promise<SlotContents> {
  for (let attempt = 1; ; attempt++) {
    const isPatient = options.isPatient === true || attempt > 1;
    const { best, map } = await findBestVersion(context, keys, { ...options, isPatient });
    try {
      return { version: best.prefix, content: await retrieveVersion(context, keys, best), map };
    } catch (error) {
      // of the first map only the quickest answers are known: the good shares may be elsewhere
      const mayHelp = isTahoeError(error, 'stale') || (attempt === 1 && isTahoeError(error, 'unrecoverable'));
      if (attempt === readAttemptsMax || !mayHelp) throw error;
      context.log.debug('a mutable file is looked for again', { error: describeError(error) });
    }
  }
}

/** One version of a slot, to be read in ranges for as long as it stands. */
export interface OpenSlot {
  readonly version: SeenVersion;
  /** As retrieveRange. Kind `stale` once it has been overwritten. */
  read(range: ByteRange): Promise<Uint8Array>;
}

/** The version that readSlot would read; see there. */
export async function openSlot(context: SlotContext, keys: SlotKeys, quorums: Quorums): Promise<OpenSlot> {
  const { best } = await findBestVersion(context, keys, { quorums });
  let known = best;
  const read = async (range: ByteRange): Promise<Uint8Array> => {
    try {
      return await retrieveRange(context, keys, known, range);
    } catch (error) {
      if (!isTahoeError(error, 'unrecoverable')) throw error;
      const map = await mapSlot(context, keys, slotServers(context, keys, Number.POSITIVE_INFINITY));
      const seen = map.versions.get(best.key);
      if (seen === undefined || seen.shares.size < seen.prefix.sharesNeeded) throw error;
      known = seen;
      return retrieveRange(context, keys, known, range);
    }
  };
  return { version: best, read };
}

export interface FindOptions {
  /** Those of new files: they serve until a share has shown the file's own. */
  readonly quorums: Quorums;
  /** What this node knows to be proven: if only older ones can be read, the newest of them is the answer all the same. */
  readonly proven?: Checkstring | undefined;
  /** Wait for every server, not only for as many as settle which version it is. Default false. */
  readonly isPatient?: boolean;
}

/** Kinds `unrecoverable`, `unreachable`. */
export async function findBestVersion(
  context: SlotContext,
  keys: SlotKeys,
  { quorums, proven, isPatient = false }: FindOptions,
): Promise<{ readonly best: SeenVersion; readonly map: SlotMap }> {
  const enough = (sofar: SlotMap) => bestByQuorum(sofar, keys, quorums, proven) !== undefined;
  const all = slotServers(context, keys, Number.POSITIVE_INFINITY);
  const first = all.slice(0, quorums.sharesTotal);
  let map = isPatient ? await mapSlot(context, keys, all) : await mapSlot(context, keys, first, { enough });
  let best = bestByQuorum(map, keys, quorums, proven);
  if (best === undefined && all.length > map.asked.length) {
    // shares may have been placed beyond the first servers of the list: what can be read there may be newer
    map = await mapSlot(context, keys, all);
    best = bestByQuorum(map, keys, quorums, proven);
  }
  best ??= newestReadable(map);
  if (best !== undefined) return { best, map };
  throw new TahoeError(`no version can be read: ${describeMap(map)}`, {
    kind: map.answered.size === 0 ? 'unreachable' : 'unrecoverable',
    op: 'mutable.read',
    subject: toHex(keys.storageIndex),
    cause: [...map.silent.values()].find((reason) => reason instanceof Error),
  });
}

/**
 * The version that a reader would take now, without its contents. Undefined if no version has a quorum behind it.
 */
export async function readSlotVersion(
  context: SlotContext,
  keys: SlotKeys,
  quorums: Quorums,
): Promise<Checkstring | undefined> {
  const map = await mapSlot(context, keys, slotServers(context, keys, quorums.sharesTotal), {
    enough: (sofar) => bestByQuorum(sofar, keys, quorums, undefined) !== undefined,
  });
  return bestByQuorum(map, keys, quorums, undefined)?.prefix;
}

/**
 * One small question to enough servers to meet every write quorum: does this version still stand alone at the top?
 * Nothing is verified: a server that lies causes a full read, which verifies. `unknown` if too few answer.
 */
export async function isCurrent(
  context: SlotContext,
  keys: SlotKeys,
  version: Checkstring,
  quorums: Quorums,
): Promise<boolean | 'unknown'> {
  const checkstring = serializeCheckstring(version);
  const asked = slotServers(context, keys, quorums.sharesTotal);
  const showing = new Set<number>();
  let failures = 0;
  const abort = new AbortController();
  const { signal } = abort;
  let isReplaced = false;
  const ask = async (server: StorageServer): Promise<void> => {
    try {
      const heads = await askServer(context, keys, server, { headLength: checkstringLengthMax, signal });
      for (const [shareNumber, head] of heads) {
        if (bytesEqual(head.subarray(0, checkstring.length), checkstring)) showing.add(shareNumber);
        else if (!isOlder(head, version)) isReplaced = true;
      }
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      context.log.debug('a server did not say its version', { server: server.nickname, error: describeError(error) });
    }
    if (isReplaced || showing.size >= quorums.overlap) abort.abort();
  };
  const first = Promise.all(asked.slice(0, quorums.overlap).map(ask));
  await Promise.race([first, sleep(context.clock, LATE_MS, signal).catch(() => first)]);
  if (!signal.aborted)
    await Promise.race([Promise.all([first, ...asked.slice(quorums.overlap).map(ask)]), aborted(signal)]);
  abort.abort();
  if (isReplaced) return false;
  if (showing.size >= quorums.overlap) return true;
  // nothing newer, and less than there should be: that needs a closer look
  return failures === 0 ? false : 'unknown';
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** True for a share that lags behind; false also for one that is damaged or of another kind. */
function isOlder(head: Uint8Array, version: Checkstring): boolean {
  try {
    return compareVersions(parseCheckstring(head), version) < 0;
  } catch (error) {
    if (isTahoeError(error, 'corrupt')) return false;
    throw error;
  }
}

function bestByQuorum(
  map: SlotMap,
  keys: SlotKeys,
  fallback: Quorums,
  proven: Checkstring | undefined,
): SeenVersion | undefined {
  const memory: SlotMemory = { proven, attempts: [] };
  const key = readableBase(map, memory, quorumsSeen(map, bareMajority) ?? fallback, keys.readKey);
  return key === undefined ? undefined : map.versions.get(key);
}

function newestReadable(map: SlotMap): SeenVersion | undefined {
  return [...map.versions.values()]
    .filter(({ prefix, shares }) => shares.size >= prefix.sharesNeeded)
    .sort((a, b) => compareVersions(b.prefix, a.prefix))[0];
}
