import { concatBytes, toHex } from '../encoding/bytes.js';
import { describeError } from '../errors/tahoe-error.js';
import type { Logger } from '../platform/logger.js';
import { parseCheckstring, serializeCheckstring } from '../share-layout/checkstring.js';
import type { Checkstring } from '../share-layout/mutable-share.js';
import type { Directory } from './inode.js';
import type { SealedStore } from './journal/sealed-store.js';

/** Contents of a directory as they were proven last, packed. */
export interface RememberedDirectory {
  readonly version: Checkstring;
  readonly content: Uint8Array;
}

/** Proven contents of mutable directories: shown while the grid is away, and the memory against rollback. */
export class RememberedDirectories {
  readonly #store: SealedStore;
  readonly #log: Logger;

  constructor(store: SealedStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  async get(directory: Directory): Promise<RememberedDirectory | undefined> {
    const bytes = await this.#store.get(keyOf(directory));
    if (bytes === undefined) return undefined;
    const version = parseCheckstring(bytes);
    return { version, content: bytes.subarray(serializeCheckstring(version).length) };
  }

  /** Durable when it resolves, if the disk takes it. */
  async put(directory: Directory, { version, content }: RememberedDirectory): Promise<void> {
    try {
      await this.#store.put(keyOf(directory), concatBytes([serializeCheckstring(version), content]));
    } catch (error) {
      this.#log.warn('the proven contents of a directory could not be remembered', { error: describeError(error) });
    }
  }
}

function keyOf({ keys }: Directory): string {
  return toHex(keys!.storageIndex);
}
