/** What the simulated users do with a Vfs, by paths. Contents are Latin-1 text: cheap to compare and to keep. */
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { FileHandle, InodeNumber, NewNode, Vfs } from '../../src/vfs/vfs.js';
import type { Found } from './own-model.js';

/** The grid could not be asked, and the call said so. */
export function isGridError(error: unknown): boolean {
  return isTahoeError(error, 'unreachable', 'timeout', 'unrecoverable');
}

export const newFile: NewNode = { mode: 0o644, uid: 1, gid: 1 };
export const newDirectory: NewNode = { mode: 0o755, uid: 1, gid: 1 };
export const newLink: NewNode = { mode: 0o777, uid: 1, gid: 1 };

const READ_MAX = 1 << 20;
/** Longer than any that is made. */
const PATH_MAX = 200;

export function toBytes(content: string): Uint8Array {
  return new Uint8Array(Buffer.from(content, 'latin1'));
}

export function toContent(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** What a write at `at` makes of a content. */
export function spliced(content: string, at: number, data: string): string {
  if (data === '') return content;
  const padded = content.padEnd(at, '\0');
  return padded.slice(0, at) + data + padded.slice(at + data.length);
}

export function resized(content: string, size: number): string {
  return content.slice(0, size).padEnd(size, '\0');
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export async function inodeAt(vfs: Vfs, root: InodeNumber, path: string): Promise<InodeNumber> {
  let inode = root;
  for (const name of path.split('/').slice(1)) inode = (await vfs.lookup(inode, name)).inode;
  return inode;
}

export async function placeAt(
  vfs: Vfs,
  root: InodeNumber,
  path: string,
): Promise<{ parent: InodeNumber; name: string }> {
  return { parent: await inodeAt(vfs, root, parentOf(path)), name: nameOf(path) };
}

export async function contentOf(vfs: Vfs, inode: InodeNumber): Promise<string> {
  const handle = await vfs.open(inode, { read: true, write: false });
  try {
    return toContent(await handle.read(0, READ_MAX));
  } finally {
    await handle.release();
  }
}

export async function close(handle: FileHandle): Promise<void> {
  await handle.flush();
  await handle.release();
}

/** Everything below a directory, which is `prefix` itself. */
export async function walk(vfs: Vfs, directory: InodeNumber, prefix = ''): Promise<Map<string, Found>> {
  if (prefix.length > PATH_MAX) throw new Error(`a path without end: ${prefix.slice(0, 60)}`);
  const found = new Map<string, Found>([[prefix, { kind: 'directory', mode: (await vfs.attributes(directory)).mode }]]);
  for (const { name, attributes } of await vfs.readDirectory(directory)) {
    const path = `${prefix}/${name}`;
    const { inode, kind, mode } = attributes;
    if (kind === 'directory') for (const [below, each] of await walk(vfs, inode, path)) found.set(below, each);
    else if (kind === 'symlink') found.set(path, { kind, mode, target: await vfs.readSymlink(inode) });
    else found.set(path, await fileOrRing(vfs, inode, mode));
  }
  return found;
}

/** Two nodes that moved two directories into each other have made a ring: one of the links is shown as an unreadable file. */
async function fileOrRing(vfs: Vfs, inode: InodeNumber, mode: number): Promise<Found> {
  try {
    return { kind: 'file', mode, content: await contentOf(vfs, inode) };
  } catch (error) {
    if (isTahoeError(error, 'unsupported')) return { kind: 'file', mode, content: '', isRing: true };
    throw error;
  }
}

/** Each conflict is told once by an operation on the name; then the operation can be made. */
export async function toldFirst<Value>(operation: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await operation();
    } catch (error) {
      if (!isTahoeError(error, 'uncoordinated-write')) throw error;
    }
  }
}
