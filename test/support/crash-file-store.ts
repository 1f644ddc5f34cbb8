import { assert, TahoeError } from '../../src/errors/tahoe-error.js';
import type { FileStat, FileStore, OpenedFile, OpenMode } from '../../src/platform/file-store.js';

const SECTOR_BYTES = 512;

/** What an unlucky machine leaves: `kill` keeps the page cache, `power` loses or tears what was not synced. */
export type CrashKind = 'kill' | 'power';

/**
 * A disk in memory with a crash model: writes are durable after the file's sync, names after the directory's; of what
 * was not synced any sectors (512 bytes or 4 KiB) and any prefix of the renames and removals may be there after a crash.
 */
export class CrashFileStore implements FileStore {
  /** Called before each operation; throws to make it fail. */
  beforeOperation: (op: string, path: string) => void = () => {};
  /** How long a sync takes: what is written meanwhile is not covered by it. */
  whileSyncing: () => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));
  freeBytes = Number.MAX_SAFE_INTEGER;
  operations = 0;
  /** The operation with this number still reaches the page cache; from then on everything fails. */
  crashAt = Number.POSITIVE_INFINITY;
  #names = new Map<string, Contents>();
  #durableNames = new Map<string, Contents>();
  #unsyncedNames: { readonly directory: string; readonly apply: (names: Map<string, Contents>) => void }[] = [];

  /** The disk that the next process finds; this one answers no more. `fraction` is in [0, 1). */
  afterCrash(kind: CrashKind, fraction: () => number): CrashFileStore {
    this.crashAt = 0;
    if (kind === 'kill') {
      const next = new CrashFileStore();
      // Nothing is lost, and nothing has become durable: the power may still fail.
      next.#names = this.#names;
      next.#durableNames = this.#durableNames;
      next.#unsyncedNames = this.#unsyncedNames;
      return next;
    }
    return this.afterPowerLoss(fraction);
  }

  /** The disk as it would be found if the power failed now; this one goes on. */
  afterPowerLoss(fraction: () => number): CrashFileStore {
    const next = new CrashFileStore();
    const names = new Map(this.#durableNames);
    const applied = Math.floor(fraction() * (this.#unsyncedNames.length + 1));
    for (const change of this.#unsyncedNames.slice(0, applied)) change.apply(names);
    for (const [path, contents] of names) next.#names.set(path, contents.afterPowerLoss(fraction));
    next.#durableNames = new Map(next.#names);
    return next;
  }

  /** A disk of its own with the same files, all durable. */
  clone(): CrashFileStore {
    const copy = new CrashFileStore();
    for (const [path, contents] of this.#names) copy.#names.set(path, contents.copy());
    copy.#durableNames = new Map(copy.#names);
    return copy;
  }

  /** The bytes of a file, to be damaged by the test: page cache and disk alike. */
  damage(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const contents = this.#names.get(path);
    assert(contents !== undefined, `no file ${path}`);
    contents.replace(change(contents.live.slice(0, contents.size)));
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  async open(path: string, mode: OpenMode): Promise<OpenedFile> {
    const isThere = this.#names.has(path);
    if (isThere && mode === 'create-new') throw failure('exists', 'open', path);
    if (!isThere && (mode === 'read' || mode === 'update')) throw failure('not-found', 'open', path);
    if (!isThere) {
      const created = new Contents();
      this.#mutate('open', path, () => this.#rename(path, (names) => names.set(path, created)));
    }
    const contents = this.#names.get(path);
    assert(contents !== undefined, 'opened');
    return new CrashFile(
      contents,
      (op, change) => this.#mutate(op, path, change),
      () => this.#checkAlive(),
      () => this.whileSyncing(),
    );
  }

  async readFile(path: string): Promise<Uint8Array> {
    this.#checkAlive();
    const contents = this.#names.get(path);
    if (contents === undefined) throw failure('not-found', 'readFile', path);
    return contents.live.slice(0, contents.size);
  }

  async list(path: string): Promise<string[]> {
    this.#checkAlive();
    const below = [...this.#names.keys()].filter((name) => name.startsWith(`${path}/`));
    return [...new Set(below.map((name) => name.slice(path.length + 1).split('/', 1)[0] as string))];
  }

  async makeDirectory(): Promise<void> {
    this.#checkAlive();
  }

  async rename(from: string, to: string): Promise<void> {
    const contents = this.#names.get(from);
    if (contents === undefined) return this.#renameDirectory(from, to);
    this.#mutate('rename', from, () =>
      this.#rename(to, (names) => {
        names.delete(from);
        names.set(to, contents);
      }),
    );
  }

  #renameDirectory(from: string, to: string): void {
    const isBelow = (path: string) => path.startsWith(`${from}/`);
    if (!this.paths().some(isBelow)) throw failure('not-found', 'rename', from);
    this.#mutate('rename', from, () =>
      this.#rename(to, (names) => {
        for (const [path, contents] of [...names].filter(([each]) => isBelow(each))) {
          names.delete(path);
          names.set(to + path.slice(from.length), contents);
        }
      }),
    );
  }

  async remove(path: string): Promise<void> {
    if (!this.#names.has(path)) throw failure('not-found', 'remove', path);
    this.#mutate('remove', path, () => this.#rename(path, (names) => names.delete(path)));
  }

  async removeDirectory(): Promise<void> {
    throw failure('unsupported', 'removeDirectory', '');
  }

  async removeTree(path: string): Promise<void> {
    this.#checkAlive();
    for (const name of this.paths()) if (name.startsWith(`${path}/`)) await this.remove(name);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#mutate('syncDirectory', path, () => {
      this.#unsyncedNames = this.#unsyncedNames.filter((change) => {
        if (change.directory !== path) return true;
        change.apply(this.#durableNames);
        return false;
      });
    });
  }

  async stat(path: string): Promise<FileStat | undefined> {
    const contents = this.#names.get(path);
    if (contents !== undefined) return { sizeBytes: contents.size, modifiedMs: 0, isDirectory: false };
    const isDirectory = this.paths().some((name) => name.startsWith(`${path}/`));
    return isDirectory ? { sizeBytes: 0, modifiedMs: 0, isDirectory } : undefined;
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return { freeBytes: this.freeBytes, totalBytes: Number.MAX_SAFE_INTEGER };
  }

  #rename(path: string, apply: (names: Map<string, Contents>) => void): void {
    apply(this.#names);
    this.#unsyncedNames.push({ directory: path.slice(0, path.lastIndexOf('/')), apply });
  }

  #mutate(op: string, path: string, change: () => void): void {
    this.#checkAlive();
    this.beforeOperation(op, path);
    this.operations += 1;
    // A sync that the crash interrupts has not happened.
    const isSync = op === 'sync' || op === 'syncDirectory';
    if (this.operations < this.crashAt || !isSync) change();
    this.#checkAlive();
  }

  #checkAlive(): void {
    if (this.operations >= this.crashAt) throw failure('internal', 'crashed', '');
  }
}

class Contents {
  live: Uint8Array;
  size: number;
  #durable: Uint8Array;
  /** Sectors of which the disk may have something else, each with the number of its last write. */
  readonly #dirty = new Map<number, number>();
  #writes = 0;

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.live = bytes.slice();
    this.size = bytes.length;
    this.#durable = bytes.slice();
  }

  write(position: number, parts: readonly Uint8Array[]): void {
    this.#writes++;
    let at = position;
    for (const part of parts) {
      this.#grow(at + part.length);
      this.live.set(part, at);
      for (let sector = Math.floor(at / SECTOR_BYTES); sector * SECTOR_BYTES < at + part.length; sector++) {
        this.#dirty.set(sector, this.#writes);
      }
      at += part.length;
    }
  }

  truncate(size: number): void {
    this.#writes++;
    this.#grow(size);
    this.live.fill(0, size);
    for (let sector = Math.floor(size / SECTOR_BYTES); sector * SECTOR_BYTES < this.size; sector++)
      this.#dirty.set(sector, this.#writes);
    this.size = size;
  }

  /** Takes what is dirty now; the returned function puts that on disk. What is written in between is not covered. */
  beginSync(): () => void {
    const size = this.size;
    const taken = [...this.#dirty].map(([sector, write]) => ({ sector, write, bytes: this.#sector(sector) }));
    return () => {
      if (this.#durable.length !== size) this.#durable = withSectors(this.#durable, this.#durable, size, []);
      for (const { sector, write, bytes } of taken) {
        const start = sector * SECTOR_BYTES;
        if (start < size) this.#durable.set(bytes.subarray(0, size - start), start);
        if (this.#dirty.get(sector) === write) this.#dirty.delete(sector);
      }
    };
  }

  replace(bytes: Uint8Array): void {
    this.live = bytes.slice();
    this.size = bytes.length;
    this.#durable = bytes.slice();
    this.#dirty.clear();
  }

  copy(): Contents {
    return new Contents(this.live.subarray(0, this.size));
  }

  afterPowerLoss(fraction: () => number): Contents {
    const perUnit = fraction() < 0.5 ? 1 : 8;
    const chance = [0, 0.5, 0.9][Math.floor(fraction() * 3)]!;
    const decided = new Map<number, boolean>();
    const written = [...this.#dirty.keys()].filter((sector) => {
      const unit = Math.floor(sector / perUnit);
      if (!decided.has(unit)) decided.set(unit, fraction() < chance);
      return decided.get(unit);
    });
    const size = fraction() < 0.5 ? this.#durable.length : this.size;
    return new Contents(withSectors(this.#durable, this.live, size, written));
  }

  #sector(sector: number): Uint8Array {
    return this.live.slice(sector * SECTOR_BYTES, Math.min(this.size, (sector + 1) * SECTOR_BYTES));
  }

  #grow(size: number): void {
    if (size > this.live.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.live.length));
      grown.set(this.live);
      this.live = grown;
    }
    this.size = Math.max(this.size, size);
  }
}

function withSectors(old: Uint8Array, live: Uint8Array, size: number, sectors: Iterable<number>): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(old.subarray(0, size));
  for (const sector of sectors) {
    const start = sector * SECTOR_BYTES;
    if (start < size) bytes.set(live.subarray(start, Math.min(start + SECTOR_BYTES, size)), start);
  }
  return bytes;
}

class CrashFile implements OpenedFile {
  readonly #contents: Contents;
  readonly #mutate: (op: string, change: () => void) => void;
  readonly #checkAlive: () => void;
  readonly #whileSyncing: () => Promise<void>;

  constructor(
    contents: Contents,
    mutate: (op: string, change: () => void) => void,
    checkAlive: () => void,
    whileSyncing: () => Promise<void>,
  ) {
    this.#contents = contents;
    this.#mutate = mutate;
    this.#checkAlive = checkAlive;
    this.#whileSyncing = whileSyncing;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    this.#checkAlive();
    return this.#contents.live.slice(position, Math.min(position + length, this.#contents.size));
  }

  async readInto(target: Uint8Array, position: number): Promise<number> {
    const bytes = await this.read(position, target.length);
    target.set(bytes);
    return bytes.length;
  }

  async write(position: number, parts: readonly Uint8Array[]): Promise<void> {
    this.#mutate('write', () => this.#contents.write(position, parts));
  }

  writeNow(position: number, parts: readonly Uint8Array[]): void {
    this.#mutate('writeNow', () => this.#contents.write(position, parts));
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#mutate('truncate', () => this.#contents.truncate(sizeBytes));
  }

  async sizeBytes(): Promise<number> {
    return this.#contents.size;
  }

  async sync(): Promise<void> {
    const commit = this.#contents.beginSync();
    await this.#whileSyncing();
    this.#mutate('sync', commit);
  }

  async close(): Promise<void> {}
}

function failure(kind: 'exists' | 'not-found' | 'internal' | 'unsupported', op: string, path: string): TahoeError {
  return new TahoeError(`${op} failed`, { kind, op, subject: path });
}
