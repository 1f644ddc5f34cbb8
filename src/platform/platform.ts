import type { Clock } from './clock.js';
import type { Entropy } from './entropy.js';
import type { FileStore } from './file-store.js';
import type { Logger } from './logger.js';

/** The outside world in one argument. Built for real in src/node only. */
export interface Platform {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly files: FileStore;
  readonly log: Logger;
}
