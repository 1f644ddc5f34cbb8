/**
 * Where a storage server keeps shares. The service above decides what may happen (secrets, tests, space, expiry); a
 * backend makes it happen durably. The service never runs two changes of one storage index at the same time, and never
 * two writes of one upload; reads come at any time, and see a mutable share before or after a change, never between.
 *
 * Failures are TahoeErrors: `not-found` where named, `no-space` when the medium is full, `corrupt` for a share that
 * cannot be understood, otherwise `internal`.
 */
import type { LeaseCancelSecret, LeaseRenewSecret, StorageIndex, WriteEnabler } from '../encoding/brands.js';
import type { ShareAddress, ShareKind } from '../storage-protocol/storage-server.js';

export interface StorageBackend {
  /** Prepares an empty or existing store. Uploads that were under way when it was last used are gone. */
  start(): Promise<void>;

  /** Bytes free for anybody on the medium, before any reserve; undefined if it cannot tell. */
  freeBytes(): Promise<number | undefined>;

  /** What is stored under this storage index; undefined if nothing is. */
  find(storageIndex: StorageIndex): Promise<FoundShares | undefined>;

  /**
   * Begins an immutable share of exactly `sizeBytes`, invisible until completed. Needs no space yet. Its lease takes
   * effect with completion.
   */
  beginUpload(address: ShareAddress, sizeBytes: number, lease: LeaseGrant): ImmutableUpload;

  /** Opens a complete share of this kind for reading. Kind `not-found` if there is none, or it is of the other kind. */
  openShare(kind: ShareKind, address: ShareAddress): Promise<ShareReader>;

  /** The mutable shares of a slot as they are now, for evaluating a read-test-write; empty for an unknown slot. */
  openSlot(storageIndex: StorageIndex): Promise<MutableSlot>;

  /**
   * Adds the lease to each of these shares, or renews the one with the same renew secret (an expiry never moves to an
   * earlier time).
   */
  grantLease(storageIndex: StorageIndex, shareNumbers: ReadonlySet<number>, lease: LeaseGrant): Promise<void>;

  /** Keeps a report of a damaged share for the operator. `name` is unique enough to be a file name. */
  keepAdvisory(name: string, text: string): Promise<void>;
}

export interface FoundShares {
  readonly kind: ShareKind;
  readonly shareNumbers: ReadonlySet<number>;
}

export interface LeaseGrant {
  /** 0 for leases made with a share, 1 for those added later; kept, without meaning. */
  readonly ownerNumber: number;
  readonly renew: LeaseRenewSecret;
  readonly cancel: LeaseCancelSecret;
  /** Seconds since the epoch, whole. */
  readonly expiresSeconds: number;
}

/** One immutable share on its way in. Bytes never written read as zeros. */
export interface ImmutableUpload {
  /** Writes `parts` one after the other at `offset`, within the size. Not durable before completion. */
  write(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /** Bytes [offset, offset + length), within the size. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Makes the share durable, then visible in one step. The upload ends, also when this fails. */
  complete(): Promise<void>;
  /** Removes every trace. The upload ends. */
  abort(): Promise<void>;
}

export interface ShareReader {
  readonly sizeBytes: number;
  /** Bytes [offset, offset + length); fewer, possibly none, only at the end of the share. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

export interface SlotShare extends ShareReader {
  readonly writeEnabler: Uint8Array;
}

export interface MutableSlot {
  readonly shares: ReadonlyMap<number, SlotShare>;
  /**
   * Applies the edits and grants the lease on every edited share that is left. Each share changes durably in one step;
   * a crash may leave some of them changed. Shares that did not exist are made with this write enabler.
   */
  commit(edits: ReadonlyMap<number, SlotEdit>, writeEnabler: WriteEnabler, lease: LeaseGrant): Promise<void>;
  /** Must be called once, whether or not something was committed. */
  close(): Promise<void>;
}

export interface SlotEdit {
  /** In this order; a hole between the old end and a write reads as zeros. */
  readonly writes: readonly { readonly offset: number; readonly data: Uint8Array }[];
  /** As TestWrite.newLength: 0 deletes, smaller truncates after the writes, larger and null do nothing. */
  readonly newLength: number | null;
}
