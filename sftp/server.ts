import * as net from 'node:net';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import { asTahoeError, describeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Clock, Timer } from '../src/platform/clock.js';
import type { Entropy } from '../src/platform/entropy.js';
import type { Logger } from '../src/platform/logger.js';
import type { Vfs } from '../src/vfs/vfs.js';
import type { Account, Accounts } from './accounts.js';
import { authenticate } from './authentication.js';
import type { HostKey } from './host-key.js';
import type { OwnerNames } from './long-name.js';
import { runSession } from './session.js';

export interface SftpServerOptions {
  readonly vfs: Vfs;
  readonly hostKey: HostKey;
  readonly accounts: Accounts;
  readonly listen: { readonly host: string; readonly port: number };
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Logger;
  /** Names of users and groups for listings. */
  readonly names: OwnerNames;
  /** Owner of the files that clients create. */
  readonly owner: { readonly uid: number; readonly gid: number };
  readonly limits?: Partial<SftpServerLimits> | undefined;
}

export interface SftpServerLimits {
  /** Connections that have not logged in yet; more are closed at once. */
  readonly unauthenticatedMax: number;
  /** Time to log in. */
  readonly loginGraceMs: number;
  /** Refused keys of one connection. */
  readonly attemptsMax: number;
  /** Connections in all. */
  readonly connectionsMax: number;
  /** SFTP sessions in one connection. */
  readonly sessionsPerConnectionMax: number;
}

const defaultLimits: SftpServerLimits = {
  unauthenticatedMax: 32,
  loginGraceMs: 60_000,
  attemptsMax: 20,
  connectionsMax: 256,
  sessionsPerConnectionMax: 10,
};

export interface SftpServer {
  readonly address: { readonly host: string; readonly port: number };
  /** Of the host key, as ssh shows it. */
  readonly fingerprint: string;
  /** SFTP sessions open now. */
  readonly sessionCount: number;
  /** Ends all sessions; resolves when their open files are flushed and the port is free. */
  close(): Promise<void>;
}

/**
 * Algorithms offered. A client's order decides, so the slower chacha20 is left out: AES-GCM has twice its throughput
 * here. No SHA-1, no compression.
 */
const algorithms: ssh2.Algorithms = {
  cipher: ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes256-ctr'],
  hmac: ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512'],
  compress: ['none'],
};

/**
 * Clients look at this name to choose a dialect. Ours is OpenSSH's: the order of SYMLINK's arguments, which several
 * clients (WinSCP, ssh2) swap for servers of other names, and packets of 256 KiB.
 */
const ident = 'OpenSSH_tahoe';

const keepaliveIntervalMs = 30_000;
const keepaliveCountMax = 3;

/** Listens; kind `unreachable` if it cannot (address in use, not allowed). */
export async function startSftpServer(options: SftpServerOptions): Promise<SftpServer> {
  const server = new Server(options);
  await server.listen();
  return server;
}

/** One TCP connection, from its first byte to its end. */
interface Peer {
  readonly socket: net.Socket;
  readonly grace: Timer;
  readonly gone: AbortController;
  account: Account | undefined;
  refused: number;
  sessions: number;
}

class Server implements SftpServer {
  readonly #options: SftpServerOptions;
  readonly #limits: SftpServerLimits;
  readonly #log: Logger;
  readonly #listener: net.Server;
  readonly #ssh: ssh2.Server;
  readonly #peers = new Map<string, Peer>();
  readonly #sessions = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  constructor(options: SftpServerOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#log = options.log;
    this.#ssh = new ssh2.Server({
      hostKeys: [options.hostKey.privateKey],
      ident,
      algorithms,
      keepaliveInterval: keepaliveIntervalMs,
      keepaliveCountMax,
    });
    this.#ssh.on('connection', (connection: Connection, info: ssh2.ClientInfo) => {
      const peer = this.#peers.get(peerKey(info.ip, info.port));
      if (peer === undefined) connection.end();
      else this.#greet(connection, peer);
    });
    // connections are taken here, before ssh2 reads a byte, so that silent ones count against the limits too
    this.#listener = net.createServer({ noDelay: true }, (socket) => this.#connected(socket));
  }

  get address() {
    const address = this.#listener.address();
    if (address === null || typeof address === 'string') {
      throw new TahoeError('the SFTP server does not listen', { kind: 'closed', op: 'sftp.server' });
    }
    return { host: address.address, port: address.port };
  }

  get fingerprint(): string {
    return this.#options.hostKey.fingerprint;
  }

  get sessionCount(): number {
    return this.#sessions.size;
  }

  async listen(): Promise<void> {
    const { host, port } = this.#options.listen;
    await new Promise<void>((resolve, reject) => {
      this.#listener.once('error', (cause) => {
        const message = `SFTP cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new TahoeError(message, { kind: 'unreachable', op: 'sftp.listen', subject: `${host}:${port}`, cause }));
      });
      this.#listener.listen(port, host, resolve);
    });
    this.#listener.on('error', (error) => this.#log.error('sftp listener', { error: describeError(error) }));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    const reason = new TahoeError('the SFTP server is stopping', { kind: 'closed', op: 'sftp.server' });
    for (const peer of this.#peers.values()) peer.gone.abort(reason);
    await Promise.all(this.#sessions);
    for (const { socket } of this.#peers.values()) socket.destroySoon();
    await closed;
  }

  #connected(socket: net.Socket): void {
    const waiting = [...this.#peers.values()].filter(({ account }) => account === undefined).length;
    const key = peerKey(socket.remoteAddress, socket.remotePort);
    const full = waiting >= this.#limits.unauthenticatedMax || this.#peers.size >= this.#limits.connectionsMax;
    if (full || this.#closing !== undefined) {
      this.#log.warn('sftp connection refused: too many', { peer: key, waiting, connections: this.#peers.size });
      socket.destroy();
      return;
    }
    const grace = this.#options.clock.setTimer(this.#limits.loginGraceMs, () => {
      this.#log.info('sftp client did not log in in time', { peer: key });
      socket.destroy();
    });
    const gone = new AbortController();
    this.#peers.set(key, { socket, grace, gone, account: undefined, refused: 0, sessions: 0 });
    socket.on('close', () => {
      grace.cancel();
      gone.abort(new TahoeError('the connection is closed', { kind: 'cancelled', op: 'sftp.server' }));
      this.#peers.delete(key);
    });
    this.#ssh.injectSocket(socket);
  }

  #greet(connection: Connection, peer: Peer): void {
    const log = this.#log.child({ peer: peerKey(peer.socket.remoteAddress, peer.socket.remotePort) });
    connection.on('error', (error) => log.debug('sftp connection', { error: describeError(error) }));
    connection.on('authentication', (context) => void this.#authenticate(context, peer, log));
    connection.on('ready', () => {
      peer.grace.cancel();
      log.info('sftp login', { user: peer.account?.username });
    });
    connection.on('session', (accept, reject) => {
      if (peer.sessions >= this.#limits.sessionsPerConnectionMax) reject();
      else this.#openChannel(accept(), peer, log);
    });
  }

  async #authenticate(context: ssh2.AuthContext, peer: Peer, log: Logger): Promise<void> {
    try {
      const answer = await this.#check(context, log);
      if (peer.socket.destroyed) return;
      if (answer !== undefined) {
        if (answer !== 'ask-signature') peer.account = answer;
        context.accept();
        return;
      }
      if (context.method === 'none' || ++peer.refused < this.#limits.attemptsMax) {
        context.reject(['publickey']);
        return;
      }
      log.warn('sftp client tried too many keys', { user: context.username });
    } catch (error) {
      log.warn('sftp login broke off', { error: describeError(error) });
    }
    peer.socket.destroy();
  }

  /** Nobody is let in while the accounts cannot be read. */
  async #check(context: ssh2.AuthContext, log: Logger): Promise<Account | 'ask-signature' | undefined> {
    try {
      return await authenticate(this.#options.accounts, context);
    } catch (error) {
      log.error('sftp login could not be checked', { error: describeError(error) });
      return undefined;
    }
  }

  #openChannel(session: ssh2.Session, peer: Peer, log: Logger): void {
    session.on('pty', (accept) => accept?.());
    session.on('shell', (accept) => refuse(accepted(accept)));
    session.on('exec', (accept) => refuse(accepted(accept)));
    session.on('subsystem', (accept, reject, { name }) => {
      const { account } = peer;
      if (name !== 'sftp' || account === undefined || this.#closing !== undefined) {
        reject?.();
        return;
      }
      const channel = accepted(accept);
      if (channel === undefined) return;
      peer.sessions++;
      const served = this.#serve(channel, account, peer.gone.signal, log).then(() => {
        peer.sessions--;
        this.#sessions.delete(served);
      });
      this.#sessions.add(served);
    });
  }

  async #serve(channel: ServerChannel, account: Account, signal: AbortSignal, log: Logger): Promise<void> {
    const { vfs, clock, entropy, names, owner } = this.#options;
    const sessionLog = log.child({ user: account.username });
    const { rootCap } = account;
    try {
      const streams = { input: channel, output: channel };
      await runSession({ vfs, rootCap, ...streams, clock, entropy, log: sessionLog, names, owner, signal });
      channel.exit(0);
    } catch (error) {
      sessionLog.warn('sftp session failed', { error: describeError(error), kind: asTahoeError(error, 'sftp').kind });
      endWithMessage(channel, describeError(error));
    }
    channel.end();
  }
}

/** The channel, or undefined for a second request in a session that has one; ssh2's types do not say so. */
function accepted(accept: () => ServerChannel | undefined): ServerChannel | undefined {
  return accept();
}

function refuse(channel: ServerChannel | undefined): void {
  if (channel === undefined) return;
  endWithMessage(channel, 'This server speaks SFTP only: no shell and no commands (scp and rsync over ssh need them).');
  channel.end();
}

function endWithMessage(channel: ServerChannel, message: string): void {
  channel.stderr.write(`${message}\n`);
  channel.exit(1);
}

function peerKey(address: string | undefined, port: number | undefined): string {
  return `${address}|${port}`;
}
