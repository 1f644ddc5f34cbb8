/**
 * The disk as an argument. The journal, the disk backend and the remembered directories go through it, so that tests
 * can replace it by a disk with a crash model (unsynced writes lost or torn, rename atomic) or one that is full.
 *
 * Paths are absolute. Errors are TahoeErrors: `not-found` (ENOENT), `exists` (EEXIST), `no-space` (ENOSPC, EDQUOT),
 * `not-empty`, `not-a-directory`, `is-a-directory`, `permission`, otherwise `internal`, each with the original as cause.
 */
export interface FileStore {
  open(path: string, mode: OpenMode): Promise<OpenedFile>;
  /** The whole file; kind `not-found` if there is none. */
  readFile(path: string): Promise<Uint8Array>;
  /** Names in a directory, unsorted; kind `not-found` if there is none. */
  list(path: string): Promise<string[]>;
  /** Creates the directory and its missing ancestors; no error if it exists. */
  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void>;
  /** Atomic; replaces `to`. Durable after `syncDirectory` of the parent. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; kind `not-found` if there is none. */
  remove(path: string): Promise<void>;
  /** Removes an empty directory; kind `not-empty` if it is not empty. */
  removeDirectory(path: string): Promise<void>;
  /** Removes a directory and all below it; no error if it does not exist. */
  removeTree(path: string): Promise<void>;
  /** Makes creations, renames and removals in this directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Size in bytes and modification time of a file or directory; undefined if there is none. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Bytes of the file system that holds `path`. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
}

/** `read`: existing, read only. `update`: existing, read and write. `create-new`: must not exist. `create`: create or keep. */
export type OpenMode = 'read' | 'update' | 'create-new' | 'create';

export interface FileStat {
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly isDirectory: boolean;
}

export interface OpenedFile {
  /** Reads up to `length` bytes at `position`; fewer only at the end of the file. */
  read(position: number, length: number): Promise<Uint8Array>;
  /** Reads into `target` and returns the number of bytes read, fewer than its length only at the end of the file. */
  readInto(target: Uint8Array, position: number): Promise<number>;
  /** Writes all of `parts` one after the other at `position`. Parts must not change until it resolves. */
  write(position: number, parts: readonly Uint8Array[]): Promise<void>;
  /** The same on the calling thread, for small appends whose answer waits for nothing else (a hop costs more than the write). */
  writeNow(position: number, parts: readonly Uint8Array[]): void;
  truncate(sizeBytes: number): Promise<void>;
  sizeBytes(): Promise<number>;
  /** fdatasync: everything written before the call is durable afterwards. Never retry a failure: the data may be gone. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
