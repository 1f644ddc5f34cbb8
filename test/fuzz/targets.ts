import type { FuzzTarget } from './fuzz-target.js';
import { configTargets } from './targets/config.js';
import { foolscapTargets } from './targets/foolscap.js';
import { frontendTargets } from './targets/frontends.js';
import { journalTargets } from './targets/journal.js';
import { nameTargets } from './targets/names.js';
import { shareTargets } from './targets/shares.js';
import { wireTargets } from './targets/wire.js';

/** Every parser of bytes that come from outside. */
export const fuzzTargets: readonly FuzzTarget[] = [
  ...wireTargets,
  ...foolscapTargets,
  ...shareTargets,
  ...nameTargets,
  ...frontendTargets,
  ...journalTargets,
  ...configTargets,
];
