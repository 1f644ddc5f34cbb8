/** Where an inode is, as people write it. */
import type { Inode } from './inode.js';

/** Above this many levels a chain of places is a loop. */
export const DEPTH_MAX = 10_000;

/** From the root that leads to it; for messages. */
export function pathOf(inode: Inode): string {
  const parts: string[] = [];
  for (let current: Inode | undefined = inode; current?.place !== undefined && parts.length < DEPTH_MAX; ) {
    parts.unshift(current.displayName ?? current.place.name);
    current = current.place.directory.inode;
  }
  return `/${parts.join('/')}`;
}

export function joinPath(above: string, name: string): string {
  return above === '/' ? `/${name}` : `${above}/${name}`;
}
