import { type DirectoryCap, isDirectory, serializeCap, verifyCapOf } from '../caps/cap.js';
import { sha256 } from '../crypto/hashes.js';
import type { PackedEntry } from '../dirnode/packing.js';
import { encodeUtf8, readU64 } from '../encoding/bytes.js';
import type { VfsCore } from './core.js';
import { applyEntry, type EntryFacts, factsOf } from './entry-codec.js';
import type { Directory, Inode } from './inode.js';
import { upwards } from './paths.js';
import { isReached } from './seen-places.js';
import type { InodeNumber } from './vfs.js';

/** Inodes and their numbers, of entries and of new objects. */
export class EntryInodes {
  readonly #core: VfsCore;

  constructor(core: VfsCore) {
    this.#core = core;
  }

  /** A number for something new. */
  newNumber(): InodeNumber {
    for (;;) {
      const number = toInodeNumber(this.#core.platform.entropy.bytes(8));
      if (!this.#core.tree.inodes.has(number)) return number;
    }
  }

  /** The same for the write and the read capability of a directory. */
  rootNumber(cap: DirectoryCap): InodeNumber {
    return this.#freeNumber(undefined, serializeCap(verifyCapOf(cap) ?? cap));
  }

  /** The inode of an entry that does not stand in the view yet. A directory may be known already, reached from elsewhere. */
  of(directory: Directory, entry: PackedEntry): Inode {
    const facts = factsOf(directory, entry);
    const existing = this.#existing(facts);
    if (this.leadsBack(directory, existing)) return this.#create(directory, entry.name, { ...facts, kind: 'file' });
    return existing ?? this.#create(directory, entry.name, facts);
  }

  /** True if an entry links this directory, and not into itself. */
  leadsTo(directory: Directory, entry: PackedEntry, to: Directory): boolean {
    return this.#directoryOf(factsOf(directory, entry)) === to && !isAbove(directory, to.inode);
  }

  /**
   * True if the inode as a child of this directory would make a path without end: two nodes can move two directories into
   * each other, and of one that is linked twice the one link may lead to the other. Such a child is shown as a file.
   */
  leadsBack(directory: Directory, inode: Inode | undefined): boolean {
    if (inode?.directory === undefined) return false;
    if (isAbove(directory, inode)) return true;
    // what stands nowhere else stands here, and it is another link that leads back
    const { place } = inode;
    return (
      place !== undefined && place.directory !== directory && isReached(place) && leadsDown(inode, directory.inode)
    );
  }

  /** The same of what is shown as a file because it led back when it was looked at. Undefined for any other file. */
  stillLeadsBack(directory: Directory, { kind, other }: Inode): boolean | undefined {
    if (kind !== 'file' || other?.type !== 'known' || !isDirectory(other.cap)) return undefined;
    return this.leadsBack(directory, this.#core.tree.findDirectory(other.cap)?.inode);
  }

  /** A directory that was given up, as a new object over what the grid has of it. */
  reopen(gone: Directory): Inode {
    const { tree, platform } = this.#core;
    const known = tree.findDirectory(gone.cap!);
    if (known !== undefined) return known.inode;
    const inode = tree.addInode(this.newNumber(), 'directory');
    const { mode, uid, gid, modified, accessed, changed } = gone.inode;
    Object.assign(inode, { mode, uid, gid, modified, accessed, changed });
    tree.addDirectory(inode, gone.cap, platform.clock.monotonicMs());
    return inode;
  }

  #existing(facts: EntryFacts): Inode | undefined {
    const known = this.#directoryOf(facts)?.inode;
    return known !== undefined && this.#core.tree.revive(known) ? known : undefined;
  }

  /** The directory that an entry refers to, if it is known. */
  #directoryOf({ child }: EntryFacts): Directory | undefined {
    if (child.type !== 'known' || !isDirectory(child.cap)) return undefined;
    return this.#core.tree.findDirectory(child.cap);
  }

  #create(directory: Directory, name: string, facts: EntryFacts): Inode {
    const { tree, settings, platform } = this.#core;
    const number = this.#freeNumber(facts.inodeNumber, `${directory.inode.number}/${name}`);
    const inode = tree.addInode(number, facts.kind);
    applyEntry(inode, facts, { uid: settings.defaultUid, gid: settings.defaultGid });
    const { child } = facts;
    if (child.type === 'known' && isDirectory(child.cap) && facts.kind === 'directory')
      tree.addDirectory(inode, child.cap, platform.clock.monotonicMs());
    else if (child.type === 'known' && (child.cap.type === 'chk' || child.cap.type === 'lit')) {
      if (facts.kind === 'file') tree.addContent(inode, child.cap);
    } else inode.other = child;
    return inode;
  }

  #freeNumber(wanted: number | undefined, seed: string): InodeNumber {
    const { inodes } = this.#core.tree;
    const isUsable = wanted !== undefined && Number.isSafeInteger(wanted) && wanted > 1 && !inodes.has(wanted);
    if (isUsable) return wanted as InodeNumber;
    for (let salt = 0; ; salt++) {
      const number = toInodeNumber(sha256(encodeUtf8(`tahoe-ts inode ${salt} ${seed}`)));
      if (!inodes.has(number)) return number;
    }
  }
}

/** By the places of both: the inode is this directory or one above it. */
function isAbove(directory: Directory, inode: Inode): boolean {
  for (const above of upwards(directory.inode)) if (above === inode) return true;
  return false;
}

/** By all links that were looked at. */
function leadsDown(from: Inode, to: Inode): boolean {
  const reached = new Set([from]);
  for (const { directory } of reached) {
    const { clean, dirty } = directory!;
    for (const child of [...clean.values(), ...Array.from(dirty.values(), ({ child }) => child)]) {
      if (child === to) return true;
      if (child?.directory !== undefined) reached.add(child);
    }
  }
  return false;
}

function toInodeNumber(bytes: Uint8Array): InodeNumber {
  // 53 bits, so that it fits into a JavaScript number
  const masked = bytes.slice(0, 8);
  masked[0] = 0;
  masked[1]! &= 0x1f;
  // 0 and 1 have meanings of their own in the kernel
  return Math.max(2, readU64(masked, 0)) as InodeNumber;
}
