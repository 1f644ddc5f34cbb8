/** Requests about open files. */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { OpenFlags } from '../src/vfs/vfs.js';
import { OpenFile } from './handle-table.js';
import {
  fallocateFlag,
  openFlag,
  openReplyFlag,
  writeBytesMax,
  writeFromCache,
  writeKillSetIds,
} from './kernel-constants.js';
import type { BodyOf, MountContext, Reply, ServedRequest } from './mount-context.js';
import { encodeDataHeader, encodeOpen, encodeSize, encodeStatus } from './reply.js';
import type { CopyRequest, WriteRequest } from './request.js';
import { clearSetIds } from './set-ids.js';

/** At most this much is copied for one copy_file_range(2); it may copy less than it is asked. */
const copyBytesMax = 16 * writeBytesMax;

/** With the writeback cache the kernel places appended bytes itself and reads around what is written. */
export function openFlagsOf(flags: number, writeback: boolean): OpenFlags & { readonly append: boolean } {
  const access = flags & openFlag.accessMode;
  const write = access === openFlag.writeOnly || access === openFlag.readWrite;
  return {
    read: access !== openFlag.writeOnly || writeback,
    write,
    append: write && !writeback && (flags & openFlag.append) !== 0,
    truncate: (flags & openFlag.truncate) !== 0,
    exclusive: (flags & openFlag.exclusive) !== 0,
  };
}

export async function serveOpen(context: MountContext, request: ServedRequest, body: BodyOf<'open'>): Promise<Reply> {
  const flags = openFlagsOf(body.flags, context.writeback);
  if (body.killSetIds) await clearSetIds(context.vfs, request.inode);
  const handle = await context.vfs.open(request.inode, flags);
  const keeps = context.nodes.keepsPages(request.inode, handle.contentNumber);
  const fileId = context.handles.addFile(new OpenFile(context.vfs, handle, flags.append));
  return encodeOpen(request.unique, fileId, keeps ? openReplyFlag.keepCache : 0);
}

export async function serveRead(context: MountContext, request: ServedRequest, body: BodyOf<'read'>): Promise<Reply> {
  const { handle } = context.handles.file(body.fileId);
  const data = await handle.read(body.offset, body.length, { signal: request.signal });
  return { header: encodeDataHeader(request.unique, data.length), data };
}

/** Nothing is awaited before the write where it can be helped, so that writes of one file keep their order. */
export async function serveWrite(context: MountContext, request: ServedRequest, body: WriteRequest): Promise<Reply> {
  const file = context.handles.file(body.fileId);
  if ((body.flags & writeKillSetIds) !== 0) await clearSetIds(context.vfs, request.inode);
  const target = (body.flags & writeFromCache) === 0 ? file.handle : file.positional();
  const handle = target instanceof Promise ? await target : target;
  const cached = context.nodes.hasPagesOf(request.inode, handle.contentNumber);
  await handle.write(body.offset, body.data);
  if (cached) context.nodes.advancePages(request.inode, handle.contentNumber);
  else context.nodes.dropPages(request.inode);
  return encodeSize(request.unique, body.data.length);
}

export async function serveRelease(context: MountContext, request: ServedRequest, fileId: number): Promise<Reply> {
  await context.handles.takeFile(fileId).release();
  return encodeStatus(request.unique, 0);
}

/**
 * Plain allocation extends the file (nothing is reserved: the journal refuses what it cannot take at each write);
 * punched and zeroed ranges are written as zeros. Kind `unsupported` for the rest.
 */
export async function serveFallocate(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'fallocate'>,
): Promise<Reply> {
  const { keepSize, punchHole, zeroRange } = fallocateFlag;
  if (body.mode !== 0 && body.mode !== (punchHole | keepSize) && (body.mode & ~keepSize) !== zeroRange) {
    throw new TahoeError('a kind of allocation that is not offered', { kind: 'unsupported', op: 'mount.fallocate' });
  }
  const { sizeBytes } = await context.vfs.attributes(request.inode);
  const end = body.offset + body.length;
  if (body.mode !== 0) {
    const handle = await context.handles.file(body.fileId).positional();
    const zeros = new Uint8Array(Math.min(writeBytesMax, body.length));
    for (let at = body.offset; at < Math.min(end, sizeBytes); at += zeros.length) {
      await handle.write(at, zeros.subarray(0, Math.min(end, sizeBytes) - at));
    }
  }
  if (end > sizeBytes && (body.mode & keepSize) === 0) {
    await context.vfs.setAttributes(request.inode, { sizeBytes: end });
  }
  return encodeStatus(request.unique, 0);
}

export async function serveCopy(context: MountContext, request: ServedRequest, body: CopyRequest): Promise<Reply> {
  const source = context.handles.file(body.fileId).handle;
  const target = await context.handles.file(body.targetFileId).positional();
  const wanted = Math.min(body.length, copyBytesMax);
  let copied = 0;
  while (copied < wanted) {
    const data = await source.read(body.offset + copied, Math.min(wanted - copied, writeBytesMax));
    if (data.length === 0) break;
    await target.write(body.targetOffset + copied, data);
    copied += data.length;
  }
  context.nodes.dropPages(target.inode);
  return encodeSize(request.unique, copied);
}
