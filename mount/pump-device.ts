import type { Duplex } from 'node:stream';
import { deferred } from './deferred.js';
import type { FuseDevice } from './fuse-device.js';
import { messageBytesMax, requestHeaderBytes } from './kernel-constants.js';
import { MessageSplitter } from './message-splitter.js';

/** A connection that another process holds and forwards (see pump.ts). */
export class PumpDevice implements FuseDevice {
  readonly closed: Promise<void>;
  readonly #link: Duplex;
  readonly #end = deferred<void>();
  #open = true;

  constructor(link: Duplex) {
    this.closed = this.#end.promise;
    this.#link = link;
    link.on('error', (error) => this.#end.reject(error));
    link.on('close', () => {
      this.#open = false;
      this.#end.resolve();
    });
  }

  start(onMessage: (message: Uint8Array) => Promise<void> | undefined): void {
    const splitter = new MessageSplitter(requestHeaderBytes, messageBytesMax);
    this.#link.on('data', (chunk: Uint8Array) => {
      try {
        splitter.add(chunk, (message) => void onMessage(message));
      } catch (error) {
        this.#link.destroy(error instanceof Error ? error : undefined);
      }
    });
  }

  reply(message: Uint8Array, data?: Uint8Array): void {
    if (!this.#open) return;
    this.#link.cork();
    this.#link.write(message);
    if (data !== undefined && data.length > 0) this.#link.write(data);
    this.#link.uncork();
  }

  async notify(message: Uint8Array): Promise<void> {
    if (!this.#open) return;
    await new Promise<void>((resolve) => {
      this.#link.write(message, () => resolve());
    });
  }
}
