/** Where an inode is, as people write it. */
import type { Inode } from './inode.js';

/** Above this many levels a chain of places is a loop. */
export const DEPTH_MAX = 10_000;

/** The inode and the directories above it, as far as places lead. */
export function* upwards(inode: Inode): Generator<Inode, void> {
  let current: Inode | undefined = inode;
  for (let depth = 0; current !== undefined && depth < DEPTH_MAX; depth++) {
    yield current;
    current = current.place?.directory.inode;
  }
}

/** From the root that leads to it; for messages. */
export function pathOf(inode: Inode): string {
  const parts: string[] = [];
  for (const { displayName, place } of upwards(inode)) if (place !== undefined) parts.push(displayName ?? place.name);
  parts.reverse();
  return `/${parts.join('/')}`;
}

export function joinPath(above: string, name: string): string {
  return above === '/' ? `/${name}` : `${above}/${name}`;
}
