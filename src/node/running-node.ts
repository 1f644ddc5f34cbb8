import type { FileStore } from '../platform/file-store.js';
import type { KeySource } from '../vfs/key-pool.js';
import type { VfsStatus } from '../vfs/vfs.js';

/** Something that runs until it is stopped. */
export interface RunningNode {
  /** For the line that says that it is ready. */
  readonly description: string;
  /** Stops in order: what is acknowledged is kept. May be called once. */
  stop(): Promise<void>;
  /** Of a node that keeps what is not on the grid yet. */
  readonly pending?: PendingWork;
}

export interface PendingWork {
  /** Resolves when a command asks the node to end. */
  readonly stopRequested: Promise<void>;
  status(): VfsStatus;
  /**
   * Takes mounts and SFTP away, so that nothing new comes in, and resolves when everything written is on the grid, when
   * nothing has moved for a minute, or when the signal is aborted. What is left stays in the journal.
   */
  settle(signal: AbortSignal, onProgress: (status: VfsStatus) => void): Promise<void>;
}

export interface RunOptions {
  /** Gets one line for each warning and error. */
  readonly warn: (line: string) => void;
  /** What is on this computer only for longer than this raises an alarm. Ten minutes if not given. */
  readonly alarmAfterSeconds?: number | undefined;
  /** The disk, for those who break it. */
  readonly files?: FileStore | undefined;
  /** See LogOptions. */
  readonly journalSegmentBytes?: number | undefined;
  /** For new directories and mutable files, instead of making them. */
  readonly keys?: KeySource | undefined;
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

/** `step`, done at the first call only; every call waits for that. */
export function runOnce(step: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => {
    running ??= step();
    return running;
  };
}
