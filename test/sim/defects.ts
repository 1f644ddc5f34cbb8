/**
 * Deliberate defects: each is a mistake that a program like this is known to make, put into one of its edges (seams.ts).
 * A simulation that does not find them has not looked.
 *
 * Some rows of vfs blueprint 13 have no seam of their own. What is compared and chosen inside one process (the expected
 * entry, the third side of a merge, the conflict copy, the time to settle) is tested by unit tests of those rules; here
 * stand the mistakes at the edges that come to the same: answers taken for others, tests left out, problems not told.
 */
import { diskDefects } from './defects-of-disk.js';
import { gridDefects } from './defects-of-grid.js';
import { journalDefects } from './defects-of-journal.js';
import { slotDefects } from './defects-of-slots.js';
import { treeDefects } from './defects-of-tree.js';
import type { Seams } from './seams.js';

export interface Defect {
  readonly name: string;
  readonly what: string;
  /** The grid on which it shows best; all of them by turns if not given. */
  readonly config?: string;
  /** How many seeds of 200 steps, from 1 on, it takes to find it: as measured. */
  readonly seeds: number;
  readonly seams: Seams;
}

export const defects: readonly Defect[] = [
  ...diskDefects,
  ...journalDefects,
  ...treeDefects,
  ...gridDefects,
  ...slotDefects,
];

export function defectNamed(name: string): Defect | undefined {
  return defects.find((defect) => defect.name === name);
}
