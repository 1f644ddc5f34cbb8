/**
 * The append-only encrypted log under the VFS: the one durable truth for what is not on the grid yet.
 * This file is the contract; format and crash argument are in segment.ts.
 *
 * A record is a kind (0 to 255) and a payload. Records are acknowledged in two steps: `append` has put the record into
 * the page cache (it survives `kill -9` of this process), `sync` has made everything before it durable.
 *
 * Old records go away in one way only. The owner writes a checkpoint: records that describe everything still pending.
 * From then on replay begins at that checkpoint, and an older segment lives only as long as a payload in it is held
 * (file bytes that the checkpoint or a later record refers to by position).
 *
 * After opening: replay, `hold` what the replayed records refer to, then `finishReplay`. Until then nothing is recycled
 * and no checkpoint can be written.
 */

/** Where a record stands: segment number * 2^26 + byte offset in the segment. A safe integer, ascending in the order of appends. */
export type LogPosition = number;

export interface LogRecord {
  readonly position: LogPosition;
  readonly kind: number;
  readonly payload: Uint8Array;
}

export interface Log {
  /**
   * Appends one record of up to 64 KiB + 1 KiB of payload, synchronously, and returns its position. Parts may be reused
   * as soon as it returns.
   * `urgency` `data` is refused with kind `no-space` when it would eat into the reserve that `drain` records (deletes,
   * renames, snapshots, attempts, proofs, checkpoints) may use, so that a full journal can always drain and unlink; and
   * with kind `busy` while the next segment is being prepared (see `whenReady`). A refused record has left no trace.
   * Larger payloads are split by the caller. After a failed write or sync every call fails with kind `internal`.
   */
  append(kind: number, parts: readonly Uint8Array[], urgency: 'data' | 'drain'): LogPosition;

  /**
   * Undefined if one `data` record of the largest size can be appended now without `busy`; otherwise a promise to await
   * before asking again. This is how a writer that is faster than the disk is slowed down.
   */
  whenReady(): Promise<void> | undefined;

  /** Resolves when everything appended before this call is durable. Calls made while one fdatasync runs share the next one. */
  sync(): Promise<void>;

  /** The payload of a record, verified. Kind `corrupt` if it does not authenticate, also after its segment was recycled. */
  read(position: LogPosition): Promise<Uint8Array>;

  /**
   * The segment of this position may not be recycled until it has been dropped as often as held. Kind `corrupt` if there
   * is no such segment; during replay that shows at `finishReplay`, because a record read later may drop it again. The record that makes a payload superfluous is appended before its `drop`: recycling waits until
   * that record is durable, so that no replay can miss a payload.
   */
  hold(position: LogPosition): void;
  drop(position: LogPosition): void;

  /**
   * Ends replay: older segments that are not held are recycled from now on. Kind `corrupt` if something is held that is
   * not there.
   */
  finishReplay(): Promise<void>;

  /** True when enough has been appended since the last checkpoint, or enough space waits for one, that the owner should write one. */
  readonly checkpointDue: boolean;

  /**
   * Starts a new segment, calls `write` synchronously, which appends everything that replay must know, closes the
   * checkpoint, syncs, and then recycles older segments that nobody holds. Records appended after `write` returned and
   * before this resolves come after the checkpoint. `expectedBytes` of payload are provided for beforehand; needed above
   * one segment. Kind `busy` while another checkpoint runs. What `write` throws is passed on, and the checkpoint is void.
   */
  checkpoint(write: () => void, expectedBytes?: number): Promise<void>;

  usage(): LogUsage;

  /** Syncs and closes. */
  close(): Promise<void>;
}

export interface LogUsage {
  /** Bytes of disk taken by segments. */
  readonly bytes: number;
  /** Bytes that `data` records may still take before they are refused. */
  readonly freeBytes: number;
}
