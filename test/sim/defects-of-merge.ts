/** Nodes that merge by another rule (vfs blueprint 13). */
import type { Fork } from '../../src/mutable/assess-slot.js';
import { DeltaMerge } from '../../src/vfs/delta-merge.js';
import { DirectoryMerge, type MergedBase } from '../../src/vfs/directory-merge.js';
import type { Directory } from '../../src/vfs/inode.js';
import type { Defect } from './defects.js';
import type { Seams } from './seams.js';

type MergedBaseMethod = DirectoryMerge['mergedBase'];

function withMergedBase(change: (inner: MergedBaseMethod) => MergedBaseMethod): Seams {
  return {
    parts: () => {
      const inner = DirectoryMerge.prototype.mergedBase;
      DirectoryMerge.prototype.mergedBase = change(inner);
      return () => {
        DirectoryMerge.prototype.mergedBase = inner;
      };
    },
  };
}

/** Whatever stands there is taken for what the user acted on. */
function withoutExpected(): () => void {
  const inner = DeltaMerge.prototype.freeze;
  DeltaMerge.prototype.freeze = function (input) {
    for (const dirty of input.directory.dirty.values()) dirty.expected = input.merged.get(dirty.name)?.raw;
    return inner.call(this, input);
  };
  return () => {
    DeltaMerge.prototype.freeze = inner;
  };
}

export const mergeDefects: readonly Defect[] = [
  {
    name: 'expected-not-compared',
    what: 'a change is made over whatever stands there, and not over what the user acted on only',
    seeds: 1,
    seams: { parts: withoutExpected },
  },
  {
    name: 'old-base-reused',
    what: 'after a collision the next attempt is built on the contents that the last one was built on',
    seeds: 1,
    seams: withMergedBase((inner) => {
      const last = new WeakMap<Directory, MergedBase>();
      return async function (this: DirectoryMerge, directory, map, base) {
        const merged = await inner.call(this, directory, map, base);
        const old = directory.publishing.failures > 0 ? last.get(directory) : undefined;
        if (!('entries' in merged)) return merged;
        const used = old === undefined ? merged : { ...merged, entries: old.entries };
        last.set(directory, used);
        return used;
      };
    }),
  },
  {
    // the two are the same version unless the base is two steps away: an unproven version on a proven one, and beside
    // them one built on what was before both. Then what the step between has added seems to be removed
    name: 'third-side-of-the-base',
    what: 'versions published side by side are merged by what the base was built on, and not by what both were',
    script: 'test/sim/defects/third-side-of-the-base.json',
    seams: withMergedBase(
      (inner) =>
        function (this: DirectoryMerge, directory, map, base) {
          const [ancestor] = base.lineage;
          const forks = base.forks.map((fork): Fork => ({ ...fork, ancestor }));
          return inner.call(this, directory, map, { ...base, forks });
        },
    ),
  },
];
