import type { FileStat, FileStore, OpenedFile, OpenMode } from '../../src/platform/file-store.js';

/**
 * A disk during whose operations the process can be killed: `dieIn(n)` is kill -9 in the n-th change of a file below a
 * directory from now on, before it, and in the middle of a write. What was changed before stays, in the page cache at least.
 */
export class DyingFileStore implements FileStore {
  readonly #files: FileStore;
  readonly #below: string;
  #left = Number.POSITIVE_INFINITY;

  constructor(files: FileStore, below: string) {
    this.#files = files;
    this.#below = below;
  }

  dieIn(changes: number): void {
    this.#left = changes;
  }

  async open(path: string, mode: OpenMode): Promise<OpenedFile> {
    if (!path.startsWith(this.#below) || mode === 'read') return this.#files.open(path, mode);
    this.#change();
    return new DyingFile(await this.#files.open(path, mode), () => this.#isLast());
  }

  readFile(path: string): Promise<Uint8Array> {
    return this.#files.readFile(path);
  }

  list(path: string): Promise<string[]> {
    return this.#files.list(path);
  }

  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void> {
    return this.#files.makeDirectory(path, options);
  }

  rename(from: string, to: string): Promise<void> {
    if (to.startsWith(this.#below)) this.#change();
    return this.#files.rename(from, to);
  }

  remove(path: string): Promise<void> {
    if (path.startsWith(this.#below)) this.#change();
    return this.#files.remove(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.#files.removeDirectory(path);
  }

  removeTree(path: string): Promise<void> {
    return this.#files.removeTree(path);
  }

  syncDirectory(path: string): Promise<void> {
    if (path.startsWith(this.#below)) this.#change();
    return this.#files.syncDirectory(path);
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#files.stat(path);
  }

  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    return this.#files.space(path);
  }

  #isLast(): boolean {
    this.#left -= 1;
    return this.#left === 0;
  }

  #change(): void {
    if (this.#isLast()) die();
  }
}

class DyingFile implements OpenedFile {
  readonly #file: OpenedFile;
  readonly #isLast: () => boolean;

  constructor(file: OpenedFile, isLast: () => boolean) {
    this.#file = file;
    this.#isLast = isLast;
  }

  read(position: number, length: number): Promise<Uint8Array> {
    return this.#file.read(position, length);
  }

  readInto(target: Uint8Array, position: number): Promise<number> {
    return this.#file.readInto(target, position);
  }

  async write(position: number, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#isLast()) this.#dieWriting(position, parts);
    return this.#file.write(position, parts);
  }

  writeNow(position: number, parts: readonly Uint8Array[]): void {
    if (this.#isLast()) this.#dieWriting(position, parts);
    this.#file.writeNow(position, parts);
  }

  truncate(sizeBytes: number): Promise<void> {
    if (this.#isLast()) die();
    return this.#file.truncate(sizeBytes);
  }

  sizeBytes(): Promise<number> {
    return this.#file.sizeBytes();
  }

  sync(): Promise<void> {
    if (this.#isLast()) die();
    return this.#file.sync();
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #dieWriting(position: number, parts: readonly Uint8Array[]): never {
    const whole = Buffer.concat(parts);
    this.#file.writeNow(position, [whole.subarray(0, whole.length / 2)]);
    die();
  }
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('a killed process does nothing');
}
