/**
 * One storage server, seen from a client: the contract of spec storage-http sections 8-10 without its wire format.
 * Implemented by the HTTPS client, by the in-process service, and by decorators that count or inject faults.
 *
 * All calls may fail with kind `unreachable` (no connection, connection lost), `timeout`, `permission` (wrong swissnum,
 * upload secret or write enabler), `protocol` (an answer outside the protocol) or `cancelled` (the signal was aborted).
 * After `unreachable` or `timeout` the effect on the server is unknown. Buffers passed in must not change until the call
 * settles; buffers returned belong to the caller. Aborting guarantees nothing about effects already on the server.
 */
import type {
  LeaseCancelSecret,
  LeaseRenewSecret,
  ServerId,
  StorageIndex,
  TubId,
  UploadSecret,
  WriteEnabler,
} from '../encoding/brands.js';

export interface StorageServer {
  readonly id: ServerId;
  /** For people; not unique. */
  readonly nickname: string;
  /** Orders servers for a storage index: ascending SHA-1(storage index || seed). */
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;

  version(options?: CallOptions): Promise<ServerVersion>;

  // immutable buckets

  /**
   * Reserves space for immutable shares. Says which shares the server already holds complete (all of them, asked for or
   * not) and which of the asked it accepts. A share number in neither set was refused (no space, or being uploaded by
   * somebody): not an error. Leases are added or renewed on held and accepted shares.
   */
  allocateShares(request: AllocateRequest, options?: CallOptions): Promise<Allocation>;

  /**
   * Writes bytes of an allocated share. When every byte of it has been written the share becomes visible, durably, and
   * `complete` is true. Fails with kind `not-found` (no such upload: completed, expired or aborted), `exists` (differs
   * from bytes already written).
   */
  writeShare(request: WriteShareRequest, options?: CallOptions): Promise<{ readonly complete: boolean }>;

  /** Gives up an allocated share. Kind `not-found` if there is no such upload. */
  abortShare(request: AbortShareRequest, options?: CallOptions): Promise<void>;

  /** Numbers of the complete immutable shares under this storage index; empty if there are none. */
  listShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>>;

  /**
   * Bytes [offset, offset + length) of an immutable share; fewer, possibly none, only at its end.
   * Kind `not-found` if there is no such share.
   */
  readShare(address: ShareAddress, range: ByteRange, options?: ReadShareOptions): Promise<Uint8Array>;

  // mutable slots

  /** Numbers of the shares in this slot; empty if there are none. */
  listSlotShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>>;

  /** As readShare, of a mutable share. */
  readSlotShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array>;

  /**
   * Atomically for the whole slot: tests, reads all existing shares, and, only if every test held, writes.
   * Losing the race is a result: `applied` is false and `reads` holds what stood there. `reads` is always the state
   * before the writes. Kind `permission` if the write enabler is not the one the slot was made with.
   */
  readTestWrite(request: ReadTestWriteRequest, options?: CallOptions): Promise<ReadTestWriteResult>;

  // both

  /** Adds or renews a lease of 31 days on all shares under the storage index. Kind `not-found` if there are none. */
  addLease(storageIndex: StorageIndex, leases: LeaseSecrets, options?: CallOptions): Promise<void>;

  /** Tells the server's operator that a share is damaged. Nothing changes; kind `not-found` if it holds no such share. */
  adviseCorrupt(kind: ShareKind, address: ShareAddress, reason: string, options?: CallOptions): Promise<void>;
}

export type ShareKind = 'immutable' | 'mutable';

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Fails with kind `timeout` after this long without the complete answer. Default: the implementation's. */
  readonly timeoutMs?: number | undefined;
}

export interface ReadShareOptions extends CallOptions {
  /**
   * As long as the range: where the bytes may be put, which saves copying them. What is returned is then a view of it.
   * Never touched after the promise has settled or the signal was aborted.
   */
  readonly into?: Uint8Array | undefined;
}

export interface ServerVersion {
  readonly applicationVersion: string;
  /** Free bytes usable for shares; 0 when read-only. */
  readonly availableSpace: number;
  readonly maximumImmutableShareSize: number;
  readonly maximumMutableShareSize: number;
}

export interface ShareAddress {
  readonly storageIndex: StorageIndex;
  readonly shareNumber: number;
}

/** Bytes [offset, offset + length). */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface LeaseSecrets {
  readonly renew: LeaseRenewSecret;
  readonly cancel: LeaseCancelSecret;
}

export interface AllocateRequest {
  readonly storageIndex: StorageIndex;
  readonly shareNumbers: ReadonlySet<number>;
  /** Exact final length in bytes of each share. */
  readonly allocatedSize: number;
  readonly uploadSecret: UploadSecret;
  readonly leases: LeaseSecrets;
}

export interface Allocation {
  readonly alreadyHave: ReadonlySet<number>;
  readonly allocated: ReadonlySet<number>;
}

export interface WriteShareRequest extends ShareAddress {
  readonly offset: number;
  /** The bytes, one part after the other. */
  readonly parts: readonly Uint8Array[];
  readonly uploadSecret: UploadSecret;
}

export interface AbortShareRequest extends ShareAddress {
  readonly uploadSecret: UploadSecret;
}

export interface ReadTestWriteRequest {
  readonly storageIndex: StorageIndex;
  readonly writeEnabler: WriteEnabler;
  readonly leases: LeaseSecrets;
  readonly shares: ReadonlyMap<number, TestWrite>;
  /** Applied to every share that exists before the writes. At most 30. */
  readonly readVector: readonly ByteRange[];
}

export interface TestWrite {
  /** Each must hold: the bytes read at `offset`, up to `size`, equal `specimen`. A missing share reads as empty. At most 30. */
  readonly tests: readonly { readonly offset: number; readonly size: number; readonly specimen: Uint8Array }[];
  readonly writes: readonly { readonly offset: number; readonly data: Uint8Array }[];
  /** Truncates to this length after the writes if the share is longer; 0 deletes it; null leaves the length. Never extends. */
  readonly newLength: number | null;
}

export interface ReadTestWriteResult {
  readonly applied: boolean;
  /** For each share that existed before the call, one byte string per entry of the read vector. */
  readonly reads: ReadonlyMap<number, readonly Uint8Array[]>;
}
