/** Which changes of a directory may be published now. */
import { assert } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Directory, DirtyName, Inode } from './inode.js';
import { isProvenAt } from './tree.js';
import type { WantedFiles } from './wanted-files.js';

/** Longer chains of places than this are loops. */
const DEPTH_MAX = 1000;

export class EligibleNames {
  readonly #core: VfsCore;
  /** Files whose newest complete generation is wanted now, though they are open or already written again. */
  readonly #wanted: WantedFiles;

  constructor(core: VfsCore, wanted: WantedFiles) {
    this.#core = core;
    this.#wanted = wanted;
  }

  /** Names that may go into an attempt now: contents are on the grid, and what they displace is safe elsewhere. */
  of(directory: Directory): DirtyName[] {
    const chosen = new Map<string, DirtyName>();
    for (const dirty of directory.dirty.values()) if (this.#isReady(dirty)) chosen.set(dirty.name, dirty);
    for (let removed = true; removed; ) {
      removed = false;
      for (const dirty of chosen.values()) {
        if (!this.#losesDisplaced(directory, dirty, chosen)) continue;
        chosen.delete(dirty.name);
        removed = true;
      }
    }
    return [...chosen.values()];
  }

  /** A file that is being written is not shown half done, unless somebody asks for it or it has been open for long. */
  #isReady({ child, sinceMs }: DirtyName): boolean {
    if (child === undefined) return true;
    if (child.directory !== undefined) return child.directory.isBorn;
    const { content } = child;
    if (content === undefined) return true;
    const { overlay, uploaded, writers, generation } = content;
    // an older one must not be published as if it were what the name was changed for
    if (overlay !== undefined) return uploaded?.generation === generation;
    const isNew = child.provenPlace === undefined && generation === 0;
    if (!isNew || writers === 0 || this.#wanted.has(child)) return true;
    return this.#core.platform.clock.monotonicMs() - sinceMs > this.#core.settings.openFileMs;
  }

  /** True if publishing this name would take away the only name by which the grid has an inode that lives on elsewhere. */
  #losesDisplaced(directory: Directory, dirty: DirtyName, chosen: ReadonlyMap<string, DirtyName>): boolean {
    const { displaced } = dirty;
    if (displaced === undefined || displaced === dirty.child || displaced.place === undefined) return false;
    const { place, provenPlace } = displaced;
    if (!isProvenAt(displaced, directory, dirty.name)) {
      return provenPlace !== undefined && !isReachable(provenPlace.directory, directory, chosen);
    }
    if (place.directory === directory) return !chosen.has(place.name);
    if (place.directory.dirty.has(place.name)) return !isFirstOfRing(dirty);
    return !isReachable(place.directory, directory, chosen);
  }
}

/** The capability that an entry for this inode carries. */
export function contentCap(inode: Inode) {
  const { content } = inode;
  // a mutable file keeps its capability
  if (content === undefined || inode.other !== undefined) return undefined;
  const cap = content.overlay === undefined ? content.base : content.uploaded?.cap;
  assert(cap !== undefined && cap.type !== 'mutable', 'a file whose content is on the grid');
  return cap;
}

/** True if others can come to a directory by names that are on the grid, or that go there with those chosen now. */
function isReachable(place: Directory, directory: Directory, chosen: ReadonlyMap<string, DirtyName>): boolean {
  for (let at = place, depth = 0; depth < DEPTH_MAX; depth++) {
    const { inode } = at;
    if (!at.isBorn) return false;
    // a root, or one that is known by its capability only
    if (inode.place === undefined) return !at.isLost;
    if (inode.provenPlace === undefined) {
      if (inode.place.directory !== directory || !chosen.has(inode.place.name)) return false;
      return true;
    }
    at = inode.provenPlace.directory;
  }
  return true;
}

/**
 * Files that changed places across directories wait for each other in a ring. The name changed first goes ahead: what it
 * displaces is then for a moment in this node's journal only.
 */
function isFirstOfRing(dirty: DirtyName): boolean {
  for (let at = dirty, depth = 0; depth < DEPTH_MAX; depth++) {
    const place = at.displaced?.place;
    const next = place?.directory.dirty.get(place.name);
    if (next === dirty) return true;
    if (next === undefined || next.change < dirty.change) return false;
    at = next;
  }
  return false;
}
