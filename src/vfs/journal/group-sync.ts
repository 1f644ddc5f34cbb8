/**
 * Natural group commit: one run at a time; callers who arrive while it runs share the next one, so each is answered by
 * a run that began after its call. No timer.
 */
export class GroupSync {
  readonly #run: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(run: () => Promise<void>) {
    this.#run = run;
  }

  request(): Promise<void> {
    this.#next ??= this.#startNext();
    return this.#next;
  }

  async #startNext(): Promise<void> {
    // Also without a run before it this waits one microtask, which gathers the callers of the same turn.
    await Promise.allSettled([this.#running]);
    this.#next = undefined;
    this.#running = this.#run();
    await this.#running;
  }
}
