/** Reading a slot: the newest version that a quorum stands behind, verified (vfs blueprint 11, "Freshness"). */

import { toHex } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { SdmfCheckstring } from '../share-layout/sdmf-share.js';
import { assessSlot, type SlotMemory } from './assess-slot.js';
import { compareVersions, type VersionKey, versionKey } from './lineage.js';
import { mapSlot } from './map-slot.js';
import { retrieveVersion } from './retrieve.js';
import type { SlotContext } from './slot-context.js';
import type { SlotKeys } from './slot-keys.js';
import { answeredRegisters, describeMap, type Quorums, quorumsOf, type SeenVersion, type SlotMap } from './slot-map.js';

export interface SlotContents {
  readonly version: SdmfCheckstring;
  readonly content: Uint8Array;
  readonly map: SlotMap;
}

const noMemory: SlotMemory = { proven: undefined, attempts: [] };

/**
 * The best version. Kind `unrecoverable` if no version has enough shares on the servers that answer, naming what was
 * found. `quorums` are those of new files and serve until a share has shown the file's own.
 */
export async function readSlot(context: SlotContext, keys: SlotKeys, quorums: Quorums): Promise<SlotContents> {
  let map = await mapSlot(context, keys, {
    serverCount: quorums.sharesTotal,
    enough: (sofar) => bestByQuorum(sofar, keys, quorums) !== undefined,
  });
  let best = bestByQuorum(map, keys, quorums) ?? newestReadable(map);
  if (best === undefined) {
    // shares may have been placed beyond the first servers of the list
    map = await mapSlot(context, keys, { serverCount: Number.POSITIVE_INFINITY });
    best = bestByQuorum(map, keys, quorums) ?? newestReadable(map);
  }
  if (best === undefined) {
    throw new TahoeError(`no version can be read: ${describeMap(map)}`, {
      kind: map.answered.size === 0 ? 'unreachable' : 'unrecoverable',
      op: 'mutable.read',
      subject: toHex(keys.storageIndex),
      cause: [...map.silent.values()].find((reason) => reason instanceof Error),
    });
  }
  return { version: best.prefix, content: await retrieveVersion(context, keys, best), map };
}

/** One small question to enough servers to meet every write quorum: does this version still stand alone at the top? */
export async function isCurrent(
  context: SlotContext,
  keys: SlotKeys,
  version: SdmfCheckstring,
  quorums: Quorums,
): Promise<boolean | 'unknown'> {
  const key = versionKey(version);
  const map = await mapSlot(context, keys, {
    serverCount: quorums.sharesTotal,
    enough: (sofar) => showsNewer(sofar, version) || sharesOf(sofar, key) >= quorums.overlap,
  });
  if (showsNewer(map, version)) return false;
  if (sharesOf(map, key) >= quorums.overlap) return true;
  return answeredRegisters(map, quorums.sharesTotal) >= quorums.answers ? false : 'unknown';
}

function bestByQuorum(map: SlotMap, keys: SlotKeys, fallback: Quorums): SeenVersion | undefined {
  const assessment = assessSlot(map, noMemory, quorumsSeen(map) ?? fallback, keys.readKey);
  return assessment.kind === 'base' ? map.versions.get(assessment.key) : undefined;
}

/** The encoding that the slot itself shows, with the write quorum of a bare majority. */
export function quorumsSeen(map: SlotMap): Quorums | undefined {
  const [seen] = map.versions.values();
  if (seen === undefined) return undefined;
  const { sharesNeeded, sharesTotal } = seen.prefix;
  return quorumsOf({ sharesNeeded, sharesTotal, sharesHappy: 1 });
}

function newestReadable(map: SlotMap): SeenVersion | undefined {
  return [...map.versions.values()]
    .filter(({ prefix, shares }) => shares.size >= prefix.sharesNeeded)
    .sort((a, b) => compareVersions(b.prefix, a.prefix))[0];
}

function showsNewer(map: SlotMap, version: SdmfCheckstring): boolean {
  return [...map.versions.values()].some(({ prefix }) => compareVersions(prefix, version) > 0);
}

function sharesOf(map: SlotMap, key: VersionKey): number {
  return map.versions.get(key)?.shares.size ?? 0;
}
