/** The inode that a request of the command line names: below a capability, or below a mount of this node. */
import type { InodeNumber } from '../vfs/vfs.js';
import type { WebContext } from './web-context.js';
import { invalid, type WebRequest } from './web-request.js';

export interface NamedInode {
  readonly inode: InodeNumber;
  /** Names from the root of the capability or the mount; empty for the root itself. */
  readonly path: readonly string[];
}

/**
 * Arguments `cap` with `path` once for each name below it, or `local`, an absolute path in a mount. Kinds `invalid`,
 * `not-found` (no such name, or not in a mount of this node), and those of reading a directory.
 */
export async function inodeNamed({ vfs, control }: WebContext, { query }: WebRequest): Promise<NamedInode> {
  const local = query.get('local');
  if (local !== null) {
    const { root, path } = control.locate(local);
    return { inode: await descend(vfs, root, path), path };
  }
  const cap = query.get('cap');
  if (cap === null) throw invalid('an object is named by cap= and path=, or by local=');
  const path = query.getAll('path');
  return { inode: await descend(vfs, (await vfs.openRoot(cap)).inode, path), path };
}

async function descend(vfs: WebContext['vfs'], root: InodeNumber, path: readonly string[]): Promise<InodeNumber> {
  let inode = root;
  for (const name of path) inode = (await vfs.lookup(inode, name)).inode;
  return inode;
}
