import fs from 'node:fs';
import { Worker } from 'node:worker_threads';
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import { deferred } from './deferred.js';
import { writeNotification, writeReply } from './device-write.js';
import type { FuseDevice } from './fuse-device.js';

/** What the worker sends: a message of the kernel, or the code of the error that ended its reading. */
export type WorkerReading = { readonly message: Uint8Array } | { readonly ended: string };

const endCodes: readonly string[] = ['ENODEV', 'ECONNABORTED', 'ENOENT'];

/** Reads the descriptor in a worker that blocks in read(2): for versions of Node without the known internals. */
export class WorkerDevice implements FuseDevice {
  readonly closed: Promise<void>;
  readonly #fd: number;
  readonly #log: Logger;
  readonly #end = deferred<void>();
  #open = true;

  constructor(fd: number, log: Logger) {
    this.closed = this.#end.promise;
    this.#fd = fd;
    this.#log = log;
  }

  start(onMessage: (message: Uint8Array) => Promise<void> | undefined): void {
    const worker = new Worker(new URL('./device-worker.js', import.meta.url), { workerData: this.#fd });
    worker.on('message', (reading: WorkerReading) => {
      if ('message' in reading) void onMessage(reading.message);
      else this.#finish(reading.ended);
    });
    worker.on('error', (error) => {
      this.#open = false;
      this.#end.reject(
        new TahoeError('the reading worker failed', { kind: 'internal', op: 'mount.read', cause: error }),
      );
    });
  }

  reply(message: Uint8Array, data?: Uint8Array): void {
    if (this.#open) writeReply(this.#fd, message, data, this.#log);
  }

  async notify(message: Uint8Array): Promise<void> {
    if (this.#open) await writeNotification(this.#fd, message, this.#log);
  }

  #finish(code: string): void {
    this.#open = false;
    fs.closeSync(this.#fd);
    if (endCodes.includes(code)) this.#end.resolve();
    else this.#end.reject(new TahoeError(`reading kernel requests: ${code}`, { kind: 'internal', op: 'mount.read' }));
  }
}
