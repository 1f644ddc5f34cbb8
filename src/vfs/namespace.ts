/**
 * Directories as they stand on the grid, brought here and kept fresh, and the inodes of their entries. Answers come from
 * the proven contents with this node's own changes over them.
 */
import { type DirectoryCap, isDirectory, isReadable, parseKnownCap, serializeCap } from '../caps/cap.js';
import { type PackedEntry, parseDirectory } from '../dirnode/packing.js';
import { bytesEqual } from '../encoding/bytes.js';
import { describeError, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { standingVersion } from '../mutable/assess-slot.js';
import { compareVersions, versionKey } from '../mutable/lineage.js';
import { isCurrent, readSlot, type SlotContents } from '../mutable/read-slot.js';
import { quorumsSeen, type SlotMap } from '../mutable/slot-map.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { VfsCore } from './core.js';
import { applyEntry, type EntryFacts, factsOf } from './entry-codec.js';
import { EntryInodes } from './entry-inodes.js';
import type { Directory, DirectoryBase, Inode } from './inode.js';
import { LostNames } from './lost-names.js';
import { entryKey } from './names.js';
import { hasForeignEntries } from './overwritten.js';
import { DEPTH_MAX } from './paths.js';
import type { RememberedDirectory } from './remembered-directories.js';
import { isReached, leaveLost, movedTo, placesSeen } from './seen-places.js';
import { isDisplaced, isProvenAt } from './tree.js';

/** After a check that could not be made the next one is due this soon. */
const RECHECK_MS = 1000;

export class Namespace {
  readonly #core: VfsCore;
  readonly inodes: EntryInodes;
  readonly #lost: LostNames;

  /** Asked when the link of a directory is gone: true if it is changed again here. See directory-adoption.ts. */
  linkGone: (parent: Directory, name: string, inode: Inode, entry: PackedEntry | undefined) => boolean = () => false;

  /** Called after a look at the grid has given this node something to publish. */
  changed: () => void = () => {};

  constructor(core: VfsCore) {
    this.#core = core;
    this.inodes = new EntryInodes(core);
    this.#lost = new LostNames(core, this);
  }

  /** See Vfs.openRoot. */
  async openRoot(capText: string): Promise<Directory> {
    const cap = parseKnownCap(capText);
    if (!isDirectory(cap) || !isReadable(cap)) {
      throw new TahoeError('not the capability of a directory that can be read', {
        kind: 'not-a-directory',
        op: 'vfs.open-root',
      });
    }
    const known = this.#core.tree.findDirectory(cap);
    if (known !== undefined) {
      known.isRoot = true;
      await this.load(known);
      return known;
    }
    const inode = this.#core.tree.addInode(this.inodes.rootNumber(cap), 'directory');
    inode.mode = 0o755;
    inode.uid = this.#core.settings.defaultUid;
    inode.gid = this.#core.settings.defaultGid;
    const directory = this.#core.tree.addDirectory(inode, cap, this.#core.platform.clock.monotonicMs());
    directory.isRoot = true;
    try {
      await this.load(directory);
    } catch (error) {
      this.#core.tree.forgetDirectory(directory);
      throw error;
    }
    return directory;
  }

  /** Makes the contents available, not older than the freshness time unless the grid cannot be asked. */
  async load(directory: Directory): Promise<void> {
    if (!this.isLoadDue(directory)) return;
    directory.loading ??= this.#refresh(directory).finally(() => {
      directory.loading = undefined;
    });
    await directory.loading;
  }

  isLoadDue(directory: Directory): boolean {
    if (!directory.isBorn) {
      directory.base ??= { version: undefined, entries: new Map(), sizeBytes: 0 };
      return false;
    }
    if (directory.base === undefined) return true;
    // while it is being published the publisher looks at it, and an immutable one never changes
    if (directory.keys === undefined || isBeingPublished(directory)) return false;
    return this.#core.platform.clock.monotonicMs() - directory.checkedAtMs > this.#core.settings.freshnessMs;
  }

  /** What the view has under a name. The directory must have been loaded. */
  child(directory: Directory, name: string): Inode | undefined {
    const key = entryKey(name);
    this.#recheckRing(directory, key);
    const known = this.#core.tree.known(directory, key);
    if (known !== 'unknown') return known;
    return this.#inodeOf(directory, directory.base!.entries.get(key)!);
  }

  /** All of the view. The directory must have been loaded. */
  children(directory: Directory): [string, Inode][] {
    const found: [string, Inode][] = [];
    for (const entry of directory.base!.entries.values()) {
      if (directory.dirty.has(entry.name)) continue;
      this.#recheckRing(directory, entry.name);
      const inode = directory.clean.get(entry.name) ?? this.#inodeOf(directory, entry);
      found.push([inode.displayName ?? entry.name, inode]);
    }
    for (const { name, child } of directory.dirty.values()) {
      if (child !== undefined) found.push([child.displayName ?? name, child]);
    }
    return found;
  }

  isEmpty(directory: Directory): boolean {
    for (const { child } of directory.dirty.values()) if (child !== undefined) return false;
    for (const name of directory.base!.entries.keys()) if (!directory.dirty.has(name)) return false;
    return true;
  }

  /** Looks at what every server has of a directory that this node cannot publish. */
  lookAgain(directory: Directory): Promise<SlotMap> {
    return this.#readMutable(directory, true);
  }

  /**
   * Takes over contents read from the grid or just proven. Inodes of entries that somebody else changed follow; names
   * that are dirty here keep this node's view. Returns what was synced here and is gone, for `listMissing`. `remembered`:
   * what was proven here last, for a directory that was not looked at since the start.
   */
  adopt(
    directory: Directory,
    version: Checkstring | undefined,
    content: Uint8Array,
    remembered?: RememberedDirectory,
  ): readonly PackedEntry[] {
    this.#core.tree.fromMemory.delete(directory);
    return this.#take(directory, version, content, remembered);
  }

  #take(
    directory: Directory,
    version: Checkstring | undefined,
    content: Uint8Array,
    remembered?: RememberedDirectory,
  ): readonly PackedEntry[] {
    const deepImmutable = directory.keys === undefined;
    const entries = parseDirectory(content, { deepImmutable });
    const before = directory.base;
    directory.base = { version, entries, sizeBytes: content.length };
    directory.checkedAtMs = this.#core.platform.clock.monotonicMs();
    directory.isShared ||= hasForeignEntries(directory.base);
    const missing = this.#lost.restore(directory, before ?? baseOf(remembered));
    for (const [name, inode] of [...directory.clean]) {
      const entry = entries.get(name);
      // of an inode that came out of the journal it is not known whether it is still what the grid has
      const known = before?.entries.get(name)?.raw;
      if (entry !== undefined && known !== undefined && bytesEqual(entry.raw, known)) continue;
      this.#follow(directory, name, inode, entry, known);
    }
    return missing;
  }

  /** Names that were synced here and are gone, as `adopt` has found them: see lost-names.ts. */
  listMissing(directory: Directory, missing: readonly PackedEntry[]): void {
    this.#lost.list(directory, missing);
  }

  /** A name of which this node has given up its own change: the view has what the grid has. */
  refollow(directory: Directory, name: string): void {
    const inode = directory.clean.get(name);
    if (inode !== undefined) this.#follow(directory, name, inode, directory.base?.entries.get(name), undefined);
  }

  /**
   * Asks whether the link that leads to a directory is still there, however lately it was looked at. False if it is gone
   * and that cannot be seen to yet, because the directory above is being published.
   */
  async recheckLink(linked: Directory): Promise<boolean> {
    const { place } = linked.inode;
    if (place === undefined || place.directory.dirty.has(place.name) || !place.directory.isBorn) return true;
    const above = place.directory;
    if (above.keys !== undefined && isBeingPublished(above)) {
      const { content } = await readSlot(this.#core.slots, above.keys, {
        quorums: this.#core.quorums,
        proven: above.proven,
      });
      const entry = parseDirectory(content, { deepImmutable: false }).get(place.name);
      return entry !== undefined && this.inodes.leadsTo(above, entry, linked);
    }
    above.checkedAtMs = Number.NEGATIVE_INFINITY;
    await this.load(above);
    return true;
  }

  /** Asks for every link from a root down to an inode. False if one of them is gone. */
  async recheckChain(inode: Inode): Promise<boolean> {
    for (let at = inode, depth = 0; depth < DEPTH_MAX; depth++) {
      const { place } = at;
      if (place === undefined) return at.directory?.isRoot === true || at.directory?.isLost === false;
      await this.recheckLink(place.directory);
      at = place.directory.inode;
    }
    return false;
  }

  /** The view has this inode under a clean name. */
  place(directory: Directory, name: string, inode: Inode): void {
    directory.clean.set(name, inode);
    if (inode.place !== undefined && !isReached(inode.place)) movedTo(inode, { directory, name });
    inode.place ??= { directory, name };
    if (inode.directory !== undefined) inode.directory.isLost = false;
    // where it stood before is older: the journal does not know what others have moved
    if (isSamePlace(inode, directory, name) && !isDisplaced(inode)) inode.provenPlace = { directory, name };
  }

  /** Contents that this node has just published: what its clean inodes already say. */
  adoptOwn(
    directory: Directory,
    version: Checkstring,
    entries: ReadonlyMap<string, PackedEntry>,
    sizeBytes: number,
  ): void {
    directory.base = { version, entries, sizeBytes };
    directory.checkedAtMs = this.#core.platform.clock.monotonicMs();
    this.#core.tree.fromMemory.delete(directory);
    this.#lost.settle(directory);
  }

  async #refresh(directory: Directory): Promise<void> {
    const { cap, keys, base } = directory;
    const { platform, settings } = this.#core;
    if (keys === undefined) {
      this.adopt(directory, undefined, await this.#readImmutable(cap!));
      return;
    }
    if (base?.version !== undefined) {
      const current = await isCurrent(this.#core.slots, keys, base.version, this.#core.quorums);
      if (current !== false) {
        const dueInMs = current === true ? settings.freshnessMs : RECHECK_MS;
        directory.checkedAtMs = platform.clock.monotonicMs() - settings.freshnessMs + dueInMs;
        if (current === true) this.#core.tree.fromMemory.delete(directory);
        return;
      }
    }
    try {
      await this.#readMutable(directory);
    } catch (error) {
      if (!isTahoeError(error, 'unreachable', 'timeout', 'unrecoverable')) throw error;
      // what is known stays readable while the grid is away, and what was proven here last is known
      if (base === undefined && !(await this.#showRemembered(directory))) throw error;
      directory.checkedAtMs = platform.clock.monotonicMs() - settings.freshnessMs + RECHECK_MS;
      platform.log.warn('a directory could not be looked at again', { error: describeError(error) });
    }
  }

  async #readMutable(directory: Directory, isPatient = false): Promise<SlotMap> {
    const keys = directory.keys!;
    const { slots, quorums, remembered, platform } = this.#core;
    const memory = await remembered.get(directory);
    if (directory.proven === undefined && memory !== undefined) directory.proven = memory.version;
    const before = directory.base;
    const read = await readSlot(slots, keys, { quorums, proven: directory.proven, isPatient });
    // what this node has proven meanwhile, or is about to, is newer than what was read before it
    if (directory.base !== undefined && (directory.base !== before || isBeingPublished(directory))) return read.map;
    const { proven } = directory;
    const isRolledBack = proven !== undefined && compareVersions(read.version, proven) < 0;
    if (isRolledBack && memory !== undefined && compareVersions(memory.version, proven) >= 0) {
      const reason = 'the servers show an older version than the one proven here';
      if (!directory.isWriteable) directory.problem = { state: 'failed', reason };
      platform.log.error('a directory was rolled back on the servers; the remembered contents are shown', {
        provenSequence: proven.sequenceNumber,
        seenSequence: read.version.sequenceNumber,
      });
      this.adopt(directory, memory.version, memory.content);
      directory.isRolledBack = directory.isWriteable;
      this.#core.tree.notePending(directory);
      this.changed();
      return read.map;
    }
    this.listMissing(directory, this.adopt(directory, read.version, read.content, memory));
    this.#noteStanding(directory, read, before?.version);
    return read.map;
  }

  /** False if nothing is remembered. What is changed over it is judged like any change of what others have changed since. */
  async #showRemembered(directory: Directory): Promise<boolean> {
    const memory = await this.#core.remembered.get(directory);
    if (memory === undefined) return false;
    if (directory.base !== undefined) return true;
    this.#core.tree.fromMemory.add(directory);
    this.#take(directory, memory.version, memory.content);
    return true;
  }

  #noteStanding(directory: Directory, { map, version }: SlotContents, before: Checkstring | undefined): void {
    const quorums = quorumsSeen(map, this.#core.sharesHappy) ?? this.#core.quorums;
    const known = before === undefined ? [] : [before];
    directory.standing =
      standingVersion(map, versionKey(version), known, quorums, directory.keys!.readKey) ?? directory.standing;
  }

  async #readImmutable(cap: DirectoryCap): Promise<Uint8Array> {
    const { inner } = cap;
    if (inner.type !== 'chk' && inner.type !== 'lit') {
      throw new TahoeError(`directories of type ${inner.type} cannot be read`, {
        kind: 'unsupported',
        op: 'vfs.read-directory',
      });
    }
    const file = this.#core.grid.open(inner);
    return file.read(0, file.sizeBytes);
  }

  /** What has been looked at or moved since may have made a link one that leads back, or one that does so no more. */
  #recheckRing(directory: Directory, name: string): void {
    const inode = directory.clean.get(name);
    if (inode === undefined) return;
    if (inode.directory !== undefined) {
      if (!isSamePlace(inode, directory, name) && this.inodes.leadsBack(directory, inode)) directory.clean.delete(name);
    } else if (this.inodes.stillLeadsBack(directory, inode) === false) {
      directory.clean.delete(name);
      inode.place = inode.provenPlace = undefined;
      this.#core.tree.dropIfUnused(inode);
    }
  }

  #inodeOf(directory: Directory, entry: PackedEntry): Inode {
    const inode = this.inodes.of(directory, entry);
    this.place(directory, entry.name, inode);
    return inode;
  }

  /** Somebody else changed or removed the entry of a clean name. */
  #follow(
    directory: Directory,
    name: string,
    inode: Inode,
    entry: PackedEntry | undefined,
    known: Uint8Array | undefined,
  ): void {
    const { settings, notify, tree, ledger } = this.#core;
    if (inode.directory === undefined && !isSamePlace(inode, directory, name)) {
      // the journal knows that it was moved here, and not that others had taken it from there before
      directory.clean.delete(name);
      if (isProvenAt(inode, directory, name)) inode.provenPlace = undefined;
      notify({ what: 'entry', parent: directory.inode.number, name });
      return;
    }
    if (known !== undefined && inode.content?.overlay !== undefined && isSamePlace(inode, directory, name)) {
      // it is being written: that is a change of what stood there until now, to be judged when it is published
      const displaced = isProvenAt(inode, directory, name) ? inode : undefined;
      ledger.names([{ directory, name, child: inode, expected: known, displaced }]);
      this.changed();
      return;
    }
    const facts = entry === undefined ? undefined : factsOf(directory, entry);
    const isSame = facts !== undefined && facts.kind === inode.kind && isSameObject(inode, facts);
    if (isSame) {
      applyEntry(inode, facts, { uid: settings.defaultUid, gid: settings.defaultGid });
      tree.takeChild(inode, facts.child);
      if (inode.content !== undefined) notify({ what: 'content', inode: inode.number });
      notify({ what: 'attributes', inode: inode.number });
      return;
    }
    if (entry === undefined) {
      // whoever removed the copy has decided
      for (const conflict of [...directory.conflicts])
        if (conflict.copyName === name) ledger.conflictResolved(conflict);
    }
    const isPlaced = isSamePlace(inode, directory, name);
    // unless what was moved there has the name already
    if (directory.clean.get(name) === inode) directory.clean.delete(name);
    const elsewhere = isPlaced ? placesSeen(tree, [inode]).get(inode) : undefined;
    if (elsewhere !== undefined) {
      inode.place = elsewhere;
      if (!isDisplaced(inode)) inode.provenPlace = elsewhere;
    } else if (isPlaced && inode.directory !== undefined && this.linkGone(directory, name, inode, entry)) {
      this.changed();
      return;
    }
    if (isSamePlace(inode, directory, name)) {
      inode.place = undefined;
      if (inode.directory !== undefined) inode.directory.isLost = true;
    }
    if (isProvenAt(inode, directory, name)) inode.provenPlace = undefined;
    if (inode.directory?.isLost === true) leaveLost(tree, inode.directory);
    tree.dropIfUnused(inode);
    notify({ what: 'entry', parent: directory.inode.number, name });
  }
}

/** The publisher looks at it then, and knows more than a reader. */
function isBeingPublished({ attempts, publishing, isWriteable }: Directory): boolean {
  return attempts.length > 0 || (isWriteable && publishing.running !== undefined);
}

function isSamePlace(inode: Inode, directory: Directory, name: string): boolean {
  return inode.place?.directory === directory && inode.place.name === name;
}

/** The same inode with other attributes or contents, or something else under the same name. */
function isSameObject(inode: Inode, facts: EntryFacts): boolean {
  if (inode.directory !== undefined) {
    return (
      facts.child.type === 'known' &&
      inode.directory.cap !== undefined &&
      serializeCap(facts.child.cap) === serializeCap(inode.directory.cap)
    );
  }
  return facts.inodeNumber === inode.number;
}

function baseOf(remembered: RememberedDirectory | undefined): DirectoryBase | undefined {
  if (remembered === undefined) return undefined;
  const { version, content } = remembered;
  return { version, entries: parseDirectory(content, { deepImmutable: false }), sizeBytes: content.length };
}
