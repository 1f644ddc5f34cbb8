/** The attributes that the file system shows of an inode. */
import { encodeUtf8 } from '../encoding/bytes.js';
import type { Inode } from './inode.js';
import { later } from './timestamps.js';
import type { Attributes } from './vfs.js';

export const BLOCK_BYTES = 4096;

export function attributesOf(inode: Inode): Attributes {
  return {
    inode: inode.number,
    kind: inode.kind,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    // 1 for directories too, as file systems do that do not count: 2 would promise that there are no subdirectories
    links: inode.place === undefined && inode.directory?.isRoot !== true ? 0 : 1,
    sizeBytes: sizeOf(inode),
    rdev: inode.rdev,
    accessed: inode.accessed,
    modified: inode.content?.written ?? inode.modified,
    changed: later(inode.changed, inode.content?.written),
  };
}

function sizeOf(inode: Inode): number {
  if (inode.content !== undefined) return inode.content.sizeBytes;
  if (inode.directory !== undefined) return BLOCK_BYTES;
  if (inode.kind === 'symlink') return encodeUtf8(inode.symlinkTarget).length;
  return inode.otherSizeBytes;
}
