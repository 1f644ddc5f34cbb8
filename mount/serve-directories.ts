/** Reading directories. */
import type { InodeNumber } from '../src/vfs/vfs.js';
import type { DirectorySnapshot, OpenDirectory } from './handle-table.js';
import { rootNodeId } from './kernel-constants.js';
import type { BodyOf, MountContext, Reply, ServedRequest } from './mount-context.js';
import { DirectoryPage, encodeOpen } from './reply.js';

export function serveOpenDirectory(context: MountContext, request: ServedRequest): Reply {
  const fileId = context.handles.addDirectory({ inode: request.inode, snapshot: undefined });
  return encodeOpen(request.unique, fileId, 0);
}

/**
 * Offsets count entries, `.` and `..` first. A page of kind plus carries attributes only while nothing has changed
 * since the snapshot: older ones would overwrite what the kernel knows better.
 */
export async function serveReadDirectory(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'readDirectory' | 'readDirectoryPlus'>,
): Promise<Reply> {
  const directory = context.handles.directory(body.fileId);
  const snapshot = await snapshotOf(context, directory, body.offset);
  const plus = body.op === 'readDirectoryPlus';
  const page = new DirectoryPage(request.unique, body.length, plus);
  const carriesAttributes = plus && snapshot.changes === context.changes();
  for (let index = body.offset; index < snapshot.entries.length + 2; index++) {
    if (!addEntry(context, page, directory.inode, snapshot, index, carriesAttributes)) break;
  }
  return page.finish();
}

async function snapshotOf(context: MountContext, directory: OpenDirectory, offset: number): Promise<DirectorySnapshot> {
  if (directory.snapshot !== undefined && offset > 0) return directory.snapshot;
  const changes = context.changes();
  const entries = await context.vfs.readDirectory(directory.inode);
  const parent = directory.inode === context.nodes.root ? undefined : await context.vfs.parentOf(directory.inode);
  directory.snapshot = { entries, parent: parent?.inode ?? directory.inode, changes };
  return directory.snapshot;
}

function addEntry(
  context: MountContext,
  page: DirectoryPage,
  self: InodeNumber,
  snapshot: DirectorySnapshot,
  index: number,
  carriesAttributes: boolean,
): boolean {
  if (index === 0) return page.add('.', { inode: self, kind: 'directory' }, 1);
  if (index === 1) return page.add('..', { inode: snapshot.parent, kind: 'directory' }, 2);
  const entry = snapshot.entries[index - 2];
  if (entry === undefined) return false;
  const { name, attributes } = entry;
  const nodeId = context.nodes.nodeIdOf(attributes.inode);
  // the root of the mount as an entry below itself has no place in the kernel's tree
  if (!carriesAttributes || nodeId === rootNodeId) return page.add(name, attributes, index + 1);
  const added = page.add(name, attributes, index + 1, { nodeId, attributes, timeouts: context.timeouts });
  if (added) context.nodes.remember(attributes.inode);
  return added;
}
