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

export interface Defect {
  readonly name: string;
  readonly what: string;
  /** The grid on which it shows best; all of them by turns if not given. */
  readonly config?: string;
  /** How many seeds of 200 steps, from 1 on, it takes to find it: as measured. */
  readonly seeds: number | { readonly moreThan: number };
  readonly seams: Seams;
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
