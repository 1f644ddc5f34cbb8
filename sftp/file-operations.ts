/** Requests about open files. Each returns its encoded reply. */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Attributes, FileHandle, OpenFlags } from '../src/vfs/vfs.js';
import { attributeChanges, type SftpAttributes, sftpAttributes } from './attributes.js';
import type { OpenObject } from './handle-table.js';
import type { Resolved } from './path-resolver.js';
import { openFlag, readLengthMax } from './protocol.js';
import { encodeAttrs, encodeData, encodeEndOfFile, encodeHandle, encodeOk } from './replies.js';
import { newNode, type SessionContext, withPath } from './session-context.js';

interface OpenRequest {
  readonly id: number;
  readonly path: string;
  readonly flags: number;
  readonly attributes: SftpAttributes;
}

/** What the flags of OPEN ask for. */
export interface OpenWish {
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly open: OpenFlags;
}

/**
 * Kind `invalid` for neither READ nor WRITE and for EXCL without CREAT. TRUNC without WRITE truncates nothing: a file is
 * never emptied by a handle that cannot write.
 */
export function openWish(flags: number): OpenWish {
  const has = (flag: number) => (flags & flag) !== 0;
  const [read, write] = [has(openFlag.read), has(openFlag.write)];
  const [create, exclusive] = [has(openFlag.create), has(openFlag.exclusive)];
  if (!read && !write) throw invalidFlags('neither for reading nor for writing');
  if (exclusive && !create) throw invalidFlags('exclusive without creation');
  const open = { read, write, append: write && has(openFlag.append), truncate: write && has(openFlag.truncate) };
  return { create, exclusive, open };
}

export async function open(context: SessionContext, request: OpenRequest): Promise<Uint8Array> {
  const wish = openWish(request.flags);
  context.handles.reserve();
  try {
    const finalLink = wish.exclusive ? 'keep' : 'follow';
    const file = await withPath(context, request.path, finalLink, (resolved) =>
      openResolved(context, request, wish, resolved),
    );
    const { path } = request;
    return encodeHandle(request.id, context.handles.add({ type: 'file', path, file, writable: wish.open.write }));
  } finally {
    context.handles.unreserve();
  }
}

async function openResolved(
  context: SessionContext,
  request: OpenRequest,
  wish: OpenWish,
  { attributes, location }: Resolved,
): Promise<FileHandle> {
  if (attributes !== undefined) {
    if (wish.exclusive) throw new TahoeError('the file exists already', { kind: 'exists', op: 'sftp.open' });
    return context.vfs.open(attributes.inode, wish.open);
  }
  if (!wish.create || location === undefined) {
    throw new TahoeError('no such file', { kind: 'not-found', op: 'sftp.open' });
  }
  const node = newNode(context, 'file', request.attributes.permissions);
  const flags = { ...wish.open, exclusive: wish.exclusive };
  const { handle } = await context.vfs.create(location.parent, location.name, node, flags);
  return applyInitialAttributes(context, handle, request.attributes);
}

/** Owner and times given with the creation; size and permissions are settled by then. */
async function applyInitialAttributes(
  context: SessionContext,
  handle: FileHandle,
  { ownership, times }: SftpAttributes,
): Promise<FileHandle> {
  if (ownership === undefined && times === undefined) return handle;
  try {
    await context.vfs.setAttributes(handle.inode, attributeChanges({ ownership, times }));
    return handle;
  } catch (error) {
    await handle.release();
    throw error;
  }
}

export async function read(
  context: SessionContext,
  id: number,
  handle: Uint8Array,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const { file } = context.handles.file(handle);
  const data = await file.read(offset, Math.min(length, readLengthMax), { signal: context.signal });
  if (data.length > 0) return encodeData(id, data);
  // the end is at the size also for a read of nothing, which tells nothing by itself
  const ended = length > 0 || offset >= (await context.vfs.attributes(file.inode)).sizeBytes;
  return ended ? encodeEndOfFile(id) : encodeData(id, data);
}

export async function write(
  context: SessionContext,
  id: number,
  handle: Uint8Array,
  offset: number,
  data: Uint8Array,
): Promise<Uint8Array> {
  await context.handles.file(handle).file.write(offset, data);
  return encodeOk(id);
}

export async function handleStat(context: SessionContext, id: number, handle: Uint8Array): Promise<Uint8Array> {
  const attributes = await attributesOf(context, context.handles.get(handle));
  return encodeAttrs(id, sftpAttributes(attributes));
}

export async function setHandleStat(
  context: SessionContext,
  id: number,
  handle: Uint8Array,
  attributes: SftpAttributes,
): Promise<Uint8Array> {
  const object = context.handles.get(handle);
  if (attributes.sizeBytes !== undefined && !(object.type === 'file' && object.writable)) {
    throw new TahoeError('the handle is not open for writing', { kind: 'permission', op: 'sftp.fsetstat' });
  }
  const inode = object.type === 'file' ? object.file.inode : object.inode;
  await context.vfs.setAttributes(inode, attributeChanges(attributes));
  return encodeOk(id);
}

/** fsync@openssh.com: OK means that the VFS has seen it on the grid, with every directory up to a root. */
export async function sync(context: SessionContext, id: number, handle: Uint8Array): Promise<Uint8Array> {
  const object = context.handles.get(handle);
  const options = { signal: context.signal };
  if (object.type === 'file') await object.file.fsync(options);
  else await context.vfs.fsyncDirectory(object.inode, options);
  return encodeOk(id);
}

/** Answers when the bytes are safe in the journal; what goes wrong on the way is the client's answer. */
export async function close(context: SessionContext, id: number, handle: Uint8Array): Promise<Uint8Array> {
  const object = context.handles.get(handle);
  context.handles.remove(handle);
  await closeObject(object);
  return encodeOk(id);
}

/** The last use of an open file or directory: what was written is flushed. */
export async function closeObject(object: OpenObject): Promise<void> {
  if (object.type === 'directory') {
    object.pins.release();
    return;
  }
  try {
    if (object.writable) await object.file.flush();
  } finally {
    await object.file.release();
  }
}

export interface CopyRequest {
  readonly id: number;
  readonly from: Uint8Array;
  readonly fromOffset: number;
  readonly length: number;
  readonly to: Uint8Array;
  readonly toOffset: number;
}

const copyStepBytes = 1024 * 1024;

/** copy-data: within the server. Kind `invalid` between two handles of one file, as in OpenSSH. */
export async function copy(context: SessionContext, request: CopyRequest): Promise<Uint8Array> {
  const source = context.handles.file(request.from).file;
  const target = context.handles.file(request.to).file;
  if (source.inode === target.inode) {
    throw new TahoeError('cannot copy a file onto itself', { kind: 'invalid', op: 'sftp.copy' });
  }
  const end = request.length === 0 ? Number.MAX_SAFE_INTEGER : request.length;
  let copied = 0;
  while (copied < end) {
    const wanted = Math.min(copyStepBytes, end - copied);
    const data = await source.read(request.fromOffset + copied, wanted, { signal: context.signal });
    if (data.length === 0) break;
    await target.write(request.toOffset + copied, data);
    copied += data.length;
  }
  return encodeOk(request.id);
}

function attributesOf(context: SessionContext, object: OpenObject): Promise<Attributes> {
  return context.vfs.attributes(object.type === 'file' ? object.file.inode : object.inode);
}

function invalidFlags(what: string): TahoeError {
  return new TahoeError(`a file cannot be opened ${what}`, { kind: 'invalid', op: 'sftp.open' });
}
