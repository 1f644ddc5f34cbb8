import type { Dispatcher } from 'undici';
import { ArrivingBytes } from '../encoding/arriving-bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

export interface HttpResponse {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly contentRange: string | undefined;
  /** At most the limit; of an error answer its beginning. */
  readonly body: Uint8Array;
}

export interface ExchangeLimits {
  /** More in an answer below 300 is an error of kind `protocol`. */
  readonly bodyBytes: number;
  /** More in any other answer is cut off. */
  readonly errorBytes: number;
  /** Where a body of exactly this length is put. Not touched after the end of the exchange, by whatever cause. */
  readonly into?: Uint8Array | undefined;
}

/** More of an answer that nobody waits for is not worth its connection. */
const LARGEST_DROPPED_BYTES = 64 * 1024;
/** Taken for a body before any of it has come, however long it says to be. */
const FIRST_BODY_BYTES = 1024 * 1024;

/**
 * Collects one answer of undici's dispatch. The body is copied into one buffer as it arrives, which saves the joining at
 * its end and makes pieces of one byte cost no more than large ones.
 */
export class HttpExchange implements Dispatcher.DispatchHandler {
  readonly #limits: ExchangeLimits;
  readonly #resolve: (response: HttpResponse) => void;
  readonly #reject: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | undefined;
  #abortReason: Error | undefined;
  #status = 0;
  #contentType: string | undefined;
  #contentRange: string | undefined;
  #body = new ArrivingBytes(0, new Uint8Array(0));
  #bytesToCome = 0;
  #onLeftBehind: (() => void) | undefined;

  constructor(limits: ExchangeLimits, resolve: (response: HttpResponse) => void, reject: (error: unknown) => void) {
    this.#limits = limits;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** True once any of the answer has arrived. */
  get hasStarted(): boolean {
    return this.#status !== 0;
  }

  /** Ends it with this error; a request that is still queued ends when its turn comes, its promise at once. */
  abort(reason: Error): void {
    this.#abortReason = reason;
    this.#reject(reason);
    this.#controller?.abort(reason);
  }

  /**
   * As abort, but lets a short answer arrive and drops it: aborting costs the connection, and the next request a
   * handshake on both sides. `onEnd` is called when the connection is free again, unless it was never in use.
   */
  leave(reason: Error, onEnd: () => void): void {
    // A length that is not known is NaN.
    if (this.#controller === undefined || !(this.#bytesToCome <= LARGEST_DROPPED_BYTES)) {
      onEnd();
      this.abort(reason);
      return;
    }
    this.#abortReason = reason;
    this.#onLeftBehind = onEnd;
    this.#reject(reason);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason !== undefined) controller.abort(this.#abortReason);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#contentType = single(headers['content-type']);
    this.#contentRange = single(headers['content-range']);
    const length = Number(single(headers['content-length']) ?? Number.NaN);
    this.#bytesToCome = length;
    if (this.#abortReason !== undefined) {
      if (!(length <= LARGEST_DROPPED_BYTES)) controller.abort(this.#abortReason);
      return;
    }
    if (status < 300 && length > this.#limits.bodyBytes) this.#refuse(controller);
    else this.#body = this.#bodyOf(status, length);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    this.#bytesToCome -= chunk.length;
    if (this.#abortReason !== undefined) return;
    if (this.#status >= 300) this.#body.append(chunk.subarray(0, this.#body.missing));
    else if (chunk.length > this.#body.missing) this.#refuse(controller);
    else this.#body.append(chunk);
  }

  onResponseEnd(): void {
    this.#onLeftBehind?.();
    const contentType = this.#contentType;
    this.#resolve({ status: this.#status, contentType, contentRange: this.#contentRange, body: this.#body.bytes() });
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#onLeftBehind?.();
    this.#reject(this.#abortReason ?? error);
  }

  #refuse(controller: Dispatcher.DispatchController): void {
    this.#abortReason = protocolError('an answer is longer than it may be');
    controller.abort(this.#abortReason);
  }

  /** `length` is what the answer says, or NaN. */
  #bodyOf(status: number, length: number): ArrivingBytes {
    const { bodyBytes, errorBytes, into } = this.#limits;
    if (status < 300 && into?.length === length) return new ArrivingBytes(length, into);
    const limit = status < 300 ? bodyBytes : errorBytes;
    const expected = Number.isNaN(length) ? limit : Math.min(length, limit);
    return new ArrivingBytes(expected, Buffer.allocUnsafeSlow(Math.min(expected, FIRST_BODY_BYTES)));
  }
}

function single(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.[0];
}

function protocolError(message: string): TahoeError {
  return new TahoeError(message, { kind: 'protocol', op: 'storage.response' });
}
