/** What tests leave behind and who clears it away: one test, or a group of tests that share something. */
import type { ExecutionContext } from 'ava';

/** The `t` of one test, or a CleanupStack. */
export type Cleanup = Pick<ExecutionContext, 'teardown'>;

type Step = () => Promise<void> | void;

/** For what several tests share. Whoever makes it calls `close`, for example in `test.after.always`. */
export class CleanupStack implements Cleanup {
  readonly #steps: Step[] = [];

  readonly teardown = (step: Step): void => {
    this.#steps.push(step);
  };

  /** Runs the steps, last first, all of them; then throws the first failure. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
