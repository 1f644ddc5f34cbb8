/** Requests about attributes and extended attributes. */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { AttributeChanges } from '../src/vfs/vfs.js';
import { errno } from './errno.js';
import { attributeBit, extendedAttributeFlag } from './kernel-constants.js';
import type { BodyOf, MountContext, Reply, ServedRequest } from './mount-context.js';
import { encodeAttributes, encodeData, encodeSize, encodeStatus } from './reply.js';
import type { SetAttributesRequest } from './request.js';
import { clearSetIds, withoutSetIds } from './set-ids.js';

export async function serveGetAttributes(context: MountContext, request: ServedRequest): Promise<Reply> {
  return encodeAttributes(request.unique, await context.vfs.attributes(request.inode), context.timeouts);
}

export async function serveSetAttributes(
  context: MountContext,
  request: ServedRequest,
  body: SetAttributesRequest,
): Promise<Reply> {
  let changes = changesOf(body);
  if (changes.mode === undefined && (changes.uid !== undefined || changes.gid !== undefined)) {
    changes = { ...changes, mode: withoutSetIds(await context.vfs.attributes(request.inode)) };
  } else if ((body.valid & attributeBit.killSetIds) !== 0) {
    await clearSetIds(context.vfs, request.inode);
  }
  const attributes = await context.vfs.setAttributes(request.inode, changes);
  return encodeAttributes(request.unique, attributes, context.timeouts);
}

function changesOf(body: SetAttributesRequest): AttributeChanges {
  const has = (bit: number) => (body.valid & bit) !== 0;
  return {
    mode: has(attributeBit.mode) ? body.mode & 0o7777 : undefined,
    uid: has(attributeBit.uid) ? body.uid : undefined,
    gid: has(attributeBit.gid) ? body.gid : undefined,
    sizeBytes: has(attributeBit.size) ? body.sizeBytes : undefined,
    accessed: has(attributeBit.accessedNow) ? 'now' : has(attributeBit.accessed) ? body.accessed : undefined,
    modified: has(attributeBit.modifiedNow) ? 'now' : has(attributeBit.modified) ? body.modified : undefined,
  };
}

export async function serveGetExtendedAttribute(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'getExtendedAttribute'>,
): Promise<Reply> {
  // the kernel asks for security.capability before the first write of every file
  if (!body.name.startsWith('user.')) return encodeStatus(request.unique, errno.EOPNOTSUPP);
  return replySized(request.unique, await context.vfs.getExtendedAttribute(request.inode, body.name), body.sizeMax);
}

export async function serveListExtendedAttributes(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'listExtendedAttributes'>,
): Promise<Reply> {
  const names = await context.vfs.listExtendedAttributes(request.inode);
  return replySized(request.unique, Buffer.from(names.map((name) => `${name}\0`).join('')), body.sizeMax);
}

export async function serveSetExtendedAttribute(
  context: MountContext,
  request: ServedRequest,
  body: BodyOf<'setExtendedAttribute'>,
): Promise<Reply> {
  if ((body.flags & ~(extendedAttributeFlag.create | extendedAttributeFlag.replace)) !== 0) {
    throw new TahoeError('flags that are not known', { kind: 'invalid', op: 'mount.setExtendedAttribute' });
  }
  const replace = (body.flags & extendedAttributeFlag.replace) !== 0 ? 'replace' : 'any';
  const mode = (body.flags & extendedAttributeFlag.create) !== 0 ? 'create' : replace;
  await context.vfs.setExtendedAttribute(request.inode, body.name, body.value, mode);
  return encodeStatus(request.unique, 0);
}

/** A caller that gives no room asks for the size. */
function replySized(unique: number, value: Uint8Array, sizeMax: number): Reply {
  if (sizeMax === 0) return encodeSize(unique, value.length);
  return value.length > sizeMax ? encodeStatus(unique, errno.ERANGE) : encodeData(unique, value);
}
