/**
 * The storage servers that a client has: those of `private/servers.yaml`, and those that introducers announce while it
 * runs. A static one wins over an announced one of the same id (storage-http spec 7).
 */
import type { ServerId } from '../encoding/brands.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Announcement } from '../introducer/introducer.js';
import { serializeNurl } from '../storage-protocol/nurl.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import type { HttpsStorageServer } from './https-storage-server.js';
import { connectServer, parseAnnouncement, type ServerAnnouncement } from './server-list.js';
import { type ServerStatus, ServerTracker, type ServerTrackerOptions } from './server-tracker.js';

/** Each is asked again and again whether it is there: whoever announces decides whom this node calls. */
const MAX_SERVERS = 1000;

export interface GridServerStatus extends ServerStatus {
  /** Requests sent to it so far, without those for its version. */
  readonly requests: number;
}

interface Known {
  readonly server: HttpsStorageServer;
  readonly address: ServerAnnouncement;
  /** Undefined for a static one, which nothing replaces. */
  readonly sequenceNumber: number | undefined;
}

export class GridServers {
  readonly #options: ServerTrackerOptions;
  readonly #tracker: ServerTracker;
  readonly #known = new Map<ServerId, Known>();
  readonly #requests = new Map<StorageServer, () => number>();
  readonly #firstProbes = new Set<Promise<void>>();
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(options: ServerTrackerOptions) {
    this.#options = options;
    this.#tracker = new ServerTracker(options);
  }

  /** A server that stays, whatever is announced. One that cannot be used is left out with a warning. */
  addStatic(address: ServerAnnouncement): void {
    this.#add(address, undefined);
  }

  /** What an introducer announces. One that cannot be used is left out with a warning. */
  announced({ serverId, fields }: Announcement): void {
    const known = this.#known.get(serverId);
    if (this.#isClosed || (known !== undefined && known.sequenceNumber === undefined)) return;
    const sequenceNumber = typeof fields.seqnum === 'number' ? fields.seqnum : 0;
    try {
      const address = parseAnnouncement(serverId, fields);
      // Several introducers pass on the same server, each with a number of its own.
      if (known !== undefined && isSameServer(known.address, address)) {
        this.#known.set(serverId, { ...known, sequenceNumber: Math.max(sequenceNumber, known.sequenceNumber ?? 0) });
        return;
      }
      if (known !== undefined && sequenceNumber < (known.sequenceNumber ?? 0)) return;
      if (known === undefined && this.#known.size >= MAX_SERVERS) throw tooMany();
      this.#remove(known);
      this.#add(address, sequenceNumber);
    } catch (error) {
      this.#options.log.warn('an announced server is left out', { server: serverId, error: describeError(error) });
    }
  }

  /** Resolves when each server known now has been asked once whether it is there. */
  async firstProbes(): Promise<void> {
    await Promise.all(this.#firstProbes);
  }

  all(): StorageServer[] {
    return this.#tracker.servers();
  }

  /** False for one that did not answer last time. */
  isReachable(server: StorageServer): boolean {
    return this.#tracker.isReachable(server);
  }

  /** Calls the listener whenever a server answers that did not before. Returns what ends that. */
  onReturn(listener: () => void): () => void {
    return this.#tracker.onReturn(listener);
  }

  statuses(): GridServerStatus[] {
    return this.#tracker
      .statuses()
      .map((status) => ({ ...status, requests: this.#requests.get(status.server)?.() ?? 0 }));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#tracker.stop();
    for (const known of this.#known.values()) this.#remove(known);
    await Promise.all(this.#closing);
  }

  #add(address: ServerAnnouncement, sequenceNumber: number | undefined): void {
    try {
      const server = connectServer(address, this.#options.clock);
      this.#known.set(address.id, { server, address, sequenceNumber });
      this.#requests.set(server, () => server.requests);
      forgetWhenDone(this.#firstProbes, this.#tracker.add(server));
    } catch (error) {
      this.#options.log.warn('a server is left out', { server: address.nickname, error: describeError(error) });
    }
  }

  #remove(known: Known | undefined): void {
    if (known === undefined) return;
    this.#known.delete(known.address.id);
    this.#requests.delete(known.server);
    this.#tracker.remove(known.server);
    // Requests under way fail as with any server that goes away.
    forgetWhenDone(this.#closing, known.server.close());
  }
}

function tooMany(): TahoeError {
  return new TahoeError(`there are ${MAX_SERVERS} servers already`, { kind: 'too-large', op: 'servers.announced' });
}

function forgetWhenDone(promises: Set<Promise<void>>, work: Promise<void>): void {
  const entry = work.finally(() => promises.delete(entry));
  promises.add(entry);
}

function isSameServer(a: ServerAnnouncement, b: ServerAnnouncement): boolean {
  return JSON.stringify(comparable(a)) === JSON.stringify(comparable(b));
}

/** The order of a server's addresses means nothing. */
function comparable({ id, nickname, permutationSeed, tubId, nurls }: ServerAnnouncement) {
  return [id, nickname, [...permutationSeed], [...tubId], nurls.map(serializeNurl).sort()];
}
