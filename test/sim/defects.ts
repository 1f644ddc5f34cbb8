/**
 * Deliberate defects: each is a mistake that a program like this is known to make, put into one of its edges (seams.ts).
 * A simulation that does not find them has not looked.
 *
 * The rows of vfs blueprint 13 are all here, some as a mistake at an edge that comes to the same: answers taken for others,
 * tests left out, problems not told.
 */
import { diskDefects } from './defects-of-disk.js';
import { gridDefects } from './defects-of-grid.js';
import { journalDefects } from './defects-of-journal.js';
import { mergeDefects } from './defects-of-merge.js';
import { slotDefects } from './defects-of-slots.js';
import { treeDefects } from './defects-of-tree.js';
import type { Seams } from './seams.js';

export type Defect = {
  readonly name: string;
  readonly what: string;
  readonly seams: Seams;
} & (FoundBySeeds | FoundByScript);

interface FoundBySeeds {
  /** How many seeds of 200 steps, from 1 on, it takes to find it: as measured. */
  readonly seeds: number;
  /** The grid on which it shows best; all of them by turns if not given. */
  readonly config?: string;
  readonly script?: never;
}

/** It takes a course of events that hundreds of seeds do not come to. */
interface FoundByScript {
  /** File with the steps that show it. */
  readonly script: string;
  readonly config?: never;
  readonly seeds?: never;
}

export const defects: readonly Defect[] = [
  ...diskDefects,
  ...journalDefects,
  ...treeDefects,
  ...gridDefects,
  ...slotDefects,
  ...mergeDefects,
];

export function defectNamed(name: string): Defect | undefined {
  return defects.find((defect) => defect.name === name);
}
