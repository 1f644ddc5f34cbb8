/** What a client that is about to end still keeps for the grid. */
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Vfs, VfsStatus } from '../vfs/vfs.js';
import type { PendingWork } from './running-node.js';

/** Waiting ends when nothing at all has moved for this long: the grid is away, and what is left is safe in the journal. */
const IDLE_MS = 60_000;
const LOOK_MS = 250;

export class ClientPending implements PendingWork {
  readonly stopRequested: Promise<void>;
  readonly #vfs: Pick<Vfs, 'drain' | 'status'>;
  readonly #clock: Clock;
  readonly #shutDoors: () => Promise<void>;
  #requestStop: () => void = () => {};

  constructor(vfs: Pick<Vfs, 'drain' | 'status'>, clock: Clock, shutDoors: () => Promise<void>) {
    this.#vfs = vfs;
    this.#clock = clock;
    this.#shutDoors = shutDoors;
    this.stopRequested = new Promise((resolve) => {
      this.#requestStop = resolve;
    });
  }

  requestStop(): void {
    this.#requestStop();
  }

  status(): VfsStatus {
    return this.#vfs.status();
  }

  async settle(signal: AbortSignal, onProgress: (status: VfsStatus) => void): Promise<void> {
    await this.#shutDoors();
    if (signal.aborted) return;
    const idle = new AbortController();
    const startedMs = this.#clock.monotonicMs();
    const look = () => {
      const status = this.#vfs.status();
      onProgress(status);
      const waitedMs = this.#clock.monotonicMs() - startedMs;
      if (Math.min(status.idleSeconds * 1000, waitedMs) < IDLE_MS) timer = this.#clock.setTimer(LOOK_MS, look);
      else idle.abort(gaveUp());
    };
    let timer = this.#clock.setTimer(LOOK_MS, look);
    try {
      await this.#vfs.drain({ signal: AbortSignal.any([signal, idle.signal]) });
    } catch (error) {
      // what is left is told from the status: nobody waits for it now, or nothing goes on without a decision
      const isExpected = signal.aborted || idle.signal.aborted || isTahoeError(error, 'uncoordinated-write');
      if (!isExpected) throw error;
    } finally {
      timer.cancel();
    }
  }
}

function gaveUp(): TahoeError {
  return new TahoeError('nothing has moved for a minute', { kind: 'timeout', op: 'node.settle' });
}
