/**
 * Reads the grid with nothing but a capability: no cache, no journal, no memory. Looks also whether what it reads stands on
 * as many servers as the promise says: a directory's version, or one that came after it, on W shares, a file on `happy`.
 */
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, isDirectory, parseKnownCap, serializeCap } from '../../src/caps/cap.js';
import { chkStorageIndex, clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { type PackedEntry, parseDirectory } from '../../src/dirnode/packing.js';
import { toHex } from '../../src/encoding/bytes.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { compareVersions, isBuiltOn } from '../../src/mutable/lineage.js';
import { readSlot } from '../../src/mutable/read-slot.js';
import { retrieveVersion } from '../../src/mutable/retrieve.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { type SlotKeys, slotKeysOf } from '../../src/mutable/slot-keys.js';
import { describeMap, quorumsOf, type SlotMap } from '../../src/mutable/slot-map.js';
import type { Clock } from '../../src/platform/clock.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { Checkstring } from '../../src/share-layout/mutable-share.js';
import { readEntry } from '../../src/vfs/entry-codec.js';
import type { MemoryStorageServer } from '../support/memory-storage-server.js';
import { type SimConfig, writeQuorum } from './config.js';
import { Random, seededEntropy } from './random.js';
import { toContent } from './vfs-calls.js';

export type Seen =
  | { readonly kind: 'file'; readonly content: string }
  | { readonly kind: 'directory'; readonly cap: string }
  | { readonly kind: 'other' };

export type IsAsGood = (seen: Seen) => boolean;

interface Wanted {
  readonly name: string;
  readonly isAsGood: IsAsGood;
}

export class GridReader {
  readonly #config: SimConfig;
  readonly #rootCap: string;
  readonly #servers: readonly MemoryStorageServer[];
  readonly #checksSpread: boolean;
  readonly #slots: SlotContext;
  readonly #downloader: GridDownloader;

  constructor(
    config: SimConfig,
    rootCap: string,
    servers: readonly MemoryStorageServer[],
    { clock, checksSpread }: { readonly clock: Clock; readonly checksSpread: boolean },
  ) {
    this.#config = config;
    this.#rootCap = rootCap;
    this.#servers = servers;
    this.#checksSpread = checksSpread;
    const common = { servers: () => servers, clock, log: silentLogger };
    const entropy = seededEntropy(new Random('reader'));
    this.#slots = { ...common, entropy, leaseSecrets: clientLeaseSecrets(new Uint8Array(32)), requestTimeoutMs: 5000 };
    const segmentCache = new LRUCache<string, Uint8Array>({ max: 8 });
    this.#downloader = new GridDownloader({ ...common, segmentCache });
  }

  /** Undefined if there is nothing at the path. `isAsGood`: another file there would do as well as the one that is seen. */
  async at(path: string, isAsGood: IsAsGood = () => false): Promise<Seen | undefined> {
    let seen: Seen | undefined = { kind: 'directory', cap: this.#rootCap };
    for (const name of path.split('/').slice(1)) {
      if (seen?.kind !== 'directory') return undefined;
      seen = (await this.list(seen.cap, { name, isAsGood })).get(name);
    }
    return seen;
  }

  /** Contents of all files below a path. */
  async contentsBelow(path: string): Promise<Set<string>> {
    const contents = new Set<string>();
    // directories that were moved into each other make a ring
    const listed = new Set<string>();
    const waiting = [await this.at(path)];
    for (let seen = waiting.pop(); seen !== undefined; seen = waiting.pop()) {
      if (seen.kind === 'file') contents.add(seen.content);
      if (seen.kind !== 'directory' || listed.has(seen.cap)) continue;
      listed.add(seen.cap);
      waiting.push(...(await this.list(seen.cap)).values());
    }
    return contents;
  }

  /** The entries of a directory, or the one of this name. */
  async list(capText: string, only?: Wanted): Promise<Map<string, Seen>> {
    const cap = parseKnownCap(capText);
    if (!isDirectory(cap) || (cap.inner.type !== 'sdmf-write' && cap.inner.type !== 'sdmf-read'))
      throw new Error('not a directory of this grid');
    const keys = slotKeysOf(cap.inner);
    const quorums = quorumsOf(this.#config);
    // whoever counts shares wants those too that are beyond the first servers of the list
    const isPatient = only !== undefined;
    const { content, version, map } = await readSlot(this.#slots, keys, { quorums, isPatient });
    const entries = parseDirectory(content, { deepImmutable: false });
    if (only !== undefined) await this.#checkSlotSpread(keys, { version, map, entry: entries.get(only.name) }, only);
    const found = new Map<string, Seen>();
    for (const entry of entries.values()) {
      if (only === undefined || entry.name === only.name) found.set(entry.name, await this.#seenAs(keys, entry));
    }
    return found;
  }

  #seenAs(keys: SlotKeys, entry: PackedEntry): Promise<Seen> {
    const { child, kind } = readEntry(entry, keys.writeKey, false);
    return this.#seen(child.type === 'known' ? child.cap : undefined, kind);
  }

  async #seen(cap: ReturnType<typeof parseKnownCap> | undefined, kind: string): Promise<Seen> {
    if (cap !== undefined && isDirectory(cap)) return { kind: 'directory', cap: serializeCap(cap) };
    if (kind !== 'file' || (cap?.type !== 'chk' && cap?.type !== 'lit')) return { kind: 'other' };
    const file = this.#downloader.open(cap);
    const content = toContent(await file.read(0, file.sizeBytes));
    file.close();
    if (cap.type === 'chk') this.#checkFileSpread(cap);
    return { kind: 'file', content };
  }

  /** Versions that are being published stand above what was proven, which must say the same of the name, or what does as well. */
  async #checkSlotSpread(
    keys: SlotKeys,
    read: { readonly version: Checkstring; readonly map: SlotMap; readonly entry: PackedEntry | undefined },
    { name, isAsGood }: Wanted,
  ): Promise<void> {
    const { map, entry } = read;
    if (!this.#checksSpread || entry === undefined) return;
    let lowest = read.version;
    for (const seen of map.versions.values()) {
      if (seen.shares.size < seen.prefix.sharesNeeded || compareVersions(seen.prefix, lowest) >= 0) continue;
      const content = await retrieveVersion(this.#slots, keys, seen);
      const older = parseDirectory(content, { deepImmutable: false }).get(name);
      if (older === undefined) continue;
      if (older.refersToSame(entry) || isAsGood(await this.#seenAs(keys, older))) lowest = seen.prefix;
    }
    const numbers = new Set<number>();
    for (const { prefix, shares } of map.versions.values()) {
      // what is left of a version that this one was built on may be too little to be read
      const isRemainder = shares.size < prefix.sharesNeeded && isBuiltOn(keys.readKey, read.version, prefix);
      if (isRemainder || compareVersions(prefix, lowest) >= 0) for (const number of shares.keys()) numbers.add(number);
    }
    const needed = writeQuorum(this.#config);
    if (map.silent.size === 0 && numbers.size < needed)
      throw new Error(`a name stands on ${numbers.size} shares instead of ${needed}: ${describeMap(map)}`);
  }

  #checkFileSpread(cap: ChkReadCap): void {
    const key = toHex(chkStorageIndex(cap.key));
    const holding = this.#servers.flatMap(({ buckets }) => [new Set(buckets.get(key)?.keys())]);
    const happiness = happinessOf(holding);
    if (this.#checksSpread && happiness < this.#config.sharesHappy)
      throw new Error(`a file stands on ${happiness} servers instead of ${this.#config.sharesHappy}`);
  }
}

/** The largest matching of servers to different shares. */
function happinessOf(holding: readonly ReadonlySet<number>[]): number {
  const serverOf = new Map<number, number>();
  const place = (server: number, tried: Set<number>): boolean => {
    for (const share of holding[server]!) {
      if (tried.has(share)) continue;
      tried.add(share);
      const other = serverOf.get(share);
      if (other !== undefined && !place(other, tried)) continue;
      serverOf.set(share, server);
      return true;
    }
    return false;
  };
  return holding.filter((_, server) => place(server, new Set())).length;
}
