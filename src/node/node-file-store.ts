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

/** Reads and writes up to this size happen on the calling thread. */
const SHORT_TRANSFER_BYTES = 32 * 1024;

export interface NodeFileStoreOptions {
  /** Permission bits of created files before the umask. Default 0o600: shares, journals and keys are nobody else's. */
  readonly fileMode?: number;
}

/**
 * The machine's file systems. What takes microseconds while the kernel has it in memory runs on the calling thread: a
 * hop to the thread pool costs ten times as much. Syncs, long transfers and whole trees go to the pool.
 */
export class NodeFileStore implements FileStore {
  readonly #fileMode: number;

  constructor(options: NodeFileStoreOptions = {}) {
    this.#fileMode = options.fileMode ?? 0o600;
  }

  open(path: string, mode: OpenMode): Promise<OpenedFile> {
    return call('open', path, async () => {
      return new NodeFile(path, fs.openSync(path, FLAGS[mode], this.#fileMode));
    });
  }

  readFile(path: string): Promise<Uint8Array> {
    return call('readFile', path, () => fs.promises.readFile(path));
  }

  list(path: string): Promise<string[]> {
    return call('list', path, async () => fs.readdirSync(path));
  }

  makeDirectory(path: string, options: { readonly mode?: number } = {}): Promise<void> {
    return call('makeDirectory', path, async () => {
      fs.mkdirSync(path, { recursive: true, mode: options.mode ?? 0o700 });
    });
  }

  rename(from: string, to: string): Promise<void> {
    return call('rename', from, async () => fs.renameSync(from, to));
  }

  remove(path: string): Promise<void> {
    return call('remove', path, async () => fs.unlinkSync(path));
  }

  removeDirectory(path: string): Promise<void> {
    return call('removeDirectory', path, async () => fs.rmdirSync(path));
  }

  removeTree(path: string): Promise<void> {
    return call('removeTree', path, () => fs.promises.rm(path, { recursive: true, force: true }));
  }

  syncDirectory(path: string): Promise<void> {
    return call('syncDirectory', path, async () => {
      const descriptor = fs.openSync(path, O_RDONLY);
      try {
        await settle((done) => fs.fsync(descriptor, done));
      } finally {
        fs.closeSync(descriptor);
      }
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return call('stat', path, async () => {
      const found = fs.statSync(path, { throwIfNoEntry: false });
      if (found === undefined) return undefined;
      return { sizeBytes: found.size, modifiedMs: found.mtimeMs, isDirectory: found.isDirectory() };
    });
  }

  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    return call('space', path, async () => {
      const found = fs.statfsSync(path);
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
      const isShort = queue.sizeBytes <= SHORT_TRANSFER_BYTES;
      while (!queue.isEmpty) {
        const descriptor = this.#open();
        const parts = queue.next();
        const written = isShort
          ? fs.writevSync(descriptor, parts, queue.position)
          : await writev(descriptor, parts, queue.position);
        queue.advance(written);
      }
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
    return call('stat', this.#path, async () => fs.fstatSync(this.#open()).size);
  }

  sync(): Promise<void> {
    return call('sync', this.#path, () => settle((done) => fs.fdatasync(this.#open(), done)));
  }

  close(): Promise<void> {
    return call('close', this.#path, async () => {
      const descriptor = this.#open();
      this.#descriptor = -1;
      fs.closeSync(descriptor);
    });
  }

  async #fill(target: Uint8Array, position: number): Promise<number> {
    const isShort = target.length <= SHORT_TRANSFER_BYTES;
    let filled = 0;
    while (filled < target.length) {
      const rest = filled === 0 ? target : target.subarray(filled);
      const descriptor = this.#open();
      const count = isShort
        ? fs.readSync(descriptor, rest, 0, rest.length, position + filled)
        : await readSome(descriptor, rest, position + filled);
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
  readonly sizeBytes: number;
  position: number;
  #parts: Uint8Array[];
  #first = 0;

  constructor(position: number, parts: readonly Uint8Array[]) {
    this.position = position;
    this.#parts = parts.filter((part) => part.length > 0);
    this.sizeBytes = this.#parts.reduce((sum, part) => sum + part.length, 0);
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
