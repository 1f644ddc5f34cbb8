import { asTahoeError, describeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import type { Attributes, FileHandle, FileKind, InodeNumber, Location, NewNode, Vfs } from '../src/vfs/vfs.js';
import { errno, errnoOf } from './errno.js';
import type { FuseNativeOperations } from './fuse-native-library.js';
import { fileType } from './kernel-constants.js';
import { openFlagsOf } from './serve-files.js';
import { clearSetIds, withoutSetIds } from './set-ids.js';

type Callback = (result: number, ...values: unknown[]) => void;

/** The open files and the names of a path-based mount. */
class NativeFiles {
  readonly handles = new Map<number, FileHandle>();
  readonly vfs: Vfs;
  readonly #root: InodeNumber;
  readonly #log: Logger;
  #nextId = 1;

  constructor(vfs: Vfs, root: InodeNumber, log: Logger) {
    this.vfs = vfs;
    this.#root = root;
    this.#log = log;
  }

  /** What a path names, looked up from the root. */
  async at(path: string): Promise<Attributes> {
    let found = await this.vfs.attributes(this.#root);
    for (const name of partsOf(path)) found = await this.vfs.lookup(found.inode, name);
    return found;
  }

  async placeOf(path: string): Promise<Location> {
    const parts = partsOf(path);
    const name = parts.pop() ?? '';
    return { parent: (await this.at(parts.join('/'))).inode, name };
  }

  add(handle: FileHandle): number {
    const id = this.#nextId++;
    this.handles.set(id, handle);
    return id;
  }

  handle(id: number): FileHandle {
    const handle = this.handles.get(id);
    if (handle === undefined) throw new TahoeError('not an open file', { kind: 'closed', op: 'mount.fuseNative' });
    return handle;
  }

  /** Success with what `work` gives. Answers in every case: the library would leave the caller waiting. */
  answer(callback: Callback, work: () => Promise<readonly unknown[]>): void {
    work().then((values) => callback(0, ...values), this.#fail(callback));
  }

  /** The same where the result is a count of bytes. */
  answerCount(callback: Callback, work: () => Promise<number>): void {
    work().then(callback, this.#fail(callback));
  }

  #fail(callback: Callback): (error: unknown) => void {
    return (error) => {
      const failure = asTahoeError(error, 'mount.fuseNative');
      if (failure.kind === 'internal') this.#log.error('a file operation failed', { error: describeError(failure) });
      callback(-errnoOf(failure));
    };
  }
}

/** The operations in the form that the library takes. */
export function fuseNativeOperations(
  vfs: Vfs,
  root: InodeNumber,
  owner: { readonly uid: number; readonly gid: number },
  log: Logger,
): { readonly operations: FuseNativeOperations; readonly releaseAll: () => Promise<void> } {
  const files = new NativeFiles(vfs, root, log);
  const releaseAll = async () => {
    const handles = [...files.handles.values()];
    files.handles.clear();
    await Promise.all(handles.map((handle) => handle.release()));
  };
  const operations = {
    ...nameOperations(files, owner),
    ...attributeOperations(files),
    ...fileOperations(files, owner),
  };
  return { operations, releaseAll };
}

function nameOperations(files: NativeFiles, owner: { readonly uid: number; readonly gid: number }) {
  const { vfs } = files;
  const newNode = (mode: number): NewNode => ({ ...owner, mode: mode & 0o7777 });
  return {
    readdir: (path: string, callback: Callback) =>
      files.answer(callback, async () => {
        const entries = await vfs.readDirectory((await files.at(path)).inode);
        return [['.', '..', ...entries.map((entry) => entry.name)]];
      }),
    readlink: (path: string, callback: Callback) =>
      files.answer(callback, async () => [await vfs.readSymlink((await files.at(path)).inode)]),
    mkdir: (path: string, mode: number, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        await vfs.makeDirectory(parent, name, newNode(mode));
        return [];
      }),
    mknod: (path: string, mode: number, rdev: number, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        await vfs.makeNode(parent, name, kindOf(mode), rdev, newNode(mode));
        return [];
      }),
    symlink: (target: string, path: string, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        await vfs.makeSymlink(parent, name, target, newNode(0o777));
        return [];
      }),
    link: (_from: string, _to: string, callback: Callback) => callback(-errno.EPERM),
    unlink: (path: string, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        await vfs.unlink(parent, name);
        return [];
      }),
    rmdir: (path: string, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        await vfs.removeDirectory(parent, name);
        return [];
      }),
    rename: (from: string, to: string, callback: Callback) =>
      files.answer(callback, async () => {
        await vfs.rename(await files.placeOf(from), await files.placeOf(to), 'replace');
        return [];
      }),
  };
}

function attributeOperations(files: NativeFiles) {
  const { vfs } = files;
  const change = (path: string, callback: Callback, changes: Parameters<Vfs['setAttributes']>[1]) =>
    files.answer(callback, async () => {
      await vfs.setAttributes((await files.at(path)).inode, changes);
      return [];
    });
  return {
    getattr: (path: string, callback: Callback) => files.answer(callback, async () => [statOf(await files.at(path))]),
    chmod: (path: string, mode: number, callback: Callback) => change(path, callback, { mode: mode & 0o7777 }),
    chown: (path: string, uid: number, gid: number, callback: Callback) =>
      files.answer(callback, async () => {
        const attributes = await files.at(path);
        const unchanged = 0xffffffff;
        await vfs.setAttributes(attributes.inode, {
          mode: withoutSetIds(attributes),
          uid: uid >>> 0 === unchanged ? undefined : uid,
          gid: gid >>> 0 === unchanged ? undefined : gid,
        });
        return [];
      }),
    utimens: (path: string, accessedMs: number, modifiedMs: number, callback: Callback) =>
      change(path, callback, { accessed: timestamp(accessedMs), modified: timestamp(modifiedMs) }),
    truncate: (path: string, sizeBytes: number, callback: Callback) => change(path, callback, { sizeBytes }),
    ftruncate: (_path: string, fileId: number, sizeBytes: number, callback: Callback) =>
      files.answer(callback, async () => {
        await vfs.setAttributes(files.handle(fileId).inode, { sizeBytes });
        return [];
      }),
    statfs: (_path: string, callback: Callback) =>
      files.answer(callback, async () => {
        const statistics = await vfs.fileSystemStatistics();
        const { blockSizeBytes, blocks, blocksFree, inodes, inodesFree } = statistics;
        const counts = { blocks, bfree: blocksFree, bavail: blocksFree, files: inodes, ffree: inodesFree };
        const sizes = { bsize: blockSizeBytes, frsize: blockSizeBytes, namemax: statistics.nameLengthMax };
        return [{ ...fitting({ ...counts, favail: inodesFree }), ...sizes, fsid: 0, flag: 0 }];
      }),
    getxattr: (path: string, name: string, _position: number, callback: Callback) =>
      files.answer(callback, async () => [
        Buffer.from(await vfs.getExtendedAttribute((await files.at(path)).inode, name)),
      ]),
    listxattr: (path: string, callback: Callback) =>
      files.answer(callback, async () => [await vfs.listExtendedAttributes((await files.at(path)).inode)]),
    setxattr: (path: string, name: string, value: Uint8Array, _position: number, flags: number, callback: Callback) =>
      files.answer(callback, async () => {
        const mode = flags === 1 ? 'create' : flags === 2 ? 'replace' : 'any';
        await vfs.setExtendedAttribute((await files.at(path)).inode, name, Uint8Array.from(value), mode);
        return [];
      }),
    removexattr: (path: string, name: string, callback: Callback) =>
      files.answer(callback, async () => {
        await vfs.removeExtendedAttribute((await files.at(path)).inode, name);
        return [];
      }),
  };
}

function fileOperations(files: NativeFiles, owner: { readonly uid: number; readonly gid: number }) {
  const { vfs } = files;
  return {
    open: (path: string, flags: number, callback: Callback) =>
      files.answer(callback, async () => {
        const handle = await vfs.open((await files.at(path)).inode, openFlagsOf(flags, false));
        return [files.add(handle)];
      }),
    create: (path: string, mode: number, callback: Callback) =>
      files.answer(callback, async () => {
        const { parent, name } = await files.placeOf(path);
        const node = { ...owner, mode: mode & 0o7777 };
        const { handle } = await vfs.create(parent, name, node, { read: true, write: true });
        return [files.add(handle)];
      }),
    read: (_path: string, fileId: number, into: Uint8Array, length: number, offset: number, callback: Callback) =>
      files.answerCount(callback, async () => {
        const data = await files.handle(fileId).read(offset, length);
        into.set(data);
        return data.length;
      }),
    write: (_path: string, fileId: number, data: Uint8Array, length: number, offset: number, callback: Callback) =>
      files.answerCount(callback, async () => {
        const handle = files.handle(fileId);
        await clearSetIds(vfs, handle.inode);
        await handle.write(offset, data.subarray(0, length));
        return length;
      }),
    flush: (_path: string, fileId: number, callback: Callback) =>
      files.answer(callback, async () => {
        await files.handle(fileId).flush();
        return [];
      }),
    fsync: (_path: string, _dataOnly: boolean, fileId: number, callback: Callback) =>
      files.answer(callback, async () => {
        await files.handle(fileId).fsync();
        return [];
      }),
    fsyncdir: (path: string, _dataOnly: boolean, _fileId: number, callback: Callback) =>
      files.answer(callback, async () => {
        await vfs.fsyncDirectory((await files.at(path)).inode);
        return [];
      }),
    release: (_path: string, fileId: number, callback: Callback) =>
      files.answer(callback, async () => {
        const handle = files.handle(fileId);
        files.handles.delete(fileId);
        await handle.release();
        return [];
      }),
  };
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function kindOf(mode: number): FileKind {
  const kinds: readonly FileKind[] = ['fifo', 'socket', 'character-device', 'block-device'];
  return kinds.find((kind) => fileType[kind] === (mode & fileType.mask)) ?? 'file';
}

function statOf(attributes: Attributes): Readonly<Record<string, unknown>> {
  return {
    mode: fileType[attributes.kind] | attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.sizeBytes,
    dev: 0,
    nlink: attributes.links,
    ino: attributes.inode,
    rdev: attributes.rdev,
    blksize: 131072,
    blocks: Math.ceil(attributes.sizeBytes / 512),
    atime: new Date(milliseconds(attributes.accessed)),
    mtime: new Date(milliseconds(attributes.modified)),
    ctime: new Date(milliseconds(attributes.changed)),
  };
}

function milliseconds(time: { readonly seconds: number; readonly nanoseconds: number }): number {
  return time.seconds * 1000 + Math.floor(time.nanoseconds / 1e6);
}

function timestamp(timeMs: number): { readonly seconds: number; readonly nanoseconds: number } {
  const seconds = Math.floor(timeMs / 1000);
  return { seconds, nanoseconds: Math.round((timeMs - seconds * 1000) * 1e6) };
}

/** The library carries 32 bits; what does not fit is reported as the largest that does. */
function fitting(counts: Readonly<Record<string, number>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Math.min(count, 0xffffffff)]));
}
