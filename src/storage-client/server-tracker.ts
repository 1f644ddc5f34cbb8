import { setMaxListeners } from 'node:events';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock, Timer } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { Logger } from '../platform/logger.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';

const PROBE_EVERY_MS = 15_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
/** While so many fail that others may be waiting for them: at most this long, or this long for each that is known. */
const OUTAGE_RETRY_MS = 5_000;
const OUTAGE_RETRY_EACH_MS = 100;
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

/**
 * Knows which of the servers answer, by asking each for its version now and then, less often while it fails. While a third
 * of them or more fail, which may be too many for anything to be written, it asks more often; and all of them when the
 * first one is back after none answered: it was the way to them that was broken.
 */
export class ServerTracker {
  readonly #options: ServerTrackerOptions;
  readonly #tracked = new Map<StorageServer, Tracked>();
  readonly #stopped = new AbortController();
  readonly #listeners = new Set<() => void>();

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

  /** Calls the listener whenever a server answers that did not before. Returns what ends that. */
  onReturn(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async #round(tracked: Tracked): Promise<void> {
    tracked.timer?.cancel();
    tracked.timer = undefined;
    const hadNone = this.statuses().every(({ state }) => state === 'failed');
    const wasAway = tracked.status.state !== 'connected';
    await this.#probe(tracked);
    if (this.#stopped.signal.aborted || !this.#tracked.has(tracked.server)) return;
    const delayMs = tracked.failures === 0 ? PROBE_EVERY_MS : this.#retryDelay(tracked.failures);
    tracked.timer = this.#options.clock.setTimer(delayMs, () => void this.#round(tracked));
    if (!wasAway || tracked.failures > 0) return;
    for (const listener of this.#listeners) listener();
    if (!hadNone) return;
    // one that has no timer is being asked
    for (const other of this.#tracked.values())
      if (other.failures > 0 && other.timer !== undefined) void this.#round(other);
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
    const statuses = this.statuses();
    const failed = statuses.filter(({ state }) => state === 'failed').length;
    const isOutage = 3 * failed >= statuses.length;
    const outageMs = Math.max(OUTAGE_RETRY_MS, OUTAGE_RETRY_EACH_MS * statuses.length);
    const longestMs = isOutage ? Math.min(LONGEST_RETRY_MS, outageMs) : LONGEST_RETRY_MS;
    const fullMs = Math.min(longestMs, FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10));
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
