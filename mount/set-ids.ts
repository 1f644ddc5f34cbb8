import type { Attributes, InodeNumber, Vfs } from '../src/vfs/vfs.js';
import { groupExecute, setGroupId, setUserId } from './kernel-constants.js';

/**
 * The mode of a file after somebody wrote to it or changed its owner: set-user-id goes, and set-group-id where the
 * group may execute (elsewhere it means mandatory locking). The kernel leaves this to the file system.
 */
export function withoutSetIds(attributes: Attributes): number {
  if (attributes.kind === 'directory') return attributes.mode;
  const setIds = (attributes.mode & groupExecute) === 0 ? setUserId : setUserId | setGroupId;
  return attributes.mode & ~setIds;
}

export async function clearSetIds(vfs: Vfs, inode: InodeNumber): Promise<void> {
  const attributes = await vfs.attributes(inode);
  const mode = withoutSetIds(attributes);
  if (mode !== attributes.mode) await vfs.setAttributes(inode, { mode });
}
