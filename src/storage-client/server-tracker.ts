import { setMaxListeners } from 'node:events';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock, Timer } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { Logger } from '../platform/logger.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';

const PROBE_EVERY_MS = 15_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
const PROBE_LIMIT_MS = 5_000;

export interface ServerStatus {
  readonly server: StorageServer;
  readonly state: 'unknown' | 'connected' | 'failed';
  /** Wall time of the last good answer. */
  readonly lastContactMs: number | undefined;
  readonly availableSpace: number | undefined;
  readonly applicationVersion: string | undefined;
  /** Why the last probe failed. */
  readonly failure: string | undefined;
}

export interface ServerTrackerOptions {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Logger;
}

/** Knows which of the servers answer, by asking each for its version now and then, less often while it fails. */
export class ServerTracker {
  readonly #options: ServerTrackerOptions;
  readonly #tracked = new Map<StorageServer, Tracked>();
  readonly #stopped = new AbortController();

  constructor(options: ServerTrackerOptions) {
    this.#options = options;
    // One for each server that is being asked.
    setMaxListeners(0, this.#stopped.signal);
  }

  /** Resolves after one probe of the server; probing goes on until `remove` or `stop`. */
  async add(server: StorageServer): Promise<void> {
    const tracked = new Tracked(server);
    this.#tracked.set(server, tracked);
    await this.#round(tracked);
  }

  remove(server: StorageServer): void {
    this.#tracked.get(server)?.timer?.cancel();
    this.#tracked.delete(server);
  }

  stop(): void {
    const reason = new TahoeError('stopped', { kind: 'cancelled', op: 'servers.track' });
    this.#stopped.abort(reason);
    for (const tracked of this.#tracked.values()) tracked.timer?.cancel();
  }

  statuses(): ServerStatus[] {
    return Array.from(this.#tracked.values(), (tracked) => tracked.status);
  }

  servers(): StorageServer[] {
    return [...this.#tracked.keys()];
  }

  /** False for one that did not answer last time. */
  isReachable(server: StorageServer): boolean {
    return this.#tracked.get(server)?.status.state !== 'failed';
  }

  async #round(tracked: Tracked): Promise<void> {
    await this.#probe(tracked);
    if (this.#stopped.signal.aborted || !this.#tracked.has(tracked.server)) return;
    const delayMs = tracked.failures === 0 ? PROBE_EVERY_MS : this.#retryDelay(tracked.failures);
    tracked.timer = this.#options.clock.setTimer(delayMs, () => void this.#round(tracked));
  }

  /** Never fails: whatever happens is the new status. */
  async #probe(tracked: Tracked): Promise<void> {
    const { server, status } = tracked;
    try {
      const version = await server.version({ signal: this.#stopped.signal, timeoutMs: PROBE_LIMIT_MS });
      const { availableSpace, applicationVersion } = version;
      const lastContactMs = this.#options.clock.wallMs();
      if (status.state === 'failed') this.#options.log.info('server is back', { server: server.nickname });
      tracked.failures = 0;
      tracked.status = {
        ...status,
        state: 'connected',
        lastContactMs,
        availableSpace,
        applicationVersion,
        failure: undefined,
      };
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      const failure = describeError(error);
      if (status.state !== 'failed') this.#options.log.warn('server fails', { server: server.nickname, failure });
      tracked.failures += 1;
      tracked.status = { ...status, state: 'failed', failure };
    }
  }

  /** Doubles with each failure; between half and all of it, so that clients do not come back in step. */
  #retryDelay(failures: number): number {
    const fullMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
    return fullMs * (0.5 + this.#options.entropy.fraction() / 2);
  }
}

class Tracked {
  status: ServerStatus;
  failures = 0;
  timer: Timer | undefined;

  constructor(readonly server: StorageServer) {
    this.status = {
      server,
      state: 'unknown',
      lastContactMs: undefined,
      availableSpace: undefined,
      applicationVersion: undefined,
      failure: undefined,
    };
  }
}
