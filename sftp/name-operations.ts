/** Requests about names: attributes, directories, links, renames. Each returns its encoded reply. */
import { decodeUtf8 } from '../src/encoding/bytes.js';
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Attributes, DirectoryEntry, Location } from '../src/vfs/vfs.js';
import { attributeChanges, type SftpAttributes, sftpAttributes } from './attributes.js';
import { InodePins } from './inode-pins.js';
import { longName } from './long-name.js';
import type { Resolved } from './path-resolver.js';
import { nameReplyBytes } from './protocol.js';
import {
  encodeAttrs,
  encodeEndOfFile,
  encodeHandle,
  encodeOk,
  encodePathName,
  encodeStatistics,
  NameReply,
} from './replies.js';
import { newNode, type SessionContext, withPath } from './session-context.js';

export type FinalLink = 'follow' | 'keep';

export function stat(context: SessionContext, id: number, path: string, finalLink: FinalLink): Promise<Uint8Array> {
  return withPath(context, path, finalLink, async (resolved) => encodeAttrs(id, sftpAttributes(existing(resolved))));
}

/** SETSTAT (`follow`) and lsetstat@openssh.com (`keep`). */
export function setStat(
  context: SessionContext,
  id: number,
  path: string,
  attributes: SftpAttributes,
  finalLink: FinalLink,
): Promise<Uint8Array> {
  return withPath(context, path, finalLink, async (resolved) => {
    await context.vfs.setAttributes(existing(resolved).inode, attributeChanges(attributes));
    return encodeOk(id);
  });
}

/** The directory's entries are read here, once; READDIR hands them out. `.` and `..` come first, as from OpenSSH. */
export async function openDirectory(context: SessionContext, id: number, path: string): Promise<Uint8Array> {
  const pins = new InodePins(context.vfs);
  context.handles.reserve();
  try {
    const directory = existing(await context.paths.resolve(path, 'follow', pins));
    pins.pin(directory.inode);
    if (directory.kind !== 'directory') {
      throw new TahoeError('not a directory', { kind: 'not-a-directory', op: 'sftp.opendir' });
    }
    const entries = [...(await dotEntries(context, directory)), ...(await context.vfs.readDirectory(directory.inode))];
    const object = { type: 'directory', path, inode: directory.inode, pins, entries, next: 0 } as const;
    return encodeHandle(id, context.handles.add({ ...object }));
  } catch (error) {
    pins.release();
    throw error;
  } finally {
    context.handles.unreserve();
  }
}

async function dotEntries(context: SessionContext, directory: Attributes): Promise<readonly DirectoryEntry[]> {
  const isRoot = directory.inode === context.paths.root;
  const above = isRoot ? directory : await context.vfs.parentOf(directory.inode);
  return [
    { name: '.', attributes: directory },
    { name: '..', attributes: above },
  ];
}

export async function readDirectory(context: SessionContext, id: number, handle: Uint8Array): Promise<Uint8Array> {
  const directory = context.handles.directory(handle);
  const reply = new NameReply(id);
  const nowMs = context.clock.wallMs();
  while (directory.next < directory.entries.length && reply.sizeBytes < nameReplyBytes) {
    const { name, attributes } = directory.entries[directory.next++]!;
    reply.add(name, longName(name, attributes, context.names, nowMs), sftpAttributes(attributes));
  }
  return reply.count === 0 ? encodeEndOfFile(id) : reply.finish();
}

export function makeDirectory(
  context: SessionContext,
  id: number,
  path: string,
  attributes: SftpAttributes,
): Promise<Uint8Array> {
  return withPath(context, path, 'keep', async (resolved) => {
    const { parent, name } = free(resolved);
    await context.vfs.makeDirectory(parent, name, newNode(context, 'directory', attributes.permissions));
    return encodeOk(id);
  });
}

export function makeSymlink(
  context: SessionContext,
  id: number,
  target: Uint8Array,
  path: string,
): Promise<Uint8Array> {
  return withPath(context, path, 'keep', async (resolved) => {
    const { parent, name } = free(resolved);
    await context.vfs.makeSymlink(parent, name, decodeTarget(target), newNode(context, 'file', 0o777));
    return encodeOk(id);
  });
}

function decodeTarget(target: Uint8Array): string {
  try {
    return decodeUtf8(target);
  } catch (cause) {
    throw new TahoeError('the target of the link is not UTF-8', { kind: 'invalid', op: 'sftp.symlink', cause });
  }
}

export function readLink(context: SessionContext, id: number, path: string): Promise<Uint8Array> {
  return withPath(context, path, 'keep', async (resolved) =>
    encodePathName(id, await context.vfs.readSymlink(existing(resolved).inode)),
  );
}

export function remove(context: SessionContext, id: number, path: string): Promise<Uint8Array> {
  return withPath(context, path, 'keep', async (resolved) => {
    const { parent, name } = present(resolved);
    await context.vfs.unlink(parent, name);
    return encodeOk(id);
  });
}

export function removeDirectory(context: SessionContext, id: number, path: string): Promise<Uint8Array> {
  return withPath(context, path, 'keep', async (resolved) => {
    const { parent, name } = present(resolved);
    await context.vfs.removeDirectory(parent, name);
    return encodeOk(id);
  });
}

/** RENAME (`no-replace`: FAILURE if the new name exists) and posix-rename@openssh.com (`replace`). */
export function rename(
  context: SessionContext,
  id: number,
  from: string,
  to: string,
  mode: 'no-replace' | 'replace',
): Promise<Uint8Array> {
  return withPath(context, from, 'keep', (source) =>
    withPath(context, to, 'keep', async (destination) => {
      const target = mode === 'no-replace' ? free(destination) : named(destination);
      await context.vfs.rename(present(source), target, mode);
      return encodeOk(id);
    }),
  );
}

export function statistics(context: SessionContext, id: number, path: string): Promise<Uint8Array> {
  return withPath(context, path, 'follow', async (resolved) => {
    existing(resolved);
    return encodeStatistics(id, await context.vfs.fileSystemStatistics());
  });
}

/** `~` is the root of the session, the only home there is. */
export function expandHome(path: string): string {
  return path === '/~' || path.startsWith('/~/') ? path.slice(2) || '/' : path;
}

export function existing(resolved: Resolved): Attributes {
  if (resolved.attributes === undefined) throw new TahoeError('no such file', { kind: 'not-found', op: 'sftp.lookup' });
  return resolved.attributes;
}

/** The name of something that exists; roots have none and cannot be removed or renamed. */
function present(resolved: Resolved): Location {
  existing(resolved);
  return named(resolved);
}

function named(resolved: Resolved): Location {
  if (resolved.location === undefined) {
    throw new TahoeError('a root cannot be removed or replaced', { kind: 'permission', op: 'sftp.rename' });
  }
  return resolved.location;
}

/** A name that is not taken; kind `exists` otherwise, also for a root. */
function free(resolved: Resolved): Location {
  if (resolved.attributes !== undefined || resolved.location === undefined) {
    throw new TahoeError('the name exists already', { kind: 'exists', op: 'sftp.create' });
  }
  return resolved.location;
}
