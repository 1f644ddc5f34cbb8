/**
 * RSA keys for new directories, made ahead: a key takes 40 to 300 ms of a processor, and whoever makes a directory
 * should not wait for it. In a worker of its own and synchronously there: the asynchronous generator would occupy the
 * thread pool that all file operations share.
 */
import { Worker } from 'node:worker_threads';
import { TahoeError } from '../errors/tahoe-error.js';

export interface KeyPair {
  /** PKCS#8 DER. */
  readonly privateKeyDer: Uint8Array;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKeyDer: Uint8Array;
}

export interface KeySource {
  /** A key pair that nobody else gets. Kind `closed` after close. */
  take(): Promise<KeyPair>;
  close(): Promise<void>;
}

/** Keys kept ready by a node that makes directories, and by one that has made none yet: a start must not cost seconds. */
const READY = 32;
const READY_AT_START = 4;

export class KeyPool implements KeySource {
  readonly #ready: KeyPair[] = [];
  readonly #waiting: { resolve(pair: KeyPair): void; reject(error: Error): void }[] = [];
  #worker: Worker | undefined;
  #ordered = 0;
  #isClosed = false;

  take(): Promise<KeyPair> {
    if (this.#isClosed) return Promise.reject(closed());
    const pair = this.#ready.shift();
    const promise =
      pair !== undefined
        ? Promise.resolve(pair)
        : new Promise<KeyPair>((resolve, reject) => {
            this.#waiting.push({ resolve, reject });
          });
    this.#order(READY);
    return promise;
  }

  /** Starts making the first keys. */
  fill(): void {
    this.#order(READY_AT_START);
  }

  #order(ready: number): void {
    if (this.#isClosed) return;
    const worker = this.#startedWorker();
    for (; this.#ready.length + this.#ordered - this.#waiting.length < ready; this.#ordered++)
      worker.postMessage('key');
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
    await this.#worker?.terminate();
  }

  #startedWorker(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./key-worker.js', import.meta.url));
    worker.unref();
    worker.on('message', (pair: KeyPair) => {
      this.#ordered--;
      const next = this.#waiting.shift();
      if (next === undefined) this.#ready.push(pair);
      else next.resolve(pair);
    });
    worker.on('error', (cause) => {
      this.#worker = undefined;
      this.#ordered = 0;
      const error = new TahoeError('the key generator failed', { kind: 'internal', op: 'vfs.key', cause });
      for (const { reject } of this.#waiting.splice(0)) reject(error);
    });
    this.#worker = worker;
    return worker;
  }
}

function closed(): TahoeError {
  return new TahoeError('the node is stopping', { kind: 'closed', op: 'vfs.key' });
}
