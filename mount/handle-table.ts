import { TahoeError } from '../src/errors/tahoe-error.js';
import type { DirectoryEntry, FileHandle, InodeNumber, Vfs } from '../src/vfs/vfs.js';

/** A file that a program has open. */
export class OpenFile {
  readonly handle: FileHandle;
  readonly #vfs: Vfs;
  readonly #appends: boolean;
  #positional: Promise<FileHandle> | undefined;

  constructor(vfs: Vfs, handle: FileHandle, appends: boolean) {
    this.#vfs = vfs;
    this.handle = handle;
    this.#appends = appends;
  }

  /** A handle that writes where it is told: pages of a mapping must not be appended, though the file was opened so. */
  positional(): FileHandle | Promise<FileHandle> {
    if (!this.#appends) return this.handle;
    this.#positional ??= this.#vfs.open(this.handle.inode, { read: true, write: true });
    return this.#positional;
  }

  async release(): Promise<void> {
    const positional = await this.#positional?.catch(() => undefined);
    await positional?.release();
    await this.handle.release();
  }
}

/** A directory that a program reads: its entries as of the first read, so that offsets stay what they are. */
export interface OpenDirectory {
  readonly inode: InodeNumber;
  snapshot: DirectorySnapshot | undefined;
}

export interface DirectorySnapshot {
  readonly entries: readonly DirectoryEntry[];
  readonly parent: InodeNumber;
  /** The count of changes when it was taken: while it stands, the entries are the directory as it is now. */
  readonly changes: number;
}

/** The numbers by which the kernel names open files and directories. */
export class HandleTable {
  readonly #files = new Map<number, OpenFile>();
  readonly #directories = new Map<number, OpenDirectory>();
  #nextId = 1;

  addFile(file: OpenFile): number {
    const id = this.#nextId++;
    this.#files.set(id, file);
    return id;
  }

  addDirectory(directory: OpenDirectory): number {
    const id = this.#nextId++;
    this.#directories.set(id, directory);
    return id;
  }

  /** Kind `closed` for a number that is not in use. */
  file(id: number): OpenFile {
    const file = this.#files.get(id);
    if (file === undefined) throw unknownHandle(id);
    return file;
  }

  directory(id: number): OpenDirectory {
    const directory = this.#directories.get(id);
    if (directory === undefined) throw unknownHandle(id);
    return directory;
  }

  takeFile(id: number): OpenFile {
    const file = this.file(id);
    this.#files.delete(id);
    return file;
  }

  removeDirectory(id: number): void {
    this.#directories.delete(id);
  }

  takeAllFiles(): OpenFile[] {
    const files = [...this.#files.values()];
    this.#files.clear();
    this.#directories.clear();
    return files;
  }
}

function unknownHandle(id: number): TahoeError {
  return new TahoeError(`no open file has the number ${id}`, { kind: 'closed', op: 'mount.handle' });
}
