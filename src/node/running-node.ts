/** Something that runs until it is stopped. */
export interface RunningNode {
  /** For the line that says that it is ready. */
  readonly description: string;
  /** Stops in order: what is acknowledged is kept. May be called once. */
  stop(): Promise<void>;
}

export interface RunOptions {
  /** Gets one line for each warning and error. */
  readonly warn: (line: string) => void;
}

/** Undoes what has been started, last first, whatever happens on the way; then throws the first failure. */
export class StopStack {
  readonly #steps: (() => Promise<void>)[] = [];

  push(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  async unwind(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
