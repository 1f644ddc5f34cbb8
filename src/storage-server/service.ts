import { secretsEqual } from '../crypto/constant-time.js';
import { encodeBase32 } from '../encoding/base32.js';
import type { ServerId, StorageIndex, TubId } from '../encoding/brands.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import {
  LEASE_DURATION_SECONDS,
  MAX_CBOR_RESPONSE,
  MAX_MUTABLE_SHARE_SIZE,
  MAX_READ_VECTORS,
  MAX_TEST_VECTORS,
  UPLOAD_IDLE_LIMIT_MS,
} from '../storage-protocol/limits.js';
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
  TestWrite,
  WriteShareRequest,
} from '../storage-protocol/storage-server.js';
import type { LeaseGrant, MutableSlot, ShareReader, SlotShare, StorageBackend } from './backend.js';
import { KeyedMutex } from './keyed-mutex.js';
import { Upload } from './upload.js';

export interface StorageServiceOptions {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  readonly backend: StorageBackend;
  readonly clock: Clock;
  readonly log: Logger;
  readonly applicationVersion: string;
  /** Bytes of the medium that are never given to new shares. Default 0. */
  readonly reservedBytes?: number;
  /** Takes no new immutable shares; slots may still be written, as with the reference. */
  readonly readonly?: boolean;
}

/** The writing of one request into an upload. */
export interface UploadSession {
  write(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /** What the share still lacks; nothing once it is complete and durable. */
  finish(): Promise<readonly ByteRange[]>;
}

/** What a storage server does, in process: storage-http spec 10, over any backend. `start` it before use. */
export class StorageService implements StorageServer {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  readonly #options: StorageServiceOptions;
  readonly #backend: StorageBackend;
  readonly #locks = new KeyedMutex<string>();
  /** By storage index and share number. */
  readonly #uploads = new Map<string, Upload>();
  #uploadingBytes = 0;

  constructor(options: StorageServiceOptions) {
    this.id = options.id;
    this.nickname = options.nickname;
    this.permutationSeed = options.permutationSeed;
    this.tubId = options.tubId;
    this.#options = options;
    this.#backend = options.backend;
  }

  start(): Promise<void> {
    return this.#backend.start();
  }

  /** Drops the uploads under way, as a restart would. */
  async close(): Promise<void> {
    const uploads = [...this.#uploads.values()];
    await Promise.allSettled(uploads.map((upload) => upload.abort()));
  }

  async version(options?: CallOptions): Promise<ServerVersion> {
    checkSignal(options);
    const availableSpace = await this.#availableSpace();
    return {
      applicationVersion: this.#options.applicationVersion,
      availableSpace,
      maximumImmutableShareSize: availableSpace,
      maximumMutableShareSize: Math.min(MAX_MUTABLE_SHARE_SIZE, Number.MAX_SAFE_INTEGER),
    };
  }

  async allocateShares(request: AllocateRequest, options?: CallOptions): Promise<Allocation> {
    checkSignal(options);
    const { storageIndex } = request;
    return this.#exclusively(storageIndex, async () => {
      const lease = this.#lease(request.leases, 0);
      const found = await this.#backend.find(storageIndex);
      if (found?.kind === 'mutable') throw otherKind('allocate');
      const alreadyHave = found?.shareNumbers ?? new Set<number>();
      if (alreadyHave.size > 0) await this.#grantIfRoom(storageIndex, alreadyHave, lease);
      const allocated = new Set<number>();
      let remaining = (await this.#availableSpace()) - this.#uploadingBytes;
      for (const shareNumber of [...request.shareNumbers].sort((left, right) => left - right)) {
        const isTaken = alreadyHave.has(shareNumber) || this.#uploads.has(uploadKey({ storageIndex, shareNumber }));
        if (isTaken || remaining < request.allocatedSize) continue;
        remaining -= request.allocatedSize;
        this.#beginUpload({ storageIndex, shareNumber }, request, lease);
        allocated.add(shareNumber);
      }
      return { alreadyHave, allocated };
    });
  }

  /** Kind `not-found` if there is no such upload, `permission` if the secret is not its own. */
  openUpload(address: ShareAddress, uploadSecret: Uint8Array): UploadSession {
    const upload = this.#upload(address);
    upload.authorize(uploadSecret);
    const { storageIndex } = address;
    return {
      write: (offset, parts) => upload.write(offset, parts),
      finish: () => upload.finish((task) => this.#exclusively(storageIndex, task)),
    };
  }

  async writeShare(request: WriteShareRequest, options?: CallOptions): Promise<{ readonly complete: boolean }> {
    checkSignal(options);
    const session = this.openUpload(request, request.uploadSecret);
    await session.write(request.offset, request.parts);
    const missing = await session.finish();
    return { complete: missing.length === 0 };
  }

  async abortShare(request: AbortShareRequest, options?: CallOptions): Promise<void> {
    checkSignal(options);
    const upload = this.#upload(request);
    upload.authorize(request.uploadSecret);
    await upload.abort();
  }

  listShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#list('immutable', storageIndex, options);
  }

  readShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#read('immutable', address, range, options);
  }

  listSlotShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#list('mutable', storageIndex, options);
  }

  readSlotShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#read('mutable', address, range, options);
  }

  /** A complete share to read from piece by piece; the caller closes it. Kind `not-found` if there is none. */
  openShare(kind: ShareKind, address: ShareAddress): Promise<ShareReader> {
    return this.#backend.openShare(kind, address);
  }

  async readTestWrite(request: ReadTestWriteRequest, options?: CallOptions): Promise<ReadTestWriteResult> {
    checkSignal(options);
    checkReadTestWrite(request);
    return this.#exclusively(request.storageIndex, async () => {
      const slot = await this.#backend.openSlot(request.storageIndex);
      try {
        checkWriteEnabler(slot, request.writeEnabler);
        const applied = await testsHold(slot, request.shares);
        const reads = await readAll(slot, request.readVector);
        if (applied && request.shares.size > 0) {
          await this.#checkGrowth(slot, request.shares);
          await slot.commit(request.shares, request.writeEnabler, this.#lease(request.leases, 1));
        }
        return { applied, reads };
      } finally {
        await slot.close();
      }
    });
  }

  async addLease(storageIndex: StorageIndex, leases: LeaseSecrets, options?: CallOptions): Promise<void> {
    checkSignal(options);
    return this.#exclusively(storageIndex, async () => {
      const found = await this.#backend.find(storageIndex);
      if (found === undefined) throw noShare('addLease');
      await this.#backend.grantLease(storageIndex, found.shareNumbers, this.#lease(leases, 1));
    });
  }

  async adviseCorrupt(kind: ShareKind, address: ShareAddress, reason: string, options?: CallOptions): Promise<void> {
    checkSignal(options);
    const found = await this.#backend.find(address.storageIndex);
    if (found?.kind !== kind || !found.shareNumbers.has(address.shareNumber)) throw noShare('adviseCorrupt');
    const storageIndex = encodeBase32(address.storageIndex);
    const lines = ['report: Share Corruption', `type: ${kind}`, `storage_index: ${storageIndex}`];
    const text = `${[...lines, `share_number: ${address.shareNumber}`, '', reason, ''].join('\n')}\n`;
    const name = `${advisoryTime(this.#options.clock.wallMs())}--${storageIndex}-${address.shareNumber}`;
    const freeBytes = await this.#backend.freeBytes();
    if (freeBytes !== undefined && freeBytes < text.length) return;
    this.#options.log.warn('a client reports a corrupt share', { kind, storageIndex, share: address.shareNumber });
    await this.#backend.keepAdvisory(name, text);
  }

  async #list(kind: ShareKind, storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    checkSignal(options);
    const found = await this.#backend.find(storageIndex);
    return found?.kind === kind ? found.shareNumbers : new Set();
  }

  async #read(kind: ShareKind, address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    checkSignal(options);
    const share = await this.#backend.openShare(kind, address);
    try {
      return await share.read(range.offset, range.length);
    } finally {
      await share.close();
    }
  }

  #exclusively<Result>(storageIndex: StorageIndex, task: () => Promise<Result>): Promise<Result> {
    return this.#locks.run(encodeBase32(storageIndex), task);
  }

  #upload(address: ShareAddress): Upload {
    const upload = this.#uploads.get(uploadKey(address));
    if (upload === undefined) throw new TahoeError('no such upload', { kind: 'not-found', op: 'storage.upload' });
    return upload;
  }

  #beginUpload(address: ShareAddress, request: AllocateRequest, lease: LeaseGrant): void {
    const key = uploadKey(address);
    const { allocatedSize } = request;
    const upload = new Upload({
      secret: request.uploadSecret,
      sizeBytes: allocatedSize,
      target: this.#backend.beginUpload(address, allocatedSize, lease),
      clock: this.#options.clock,
      idleLimitMs: UPLOAD_IDLE_LIMIT_MS,
      onEnd: () => {
        this.#uploads.delete(key);
        this.#uploadingBytes -= allocatedSize;
      },
      onExpiryFailure: (error) => this.#options.log.error('could not remove an idle upload', { error }),
    });
    this.#uploads.set(key, upload);
    this.#uploadingBytes += allocatedSize;
  }

  /** Leases on shares that are already there must not make an allocation fail on a full disk. */
  async #grantIfRoom(storageIndex: StorageIndex, numbers: ReadonlySet<number>, lease: LeaseGrant): Promise<void> {
    try {
      await this.#backend.grantLease(storageIndex, numbers, lease);
    } catch (error) {
      if (!isTahoeError(error, 'no-space')) throw error;
      this.#options.log.warn('no space for a lease', { storageIndex: encodeBase32(storageIndex) });
    }
  }

  async #availableSpace(): Promise<number> {
    if (this.#options.readonly === true) return 0;
    const freeBytes = await this.#backend.freeBytes();
    if (freeBytes === undefined) return Number.MAX_SAFE_INTEGER;
    return Math.max(0, freeBytes - (this.#options.reservedBytes ?? 0));
  }

  /** A write far beyond the end would be filled with zeros: it must fit before any share is touched. */
  async #checkGrowth(slot: MutableSlot, shares: ReadonlyMap<number, TestWrite>): Promise<void> {
    let growth = 0;
    for (const [shareNumber, share] of shares) {
      const before = slot.shares.get(shareNumber)?.sizeBytes ?? 0;
      const after = share.writes.reduce((end, write) => Math.max(end, write.offset + write.data.length), before);
      if (share.newLength !== 0) growth += after - before;
    }
    if (growth === 0) return;
    const freeBytes = await this.#backend.freeBytes();
    if (freeBytes !== undefined && growth > freeBytes) {
      throw new TahoeError('no space for these writes', { kind: 'no-space', op: 'storage.readTestWrite' });
    }
  }

  #lease(secrets: LeaseSecrets, ownerNumber: number): LeaseGrant {
    const nowSeconds = Math.floor(this.#options.clock.wallMs() / 1000);
    const expiresSeconds = nowSeconds + LEASE_DURATION_SECONDS;
    return { ownerNumber, renew: secrets.renew, cancel: secrets.cancel, expiresSeconds };
  }
}

function checkSignal(options: CallOptions | undefined): void {
  if (options?.signal?.aborted !== true) return;
  throw new TahoeError('cancelled', { kind: 'cancelled', op: 'storage', cause: options.signal.reason });
}

function checkReadTestWrite(request: ReadTestWriteRequest): void {
  let isWithinLimits = request.readVector.length <= MAX_READ_VECTORS;
  for (const share of request.shares.values()) {
    isWithinLimits &&= share.tests.length <= MAX_TEST_VECTORS;
    for (const write of share.writes) {
      isWithinLimits &&= write.offset + write.data.length <= Number.MAX_SAFE_INTEGER;
    }
  }
  if (!isWithinLimits) {
    throw new TahoeError('beyond the limits of a read-test-write', { kind: 'invalid', op: 'storage.readTestWrite' });
  }
}

function checkWriteEnabler(slot: MutableSlot, writeEnabler: Uint8Array): void {
  for (const share of slot.shares.values()) {
    if (!secretsEqual(share.writeEnabler, writeEnabler)) {
      throw new TahoeError('wrong write enabler', { kind: 'permission', op: 'storage.readTestWrite' });
    }
  }
}

async function testsHold(slot: MutableSlot, shares: ReadonlyMap<number, TestWrite>): Promise<boolean> {
  for (const [shareNumber, { tests }] of shares) {
    const share = slot.shares.get(shareNumber);
    for (const { offset, size, specimen } of tests) {
      const length = clampedLength(share, { offset, length: size });
      if (length !== specimen.length) return false;
      if (share === undefined || length === 0) continue;
      if (Buffer.compare(await share.read(offset, length), specimen) !== 0) return false;
    }
  }
  return true;
}

async function readAll(slot: MutableSlot, vector: readonly ByteRange[]): Promise<Map<number, Uint8Array[]>> {
  let total = 0;
  for (const share of slot.shares.values()) {
    for (const range of vector) total += clampedLength(share, range);
  }
  if (total > MAX_CBOR_RESPONSE) {
    throw new TahoeError('more bytes asked for than an answer may hold', {
      kind: 'invalid',
      op: 'storage.readTestWrite',
    });
  }
  const shares = [...slot.shares].sort(([left], [right]) => left - right);
  const answers = shares.map(async ([shareNumber, share]) => {
    const data = await Promise.all(vector.map((range) => share.read(range.offset, clampedLength(share, range))));
    return [shareNumber, data] as const;
  });
  return new Map(await Promise.all(answers));
}

/** How many bytes of `range` exist; a missing share reads as empty. */
function clampedLength(share: SlotShare | undefined, range: ByteRange): number {
  return Math.min(range.length, Math.max(0, (share?.sizeBytes ?? 0) - range.offset));
}

function uploadKey(address: ShareAddress): string {
  return `${encodeBase32(address.storageIndex)}/${address.shareNumber}`;
}

/** UTC, with microseconds unless they are 0, without the colons that file names cannot have everywhere. */
function advisoryTime(wallMs: number): string {
  const [seconds = '', milliseconds = '000'] = new Date(wallMs).toISOString().replace('Z', '').split('.');
  const fraction = milliseconds === '000' ? '' : `.${milliseconds}000`;
  return `${seconds.replaceAll(':', '')}${fraction}`;
}

function otherKind(op: string): TahoeError {
  return new TahoeError('shares of the other kind are under this storage index', {
    kind: 'invalid',
    op: `storage.${op}`,
  });
}

function noShare(op: string): TahoeError {
  return new TahoeError('no such share', { kind: 'not-found', op: `storage.${op}` });
}
