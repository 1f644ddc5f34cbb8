import * as fs from 'node:fs';
import { assert } from '../errors/tahoe-error.js';
import type { FileStat, FileStore, OpenedFile, OpenMode } from '../platform/file-store.js';
import { fileError } from './file-error.js';

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR } = fs.constants;

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_RDONLY,
  update: O_RDWR,
  'create-new': O_RDWR | O_CREAT | O_EXCL,
  create: O_RDWR | O_CREAT,
};

/** Linux takes at most 1024 buffers in one writev. */
const MAX_WRITEV_PARTS = 1024;

export interface NodeFileStoreOptions {
  /** Permission bits of created files before the umask. Default 0o600: shares, journals and keys are nobody else's. */
  readonly fileMode?: number;
}

/** The machine's file systems. */
export class NodeFileStore implements FileStore {
  readonly #fileMode: number;

  constructor(options: NodeFileStoreOptions = {}) {
    this.#fileMode = options.fileMode ?? 0o600;
  }

  open(path: string, mode: OpenMode): Promise<OpenedFile> {
    return call('open', path, async () => {
      const descriptor = await descriptorOf(path, FLAGS[mode], this.#fileMode);
      return new NodeFile(path, descriptor);
    });
  }

  readFile(path: string): Promise<Uint8Array> {
    return call('readFile', path, () => fs.promises.readFile(path));
  }

  list(path: string): Promise<string[]> {
    return call('list', path, () => fs.promises.readdir(path));
  }

  makeDirectory(path: string, options: { readonly mode?: number } = {}): Promise<void> {
    return call('makeDirectory', path, async () => {
      await fs.promises.mkdir(path, { recursive: true, mode: options.mode ?? 0o700 });
    });
  }

  rename(from: string, to: string): Promise<void> {
    return call('rename', from, () => fs.promises.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return call('remove', path, () => fs.promises.unlink(path));
  }

  removeDirectory(path: string): Promise<void> {
    return call('removeDirectory', path, () => fs.promises.rmdir(path));
  }

  removeTree(path: string): Promise<void> {
    return call('removeTree', path, () => fs.promises.rm(path, { recursive: true, force: true }));
  }

  syncDirectory(path: string): Promise<void> {
    return call('syncDirectory', path, async () => {
      const descriptor = await descriptorOf(path, O_RDONLY, 0);
      try {
        await settle((done) => fs.fsync(descriptor, done));
      } finally {
        await settle((done) => fs.close(descriptor, done));
      }
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return call('stat', path, async () => {
      try {
        const found = await fs.promises.stat(path);
        return { sizeBytes: found.size, modifiedMs: found.mtimeMs, isDirectory: found.isDirectory() };
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw error;
      }
    });
  }

  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    return call('space', path, async () => {
      const found = await fs.promises.statfs(path);
      return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
    });
  }
}

/**
 * A plain descriptor instead of a FileHandle: the callback functions cost less per call, and the synchronous ones,
 * which writeNow needs, take nothing else.
 */
class NodeFile implements OpenedFile {
  readonly #path: string;
  #descriptor: number;

  constructor(path: string, descriptor: number) {
    this.#path = path;
    this.#descriptor = descriptor;
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return call('read', this.#path, async () => {
      const buffer = new Uint8Array(new ArrayBuffer(length));
      return buffer.subarray(0, await this.#fill(buffer, position));
    });
  }

  readInto(target: Uint8Array, position: number): Promise<number> {
    return call('read', this.#path, () => this.#fill(target, position));
  }

  write(position: number, parts: readonly Uint8Array[]): Promise<void> {
    return call('write', this.#path, async () => {
      const queue = new WriteQueue(position, parts);
      while (!queue.isEmpty) queue.advance(await writev(this.#open(), queue.next(), queue.position));
    });
  }

  writeNow(position: number, parts: readonly Uint8Array[]): void {
    try {
      const queue = new WriteQueue(position, parts);
      while (!queue.isEmpty) queue.advance(fs.writevSync(this.#open(), queue.next(), queue.position));
    } catch (error) {
      throw fileError(error, 'write', this.#path);
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    return call('truncate', this.#path, () => settle((done) => fs.ftruncate(this.#open(), sizeBytes, done)));
  }

  sizeBytes(): Promise<number> {
    return call('stat', this.#path, () => sizeOf(this.#open()));
  }

  sync(): Promise<void> {
    return call('sync', this.#path, () => settle((done) => fs.fdatasync(this.#open(), done)));
  }

  close(): Promise<void> {
    return call('close', this.#path, async () => {
      const descriptor = this.#open();
      this.#descriptor = -1;
      await settle((done) => fs.close(descriptor, done));
    });
  }

  async #fill(target: Uint8Array, position: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const count = await readSome(this.#open(), target.subarray(filled), position + filled);
      if (count === 0) break;
      filled += count;
    }
    return filled;
  }

  /** The descriptor. A number kept after close could meanwhile belong to another file. */
  #open(): number {
    assert(this.#descriptor >= 0, `file used after close: ${this.#path}`);
    return this.#descriptor;
  }
}

/** What is left of a gathered write after short writes. */
class WriteQueue {
  position: number;
  #parts: Uint8Array[];
  #first = 0;

  constructor(position: number, parts: readonly Uint8Array[]) {
    this.position = position;
    this.#parts = parts.filter((part) => part.length > 0);
  }

  get isEmpty(): boolean {
    return this.#first >= this.#parts.length;
  }

  next(): Uint8Array[] {
    return this.#parts.slice(this.#first, this.#first + MAX_WRITEV_PARTS);
  }

  advance(written: number): void {
    assert(written > 0, 'a write made no progress');
    this.position += written;
    let left = written;
    while (left > 0) {
      const part = this.#parts[this.#first] as Uint8Array;
      if (left < part.length) {
        this.#parts[this.#first] = part.subarray(left);
        return;
      }
      left -= part.length;
      this.#first += 1;
    }
  }
}

async function call<Result>(op: string, path: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    throw fileError(error, op, path);
  }
}

function settle(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => (error ? reject(error) : resolve()));
  });
}

function descriptorOf(path: string, flags: number, mode: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, mode, (error, descriptor) => (error ? reject(error) : resolve(descriptor)));
  });
}

function sizeOf(descriptor: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.fstat(descriptor, (error, found) => (error ? reject(error) : resolve(found.size)));
  });
}

function readSome(descriptor: number, target: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(descriptor, target, 0, target.length, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}

function writev(descriptor: number, parts: Uint8Array[], position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.writev(descriptor, parts, position, (error, count) => (error ? reject(error) : resolve(count)));
  });
}
