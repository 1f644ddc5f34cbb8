import { readU32, writeU32 } from '../src/encoding/bytes.js';
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { DirectoryEntry, FileHandle, InodeNumber } from '../src/vfs/vfs.js';
import type { InodePins } from './inode-pins.js';

/** What a handle of the protocol stands for. `path` is the canonical path it was opened by, to order later requests. */
export type OpenObject = OpenFile | OpenDirectory;

export interface OpenFile {
  readonly type: 'file';
  readonly path: string;
  readonly file: FileHandle;
  readonly writable: boolean;
}

export interface OpenDirectory {
  readonly type: 'directory';
  readonly path: string;
  readonly inode: InodeNumber;
  readonly pins: InodePins;
  /** What was there when it was opened. */
  readonly entries: readonly DirectoryEntry[];
  /** Index of the next entry to be sent. */
  next: number;
}

/** The open handles of one session: 4 opaque bytes each, not given again before 2^32 others were. */
export class HandleTable {
  static readonly sizeMax = 4096;
  readonly #objects = new Map<number, OpenObject>();
  #nextNumber: number;
  #reserved = 0;

  /** `start` (unsigned 32 bits) makes handles of different sessions differ, so that mixing them up is noticed. */
  constructor(start: number) {
    this.#nextNumber = start;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Keeps room for one more handle before the file is opened; kind `busy` if the session has too many. */
  reserve(): void {
    if (this.#objects.size + this.#reserved >= HandleTable.sizeMax) {
      throw new TahoeError('too many open files in this session', { kind: 'busy', op: 'sftp.open' });
    }
    this.#reserved++;
  }

  unreserve(): void {
    this.#reserved--;
  }

  add(object: OpenObject): Uint8Array {
    while (this.#objects.has(this.#nextNumber)) this.#advance();
    const number = this.#nextNumber;
    this.#advance();
    this.#objects.set(number, object);
    const handle = new Uint8Array(4);
    writeU32(handle, 0, number);
    return handle;
  }

  /** Kind `invalid` for a handle that is not open. */
  get(handle: Uint8Array): OpenObject {
    const object = handle.length === 4 ? this.#objects.get(readU32(handle, 0)) : undefined;
    if (object === undefined) throw new TahoeError('no such handle', { kind: 'invalid', op: 'sftp.handle' });
    return object;
  }

  file(handle: Uint8Array): OpenFile {
    const object = this.get(handle);
    if (object.type === 'file') return object;
    throw new TahoeError('the handle is a directory', { kind: 'is-a-directory', op: 'sftp.handle' });
  }

  directory(handle: Uint8Array): OpenDirectory {
    const object = this.get(handle);
    if (object.type === 'directory') return object;
    throw new TahoeError('the handle is not a directory', { kind: 'invalid', op: 'sftp.handle' });
  }

  remove(handle: Uint8Array): void {
    this.#objects.delete(readU32(handle, 0));
  }

  /** Takes everything out, for the end of the session. */
  takeAll(): readonly OpenObject[] {
    const objects = [...this.#objects.values()];
    this.#objects.clear();
    return objects;
  }

  #advance(): void {
    this.#nextNumber = (this.#nextNumber + 1) >>> 0;
  }
}
