/** One end of Foolscap connections: a certificate, the objects that have a name here, and the connections with other tubs. */
import { once, setMaxListeners } from 'node:events';
import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { encodeBase32 } from '../encoding/base32.js';
import { toHex } from '../encoding/bytes.js';
import { asTahoeError, describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { Logger } from '../platform/logger.js';
import type { CertificatePair } from '../transport/certificate.js';
import { tubIdOf } from '../transport/tub-certificate.js';
import type { BananaLimits } from './banana-tree.js';
import { type Furl, parseTcpHint, serializeFurl, type TcpAddress } from './furl.js';
import {
  type ConnectionName,
  type Hello,
  isMaster,
  readDecision,
  readHello,
  replacesConnection,
  sendDecision,
  sendHello,
  sendRefusal,
} from './negotiation.js';
import { PbConnection } from './pb-connection.js';
import type { Referenceable, RemoteReference } from './pb-value.js';
import { type SecuredPeer, secureAsClient, secureAsServer } from './tls-upgrade.js';

export interface TubOptions {
  readonly certificate: CertificatePair;
  readonly limits: BananaLimits;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Logger;
  /** Default 240 s. */
  readonly keepaliveMs?: number;
  /** Connections that may come in at a time; further ones are closed at once. Default 1000. */
  readonly maxConnections?: number;
}

/** What a client makes of a reference to an object in another tub. */
export interface RemoteObject {
  readonly connection: PbConnection;
  readonly reference: RemoteReference;
}

const NEGOTIATION_LIMIT_MS = 120_000;
/** For one of several addresses. */
const ADDRESS_LIMIT_MS = 30_000;
const DEFAULT_KEEPALIVE_MS = 240_000;
const DEFAULT_MAX_CONNECTIONS = 1000;
const MAX_REMEMBERED_PEERS = 10_000;

interface Established {
  readonly connection: PbConnection;
  readonly peerIncarnation: string | undefined;
  readonly name: ConnectionName | undefined;
}

export class Tub {
  /** 32 characters of base32. */
  readonly tubId: string;
  readonly #options: TubOptions;
  readonly #incarnation: string;
  readonly #objects = new Map<string, Referenceable>();
  readonly #names = new Map<Referenceable, string>();
  readonly #connections = new Map<string, Established>();
  readonly #dialing = new Map<string, Promise<PbConnection>>();
  /** What a slave calls its last connection to a master, told it at the next. */
  readonly #lastConnections = new Map<string, ConnectionName>();
  readonly #sequenceNumbers = new Map<string, number>();
  readonly #raw = new Set<Socket>();
  readonly #closed = new AbortController();
  #hints: readonly string[] = [];
  #server: Server | undefined;

  constructor(options: TubOptions) {
    this.#options = options;
    this.tubId = encodeBase32(tubIdOf(options.certificate));
    this.#incarnation = toHex(options.entropy.bytes(8));
    // One for each connection that is being made.
    setMaxListeners(0, this.#closed.signal);
  }

  /** Under which addresses others reach this tub: hints such as `tcp:HOST:PORT`. */
  setLocation(hints: readonly string[]): void {
    this.#hints = hints;
  }

  /** Gives the object a name; whoever knows it may call the object. Returns its FURL. */
  register(name: string, object: Referenceable): string {
    this.#objects.set(name, object);
    this.#names.set(object, name);
    return this.#furlOf(name);
  }

  /** Port 0 takes any free one; the answer says which. Kind `internal` if it cannot listen. */
  async listen(port: number, host: string): Promise<TcpAddress> {
    const server = createServer((socket) => void this.#accept(socket));
    server.maxConnections = this.#options.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
    try {
      const listening = once(server, 'listening');
      server.listen(port, host);
      await listening;
    } catch (error) {
      throw asTahoeError(error, 'foolscap.listen');
    }
    server.on('error', (error) => this.#options.log.error('Foolscap server', { error: describeError(error) }));
    this.#server = server;
    return { host, port: (server.address() as AddressInfo).port };
  }

  /**
   * The object of a FURL, over the connection to its tub that is there or a new one. Kinds `unreachable`, `timeout`,
   * `protocol`, `not-found` (the tub has no such object), `invalid` (it is this tub), `unsupported` (no TCP address),
   * `closed`.
   */
  async connect(furl: Furl): Promise<RemoteObject> {
    const connection = await this.#connectionTo(furl);
    return { connection, reference: await connection.referenceByName(furl.name) };
  }

  /** Closes every connection and listens no more. */
  async close(): Promise<void> {
    this.#closed.abort(new TahoeError('the tub was closed', { kind: 'closed', op: 'foolscap.tub' }));
    const server = this.#server;
    const closed = server === undefined ? undefined : new Promise<void>((resolve) => server.close(() => resolve()));
    for (const { connection } of [...this.#connections.values()]) connection.close('the tub was closed');
    for (const socket of this.#raw) socket.destroy();
    await closed;
  }

  #furlOf(name: string): string {
    return serializeFurl({ tubId: this.tubId, hints: this.#hints, name });
  }

  async #connectionTo(furl: Furl): Promise<PbConnection> {
    const present = this.#connections.get(furl.tubId);
    if (present !== undefined) return present.connection;
    // Two connections to one tub would close each other.
    const dialing = this.#dialing.get(furl.tubId) ?? this.#dial(furl).finally(() => this.#dialing.delete(furl.tubId));
    this.#dialing.set(furl.tubId, dialing);
    return dialing;
  }

  async #dial({ tubId, hints }: Furl): Promise<PbConnection> {
    if (tubId === this.tubId) {
      throw new TahoeError('a tub cannot connect to itself', { kind: 'invalid', op: 'foolscap.connect' });
    }
    const addresses = hints.flatMap((hint) => parseTcpHint(hint) ?? []);
    let failure = new TahoeError('the FURL has no TCP address', { kind: 'unsupported', op: 'foolscap.connect' });
    for (const address of addresses) {
      try {
        return await this.#within(ADDRESS_LIMIT_MS, (signal) => this.#dialAddress(tubId, address, signal));
      } catch (error) {
        failure = asTahoeError(error, 'foolscap.connect');
      }
    }
    throw failure;
  }

  async #dialAddress(tubId: string, address: TcpAddress, signal: AbortSignal): Promise<PbConnection> {
    const raw = new Socket();
    return this.#holding(raw, signal, async () => {
      await connected(raw, address);
      const peer = await secureAsClient(raw, { tubId, host: address.host }, this.#options.certificate, signal);
      if (peer.certifiedTubId !== tubId) {
        throw new TahoeError('at this address is another tub than the FURL says', {
          kind: 'unreachable',
          op: 'foolscap.connect',
        });
      }
      return this.#negotiate(peer, this.#lastConnections.get(tubId) ?? 'none', signal);
    });
  }

  async #accept(raw: Socket): Promise<void> {
    try {
      await this.#within(NEGOTIATION_LIMIT_MS, (signal) =>
        this.#holding(raw, signal, async () => {
          const peer = await secureAsServer(raw, this.tubId, this.#options.certificate, signal);
          return this.#negotiate(peer, undefined, signal);
        }),
      );
    } catch (error) {
      const reason = describeError(error);
      this.#options.log.debug('a Foolscap connection did not come about', { peer: raw.remoteAddress, reason });
    }
  }

  /** Destroys the socket if `work` fails or is stopped. */
  async #holding<Result>(raw: Socket, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    this.#raw.add(raw);
    raw.on('close', () => this.#raw.delete(raw));
    raw.on('error', () => raw.destroy());
    raw.setNoDelay(true);
    const onAbort = () => raw.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      return await work();
    } catch (error) {
      raw.destroySoon();
      throw signal.aborted ? signal.reason : error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async #negotiate(
    { socket, certifiedTubId }: SecuredPeer,
    lastConnection: Hello['lastConnection'],
    signal: AbortSignal,
  ): Promise<PbConnection> {
    sendHello(socket, { tubId: this.tubId, incarnation: this.#incarnation, lastConnection });
    const hello = await readHello(socket, signal);
    if (hello.tubId !== certifiedTubId || hello.tubId === this.tubId) {
      await sendRefusal(socket, 'the tub id is not that of the certificate');
      throw new TahoeError('the peer has another certificate than it says', {
        kind: 'protocol',
        op: 'foolscap.negotiate',
      });
    }
    if (!isMaster(this.tubId, hello.tubId)) {
      const name = await readDecision(socket, signal);
      return this.#establish(socket, hello, name);
    }
    const existing = this.#connections.get(hello.tubId);
    if (existing?.name !== undefined && !replacesConnection({ ...existing, connection: existing.name }, hello)) {
      await sendRefusal(socket, 'Duplicate connection');
      throw new TahoeError('the peer has a connection already', { kind: 'busy', op: 'foolscap.negotiate' });
    }
    const sequenceNumber = (this.#sequenceNumbers.get(hello.tubId) ?? 0) + 1;
    remember(this.#sequenceNumbers, hello.tubId, sequenceNumber);
    const name = { masterIncarnation: this.#incarnation, sequenceNumber };
    sendDecision(socket, name);
    return this.#establish(socket, hello, name);
  }

  #establish(socket: SecuredPeer['socket'], hello: Hello, name: ConnectionName | undefined): PbConnection {
    const { limits, clock, log, keepaliveMs = DEFAULT_KEEPALIVE_MS } = this.#options;
    this.#connections.get(hello.tubId)?.connection.close('a newer connection took its place');
    if (name !== undefined && name.masterIncarnation !== this.#incarnation) {
      remember(this.#lastConnections, hello.tubId, name);
    }
    const connection = new PbConnection({
      stream: socket,
      peerTubId: hello.tubId,
      peerAddress: `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`,
      limits,
      lookUp: (objectName) => this.#objects.get(objectName),
      furlOf: (object) => {
        const objectName = this.#names.get(object);
        return objectName === undefined || this.#hints.length === 0 ? undefined : this.#furlOf(objectName);
      },
      keepaliveMs,
      clock,
      log,
    });
    const established = { connection, peerIncarnation: hello.incarnation, name };
    const { ended } = connection.peer;
    if (ended.aborted) return connection;
    this.#connections.set(hello.tubId, established);
    ended.addEventListener('abort', () => {
      if (this.#connections.get(hello.tubId) === established) this.#connections.delete(hello.tubId);
    });
    if (this.#closed.signal.aborted) connection.close('the tub was closed');
    return connection;
  }

  /** Runs `work` with a signal that is aborted after `limitMs` and when the tub is closed. */
  async #within<Result>(limitMs: number, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    const limit = new AbortController();
    const timer = this.#options.clock.setTimer(limitMs, () =>
      limit.abort(new TahoeError('the peer is too slow', { kind: 'timeout', op: 'foolscap.connect' })),
    );
    const onClosed = () => limit.abort(this.#closed.signal.reason);
    this.#closed.signal.addEventListener('abort', onClosed, { once: true });
    if (this.#closed.signal.aborted) onClosed();
    try {
      return await work(limit.signal);
    } finally {
      timer.cancel();
      this.#closed.signal.removeEventListener('abort', onClosed);
    }
  }
}

function connected(socket: Socket, { host, port }: TcpAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: unknown;
    const onError = (error: unknown) => {
      failure = error;
    };
    const onClose = () => {
      const message = 'nobody answers at this address';
      reject(new TahoeError(message, { kind: 'unreachable', op: 'foolscap.connect', cause: failure }));
    };
    socket.once('error', onError).once('close', onClose);
    socket.connect({ host, port }, () => {
      socket.off('error', onError).off('close', onClose);
      resolve();
    });
  });
}

/** Forgets the oldest when there are too many: peers can make new tubs as they like. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_REMEMBERED_PEERS) map.delete(map.keys().next().value as string);
}
