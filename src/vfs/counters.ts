/** What has happened since the node started, in numbers. */
import type { VfsMetrics } from './vfs.js';

/** Upper bounds in seconds: from a file that is already there to one that waits for servers. */
const FSYNC_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

export class Counters {
  conflictsFound = 0;
  uncoordinatedWriteErrors = 0;
  namesMissing = 0;
  fsyncFailures = 0;
  #fsyncSum = 0;
  readonly #fsyncCounts = FSYNC_BUCKETS.map(() => 0);
  #fsyncCount = 0;

  noteFsync(seconds: number): void {
    this.#fsyncSum += seconds;
    this.#fsyncCount++;
    const bucket = FSYNC_BUCKETS.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) this.#fsyncCounts[bucket]!++;
  }

  metrics(): VfsMetrics {
    let sofar = 0;
    const buckets = FSYNC_BUCKETS.map((upperBound, index) => {
      sofar += this.#fsyncCounts[index]!;
      return { upperBound, count: sofar };
    });
    const fsyncSeconds = { buckets, sum: this.#fsyncSum, count: this.#fsyncCount };
    return { fsyncFailures: this.fsyncFailures, namesMissing: this.namesMissing, fsyncSeconds };
  }
}
