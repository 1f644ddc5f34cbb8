/** Everything that is pending, written once more at the head of the journal, so that what is behind it can be recycled. */
import { serializeCap } from '../caps/cap.js';
import type { Directory, FileContent, Inode } from './inode.js';
import type { OverlayView } from './overlay.js';
import { serializeOverlay } from './overlay-codec.js';
import { checkpointedName, conflictRecord } from './record-forms.js';
import { type RecordWriter, storedField } from './record-writer.js';
import * as records from './records.js';
import { recordKinds as kinds } from './records.js';
import type { Tree } from './tree.js';

/** Room that a checkpoint needs for one name with its inode, and for one extent: generous. */
const NAME_RECORDS_BYTES = 4096;
const EXTENT_BYTES = 32;

export async function writeCheckpoint(writer: RecordWriter, tree: Tree): Promise<void> {
  await writer.log.checkpoint(() => new Checkpoint(writer, tree).append(), expectedBytes(tree));
}

function expectedBytes({ pending, dirtyFiles, conflicts }: Tree): number {
  let bytes = NAME_RECORDS_BYTES * (pending.size + 2 * conflicts.size + 1);
  for (const { dirty, attempts } of pending) {
    bytes += NAME_RECORDS_BYTES * dirty.size;
    for (const { attempt } of attempts) bytes += 2 * attempt.content.length;
  }
  for (const { content } of dirtyFiles) {
    const views = [content?.overlay, content?.snapshot, content?.kept];
    const extents = views.reduce((sum, view) => sum + (view?.extentCount ?? 0), 0);
    bytes += NAME_RECORDS_BYTES + EXTENT_BYTES * extents;
  }
  return bytes;
}

class Checkpoint {
  readonly #writer: RecordWriter;
  readonly #tree: Tree;

  constructor(writer: RecordWriter, tree: Tree) {
    this.#writer = writer;
    this.#tree = tree;
  }

  append(): void {
    const tree = this.#tree;
    const writer = this.#writer;
    for (const inode of tree.inodes.values()) {
      inode.journaled = false;
      if (inode.directory !== undefined) inode.directory.journaled = false;
    }
    const files = new Set(tree.dirtyFiles);
    for (const directory of tree.pending) {
      writer.describeDirectory(directory);
      for (const { child, displaced } of directory.dirty.values()) {
        for (const inode of [child, displaced]) {
          if (inode === undefined || inode.journaled) continue;
          writer.describe(inode);
          if (inode.content?.overlay !== undefined) files.add(inode);
        }
      }
    }
    for (const inode of files) this.#appendContent(inode);
    for (const directory of tree.pending) this.#appendPending(directory);
    for (const conflict of tree.conflicts.values()) {
      if (!conflict.directory.journaled) writer.describeDirectory(conflict.directory);
      writer.append(kinds.conflict, conflictRecord(conflict));
    }
  }

  #appendContent(inode: Inode): void {
    const { content } = inode;
    if (content?.overlay === undefined) return;
    if (!inode.journaled) this.#writer.describe(inode);
    this.#writer.beginContent(inode);
    const { generation: g, hasUnsnapshotted: unsnapshotted } = content;
    const appendExtents = (which: records.OverlayRecord['which'], extents: OverlayView) => {
      const pieces = serializeOverlay(extents, records.PART_BYTES);
      const parts = this.#writer.appendParts(kinds.overlayPart, inode.number, pieces);
      this.#writer.append(kinds.overlay, {
        i: inode.number,
        which,
        parts,
        g,
        unsnapshotted,
      } satisfies records.OverlayRecord);
    };
    if (content.kept !== undefined) appendExtents('base', content.kept);
    if (content.snapshot !== undefined) appendExtents('snapshot', content.snapshot);
    appendExtents('overlay', content.overlay);
    if (content.uploaded !== undefined) this.#appendUploaded(inode, content, content.uploaded);
  }

  #appendUploaded(inode: Inode, content: FileContent, { generation: g, cap }: FileContent['uploaded'] & object): void {
    const i = inode.number;
    if (cap.type !== 'mutable') {
      const record: records.UploadedRecord = { i, g, cap: serializeCap(cap), ...storedField(content, cap) };
      this.#writer.append(kinds.uploaded, record);
    } else if (g > 0) {
      const record: records.SlotStandsRecord = { i, g, version: cap.version, size: cap.sizeBytes };
      this.#writer.append(kinds.slotStands, record);
    }
  }

  #appendPending(directory: Directory): void {
    const byChange = [...directory.dirty.values()].sort((a, b) => a.change - b.change);
    for (const dirty of byChange) this.#writer.append(kinds.names, checkpointedName(directory, dirty));
    for (const open of directory.attempts) this.#writer.attempt(directory, open);
  }
}
