/** Asks servers which shares they hold, in permuted order and a few at a time (immutable spec 9.1). */
import type { ServerId, StorageIndex } from '../encoding/brands.js';
import type { Clock } from '../platform/clock.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { boundedCall } from './bounded-call.js';
import type { ServerSpeeds } from './server-speeds.js';

/** Questions outstanding at a time, those not counted that are late. */
const AT_ONCE = 10;

export interface FoundShare {
  readonly server: StorageServer;
  readonly shareNumber: number;
}

export interface ShareFinderOptions {
  /** In permuted order. */
  readonly servers: readonly StorageServer[];
  readonly storageIndex: StorageIndex;
  readonly sharesTotal: number;
  readonly clock: Clock;
  readonly speeds: ServerSpeeds;
  /** After this long a server's answer is still welcome but others are asked. */
  readonly lateAfterMs: number;
  readonly timeoutMs: number;
}

export class ShareFinder {
  readonly found: FoundShare[] = [];
  readonly failures = new Map<ServerId, unknown>();
  readonly #options: ShareFinderOptions;
  readonly #waiters = new Set<() => void>();
  #next = 0;
  /** Asked and not yet settled; the prompt ones among them have a place each. */
  #outstanding = 0;
  #prompt = 0;

  constructor(options: ShareFinderOptions) {
    this.#options = options;
  }

  get serversAsked(): number {
    return this.#next;
  }

  /** Every server has been asked and has answered or failed. */
  get exhausted(): boolean {
    return this.#next >= this.#options.servers.length && this.#outstanding === 0;
  }

  /** Asks the next servers as far as there are places. */
  ask(): void {
    while (this.#prompt < AT_ONCE && this.#next < this.#options.servers.length) {
      // #askServer settles everything itself
      void this.#askServer(this.#options.servers[this.#next++]!);
    }
  }

  /** Calls `wake` whenever something has changed, until the function returned is called. */
  subscribe(wake: () => void): () => void {
    this.#waiters.add(wake);
    return () => this.#waiters.delete(wake);
  }

  async #askServer(server: StorageServer): Promise<void> {
    const { clock, storageIndex, sharesTotal, lateAfterMs, timeoutMs, speeds } = this.#options;
    this.#outstanding++;
    this.#prompt++;
    let prompt = true;
    const vacate = () => {
      if (prompt) this.#prompt--;
      prompt = false;
    };
    const startMs = clock.monotonicMs();
    const late = clock.setTimer(lateAfterMs, () => {
      vacate();
      speeds.noteSlow(server.id, lateAfterMs);
      this.#notify();
    });
    try {
      const bound = { clock, timeoutMs, op: 'immutable.download', subject: server.nickname };
      const shares = await boundedCall(bound, (signal) => server.listShares(storageIndex, { signal, timeoutMs }));
      speeds.note(server.id, clock.monotonicMs() - startMs);
      for (const shareNumber of shares) {
        if (shareNumber < sharesTotal) this.found.push({ server, shareNumber });
      }
    } catch (error) {
      this.failures.set(server.id, error);
    } finally {
      late.cancel();
      vacate();
      this.#outstanding--;
      this.#notify();
    }
  }

  #notify(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
