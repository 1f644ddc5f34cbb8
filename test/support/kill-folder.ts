import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Timestamp } from '../../src/vfs/vfs.js';

/** A folder to look into, be it a mount or what another node reads from the grid. Undefined: there is no such file. */
export interface Folder {
  read(path: string): Promise<Uint8Array | undefined>;
  stat(path: string): Promise<FileFacts | undefined>;
  /** The files below a folder, with their paths from here. */
  files(path: string): Promise<string[]>;
}

export interface FileFacts {
  readonly modified: Timestamp;
  /** Permission bits. */
  readonly mode: number;
}

const READS_AT_ONCE = 8;
const SECOND_NS = 1_000_000_000n;

/** A folder through the kernel. */
export function folderOnDisk(root: string): Folder {
  return {
    read: (path) => readFile(join(root, path)).catch(undefinedIfMissing),
    stat: async (path) => {
      const found = await stat(join(root, path), { bigint: true }).catch(undefinedIfMissing);
      if (found === undefined) return undefined;
      const modified = { seconds: Number(found.mtimeNs / SECOND_NS), nanoseconds: Number(found.mtimeNs % SECOND_NS) };
      return { modified, mode: Number(found.mode & 0o7777n) };
    },
    files: async (path) => {
      const options = { recursive: true, withFileTypes: true } as const;
      const entries = (await readdir(join(root, path), options).catch(undefinedIfMissing)) ?? [];
      const files = entries.filter((entry) => entry.isFile());
      return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
    },
  };
}

function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

/** A folder as it was once, whole. */
export class FolderCopy implements Folder {
  readonly #files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly facts: FileFacts }>;

  private constructor(files: ReadonlyMap<string, { readonly bytes: Uint8Array; readonly facts: FileFacts }>) {
    this.#files = files;
  }

  static async of(folder: Folder): Promise<FolderCopy> {
    const files = new Map<string, { bytes: Uint8Array; facts: FileFacts }>();
    const waiting = await folder.files('');
    const reader = async () => {
      for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
        const [bytes, facts] = await Promise.all([folder.read(path), folder.stat(path)]);
        if (bytes === undefined || facts === undefined) throw new Error(`listed, and not there: ${path}`);
        files.set(path, { bytes, facts });
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
    return new FolderCopy(files);
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.#files.get(path)?.bytes;
  }

  async stat(path: string): Promise<FileFacts | undefined> {
    return this.#files.get(path)?.facts;
  }

  async files(path: string): Promise<string[]> {
    return [...this.#files.keys()].filter((each) => path === '' || each.startsWith(`${path}/`));
  }

  /** What differs between the two: names, bytes, modes, and when files were changed, as exactly as both can say. */
  differences(other: FolderCopy, times: 'seconds' | 'nanoseconds'): string[] {
    const paths = new Set([...this.#files.keys(), ...other.#files.keys()]);
    return [...paths].flatMap((path) => {
      const [one, two] = [this.#files.get(path), other.#files.get(path)];
      if (one === undefined || two === undefined) return [`only in one: ${path}`];
      if (Buffer.compare(one.bytes, two.bytes) !== 0) return [`not the same bytes: ${path}`];
      if (one.facts.mode !== two.facts.mode) return [`not the same mode: ${path}`];
      const [first, second] = [one.facts.modified, two.facts.modified];
      const isExact = times === 'seconds' || first.nanoseconds === second.nanoseconds;
      return isExact && first.seconds === second.seconds
        ? []
        : [`not the same time: ${path} ${JSON.stringify([first, second])}`];
    });
  }
}
