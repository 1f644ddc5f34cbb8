/** From `/uri/CAP/name/name` to the object it names, through the one file system that all frontends share. */

import { isDirectory, isWriteable, parseCap } from '../caps/cap.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Attributes, InodeNumber, Location, NewNode, Vfs } from '../vfs/vfs.js';

export type Target =
  /** A capability of a file, alone. */
  | { readonly what: 'cap'; readonly cap: string }
  /** Something in the file system; a root has no location. */
  | { readonly what: 'entry'; readonly attributes: Attributes; readonly location: Location | undefined }
  /** No such name; `missing` are the directories that would have to be made first. */
  | {
      readonly what: 'missing';
      readonly above: InodeNumber;
      readonly missing: readonly string[];
      readonly name: string;
    };

/** Remembers inodes for the time of one request, so that none of them goes stale under it. */
export class TreeWalk {
  readonly #vfs: Vfs;
  readonly #held: InodeNumber[] = [];

  constructor(vfs: Vfs) {
    this.#vfs = vfs;
  }

  /** Kinds `bad-cap`, `invalid` (empty name), `not-a-directory` (a file in the way). */
  async find(cap: string, path: readonly string[]): Promise<Target> {
    const names = path.at(-1) === '' ? path.slice(0, -1) : path;
    if (names.includes('')) {
      throw new TahoeError('The webapi does not allow empty pathname components, i.e. a double slash', {
        kind: 'invalid',
        op: 'web.walk',
      });
    }
    if (!isDirectory(parseCap(cap))) {
      if (names.length === 0) return { what: 'cap', cap };
      throw fileInTheWay(names[0]!);
    }
    return this.#descend(this.hold(await this.#vfs.openRoot(cap)), names);
  }

  /** Where a new object is to be linked; missing directories above it are made. Kind `invalid` for a root or a bare capability. */
  async linkPlace(target: Target, newDirectory: NewNode): Promise<Location> {
    if (target.what === 'entry' && target.location !== undefined) return target.location;
    if (target.what !== 'missing') {
      throw new TahoeError('this needs a path below a directory', { kind: 'invalid', op: 'web.walk' });
    }
    let parent = target.above;
    for (const name of target.missing) {
      parent = this.hold(await this.#vfs.makeDirectory(parent, name, newDirectory)).inode;
    }
    return { parent, name: target.name };
  }

  hold(attributes: Attributes): Attributes {
    this.#vfs.remember(attributes.inode);
    this.#held.push(attributes.inode);
    return attributes;
  }

  /** The last call. */
  release(): void {
    for (const inode of this.#held.splice(0)) this.#vfs.forget(inode, 1);
  }

  async #descend(root: Attributes, names: readonly string[]): Promise<Target> {
    let attributes = root;
    let location: Location | undefined;
    for (const [depth, name] of names.entries()) {
      if (attributes.kind !== 'directory') throw fileInTheWay(name);
      const parent = attributes.inode;
      try {
        attributes = this.hold(await this.#vfs.lookup(parent, name));
      } catch (error) {
        if (!isTahoeError(error, 'not-found')) throw error;
        return { what: 'missing', above: parent, missing: names.slice(depth, -1), name: names.at(-1)! };
      }
      location = { parent, name };
    }
    return { what: 'entry', attributes, location };
  }
}

/** Before anything is read or stored that could not be linked then. Kind `read-only`. */
export function checkMayChange(capText: string): void {
  const cap = parseCap(capText);
  if (!isDirectory(cap) || isWriteable(cap)) return;
  throw new TahoeError('the capability does not allow writing', { kind: 'read-only', op: 'web.write' });
}

export function noSuchChild(name: string): TahoeError {
  return new TahoeError(`No such child: ${name}`, { kind: 'not-found', op: 'web.walk', subject: name });
}

export function childExists(name: string): TahoeError {
  return new TahoeError(name, { kind: 'exists', op: 'web.write', subject: name });
}

function fileInTheWay(name: string): TahoeError {
  return new TahoeError(`Files have no children named ${JSON.stringify(name)}: a file was in the way`, {
    kind: 'not-a-directory',
    op: 'web.walk',
    subject: name,
  });
}
