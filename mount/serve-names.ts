/** Requests about names in directories. */
import { isTahoeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Attributes, FileKind, InodeNumber, NewNode, RenameMode } from '../src/vfs/vfs.js';
import { OpenFile } from './handle-table.js';
import { fileType, renameFlag, setGroupId } from './kernel-constants.js';
import type { BodyOf, MountContext, Reply, ServedRequest } from './mount-context.js';
import { encodeCreate, encodeEntry, encodeStatus } from './reply.js';
import { openFlagsOf } from './serve-files.js';
import { clearSetIds } from './set-ids.js';

export async function serveLookup(context: MountContext, request: ServedRequest, name: string): Promise<Reply> {
  try {
    return replyEntry(context, request, await context.vfs.lookup(request.inode, name));
  } catch (error) {
    if (isTahoeError(error, 'not-found')) return encodeEntry(request.unique, 0, undefined, context.timeouts);
    throw error;
  }
}

export async function serveCreate(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'create'>,
): Promise<Reply> {
  const node = await newNode(context, request, body.mode, false);
  const flags = openFlagsOf(body.flags, context.writeback);
  const created = await context.vfs.create(request.inode, body.name, node, flags);
  if (body.killSetIds) await clearSetIds(context.vfs, created.attributes.inode);
  const { attributes, handle } = created;
  context.nodes.remember(attributes.inode);
  context.nodes.keepsPages(attributes.inode, handle.contentNumber);
  const fileId = context.handles.addFile(new OpenFile(context.vfs, handle, flags.append));
  return encodeCreate(request.unique, context.nodes.nodeIdOf(attributes.inode), attributes, context.timeouts, fileId);
}

export async function serveMakeDirectory(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'makeDirectory'>,
): Promise<Reply> {
  const node = await newNode(context, request, body.mode, true);
  return replyEntry(context, request, await context.vfs.makeDirectory(request.inode, body.name, node));
}

export async function serveSymlink(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'symlink'>,
): Promise<Reply> {
  const node = await newNode(context, request, 0o777, false);
  return replyEntry(context, request, await context.vfs.makeSymlink(request.inode, body.name, body.target, node));
}

export async function serveMakeNode(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'makeNode'>,
): Promise<Reply> {
  const kind = kindOfMode(body.mode);
  const node = await newNode(context, request, body.mode, false);
  return replyEntry(context, request, await context.vfs.makeNode(request.inode, body.name, kind, body.rdev, node));
}

export async function serveRename(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'rename'>,
): Promise<Reply> {
  const to = { parent: context.nodes.inodeOf(body.newParent), name: body.newName };
  await context.vfs.rename({ parent: request.inode, name: body.name }, to, renameModeOf(body.flags));
  return encodeStatus(request.unique, 0);
}

function replyEntry(context: MountContext, request: ServedRequest, attributes: Attributes): Reply {
  context.nodes.remember(attributes.inode);
  const nodeId = context.nodes.nodeIdOf(attributes.inode);
  return encodeEntry(request.unique, nodeId, attributes, context.timeouts);
}

/** In a set-group-id directory, new entries take its group and new directories the bit as well. */
async function newNode(
  context: MountContext,
  request: ServedRequest,
  mode: number,
  directory: boolean,
): Promise<NewNode> {
  const parent = await context.vfs.attributes(request.inode as InodeNumber);
  const permissions = mode & 0o7777;
  if ((parent.mode & setGroupId) === 0) return { mode: permissions, uid: request.uid, gid: request.gid };
  return { mode: directory ? permissions | setGroupId : permissions, uid: request.uid, gid: parent.gid };
}

function renameModeOf(flags: number): RenameMode {
  if (flags === 0) return 'replace';
  if (flags === renameFlag.noReplace) return 'no-replace';
  if (flags === renameFlag.exchange) return 'exchange';
  throw new TahoeError('a kind of rename that is not known', { kind: 'invalid', op: 'mount.rename' });
}

const nodeKinds: readonly FileKind[] = ['file', 'fifo', 'socket', 'character-device', 'block-device'];

function kindOfMode(mode: number): FileKind {
  const type = mode & fileType.mask;
  const kind = nodeKinds.find((candidate) => fileType[candidate as keyof typeof fileType] === type);
  if (kind === undefined) throw new TahoeError('not a kind of node', { kind: 'invalid', op: 'mount.makeNode' });
  return kind;
}
