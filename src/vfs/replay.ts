/** The journal read again after a start: each record does to the tree what it did when it was written. */
import { type ChkReadCap, type DirectoryCap, type LitCap, parseKnownCap } from '../caps/cap.js';
import { childCapOf } from '../caps/child-caps.js';
import { parseMetadata } from '../dirnode/metadata.js';
import { parseDirectory } from '../dirnode/packing.js';
import { concatBytes } from '../encoding/bytes.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import type { Effects } from './effects.js';
import type { Inode } from './inode.js';
import type { LogPosition, LogRecord } from './journal/log.js';
import { Overlay } from './overlay.js';
import { parseOverlay } from './overlay-codec.js';
import { decodeBase, decodeEntry, parseConflict, parseVersion, timestamp } from './record-forms.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';
import type { NameChange, Tree } from './tree.js';
import type { InodeNumber } from './vfs.js';

export class Replay {
  readonly #effects: Effects;
  readonly #tree: Tree;
  readonly #parts = new records.PartCollector();

  constructor(effects: Effects) {
    this.#effects = effects;
    this.#tree = effects.tree;
  }

  finish(): void {
    // a content is dropped without a record when its last name and handle are gone: its bytes may not be there any more
    for (const inode of [...this.#tree.dirtyFiles]) {
      const { generation, hasUnsnapshotted } = inode.content!;
      const isUntouched = generation === 0 && !hasUnsnapshotted;
      if (inode.place === undefined || isUntouched) this.#effects.dropContent(inode);
    }
    for (const inode of this.#tree.inodes.values()) {
      if (inode.content !== undefined && inode.content.overlay === undefined) this.#effects.dropContent(inode);
      this.#tree.closeIfUnused(inode);
    }
  }

  /** Kind `corrupt` for a record of an unknown kind or one that does not fit what came before it. */
  apply(record: LogRecord): void {
    const { kind, payload, position } = record;
    switch (kind) {
      case kinds.write:
        this.#replayWrite(payload, position);
        break;
      case kinds.baseWrite: {
        const { inode: number, offset, length } = records.decodeWriteHeader(payload);
        this.#effects.keptBase(this.#tree.inode(number)).write(offset, length, position);
        break;
      }
      case kinds.slotAttempt: {
        const { i, g, version, lineage } = records.decodeJson<records.SlotAttemptRecord>(payload);
        this.#effects.slotAttempt(this.#tree.inode(i), { generation: g, version: parseVersion(version), lineage });
        break;
      }
      case kinds.slotStands: {
        const { i, g, version, size } = records.decodeJson<records.SlotStandsRecord>(payload);
        this.#effects.slotStands(this.#tree.inode(i), g, { version, sizeBytes: size });
        break;
      }
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
        this.#effects.noteUnsnapshotted(inode);
        break;
      }
      case kinds.snapshot: {
        const { i, g, mt, ct } = records.decodeJson<records.SnapshotRecord>(payload);
        const inode = this.#tree.inode(i);
        inode.modified = timestamp(mt);
        inode.changed = timestamp(ct);
        this.#effects.snapshot(inode, g);
        break;
      }
      case kinds.names:
        this.#replayNames(records.decodeJson(payload));
        break;
      case kinds.directory:
        this.#replayDirectory(records.decodeJson(payload));
        break;
      case kinds.discard:
        this.#tree.discardDirectory(this.#tree.directory(records.decodeJson<records.DiscardRecord>(payload).i), []);
        break;
      case kinds.nameDropped: {
        const { i, n } = records.decodeJson<records.NameDroppedRecord>(payload);
        this.#tree.dropName(this.#tree.directory(i), n);
        break;
      }
      case kinds.directoryKey: {
        const key = records.decodeJson<records.DirectoryKeyRecord>(payload);
        const pair = { privateKeyDer: records.fromBase64(key.private), publicKeyDer: records.fromBase64(key.public) };
        this.#effects.directoryKey(this.#tree.directory(key.i), pair);
        break;
      }
      case kinds.conflict:
        this.#replayConflict(records.decodeJson(payload));
        break;
      case kinds.conflictReported: {
        const conflict = this.#tree.conflicts.get(records.decodeJson<records.ConflictIdRecord>(payload).id);
        if (conflict !== undefined) conflict.isReported = true;
        break;
      }
      case kinds.conflictResolved:
        this.#tree.removeConflict(records.decodeJson<records.ConflictIdRecord>(payload).id);
        break;
      case kinds.rebased: {
        const { i, n, e, t } = records.decodeJson<records.RebasedRecord>(payload);
        this.#tree.sawChange(t);
        this.#tree.rebase(this.#tree.directory(i), n, records.fromBase64(e), t);
        break;
      }
      case kinds.uploaded: {
        const { i, g, cap, s } = records.decodeJson<records.UploadedRecord>(payload);
        this.#effects.uploaded(this.#tree.inode(i), g, parseKnownCap(cap) as ChkReadCap | LitCap, s);
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
        this.#effects.proven(this.#tree.directory(i), version);
        break;
      }
      case kinds.overlay:
        this.#replayOverlay(records.decodeJson(payload));
        break;
      default:
        throw new TahoeError(`journal record of unknown kind ${kind}`, { kind: 'corrupt', op: 'journal.replay' });
    }
  }

  /** The overlay of a file that was being changed, begun if there is none. */
  #overlayOf(inode: Inode): Overlay {
    assert(inode.content !== undefined, 'a regular file');
    if (inode.content.overlay === undefined) this.#effects.startOverlay(inode);
    return inode.content.overlay!;
  }

  #replayWrite(payload: Uint8Array, position: LogPosition): void {
    const { inode: number, offset, length } = records.decodeWriteHeader(payload);
    const inode = this.#tree.inode(number);
    this.#overlayOf(inode).write(offset, length, position);
    this.#effects.noteUnsnapshotted(inode);
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
    inode.other =
      record.o === null
        ? undefined
        : childCapOf({ writeCap: record.o.w, readCap: record.o.r }, { deepImmutable: false });
  }

  #replayContent(record: records.ContentRecord): void {
    const { i, at, s, new: isNew = false } = record;
    const inode = this.#tree.inode(i);
    this.#effects.dropContent(inode);
    const base = decodeBase(record);
    if (inode.content === undefined) this.#tree.addContent(inode, base);
    else inode.content.base = base;
    inode.content!.hasUnsnapshotted = false;
    inode.content!.isNew = isNew;
    inode.content!.generation = 0;
    if (s !== undefined && base.type !== 'mutable') inode.content!.stored = { cap: base, content: s };
    if (at !== null) this.#tree.placeClean(inode, this.#tree.directory(at.d), at.n);
  }

  #replayNames({ t, c, x: removed }: records.NamesRecord): void {
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
      const entries = carried.map(([change, entry]) => ({ change, entry: decodeEntry(entry) }));
      this.#tree.restoreCarried(changes[index]!, entries, this.#effects.nowMs());
      assert(directory.dirty.has(name), 'a restored name');
    }
    this.#tree.applyNames(changes, t, this.#effects.nowMs());
    if (removed !== undefined) this.#tree.discardDirectory(this.#tree.directory(removed[0]), removed[1]);
  }

  #replayDirectory(record: records.DirectoryRecord): void {
    const inode = this.#tree.inode(record.i);
    const cap = record.cap === null ? undefined : (parseKnownCap(record.cap) as DirectoryCap);
    // what was removed and is there again, because another node goes on with it, is another object
    const isKnown = inode.directory !== undefined && !inode.directory.isDiscarded;
    const directory = isKnown ? inode.directory! : this.#tree.addDirectory(inode, cap, this.#effects.nowMs());
    if (cap !== undefined) this.#tree.setDirectoryCap(directory, cap);
    directory.journaled = true;
    directory.isBorn = record.born;
    directory.isRoot ||= record.root;
    directory.isMadeHere = record.made === true;
    directory.proven = record.proven === null ? undefined : parseVersion(record.proven);
    const parent = record.parent === null ? undefined : this.#tree.inodes.get(record.parent.d)?.directory;
    if (parent !== undefined && inode.place === undefined) {
      this.#tree.placeClean(inode, parent, record.parent!.n);
    }
    if (record.removed !== undefined) this.#tree.discardDirectory(directory, record.removed);
    this.#tree.notePending(directory);
  }

  #replayAttempt(record: records.AttemptRecord): void {
    const body = records.decodeAttemptBody(concatBytes(this.#parts.take(record.i, record.parts)));
    const { content } = body;
    const entries = parseDirectory(content, { deepImmutable: false });
    const names = body.names.map(([name, change, inode, superseded]) => {
      const child = inode === null ? undefined : this.#tree.inodes.get(inode);
      return { name, change, child, entry: entries.get(name)?.raw, isSuperseded: superseded === 1 };
    });
    const attempt = {
      version: parseVersion(record.version),
      key: record.version,
      base: record.base === null ? undefined : parseVersion(record.base),
      lineage: record.lineage,
      content,
    };
    this.#effects.attempt(this.#tree.directory(record.i), { attempt, names });
  }

  #replayConflict(record: records.ConflictRecord): void {
    const conflict = parseConflict(record, this.#tree.directory(record.i));
    this.#tree.sawChange(record.id);
    if (record.move === true) this.#tree.applyConflict(conflict, this.#effects.nowMs());
    else this.#tree.addConflict(conflict);
  }

  #replayOverlay(record: records.OverlayRecord): void {
    const inode = this.#tree.inode(record.i);
    const content = inode.content!;
    const extents = Overlay.restore(this.#effects.log, parseOverlay(this.#parts.take(record.i, record.parts)));
    if (record.which === 'base') {
      content.kept = extents;
      return;
    }
    if (record.which === 'snapshot') {
      this.#effects.startOverlay(inode);
      content.overlay = extents;
      this.#effects.snapshot(inode, record.g);
      return;
    }
    if (content.overlay === undefined) this.#effects.startOverlay(inode);
    content.overlay!.clear();
    content.overlay = extents;
    content.generation = record.g;
    content.hasUnsnapshotted = record.unsnapshotted;
  }
}
