import { setMaxListeners } from 'node:events';

/** A controller whose signal ends with another one's. Any number of calls may listen to it without a warning. */
export class LinkedController extends AbortController {
  readonly #parent: AbortSignal | undefined;
  readonly #onAbort = () => this.abort(this.#parent?.reason);

  constructor(parent: AbortSignal | undefined) {
    super();
    setMaxListeners(0, this.signal);
    this.#parent = parent;
    if (parent?.aborted) this.#onAbort();
    parent?.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** To be called when the work is done: the other signal may live long. */
  unlink(): void {
    this.#parent?.removeEventListener('abort', this.#onAbort);
  }
}
