/**
 * Every change of the tree, first as a record of the journal and then in memory. The same records, replayed, make the
 * same tree: after a crash from what was appended since the last checkpoint, and the checkpoint is written here too.
 */
import {
  type ChkReadCap,
  capsEqual,
  type DirectoryCap,
  type LitCap,
  parseKnownCap,
  serializeCap,
} from '../caps/cap.js';
import { childCapOf } from '../caps/child-caps.js';
import { parseMetadata } from '../dirnode/metadata.js';
import { parseDirectory } from '../dirnode/packing.js';
import { concatBytes } from '../encoding/bytes.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import { type VersionKey, versionKey } from '../mutable/lineage.js';
import { newSlot } from '../mutable/slot-keys.js';
import type { Clock } from '../platform/clock.js';
import type { Directory, FileContent, Inode, OpenAttempt } from './inode.js';
import type { Log, LogPosition, LogRecord } from './journal/log.js';
import type { KeyPair } from './key-pool.js';
import { Overlay, type OverlayView } from './overlay.js';
import { parseOverlay, serializeOverlay } from './overlay-codec.js';
import type { StoredContent } from './receipts.js';
import {
  checkpointedName,
  decodeEntry,
  directoryRecord,
  inodeRecord,
  pair,
  parseVersion,
  timestamp,
} from './record-forms.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';
import type { NameChange, Tree } from './tree.js';
import type { InodeNumber, SharePlacement } from './vfs.js';

/** Room that a checkpoint needs for one name with its inode, and for one extent: generous. */
const NAME_RECORDS_BYTES = 4096;
const EXTENT_BYTES = 32;

export class Ledger {
  readonly #log: Log;
  readonly #tree: Tree;
  readonly #clock: Clock;
  readonly #parts = new records.PartCollector();
  #isSyncDue = false;
  #isReplaying = true;

  constructor(log: Log, tree: Tree, clock: Clock) {
    this.#log = log;
    this.#tree = tree;
    this.#clock = clock;
  }

  get log(): Log {
    return this.#log;
  }

  /** True if something was accepted that no sync was asked for yet. */
  get isSyncDue(): boolean {
    return this.#isSyncDue;
  }

  /** Everything accepted before the call is durable when it resolves. */
  async sync(): Promise<void> {
    this.#isSyncDue = false;
    await this.#log.sync();
  }

  // what an inode is

  /** Attributes as they are now; called again after each change of them. */
  describe(inode: Inode): void {
    inode.journaled = true;
    this.#append(kinds.inode, inodeRecord(inode));
    if (inode.content !== undefined && inode.content.overlay === undefined) this.#beginContent(inode);
    if (inode.directory !== undefined && !inode.directory.journaled) this.describeDirectory(inode.directory);
  }

  describeDirectory(directory: Directory): void {
    directory.journaled = true;
    if (!directory.inode.journaled) this.describe(directory.inode);
    this.#append(kinds.directory, directoryRecord(directory));
    if (directory.newKey !== undefined) this.#appendKey(directory, directory.newKey);
  }

  // contents

  /**
   * Takes bytes into the journal and the overlay. Synchronous: what another handle reads next includes them. Kind
   * `no-space` or `busy` before anything was taken, except that a large write may be taken in part (the count says how
   * much was).
   */
  write(inode: Inode, offset: number, data: Uint8Array): number {
    const overlay = this.#overlayOf(inode);
    let done = 0;
    while (done < data.length) {
      const piece = data.subarray(done, done + records.WRITE_BYTES_MAX);
      let position: LogPosition;
      try {
        position = this.#log.append(
          kinds.write,
          [records.encodeWriteHeader(inode.number, offset + done), piece],
          'data',
        );
      } catch (error) {
        if (done > 0) break;
        this.#dropIfUntouched(inode);
        throw error;
      }
      overlay.write(offset + done, piece.length, position);
      done += piece.length;
    }
    this.#noteUnsnapshotted(inode);
    return done;
  }

  truncate(inode: Inode, sizeBytes: number): void {
    const overlay = this.#overlayOf(inode);
    this.#append(kinds.truncate, { i: inode.number, size: sizeBytes } satisfies records.TruncateRecord);
    overlay.truncate(sizeBytes);
    this.#noteUnsnapshotted(inode);
  }

  /** The content as of now is one generation, to be uploaded. Durable after the next sync. */
  snapshot(inode: Inode): void {
    const { content } = inode;
    assert(content?.overlay !== undefined, 'a file with an overlay');
    const record: records.SnapshotRecord = {
      i: inode.number,
      g: content.generation + 1,
      mt: pair(inode.modified),
      ct: pair(inode.changed),
    };
    this.#append(kinds.snapshot, record);
    this.#applySnapshot(inode, record.g);
  }

  /** The shares of a generation are on the grid. Returns true if nothing newer is waiting. */
  uploaded(inode: Inode, generation: number, cap: ChkReadCap | LitCap, shares: SharePlacement): boolean {
    // removed while it was being uploaded: a checkpoint may have left it out
    if (!this.#tree.dirtyFiles.has(inode)) return true;
    const stored = { shares, storedMs: this.#clock.wallMs() };
    this.#append(kinds.uploaded, {
      i: inode.number,
      g: generation,
      cap: serializeCap(cap),
      s: stored,
    } satisfies records.UploadedRecord);
    return this.#applyUploaded(inode, generation, cap, stored);
  }

  /** Bytes of a file that has no name any more and no handle: nobody will ask for them. */
  dropContent(inode: Inode): void {
    const { content } = inode;
    if (content === undefined) return;
    content.snapshot?.release();
    content.overlay?.clear();
    content.snapshot = undefined;
    content.overlay = undefined;
    this.#tree.dirtyFiles.delete(inode);
  }

  // names

  names(changes: readonly NameChange[]): void {
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
    this.#append(kinds.names, { t: change, c: encoded } satisfies records.NamesRecord);
    this.#tree.applyNames(changes, change, this.#clock.monotonicMs());
  }

  /** A removal of ours gives way: the name is what the grid has. */
  dropName(directory: Directory, name: string): void {
    this.#append(kinds.nameDropped, { i: directory.inode.number, n: name } satisfies records.NameDroppedRecord);
    this.#tree.dropName(directory, name);
  }

  // directories

  /** It has lost its name: nothing of it will be published any more. */
  discardDirectory(directory: Directory): void {
    if (directory.journaled) this.#append(kinds.discard, { i: directory.inode.number } satisfies records.DiscardRecord);
    this.#tree.discardDirectory(directory);
  }

  /** The key pair is spoken for: it is never used for anything else. Durable before a share is sent: the caller syncs. */
  directoryKey(directory: Directory, pair: KeyPair): void {
    if (!directory.journaled) this.describeDirectory(directory);
    this.#appendKey(directory, pair);
    this.#applyDirectoryKey(directory, pair);
  }

  /** An attempt is about to be sent. Durable before that: the caller syncs. */
  attempt(directory: Directory, open: OpenAttempt): void {
    if (!directory.journaled) this.describeDirectory(directory);
    this.#appendAttempt(directory, open);
    this.#applyAttempt(directory, open);
  }

  /** The version of an open attempt stands; all attempts are closed by it. */
  proven(directory: Directory, version: VersionKey): void {
    // removed while it was being published: a checkpoint may have left the attempt out
    if (!directory.attempts.some(({ attempt }) => attempt.key === version)) return;
    this.#append(kinds.proven, { i: directory.inode.number, version } satisfies records.ProvenRecord);
    this.#applyProven(directory, version);
  }

  // replay and checkpoint

  /** From now on changes are written, not read. */
  finishReplay(): void {
    // a content is dropped without a record when its last name and handle are gone: its bytes may not be there any more
    for (const inode of [...this.#tree.dirtyFiles]) if (inode.place === undefined) this.dropContent(inode);
    this.#isReplaying = false;
  }

  replay(record: LogRecord): void {
    const { kind, payload, position } = record;
    switch (kind) {
      case kinds.write:
        this.#replayWrite(payload, position);
        break;
      case kinds.inode:
        this.#replayInode(records.decodeJson(payload));
        break;
      case kinds.content:
        this.#replayContent(records.decodeJson(payload));
        break;
      case kinds.truncate: {
        const { i, size } = records.decodeJson<records.TruncateRecord>(payload);
        const inode = this.#tree.inode(i);
        this.#overlayOf(inode).truncate(size);
        this.#noteUnsnapshotted(inode);
        break;
      }
      case kinds.snapshot: {
        const { i, g, mt, ct } = records.decodeJson<records.SnapshotRecord>(payload);
        const inode = this.#tree.inode(i);
        inode.modified = timestamp(mt);
        inode.changed = timestamp(ct);
        this.#applySnapshot(inode, g);
        break;
      }
      case kinds.names:
        this.#replayNames(records.decodeJson(payload));
        break;
      case kinds.directory:
        this.#replayDirectory(records.decodeJson(payload));
        break;
      case kinds.discard:
        this.#tree.discardDirectory(this.#tree.directory(records.decodeJson<records.DiscardRecord>(payload).i));
        break;
      case kinds.nameDropped: {
        const { i, n } = records.decodeJson<records.NameDroppedRecord>(payload);
        this.#tree.dropName(this.#tree.directory(i), n);
        break;
      }
      case kinds.directoryKey: {
        const key = records.decodeJson<records.DirectoryKeyRecord>(payload);
        const pair = { privateKeyDer: records.fromBase64(key.private), publicKeyDer: records.fromBase64(key.public) };
        this.#applyDirectoryKey(this.#tree.directory(key.i), pair);
        break;
      }
      case kinds.uploaded: {
        const { i, g, cap, s } = records.decodeJson<records.UploadedRecord>(payload);
        this.#applyUploaded(this.#tree.inode(i), g, parseKnownCap(cap) as ChkReadCap | LitCap, s);
        break;
      }
      case kinds.attemptPart:
      case kinds.overlayPart:
        this.#parts.add(payload);
        break;
      case kinds.attempt:
        this.#replayAttempt(records.decodeJson(payload));
        break;
      case kinds.proven: {
        const { i, version } = records.decodeJson<records.ProvenRecord>(payload);
        this.#applyProven(this.#tree.directory(i), version);
        break;
      }
      case kinds.overlay:
        this.#replayOverlay(records.decodeJson(payload));
        break;
      default:
        throw new TahoeError(`journal record of unknown kind ${kind}`, { kind: 'corrupt', op: 'journal.replay' });
    }
  }

  /** Writes everything that is pending at the head of the log, so that what is behind it can be recycled. */
  async checkpoint(): Promise<void> {
    const { pending, dirtyFiles } = this.#tree;
    let expectedBytes = NAME_RECORDS_BYTES * (pending.size + 1);
    for (const { dirty, attempts } of pending) {
      expectedBytes += NAME_RECORDS_BYTES * dirty.size;
      for (const { attempt } of attempts) expectedBytes += 2 * attempt.content.length;
    }
    for (const { content } of dirtyFiles) {
      const extents = (content?.overlay?.extentCount ?? 0) + (content?.snapshot?.extentCount ?? 0);
      expectedBytes += NAME_RECORDS_BYTES + EXTENT_BYTES * extents;
    }
    await this.#log.checkpoint(() => this.#appendEverything(), expectedBytes);
  }

  #appendEverything(): void {
    const tree = this.#tree;
    for (const inode of tree.inodes.values()) {
      inode.journaled = false;
      if (inode.directory !== undefined) inode.directory.journaled = false;
    }
    const files = new Set(tree.dirtyFiles);
    for (const directory of tree.pending) {
      this.describeDirectory(directory);
      for (const { child, displaced } of directory.dirty.values()) {
        for (const inode of [child, displaced]) {
          if (inode === undefined || inode.journaled) continue;
          this.describe(inode);
          if (inode.content?.overlay !== undefined) files.add(inode);
        }
      }
    }
    for (const inode of files) this.#appendContent(inode);
    for (const directory of tree.pending) this.#appendPending(directory);
  }

  #appendContent(inode: Inode): void {
    const { content } = inode;
    if (content?.overlay === undefined) return;
    if (!inode.journaled) this.describe(inode);
    this.#beginContent(inode);
    const { generation: g, hasUnsnapshotted: unsnapshotted } = content;
    const appendExtents = (which: 'overlay' | 'snapshot', extents: OverlayView) => {
      const pieces = serializeOverlay(extents, records.PART_BYTES);
      const parts = this.#appendParts(kinds.overlayPart, inode.number, pieces);
      this.#append(kinds.overlay, { i: inode.number, which, parts, g, unsnapshotted } satisfies records.OverlayRecord);
    };
    if (content.snapshot !== undefined) appendExtents('snapshot', content.snapshot);
    appendExtents('overlay', content.overlay);
    if (content.uploaded !== undefined) {
      const { generation, cap } = content.uploaded;
      this.#append(kinds.uploaded, {
        i: inode.number,
        g: generation,
        cap: serializeCap(cap),
        ...storedField(content, cap),
      } satisfies records.UploadedRecord);
    }
  }

  #appendPending(directory: Directory): void {
    const byChange = [...directory.dirty.values()].sort((a, b) => a.change - b.change);
    for (const dirty of byChange) this.#append(kinds.names, checkpointedName(directory, dirty));
    for (const open of directory.attempts) this.#appendAttempt(directory, open);
  }

  #appendAttempt(directory: Directory, { attempt, names }: OpenAttempt): void {
    const numbered = names.map(({ name, change, child }) => [name, change, child?.number ?? null] as const);
    const body = records.encodeAttemptBody(numbered, attempt.content);
    const pieces: Uint8Array[] = [];
    for (let offset = 0; offset < body.length; offset += records.PART_BYTES) {
      pieces.push(body.subarray(offset, offset + records.PART_BYTES));
    }
    const record: records.AttemptRecord = {
      i: directory.inode.number,
      version: attempt.key,
      base: attempt.base === undefined ? null : versionKey(attempt.base),
      lineage: attempt.lineage,
      parts: this.#appendParts(kinds.attemptPart, directory.inode.number, pieces),
    };
    this.#append(kinds.attempt, record);
  }

  #appendParts(kind: number, inode: number, pieces: readonly Uint8Array[]): number {
    pieces.forEach((piece, part) => {
      this.#log.append(kind, [records.encodePartHeader(inode, part), piece], 'drain');
    });
    return pieces.length;
  }

  #append(kind: number, record: object): LogPosition {
    this.#isSyncDue = true;
    return this.#log.append(kind, [records.encodeJson(record)], 'drain');
  }

  #beginContent(inode: Inode): void {
    const { place } = inode;
    const isClean = place !== undefined && !place.directory.dirty.has(place.name);
    if (isClean && !place.directory.journaled) this.describeDirectory(place.directory);
    const content = inode.content!;
    this.#append(kinds.content, {
      i: inode.number,
      base: serializeCap(content.base),
      ...storedField(content, content.base),
      at: isClean ? { d: place.directory.inode.number, n: place.name } : null,
    } satisfies records.ContentRecord);
  }

  /** An overlay that was begun for a write which was refused. */
  #dropIfUntouched(inode: Inode): void {
    const { generation, hasUnsnapshotted } = inode.content!;
    if (generation === 0 && !hasUnsnapshotted) this.dropContent(inode);
  }

  /** The overlay of a file that is being changed, begun if there is none. */
  #overlayOf(inode: Inode): Overlay {
    const { content } = inode;
    assert(content !== undefined, 'a regular file');
    if (content.overlay === undefined) {
      if (!inode.journaled) this.describe(inode);
      else if (!this.#isReplaying) this.#beginContent(inode);
      this.#startOverlay(inode);
    }
    return content.overlay!;
  }

  #startOverlay(inode: Inode): void {
    const content = inode.content!;
    content.overlay = new Overlay(this.#log, content.sizeBytes);
    const isOnGrid = content.generation > 0 || inode.provenPlace !== undefined;
    content.generation = 0;
    // until the next snapshot the base is the newest content that may be published
    content.uploaded = isOnGrid ? { generation: 0, cap: content.base } : undefined;
    content.failure = undefined;
    content.dirtySinceMs = this.#clock.monotonicMs();
    this.#tree.dirtyFiles.add(inode);
  }

  #noteUnsnapshotted(inode: Inode): void {
    inode.content!.hasUnsnapshotted = true;
    inode.content!.contentNumber++;
  }

  #applySnapshot(inode: Inode, generation: number): void {
    const content = inode.content!;
    content.snapshot?.release();
    content.snapshot = content.overlay!.snapshot();
    content.generation = generation;
    content.hasUnsnapshotted = false;
    content.failure = undefined;
  }

  #applyUploaded(inode: Inode, generation: number, cap: ChkReadCap | LitCap, stored?: StoredContent): boolean {
    const { content } = inode;
    if (content !== undefined && stored !== undefined) content.stored = { cap, content: stored };
    if (content?.overlay === undefined || generation > content.generation) return false;
    if (generation < content.generation || content.hasUnsnapshotted) {
      content.uploaded = { generation, cap };
      return false;
    }
    content.base = cap;
    content.uploaded = undefined;
    content.dirtySinceMs = undefined;
    this.dropContent(inode);
    return true;
  }

  #appendKey(directory: Directory, { privateKeyDer, publicKeyDer }: KeyPair): void {
    const record: records.DirectoryKeyRecord = {
      i: directory.inode.number,
      private: records.toBase64(privateKeyDer),
      public: records.toBase64(publicKeyDer),
    };
    this.#append(kinds.directoryKey, record);
  }

  #applyDirectoryKey(directory: Directory, pair: KeyPair): void {
    const slot = newSlot(pair.privateKeyDer, pair.publicKeyDer);
    this.#tree.setDirectoryCap(directory, { type: 'directory', inner: slot.cap });
    directory.signing = slot.signing;
    directory.newKey = pair;
  }

  #applyAttempt(directory: Directory, open: OpenAttempt): void {
    directory.attempts.push(open);
    for (const { name, entry } of open.names) directory.dirty.get(name)?.carried.push(entry);
    this.#tree.notePending(directory);
  }

  #applyProven(directory: Directory, version: VersionKey): void {
    const open = directory.attempts.find(({ attempt }) => attempt.key === version);
    assert(open !== undefined, 'a proof of an attempt that was recorded');
    directory.attempts.length = 0;
    directory.proven = open.attempt.version;
    directory.newKey = undefined;
    this.#tree.applyProven(directory, open.names);
  }

  #replayWrite(payload: Uint8Array, position: LogPosition): void {
    const { inode: number, offset, length } = records.decodeWriteHeader(payload);
    const inode = this.#tree.inode(number);
    this.#overlayOf(inode).write(offset, length, position);
    this.#noteUnsnapshotted(inode);
  }

  #replayInode(record: records.InodeRecord): void {
    const inode = this.#tree.inodes.get(record.i) ?? this.#tree.addInode(record.i as InodeNumber, record.k);
    inode.journaled = true;
    inode.mode = record.m;
    inode.uid = record.u;
    inode.gid = record.g;
    inode.rdev = record.r;
    inode.modified = timestamp(record.mt);
    inode.accessed = timestamp(record.at);
    inode.changed = timestamp(record.ct);
    inode.symlinkTarget = record.t;
    inode.extended = new Map(Object.entries(record.x).map(([name, value]) => [name, records.fromBase64(value)]));
    inode.displayName = record.n ?? undefined;
    inode.metadata = record.md === null ? undefined : parseMetadata(records.fromBase64(record.md));
    if (record.o !== null) {
      inode.other = childCapOf({ writeCap: record.o.w, readCap: record.o.r }, { deepImmutable: false });
    }
  }

  #replayContent({ i, base, at, s }: records.ContentRecord): void {
    const inode = this.#tree.inode(i);
    this.dropContent(inode);
    const cap = parseKnownCap(base) as ChkReadCap | LitCap;
    if (inode.content === undefined) this.#tree.addContent(inode, cap);
    else inode.content.base = cap;
    inode.content!.hasUnsnapshotted = false;
    inode.content!.generation = 0;
    if (s !== undefined) inode.content!.stored = { cap, content: s };
    if (at !== null) this.#tree.placeClean(inode, this.#tree.directory(at.d), at.n);
  }

  #replayNames({ t, c }: records.NamesRecord): void {
    const changes = c.map(({ d, n, i, e, w }): NameChange => {
      const directory = this.#tree.directory(d);
      const displaced = w === null ? undefined : this.#tree.inodes.get(w);
      if (displaced !== undefined) displaced.provenPlace ??= { directory, name: n };
      const child = i === null ? undefined : this.#tree.inode(i);
      return { directory, name: n, child, expected: e === null ? undefined : records.fromBase64(e), displaced };
    });
    this.#tree.sawChange(t);
    for (const [index, { directory, name }] of changes.entries()) {
      const carried = c[index]!.a;
      if (carried === undefined) continue;
      // a checkpointed name may be an absence that only its attempts make worth keeping
      this.#tree.restoreCarried(changes[index]!, carried.map(decodeEntry), this.#clock.monotonicMs());
      assert(directory.dirty.has(name), 'a restored name');
    }
    this.#tree.applyNames(changes, t, this.#clock.monotonicMs());
  }

  #replayDirectory(record: records.DirectoryRecord): void {
    const inode = this.#tree.inode(record.i);
    const cap = record.cap === null ? undefined : (parseKnownCap(record.cap) as DirectoryCap);
    const directory = inode.directory ?? this.#tree.addDirectory(inode, cap, this.#clock.monotonicMs());
    if (cap !== undefined) this.#tree.setDirectoryCap(directory, cap);
    directory.journaled = true;
    directory.isBorn = record.born;
    directory.isRoot ||= record.root;
    directory.proven = record.proven === null ? undefined : parseVersion(record.proven);
    const parent = record.parent === null ? undefined : this.#tree.inodes.get(record.parent.d)?.directory;
    if (parent !== undefined && inode.place === undefined) {
      this.#tree.placeClean(inode, parent, record.parent!.n);
    }
    this.#tree.notePending(directory);
  }

  #replayAttempt(record: records.AttemptRecord): void {
    const body = records.decodeAttemptBody(concatBytes(this.#parts.take(record.i, record.parts)));
    const { content } = body;
    const entries = parseDirectory(content, { deepImmutable: false });
    const names = body.names.map(([name, change, inode]) => {
      const child = inode === null ? undefined : this.#tree.inodes.get(inode);
      return { name, change, child, entry: entries.get(name)?.raw };
    });
    const attempt = {
      version: parseVersion(record.version),
      key: record.version,
      base: record.base === null ? undefined : parseVersion(record.base),
      lineage: record.lineage,
      content,
    };
    this.#applyAttempt(this.#tree.directory(record.i), { attempt, names });
  }

  #replayOverlay(record: records.OverlayRecord): void {
    const inode = this.#tree.inode(record.i);
    const content = inode.content!;
    const extents = Overlay.restore(this.#log, parseOverlay(this.#parts.take(record.i, record.parts)));
    if (record.which === 'snapshot') {
      this.#startOverlay(inode);
      content.overlay = extents;
      this.#applySnapshot(inode, record.g);
      return;
    }
    if (content.overlay === undefined) this.#startOverlay(inode);
    content.overlay!.clear();
    content.overlay = extents;
    content.generation = record.g;
    content.hasUnsnapshotted = record.unsnapshotted;
  }
}

/** Where the shares of this content are, for the receipt of the publish that is still to come. */
function storedField({ stored }: FileContent, cap: ChkReadCap | LitCap): { readonly s?: StoredContent } {
  return stored !== undefined && capsEqual(stored.cap, cap) ? { s: stored.content } : {};
}
