/** Asking servers what they hold of a slot, and believing only what is signed: mutable spec 7.4. */
import type { KeyObject } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Fingerprint } from '../encoding/brands.js';
import { bytesEqual, toHex } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { verifiedPublicKey, verifySignedPrefix } from '../share-layout/mutable-share.js';
import { permuteServers } from '../storage-protocol/permutation.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { versionKey } from './lineage.js';
import { formatOfShare, type ShareHead } from './share-format.js';
import { type SlotContext, slotSecrets } from './slot-context.js';
import type { SlotKeys } from './slot-keys.js';
import { answeredRegisters, type Quorums, type SeenShare, type SeenVersion, type SlotMap } from './slot-map.js';

/** Bytes asked of each share: header, keys, hashes, and the whole share of a small directory. */
const headLength = 8192;

export interface MapOptions {
  /** Ends the round early, with the rest silent, as soon as it returns true. Not given: every server is waited for. */
  readonly enough?: (map: SlotMap) => boolean;
  /** How much longer the others are waited for once it is enough. Default 0. */
  readonly patienceMs?: number;
}

/** The first servers of the slot's permuted list, with those that are away. */
export function slotServers(context: SlotContext, { storageIndex }: SlotKeys, count: number): StorageServer[] {
  return permuteServers(context.servers(), storageIndex).slice(0, count);
}

/** For a slot of which nothing was ever sent anywhere: servers that are away are left out. */
export function newSlotServers(context: SlotContext, { storageIndex }: SlotKeys, count: number): StorageServer[] {
  const reachable = context.servers().filter((server) => isReachable(context, server));
  return permuteServers(reachable, storageIndex).slice(0, count);
}

/** False for a server that did not answer last time. */
function isReachable(context: SlotContext, server: StorageServer): boolean {
  return context.isReachable?.(server) ?? true;
}

/**
 * Asks servers for all their shares of the slot, in parallel. Never fails: servers that do not answer within the
 * request's time limit are listed as silent. A writer asks by an empty read-test-write, one request per server.
 */
export async function mapSlot(
  context: SlotContext,
  keys: SlotKeys,
  asked: readonly StorageServer[],
  options: MapOptions = {},
): Promise<SlotMap> {
  const building = new MapInProgress(keys, asked, context.clock.monotonicMs());
  const abort = new AbortController();
  const settled = await new Promise<SlotMap>((resolve, reject) => {
    if (asked.length === 0) resolve(building.map);
    let isPatient = false;
    const check = () => {
      if (building.done) resolve(building.finish());
      else if (!isPatient && options.enough?.(building.map)) {
        isPatient = true;
        if (options.patienceMs === undefined) resolve(building.finish());
        else context.clock.setTimer(options.patienceMs, () => resolve(building.finish()));
      }
    };
    const ask = async (server: StorageServer): Promise<void> => {
      try {
        building.answer(server, await askServer(context, keys, server, { headLength, signal: abort.signal }));
      } catch (error) {
        building.fail(server, error);
      }
      check();
    };
    Promise.all(asked.map(ask)).catch(reject);
  });
  if (!building.done) abort.abort();
  return settled;
}

export interface WriterMapOptions {
  readonly quorums: Quorums;
  readonly patienceMs: number;
  /** Nothing of the slot was ever sent anywhere. Default false. */
  readonly isNew?: boolean;
  /** False if shares must be on other servers than those of the map. */
  readonly isComplete: (map: SlotMap) => boolean;
}

/** Ends soon after a quorum has answered. Asks the first servers of the list, or all if the shares are not there. */
export async function mapForWriting(
  context: SlotContext,
  keys: SlotKeys,
  { quorums, patienceMs, isNew = false, isComplete }: WriterMapOptions,
): Promise<SlotMap> {
  const { sharesTotal, answers } = quorums;
  const options = { enough: (sofar: SlotMap) => answeredRegisters(sofar, sharesTotal) >= answers, patienceMs };
  if (isNew) return mapSlot(context, keys, newSlotServers(context, keys, sharesTotal), options);
  const all = slotServers(context, keys, Number.POSITIVE_INFINITY);
  const map = await mapSlot(context, keys, all.slice(0, sharesTotal), options);
  return isComplete(map) || all.length <= map.asked.length ? map : mapSlot(context, keys, all, options);
}

/** The first bytes of every share that one server holds of the slot. A server that is away is not asked: `unreachable`. */
export async function askServer(
  context: SlotContext,
  keys: SlotKeys,
  server: StorageServer,
  options: { readonly headLength: number; readonly signal?: AbortSignal },
): Promise<ReadonlyMap<number, Uint8Array>> {
  if (!isReachable(context, server)) {
    const message = 'it did not answer last time';
    throw new TahoeError(message, { kind: 'unreachable', op: 'mutable.map', subject: server.nickname });
  }
  const { headLength, signal } = options;
  const call = { signal, timeoutMs: context.requestTimeoutMs };
  const { storageIndex, writeKey } = keys;
  if (writeKey !== undefined) {
    const secrets = slotSecrets(context, server, storageIndex, writeKey);
    const readVector = [{ offset: 0, length: headLength }];
    const { reads } = await server.readTestWrite({ storageIndex, ...secrets, shares: new Map(), readVector }, call);
    return new Map([...reads].map(([shareNumber, parts]) => [shareNumber, parts[0]!]));
  }
  const heads = new Map<number, Uint8Array>();
  const numbers = await server.listSlotShares(storageIndex, call);
  const read = async (shareNumber: number) => {
    const address = { storageIndex, shareNumber };
    heads.set(shareNumber, await server.readSlotShare(address, { offset: 0, length: headLength }, call));
  };
  await Promise.all([...numbers].map(read));
  return heads;
}

interface PublicKey {
  readonly der: Uint8Array;
  readonly key: KeyObject;
}

const publicKeys = new LRUCache<string, PublicKey>({ max: 1000 });

/** Signed bytes with a signature and the fingerprint of the key that it is of: each is seen by many maps. */
const verifiedSeals = new LRUCache<string, true>({ max: 1000 });

/** To import a key costs half a millisecond, and every publish sees the same one twice. */
function publicKeyOf(der: Uint8Array, fingerprint: Fingerprint): PublicKey {
  const name = toHex(fingerprint);
  const known = publicKeys.get(name);
  if (known !== undefined && bytesEqual(known.der, der)) return known;
  const verified = { der, key: verifiedPublicKey(der, fingerprint) };
  publicKeys.set(name, verified);
  return verified;
}

class MapInProgress {
  readonly #keys: SlotKeys;
  readonly #answered = new Map<StorageServer, ReadonlyMap<number, SeenShare>>();
  readonly #silent = new Map<StorageServer, unknown>();
  readonly #versions = new Map<string, SeenVersion>();
  /** What was signed of each version. */
  readonly #signed = new Map<string, string>();
  #publicKey: PublicKey | undefined;
  readonly #asked: readonly StorageServer[];
  readonly #takenAtMs: number;

  constructor(keys: SlotKeys, asked: readonly StorageServer[], takenAtMs: number) {
    this.#keys = keys;
    this.#asked = asked;
    this.#takenAtMs = takenAtMs;
  }

  get done(): boolean {
    return this.#answered.size + this.#silent.size === this.#asked.length;
  }

  /** As far as it has come: whoever has not answered yet is silent. */
  get map(): SlotMap {
    const silent = new Map(this.#silent);
    for (const server of this.#asked) {
      if (!this.#answered.has(server) && !silent.has(server)) silent.set(server, 'not waited for');
    }
    return {
      asked: this.#asked,
      answered: this.#answered,
      silent,
      versions: this.#versions,
      publicKey: this.#publicKey,
      takenAtMs: this.#takenAtMs,
    };
  }

  answer(server: StorageServer, heads: ReadonlyMap<number, Uint8Array>): void {
    const shares = new Map<number, SeenShare>();
    for (const [shareNumber, head] of heads) {
      const version = this.#versionOf(this.#verifiedHead(head));
      const share: SeenShare = { server, shareNumber, head, version: version?.key };
      shares.set(shareNumber, share);
      version?.shares.set(shareNumber, [...(version.shares.get(shareNumber) ?? []), share]);
    }
    this.#answered.set(server, shares);
  }

  fail(server: StorageServer, error: unknown): void {
    this.#silent.set(server, error);
  }

  /** A copy that late answers can no longer change. */
  finish(): SlotMap {
    const versions = new Map(
      [...this.#versions].map(([key, seen]) => [key, { ...seen, shares: new Map(seen.shares) }]),
    );
    return { ...this.map, answered: new Map(this.#answered), versions };
  }

  /** Undefined also if the checkstring is that of a known version and the rest of what was signed is not. */
  #versionOf(head: ShareHead | undefined): SeenVersion | undefined {
    if (head === undefined) return undefined;
    const { prefix } = head;
    const key = versionKey(prefix);
    const known = this.#versions.get(key);
    const signed = toHex(head.signedBytes);
    if (known !== undefined) return this.#signed.get(key) === signed ? known : undefined;
    const seen = { key, prefix, shares: new Map<number, SeenShare[]>() };
    this.#versions.set(key, seen);
    this.#signed.set(key, signed);
    return seen;
  }

  /** What a share says of its version, or undefined if anything about it is wrong: another share may be better. */
  #verifiedHead(bytes: Uint8Array): ShareHead | undefined {
    try {
      const head = formatOfShare(bytes).parseHead(bytes);
      const { signedBytes, signature, publicKeyDer } = head;
      const { fingerprint } = this.#keys;
      this.#publicKey ??= publicKeyOf(publicKeyDer.slice(), fingerprint);
      const seal = `${toHex(fingerprint)}${toHex(signature)}${toHex(signedBytes)}`;
      if (!verifiedSeals.has(seal)) {
        verifySignedPrefix(signedBytes, signature, this.#publicKey.key);
        verifiedSeals.set(seal, true);
      }
      return head;
    } catch (error) {
      if (isTahoeError(error, 'corrupt')) return undefined;
      throw error;
    }
  }
}
