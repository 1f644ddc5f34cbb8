/**
 * Every change of the tree, first as a record of the journal and then in memory. The same records, replayed, make the
 * same tree: see replay.ts.
 */
import { type ChkReadCap, type LitCap, serializeCap } from '../caps/cap.js';
import { assert } from '../errors/tahoe-error.js';
import { type VersionKey, versionKey } from '../mutable/lineage.js';
import type { Clock } from '../platform/clock.js';
import { writeCheckpoint } from './checkpoint.js';
import type { Effects } from './effects.js';
import type { Directory, Inode, OpenAttempt, OpenConflict, SlotAttempt } from './inode.js';
import type { Log, LogPosition } from './journal/log.js';
import type { KeyPair } from './key-pool.js';
import type { Overlay } from './overlay.js';
import { conflictRecord, pair } from './record-forms.js';
import { RecordWriter } from './record-writer.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';
import { later, timestampFromMs } from './timestamps.js';
import type { NameChange, Tree } from './tree.js';
import type { SharePlacement } from './vfs.js';

export class Ledger {
  readonly #writer: RecordWriter;
  readonly #effects: Effects;
  readonly #tree: Tree;
  readonly #clock: Clock;

  constructor(effects: Effects, clock: Clock) {
    this.#writer = new RecordWriter(effects.log);
    this.#effects = effects;
    this.#tree = effects.tree;
    this.#clock = clock;
  }

  get log(): Log {
    return this.#writer.log;
  }

  /** True if something was accepted that no sync was asked for yet. */
  get isSyncDue(): boolean {
    return this.#writer.isSyncDue;
  }

  /** Everything accepted before the call is durable when it resolves. */
  async sync(): Promise<void> {
    this.#writer.isSyncDue = false;
    await this.log.sync();
  }

  // what an inode is

  /** Attributes as they are now; called again after each change of them. */
  describe(inode: Inode): void {
    this.#writer.describe(inode);
  }

  describeDirectory(directory: Directory): void {
    this.#writer.describeDirectory(directory);
  }

  // contents

  /**
   * Takes bytes into the journal and the overlay. Synchronous: what another handle reads next includes them. Kind
   * `no-space` or `busy` before anything was taken, except that a large write may be taken in part (the count says how
   * much was).
   */
  write(inode: Inode, offset: number, data: Uint8Array): number {
    const done = this.#appendBytes(kinds.write, inode, this.#overlayOf(inode), offset, data);
    this.#noteWritten(inode);
    return done;
  }

  /** The same for bytes of a mutable base, before the first change of the file. */
  keepBase(inode: Inode, offset: number, data: Uint8Array): number {
    this.#overlayOf(inode);
    return this.#appendBytes(kinds.baseWrite, inode, this.#effects.keptBase(inode), offset, data);
  }

  #appendBytes(kind: number, inode: Inode, target: Overlay, offset: number, data: Uint8Array): number {
    let done = 0;
    while (done < data.length) {
      const piece = data.subarray(done, done + records.WRITE_BYTES_MAX);
      let position: LogPosition;
      try {
        position = this.log.append(kind, [records.encodeWriteHeader(inode.number, offset + done), piece], 'data');
      } catch (error) {
        if (done > 0) break;
        this.dropIfUntouched(inode);
        throw error;
      }
      target.write(offset + done, piece.length, position);
      done += piece.length;
    }
    return done;
  }

  truncate(inode: Inode, sizeBytes: number): void {
    const overlay = this.#overlayOf(inode);
    this.#writer.append(kinds.truncate, { i: inode.number, size: sizeBytes } satisfies records.TruncateRecord);
    overlay.truncate(sizeBytes);
    this.#noteWritten(inode);
  }

  #noteWritten(inode: Inode): void {
    this.#effects.noteUnsnapshotted(inode);
    inode.content!.written = timestampFromMs(this.#clock.wallMs());
  }

  /** The content as of now is one generation, to be uploaded. Durable after the next sync. */
  snapshot(inode: Inode): void {
    const { content } = inode;
    assert(content?.overlay !== undefined, 'a file with an overlay');
    inode.modified = content.written ?? inode.modified;
    inode.changed = later(inode.changed, content.written);
    content.written = undefined;
    const record: records.SnapshotRecord = {
      i: inode.number,
      g: content.generation + 1,
      mt: pair(inode.modified),
      ct: pair(inode.changed),
    };
    this.#writer.append(kinds.snapshot, record);
    this.#effects.snapshot(inode, record.g);
  }

  /** The shares of a generation are on the grid. Returns true if nothing newer is waiting. */
  uploaded(inode: Inode, generation: number, cap: ChkReadCap | LitCap, shares: SharePlacement): boolean {
    // removed while it was being uploaded: a checkpoint may have left it out
    if (!this.#tree.dirtyFiles.has(inode)) return true;
    const stored = { shares, storedMs: this.#clock.wallMs() };
    this.#writer.append(kinds.uploaded, {
      i: inode.number,
      g: generation,
      cap: serializeCap(cap),
      s: stored,
    } satisfies records.UploadedRecord);
    return this.#effects.uploaded(inode, generation, cap, stored);
  }

  /** A version of a mutable file is about to be sent. Durable before that: the caller syncs. */
  slotAttempt(inode: Inode, { generation, version, lineage }: SlotAttempt): void {
    const record = { i: inode.number, g: generation, version: versionKey(version), lineage };
    this.#writer.append(kinds.slotAttempt, record satisfies records.SlotAttemptRecord);
    this.#effects.slotAttempt(inode, { generation, version, lineage });
  }

  /** A version of a mutable file stands. Returns true if nothing newer is waiting. */
  slotStands(inode: Inode, generation: number, version: VersionKey, sizeBytes: number): boolean {
    if (!this.#tree.dirtyFiles.has(inode)) return true;
    const record: records.SlotStandsRecord = { i: inode.number, g: generation, version, size: sizeBytes };
    this.#writer.append(kinds.slotStands, record);
    return this.#effects.slotStands(inode, generation, { version, sizeBytes });
  }

  dropContent(inode: Inode): void {
    this.#effects.dropContent(inode);
  }

  // names

  /** One operation. `removed`: a directory that is gone from the tree with it, and all that is in it. */
  names(changes: readonly NameChange[], removed?: Directory): void {
    for (const { directory, child } of changes) {
      if (!directory.journaled) this.describeDirectory(directory);
      if (child !== undefined && !child.journaled) this.describe(child);
    }
    const change = this.#tree.nextChange();
    const encoded = changes.map(({ directory, name, child, expected, displaced }) => ({
      d: directory.inode.number,
      n: name,
      i: child?.number ?? null,
      e: expected === undefined ? null : records.toBase64(expected),
      w: displaced?.number ?? null,
    }));
    const versions = removed?.ownVersions ?? [];
    const gone = removed?.journaled === true ? { x: [removed.inode.number, versions] as const } : {};
    this.#writer.append(kinds.names, { t: change, c: encoded, ...gone } satisfies records.NamesRecord);
    this.#tree.applyNames(changes, change, this.#clock.monotonicMs());
    if (removed !== undefined) this.#tree.discardDirectory(removed, versions);
  }

  /** A removal of ours gives way: the name is what the grid has. */
  dropName(directory: Directory, name: string): void {
    this.#writer.append(kinds.nameDropped, { i: directory.inode.number, n: name } satisfies records.NameDroppedRecord);
    this.#tree.dropName(directory, name);
  }

  /** Our change of a name goes under the name of its copy, chosen now and never again. */
  conflict(conflict: OpenConflict): void {
    const { directory } = conflict;
    if (!directory.journaled) this.describeDirectory(directory);
    this.#writer.append(kinds.conflict, { ...conflictRecord(conflict), move: true } satisfies records.ConflictRecord);
    this.#tree.applyConflict(conflict, this.#clock.monotonicMs());
  }

  /** Two versions of a directory had this name: nothing of ours is moved, but it is listed. */
  listConflict(conflict: OpenConflict): void {
    if (!conflict.directory.journaled) this.describeDirectory(conflict.directory);
    this.#writer.append(kinds.conflict, conflictRecord(conflict));
    this.#tree.addConflict(conflict);
  }

  /** Somebody has been told. */
  conflictReported(conflict: OpenConflict): void {
    this.#writer.append(kinds.conflictReported, { id: conflict.id } satisfies records.ConflictIdRecord);
    conflict.isReported = true;
  }

  conflictResolved(conflict: OpenConflict): void {
    this.#writer.append(kinds.conflictResolved, { id: conflict.id } satisfies records.ConflictIdRecord);
    this.#tree.removeConflict(conflict.id);
  }

  /** What the user did to a name is from now on a change of what another writer has put there. */
  rebase(directory: Directory, name: string, expected: Uint8Array): void {
    const change = this.#tree.nextChange();
    const e = records.toBase64(expected);
    this.#writer.append(kinds.rebased, {
      i: directory.inode.number,
      n: name,
      e,
      t: change,
    } satisfies records.RebasedRecord);
    this.#tree.rebase(directory, name, expected, change);
  }

  // directories

  /** It gives way to another one: nothing of it will be published any more. */
  discardDirectory(directory: Directory): void {
    if (directory.journaled)
      this.#writer.append(kinds.discard, { i: directory.inode.number } satisfies records.DiscardRecord);
    this.#tree.discardDirectory(directory, []);
  }

  /** The key pair is spoken for: it is never used for anything else. Durable before a share is sent: the caller syncs. */
  directoryKey(directory: Directory, pair: KeyPair): void {
    if (!directory.journaled) this.describeDirectory(directory);
    this.#writer.key(directory, pair);
    this.#effects.directoryKey(directory, pair);
  }

  /** An attempt is about to be sent. Durable before that: the caller syncs. */
  attempt(directory: Directory, open: OpenAttempt): void {
    if (!directory.journaled) this.describeDirectory(directory);
    this.#writer.attempt(directory, open);
    this.#effects.attempt(directory, open);
  }

  /** The version of an open attempt stands; all attempts are closed by it. */
  proven(directory: Directory, version: VersionKey): void {
    // removed while it was being published: a checkpoint may have left the attempt out
    if (!directory.attempts.some(({ attempt }) => attempt.key === version)) return;
    this.#writer.append(kinds.proven, { i: directory.inode.number, version } satisfies records.ProvenRecord);
    this.#effects.proven(directory, version);
  }

  /** Writes everything that is pending at the head of the log, so that what is behind it can be recycled. */
  checkpoint(): Promise<void> {
    return writeCheckpoint(this.#writer, this.#tree);
  }

  /** An overlay that was begun for a write which was refused. */
  dropIfUntouched(inode: Inode): void {
    const { generation, hasUnsnapshotted } = inode.content!;
    if (generation === 0 && !hasUnsnapshotted) this.dropContent(inode);
  }

  /** The overlay of a file that is being changed, begun if there is none. */
  #overlayOf(inode: Inode): Overlay {
    const { content } = inode;
    assert(content !== undefined, 'a regular file');
    if (content.overlay === undefined) {
      if (!inode.journaled) this.describe(inode);
      else this.#writer.beginContent(inode);
      this.#effects.startOverlay(inode);
    }
    return content.overlay!;
  }
}
