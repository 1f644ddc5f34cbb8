/**
 * From the paths of requests to inodes. The root of the session is `/`; relative and absolute paths are the same, and
 * nothing leads above it. In a client's path `.`, `//` and `..` are taken out textually, before any lookup, as REALPATH
 * shows it; in the target of a symbolic link `..` is the directory above the one that was reached. Targets that begin
 * with `/` start at the session's root.
 *
 * `/uri/<directory cap>` leads to any directory whose capability the client knows, as in the reference; a real
 * child named `uri` comes first.
 */
import { decodeUtf8 } from '../src/encoding/bytes.js';
import { isTahoeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Attributes, InodeNumber, Location, Vfs } from '../src/vfs/vfs.js';
import { InodePins } from './inode-pins.js';

export interface Resolved {
  /** Where the name is; undefined for a root, which has no name. */
  readonly location: Location | undefined;
  /** Undefined if the directory is there and the name is not. */
  readonly attributes: Attributes | undefined;
}

interface Directory {
  readonly inode: InodeNumber;
  readonly kind: Attributes['kind'];
}

const symlinksMax = 40;
const pathLengthMax = 64 * 1024;
/** Capabilities given by path that one session keeps open. */
const capRootsMax = 64;

export class PathResolver {
  readonly #vfs: Vfs;
  readonly #root: InodeNumber;
  readonly #capRoots = new Map<string, InodeNumber>();
  readonly #capPins: InodePins;

  constructor(vfs: Vfs, root: InodeNumber) {
    this.#vfs = vfs;
    this.#root = root;
    this.#capPins = new InodePins(vfs);
  }

  get root(): InodeNumber {
    return this.#root;
  }

  /** Forgets the directories given by capability. */
  close(): void {
    this.#capPins.release();
    this.#capRoots.clear();
  }

  /**
   * Walks to `path`, following symbolic links on the way, and in the last place if `finalLink` says so. What is reached
   * stays pinned by `pins`. Kinds `not-found` (also: more than 40 links), `not-a-directory`, and those of Vfs.lookup.
   */
  async resolve(path: string, finalLink: 'follow' | 'keep', pins: InodePins): Promise<Resolved> {
    const stack: Directory[] = [{ inode: this.#root, kind: 'directory' }];
    const pending = path.split('/').reverse();
    let location: Location | undefined;
    let attributes: Attributes | undefined;
    let links = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (name === '' || name === '.') continue;
      attributes = undefined;
      location = undefined;
      if (name === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      const parent = stack.at(-1)!;
      if (parent.kind !== 'directory') throw notADirectory();
      const last = pending.every((rest) => rest === '' || rest === '.');
      const found = await this.#lookup(stack, name, pending);
      if (found === 'cap root') continue;
      if (found === undefined) {
        if (last) return { location: { parent: parent.inode, name }, attributes: undefined };
        throw notFound('no such file');
      }
      pins.pin(found.inode);
      if (found.kind === 'symlink' && (!last || finalLink === 'follow')) {
        if (++links > symlinksMax) throw notFound('too many symbolic links');
        const target = await this.#vfs.readSymlink(found.inode);
        if (target.startsWith('/')) stack.length = 1;
        pending.push(...target.split('/').reverse());
        continue;
      }
      location = { parent: parent.inode, name };
      attributes = found;
      stack.push(found);
    }
    return { location, attributes: attributes ?? (await this.#vfs.attributes(stack.at(-1)!.inode)) };
  }

  async #lookup(stack: Directory[], name: string, pending: string[]): Promise<Attributes | undefined | 'cap root'> {
    const parent = stack.at(-1)!;
    try {
      return await this.#vfs.lookup(parent.inode, name);
    } catch (error) {
      if (!isTahoeError(error, 'not-found')) throw error;
      const cap = pending.at(-1);
      if (stack.length > 1 || name !== 'uri' || !cap?.startsWith('URI:')) return undefined;
      pending.pop();
      stack.push({ inode: await this.#openCap(cap), kind: 'directory' });
      return 'cap root';
    }
  }

  async #openCap(cap: string): Promise<InodeNumber> {
    const known = this.#capRoots.get(cap);
    if (known !== undefined) return known;
    const { inode } = await this.#vfs.openRoot(cap);
    if (this.#capRoots.size >= capRootsMax) {
      throw new TahoeError('too many capabilities used as paths in one session', { kind: 'busy', op: 'sftp.resolve' });
    }
    this.#capPins.pin(inode);
    this.#capRoots.set(cap, inode);
    return inode;
  }
}

/** The canonical text of a client's path: absolute, without `.`, `..`, `//` and trailing slash. */
export function normalisePath(path: string): string {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return `/${names.join('/')}`;
}

/** Kind `not-found` for bytes that are not UTF-8: no name here can be that. Kind `name-too-long` over 64 KiB. */
export function decodePath(bytes: Uint8Array): string {
  if (bytes.length > pathLengthMax) {
    throw new TahoeError('the path is too long', { kind: 'name-too-long', op: 'sftp.resolve' });
  }
  try {
    return normalisePath(decodeUtf8(bytes));
  } catch (cause) {
    throw new TahoeError('the path is not UTF-8', { kind: 'not-found', op: 'sftp.resolve', cause });
  }
}

function notFound(message: string): TahoeError {
  return new TahoeError(message, { kind: 'not-found', op: 'sftp.resolve' });
}

function notADirectory(): TahoeError {
  return new TahoeError('not a directory', { kind: 'not-a-directory', op: 'sftp.resolve' });
}
