/**
 * A storage server in memory. Faults: `plan` is asked before each call what goes wrong with it.
 *
 * - `hang`: no answer until the caller gives up
 * - `fail`: kind `unreachable`, no effect
 * - `lose-answer`: the effect happens, then kind `unreachable`
 * - `refuse`: allocations are answered with nothing granted
 * - `corrupt`: bytes read have one bit flipped in the middle
 * - `{ delayMs }`: a late answer
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ServerId, StorageIndex, TubId, UploadSecret } from '../../src/encoding/brands.js';
import { bytesEqual, concatBytes, toHex } from '../../src/encoding/bytes.js';
import { TahoeError } from '../../src/errors/tahoe-error.js';
import type {
  AbortShareRequest,
  AllocateRequest,
  Allocation,
  ByteRange,
  CallOptions,
  LeaseSecrets,
  ReadTestWriteRequest,
  ReadTestWriteResult,
  ServerVersion,
  ShareAddress,
  ShareKind,
  StorageServer,
  WriteShareRequest,
} from '../../src/storage-protocol/storage-server.js';

export type Fault = 'hang' | 'fail' | 'lose-answer' | 'refuse' | 'corrupt' | { readonly delayMs: number };
export type Method =
  | 'version'
  | 'allocateShares'
  | 'writeShare'
  | 'abortShare'
  | 'listShares'
  | 'readShare'
  | 'listSlotShares'
  | 'readSlotShare'
  | 'readTestWrite'
  | 'addLease'
  | 'adviseCorrupt';

interface PendingShare {
  readonly bytes: Uint8Array;
  readonly uploadSecret: UploadSecret;
  written: number;
}

interface Slot {
  readonly writeEnabler: Uint8Array;
  readonly shares: Map<number, Uint8Array>;
}

export class MemoryStorageServer implements StorageServer {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  plan: (method: Method, shareNumber: number | undefined) => Fault | undefined = () => undefined;
  readonly calls: { readonly method: Method; readonly shareNumber: number | undefined }[] = [];
  /** Complete immutable shares by storage index in hexadecimal. */
  readonly buckets = new Map<string, Map<number, Uint8Array>>();
  readonly pending = new Map<string, Map<number, PendingShare>>();
  readonly slots = new Map<string, Slot>();
  /** Renew secrets by storage index, both in hexadecimal, with the number of times each was presented. */
  readonly leases = new Map<string, Map<string, number>>();
  readonly advisories: { readonly shareNumber: number; readonly reason: string }[] = [];
  bytesRead = 0;
  /** Remembers the states of all slots from now on, for rollBack. */
  keepsHistory = false;
  readonly #history = new Map<string, Map<number, Uint8Array>[]>();

  constructor(name: string) {
    const hash = createHash('sha256').update(name).digest();
    this.id = `v0-${name}` as ServerId;
    this.nickname = name;
    this.permutationSeed = new Uint8Array(hash);
    this.tubId = new Uint8Array(hash.subarray(0, 20)) as TubId;
  }

  countOf(method: Method): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  /** Every slot shows what it held `writes` writes ago, as on a server restored from a backup. */
  rollBack(writes: number): void {
    for (const [key, states] of this.#history) {
      const [state] = states.splice(Math.max(0, states.length - writes));
      const slot = this.slots.get(key);
      if (state === undefined || slot === undefined) continue;
      if (state.size === 0) this.slots.delete(key);
      else this.slots.set(key, { ...slot, shares: state });
    }
  }

  version(options?: CallOptions): Promise<ServerVersion> {
    return this.#call('version', undefined, options, () => ({
      applicationVersion: 'memory',
      availableSpace: 2 ** 40,
      maximumImmutableShareSize: 2 ** 40,
      maximumMutableShareSize: 2 ** 40,
    }));
  }

  allocateShares(request: AllocateRequest, options?: CallOptions): Promise<Allocation> {
    return this.#call('allocateShares', undefined, options, (fault) => {
      const key = toHex(request.storageIndex);
      const held = this.buckets.get(key) ?? new Map();
      const pending = getOrMake(this.pending, key, () => new Map<number, PendingShare>());
      const allocated = new Set<number>();
      for (const share of fault === 'refuse' ? [] : request.shareNumbers) {
        const open = pending.get(share);
        // whoever began it: storage-http spec 10.2
        if (held.has(share) || open !== undefined) continue;
        const bytes = new Uint8Array(request.allocatedSize);
        pending.set(share, { bytes, uploadSecret: request.uploadSecret, written: 0 });
        allocated.add(share);
      }
      if (held.size + allocated.size > 0) this.#lease(key, request.leases);
      return { alreadyHave: new Set(held.keys()), allocated };
    });
  }

  writeShare(request: WriteShareRequest, options?: CallOptions): Promise<{ readonly complete: boolean }> {
    return this.#call('writeShare', request.shareNumber, options, () => {
      const key = toHex(request.storageIndex);
      const share = this.#pendingShare(key, request);
      const data = concatBytes(request.parts);
      if (request.offset !== share.written || request.offset + data.length > share.bytes.length) {
        throw error('exists', 'writes of this server are front to back');
      }
      share.bytes.set(data, request.offset);
      share.written += data.length;
      const complete = share.written === share.bytes.length;
      if (complete) {
        this.pending.get(key)?.delete(request.shareNumber);
        getOrMake(this.buckets, key, () => new Map<number, Uint8Array>()).set(request.shareNumber, share.bytes);
      }
      return { complete };
    });
  }

  abortShare(request: AbortShareRequest, options?: CallOptions): Promise<void> {
    return this.#call('abortShare', request.shareNumber, options, () => {
      const key = toHex(request.storageIndex);
      this.#pendingShare(key, request);
      this.pending.get(key)?.delete(request.shareNumber);
    });
  }

  listShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#call('listShares', undefined, options, () => new Set(this.buckets.get(toHex(storageIndex))?.keys()));
  }

  readShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#call('readShare', address.shareNumber, options, (fault) => {
      const share = this.buckets.get(toHex(address.storageIndex))?.get(address.shareNumber);
      if (share === undefined) throw error('not-found', 'no such share');
      const bytes = share.slice(range.offset, range.offset + range.length);
      this.bytesRead += bytes.length;
      if (fault === 'corrupt' && bytes.length > 0) bytes[bytes.length >> 1]! ^= 1;
      return bytes;
    });
  }

  listSlotShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    const list = () => new Set(this.slots.get(toHex(storageIndex))?.shares.keys());
    return this.#call('listSlotShares', undefined, options, list);
  }

  readSlotShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#call('readSlotShare', address.shareNumber, options, () => {
      const share = this.slots.get(toHex(address.storageIndex))?.shares.get(address.shareNumber);
      if (share === undefined) throw error('not-found', 'no such share');
      return share.slice(range.offset, range.offset + range.length);
    });
  }

  readTestWrite(request: ReadTestWriteRequest, options?: CallOptions): Promise<ReadTestWriteResult> {
    return this.#call('readTestWrite', undefined, options, () => {
      const key = toHex(request.storageIndex);
      const slot = this.slots.get(key) ?? { writeEnabler: request.writeEnabler, shares: new Map() };
      if (!bytesEqual(slot.writeEnabler, request.writeEnabler)) throw error('permission', 'wrong write enabler');
      const reads = new Map(
        [...slot.shares].map(([share, bytes]) => [
          share,
          request.readVector.map(({ offset, length }) => bytes.slice(offset, offset + length)),
        ]),
      );
      const applied = [...request.shares].every(([share, { tests }]) => {
        const bytes = slot.shares.get(share) ?? new Uint8Array();
        return tests.every(({ offset, size, specimen }) => bytesEqual(bytes.slice(offset, offset + size), specimen));
      });
      if (applied) {
        if (this.keepsHistory && request.shares.size > 0)
          getOrMake(this.#history, key, () => []).push(new Map(slot.shares));
        for (const [share, test] of request.shares) applyWrites(slot.shares, share, test);
        if (slot.shares.size > 0) this.slots.set(key, slot);
        else this.slots.delete(key);
        this.#lease(key, request.leases);
      }
      return { applied, reads };
    });
  }

  addLease(storageIndex: StorageIndex, leases: LeaseSecrets, options?: CallOptions): Promise<void> {
    return this.#call('addLease', undefined, options, () => {
      const key = toHex(storageIndex);
      if (!this.buckets.has(key) && !this.slots.has(key)) throw error('not-found', 'no shares');
      this.#lease(key, leases);
    });
  }

  adviseCorrupt(_kind: ShareKind, { shareNumber }: ShareAddress, reason: string, options?: CallOptions): Promise<void> {
    return this.#call('adviseCorrupt', shareNumber, options, () => void this.advisories.push({ shareNumber, reason }));
  }

  async #call<Value>(
    method: Method,
    shareNumber: number | undefined,
    options: CallOptions | undefined,
    effect: (fault: Fault | undefined) => Value,
  ): Promise<Value> {
    this.calls.push({ method, shareNumber });
    const fault = this.plan(method, shareNumber);
    if (fault === 'hang') await untilGivenUp(options);
    if (fault === 'fail') throw error('unreachable', 'connection refused');
    if (typeof fault === 'object') await delay(fault.delayMs, undefined, { signal: options?.signal, ref: true });
    else await Promise.resolve();
    if (options?.signal?.aborted) throw error('cancelled', 'aborted');
    const value = effect(fault);
    if (fault === 'lose-answer') throw error('unreachable', 'connection lost');
    return value;
  }

  #pendingShare(key: string, request: ShareAddress & { readonly uploadSecret: UploadSecret }): PendingShare {
    const share = this.pending.get(key)?.get(request.shareNumber);
    if (share === undefined) throw error('not-found', 'no such upload');
    if (!bytesEqual(share.uploadSecret, request.uploadSecret)) throw error('permission', 'wrong upload secret');
    return share;
  }

  #lease(key: string, { renew }: LeaseSecrets): void {
    const leases = getOrMake(this.leases, key, () => new Map<string, number>());
    leases.set(toHex(renew), (leases.get(toHex(renew)) ?? 0) + 1);
  }
}

function applyWrites(
  shares: Map<number, Uint8Array>,
  share: number,
  { writes, newLength }: { writes: readonly { offset: number; data: Uint8Array }[]; newLength: number | null },
): void {
  if (newLength === 0) {
    shares.delete(share);
    return;
  }
  let bytes = shares.get(share) ?? new Uint8Array();
  for (const { offset, data } of writes) {
    const grown = new Uint8Array(Math.max(bytes.length, offset + data.length));
    grown.set(bytes);
    grown.set(data, offset);
    bytes = grown;
  }
  shares.set(share, newLength === null ? bytes : bytes.slice(0, newLength));
}

function untilGivenUp({ signal, timeoutMs }: CallOptions = {}): Promise<never> {
  return new Promise((_, reject) => {
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => reject(error('timeout', 'no answer')), timeoutMs);
    const stop = () => {
      clearTimeout(timer);
      reject(error('cancelled', 'aborted'));
    };
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
  });
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

function error(kind: TahoeError['kind'], message: string): TahoeError {
  return new TahoeError(message, { kind, op: 'memory-storage-server' });
}
