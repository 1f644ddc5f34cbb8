/**
 * Files that were open for writing when the node died. What was written after the last close may be half of something,
 * so it never becomes the content of its name: it is kept beside the file as `NAME.recovered-UTC`, and the file is what
 * it was when it was last closed. A file that was never closed is there under that name only, or has been open for so
 * long that the grid has its name: there it stays empty.
 */
import { encodeUtf8 } from '../encoding/bytes.js';
import type { VfsCore } from './core.js';
import type { Inode, Place } from './inode.js';
import { NAME_BYTES_MAX } from './names.js';
import { Overlay, type OverlayView } from './overlay.js';
import { pathOf } from './paths.js';
import type { InodeNumber } from './vfs.js';

/**
 * To be called after replay and before the checkpoint, which makes it last: until then a second crash finds the same
 * files open again. `newNumber` gives numbers that no inode has.
 */
export function setAsideOpenFiles(core: VfsCore, newNumber: () => InodeNumber): void {
  const { tree, platform } = core;
  for (const inode of [...tree.dirtyFiles]) {
    const { place, content } = inode;
    if (place === undefined || !content!.hasUnsnapshotted) continue;
    const path = pathOf(inode);
    if (content!.isNew) placeBeside(core, place, close(inode), inode);
    else placeBeside(core, place, splitOff(core, inode, newNumber()));
    platform.log.warn('a file was open when the node ended: what was written after its last close is beside it', {
      path,
    });
  }
}

/** A new inode with the content as it is now; the old one goes back to its last close. */
function splitOff({ tree, ledger, platform }: VfsCore, inode: Inode, number: InodeNumber): Inode {
  const content = inode.content!;
  const copy = tree.addInode(number, 'file');
  copy.mode = inode.mode;
  copy.uid = inode.uid;
  copy.gid = inode.gid;
  copy.modified = inode.modified;
  copy.accessed = inode.accessed;
  copy.changed = inode.changed;
  const copied = tree.addContent(copy, content.base);
  copied.overlay = content.overlay;
  if (content.kept !== undefined) copied.kept = restoreOverlay(ledger, content.kept);
  copied.dirtySinceMs = platform.clock.monotonicMs();
  tree.dirtyFiles.add(copy);
  content.hasUnsnapshotted = false;
  content.overlay = content.snapshot === undefined ? undefined : restoreOverlay(ledger, content.snapshot);
  if (content.overlay === undefined) {
    content.kept?.clear();
    content.kept = undefined;
    tree.dirtyFiles.delete(inode);
    tree.closeIfUnused(inode);
  }
  return close(copy);
}

/** As if it were closed now. */
function close(inode: Inode): Inode {
  const content = inode.content!;
  content.snapshot = content.overlay!.snapshot();
  content.generation++;
  content.hasUnsnapshotted = false;
  return inode;
}

/** Puts `recovered` beside `place`; the name there goes if `gone` stands under it. */
function placeBeside({ tree, platform }: VfsCore, { directory, name }: Place, recovered: Inode, gone?: Inode): void {
  const taken = (candidate: string) => typeof tree.known(directory, candidate) === 'object';
  const utc = new Date(platform.clock.wallMs()).toISOString().replace(/[-:]|\.\d+/g, '');
  let suffix = `.recovered-${utc}`;
  for (let number = 2; taken(cut(recovered.displayName ?? name, suffix)); number++)
    suffix = `.recovered-${utc}-${number}`;
  const display = cut(recovered.displayName ?? name, suffix);
  const key = display.normalize('NFC');
  const dirty = directory.dirty.get(name);
  const change = { directory, name, child: undefined, expected: dirty?.expected, displaced: dirty?.displaced };
  const changes = [{ directory, name: key, child: recovered, expected: undefined, displaced: undefined }];
  recovered.displayName = display === key ? undefined : display;
  tree.applyNames(gone === undefined ? changes : [change, ...changes], tree.nextChange(), platform.clock.monotonicMs());
}

/** `name` with `suffix`, without so many of its last characters that the whole fits. */
function cut(name: string, suffix: string): string {
  const characters = [...name];
  while (encodeUtf8(characters.join('') + suffix).length > NAME_BYTES_MAX) characters.pop();
  return characters.join('') + suffix;
}

function restoreOverlay({ log }: VfsCore['ledger'], snapshot: OverlayView): Overlay {
  const { sizeBytes, baseBytes } = snapshot;
  return Overlay.restore(log, { sizeBytes, baseBytes, extents: snapshot.extents() });
}
