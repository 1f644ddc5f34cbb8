import { createHmac } from 'node:crypto';
import { encodeBase32 } from '../../encoding/base32.js';
import { concatBytes, encodeAscii, encodeUtf8 } from '../../encoding/bytes.js';
import { isTahoeError } from '../../errors/tahoe-error.js';
import type { Entropy } from '../../platform/entropy.js';
import type { FileStore } from '../../platform/file-store.js';
import type { Logger } from '../../platform/logger.js';
import { replaceFile } from './replace-file.js';
import { derive } from './segment.js';
import { openXchacha, sealXchacha, XCHACHA_NONCE_BYTES } from './xchacha.js';

const MAGIC = encodeAscii('tahoeSs1');

export interface SealedStoreOptions {
  readonly files: FileStore;
  /** Created when first needed. */
  readonly directory: string;
  /** 32 bytes. */
  readonly masterKey: Uint8Array;
  readonly entropy: Entropy;
  readonly log: Logger;
}

/**
 * Small encrypted files, one per key, each replaced as a whole: magic (8) || nonce (24) || XChaCha20-Poly1305 of the
 * contents, bound to the file's name. The name is an HMAC of the key, so neither keys nor contents can be read from the
 * disk. For what can be had again from elsewhere: a file that does not open is the same as none.
 */
export class SealedStore {
  readonly #options: SealedStoreOptions;
  readonly #nameKey: Uint8Array;
  readonly #contentKey: Uint8Array;
  /** The last operation on each key that is being changed: changes of one key are applied in the order of the calls. */
  readonly #pending = new Map<string, Promise<void>>();

  constructor(options: SealedStoreOptions) {
    this.#options = options;
    this.#nameKey = derive(options.masterKey, new Uint8Array(0), 'sealed store names');
    this.#contentKey = derive(options.masterKey, new Uint8Array(0), 'sealed store contents');
  }

  /** What was put last; undefined if there is nothing, or (with a warning) nothing that opens with this key. */
  async get(key: string): Promise<Uint8Array | undefined> {
    const name = this.#nameOf(key);
    await Promise.allSettled([this.#pending.get(name)]);
    const path = `${this.#directoryOf(name)}/${name}`;
    let file: Uint8Array;
    try {
      file = await this.#options.files.readFile(path);
    } catch (error) {
      if (isTahoeError(error, 'not-found')) return undefined;
      throw error;
    }
    const contents = this.#open(name, file);
    if (contents === undefined) this.#options.log.warn('ignoring an unreadable file of the sealed store', { path });
    return contents;
  }

  /** Durable when it resolves. `bytes` must not change until then. */
  put(key: string, bytes: Uint8Array): Promise<void> {
    const name = this.#nameOf(key);
    return this.#inOrder(name, async () => {
      const directory = this.#directoryOf(name);
      await this.#options.files.makeDirectory(directory);
      await replaceFile(this.#options.files, directory, name, this.#seal(name, bytes));
    });
  }

  /** No error if there is nothing. */
  delete(key: string): Promise<void> {
    const name = this.#nameOf(key);
    return this.#inOrder(name, async () => {
      try {
        await this.#options.files.remove(`${this.#directoryOf(name)}/${name}`);
      } catch (error) {
        if (!isTahoeError(error, 'not-found')) throw error;
      }
    });
  }

  async #inOrder(name: string, change: () => Promise<void>): Promise<void> {
    const earlier = this.#pending.get(name);
    const done = (async () => {
      await Promise.allSettled([earlier]);
      await change();
    })();
    this.#pending.set(name, done);
    try {
      await done;
    } finally {
      if (this.#pending.get(name) === done) this.#pending.delete(name);
    }
  }

  #seal(name: string, bytes: Uint8Array): Uint8Array {
    const nonce = this.#options.entropy.bytes(XCHACHA_NONCE_BYTES);
    return concatBytes([MAGIC, nonce, sealXchacha(this.#contentKey, nonce, bytes, encodeAscii(name))]);
  }

  #open(name: string, file: Uint8Array): Uint8Array | undefined {
    const start = MAGIC.length + XCHACHA_NONCE_BYTES;
    if (file.length < start || !MAGIC.every((byte, index) => file[index] === byte)) return undefined;
    return openXchacha(this.#contentKey, file.subarray(MAGIC.length, start), file.subarray(start), encodeAscii(name));
  }

  #nameOf(key: string): string {
    return encodeBase32(createHmac('sha256', this.#nameKey).update(encodeUtf8(key)).digest().subarray(0, 20));
  }

  /** One of 1,024: directories of a hundred thousand files are slow to list and to back up. */
  #directoryOf(name: string): string {
    return `${this.#options.directory}/${name.slice(0, 2)}`;
  }
}
