/** Puts what the tree is into records of the journal. Changes nothing but the marks of what the journal knows. */
import { capsEqual } from '../caps/cap.js';
import { versionKey } from '../mutable/lineage.js';
import type { ContentBase, Directory, FileContent, Inode, OpenAttempt } from './inode.js';
import type { Log, LogPosition } from './journal/log.js';
import type { KeyPair } from './key-pool.js';
import type { StoredContent } from './receipts.js';
import { directoryRecord, encodeBase, inodeRecord } from './record-forms.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';

export class RecordWriter {
  readonly log: Log;
  /** True if something was appended that no sync was asked for yet. */
  isSyncDue = false;

  constructor(log: Log) {
    this.log = log;
  }

  append(kind: number, record: object): LogPosition {
    this.isSyncDue = true;
    return this.log.append(kind, [records.encodeJson(record)], 'drain');
  }

  /** Something longer than a record, before the record that refers to it. Returns the number of parts. */
  appendParts(kind: number, inode: number, pieces: readonly Uint8Array[]): number {
    pieces.forEach((piece, part) => {
      this.log.append(kind, [records.encodePartHeader(inode, part), piece], 'drain');
    });
    return pieces.length;
  }

  /** Attributes as they are now. */
  describe(inode: Inode): void {
    inode.journaled = true;
    this.append(kinds.inode, inodeRecord(inode));
    if (inode.content !== undefined && inode.content.overlay === undefined) this.beginContent(inode);
    if (inode.directory !== undefined && !inode.directory.journaled) this.describeDirectory(inode.directory);
  }

  describeDirectory(directory: Directory): void {
    directory.journaled = true;
    // whether its link is still there must be asked after a restart too
    const above = directory.inode.place?.directory;
    if (above !== undefined && !above.journaled) this.describeDirectory(above);
    if (!directory.inode.journaled) this.describe(directory.inode);
    this.append(kinds.directory, directoryRecord(directory));
    if (directory.newKey !== undefined) this.key(directory, directory.newKey);
  }

  key(directory: Directory, { privateKeyDer, publicKeyDer }: KeyPair): void {
    const record: records.DirectoryKeyRecord = {
      i: directory.inode.number,
      private: records.toBase64(privateKeyDer),
      public: records.toBase64(publicKeyDer),
    };
    this.append(kinds.directoryKey, record);
  }

  /** The content begins anew over its base. */
  beginContent(inode: Inode): void {
    const { place } = inode;
    const isClean = place !== undefined && !place.directory.dirty.has(place.name);
    if (isClean && !place.directory.journaled) this.describeDirectory(place.directory);
    const content = inode.content!;
    this.append(kinds.content, {
      i: inode.number,
      ...encodeBase(content.base),
      ...storedField(content, content.base),
      ...(content.isNew ? { new: true } : {}),
      at: isClean ? { d: place.directory.inode.number, n: place.name } : null,
    } satisfies records.ContentRecord);
  }

  attempt(directory: Directory, { attempt, names }: OpenAttempt): void {
    const encoded = names.map(({ name, change, child, isSuperseded }): records.AttemptedNameRecord => {
      const number = child?.number ?? null;
      return isSuperseded ? [name, change, number, 1] : [name, change, number];
    });
    const body = records.encodeAttemptBody(encoded, attempt.content);
    const pieces: Uint8Array[] = [];
    for (let offset = 0; offset < body.length; offset += records.PART_BYTES) {
      pieces.push(body.subarray(offset, offset + records.PART_BYTES));
    }
    const record: records.AttemptRecord = {
      i: directory.inode.number,
      version: attempt.key,
      base: attempt.base === undefined ? null : versionKey(attempt.base),
      lineage: attempt.lineage,
      parts: this.appendParts(kinds.attemptPart, directory.inode.number, pieces),
    };
    this.append(kinds.attempt, record);
  }
}

export function storedField({ stored }: FileContent, base: ContentBase): { readonly s?: StoredContent } {
  return stored !== undefined && base.type !== 'mutable' && capsEqual(stored.cap, base) ? { s: stored.content } : {};
}
