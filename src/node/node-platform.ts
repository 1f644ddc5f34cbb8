import type { FileStore } from '../platform/file-store.js';
import type { Logger } from '../platform/logger.js';
import type { Platform } from '../platform/platform.js';
import { NodeClock } from './node-clock.js';
import { NodeEntropy } from './node-entropy.js';
import { NodeFileStore } from './node-file-store.js';

/** The real outside world, logging to `log`. */
export function nodePlatform(log: Logger, files: FileStore = new NodeFileStore()): Platform {
  return { clock: new NodeClock(), entropy: new NodeEntropy(), files, log };
}
