/**
 * Where directories stand in the view when other writers move them: a directory has one place, though it may be seen at
 * two while only one of the directories that name it has been looked at again, or because it is linked twice.
 */
import type { Directory, Inode, Place } from './inode.js';
import { upwards } from './paths.js';
import type { Tree } from './tree.js';

/** Clean names under which these directories were seen, one of each. `except`: not in this one. */
export function placesSeen(tree: Tree, wanted: readonly Inode[], except?: Directory): Map<Inode, Place> {
  const places = new Map<Inode, Place>();
  const directories = new Set(wanted.filter((inode) => inode.directory !== undefined));
  if (directories.size === 0) return places;
  for (const { directory } of tree.inodes.values()) {
    if (directory === undefined || directory.isDiscarded || directory === except) continue;
    for (const [name, child] of directory.clean) if (directories.has(child)) places.set(child, { directory, name });
  }
  return places;
}

/** What another writer had moved out of a directory before it was lost is where it was seen since. */
export function leaveLost(tree: Tree, lost: Directory): void {
  const left = [...lost.clean.values()].filter(({ place }) => place?.directory === lost);
  for (const [inode, place] of placesSeen(tree, left, lost)) movedTo(inode, place);
}

/** From a directory that is lost. */
export function movedTo(inode: Inode, place: Place): void {
  if (inode.place !== undefined) inode.place.directory.clean.delete(inode.place.name);
  inode.place = place;
  inode.provenPlace = place;
}

/** A change of ours stands there, or the way up leads to a root. */
export function isReached(place: Place): boolean {
  if (place.directory.dirty.has(place.name)) return true;
  for (const { directory } of upwards(place.directory.inode)) if (directory?.isRoot) return true;
  return false;
}
