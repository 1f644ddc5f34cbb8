/** A conflict at the moment when it is found, and counted. */
import { conflictName } from './conflict-name.js';
import type { VfsCore } from './core.js';
import type { OpenConflict } from './inode.js';
import { joinPath, pathOf } from './paths.js';

/** What the finder says of it. Without a name for the copy it is the first that is free in the directory. */
export type FoundConflict = Omit<OpenConflict, 'id' | 'copyName' | 'path' | 'whenMs'> & { readonly copyName?: string };

/** It is known to nobody yet: the ledger keeps it. */
export function newConflict({ tree, platform, nodeName, counters }: VfsCore, found: FoundConflict): OpenConflict {
  const { directory, name } = found;
  counters.conflictsFound++;
  const whenMs = platform.clock.wallMs();
  const isTaken = (candidate: string) => directory.isTaken(candidate);
  return {
    ...found,
    id: tree.nextChange(),
    copyName: found.copyName ?? conflictName(name, { node: nodeName, wallMs: whenMs }, isTaken),
    path: joinPath(pathOf(directory.inode), name),
    whenMs,
  };
}
