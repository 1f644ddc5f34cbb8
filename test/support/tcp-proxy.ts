/** A proxy on the loopback interface that does to the bytes of a connection what bad networks and servers do. */
import { once } from 'node:events';
import * as net from 'node:net';
import type { ExecutionContext } from 'ava';

/**
 * `after`: bytes from the server, on one connection, before it happens. With `in: 'answers'` those of the TLS handshake,
 * of which each OpenSSL has another number, are not among them; the first 634 bytes then are its two session tickets.
 */
export type ProxyFault =
  /** Connections are closed before anything is sent. */
  | { readonly kind: 'refuse' }
  /** Connections are taken, and nothing ever passes. */
  | { readonly kind: 'hang' }
  /** Nothing passes any more. */
  | { readonly kind: 'stall'; readonly after: number; readonly in?: 'answers' }
  /** The connection is reset, or ends as if all were said. */
  | { readonly kind: 'reset' | 'end'; readonly after: number; readonly in?: 'answers' }
  /** One bit of the byte there is turned. */
  | { readonly kind: 'flip-bit'; readonly after: number; readonly in?: 'answers' }
  /** Every piece comes late. */
  | { readonly kind: 'slow'; readonly delayMs: number };

/** The type of TLS records that a client sends until it has the keys. */
const HANDSHAKE_RECORD = 22;

export class TcpProxy {
  fault: ProxyFault | undefined;
  /** How often one has happened. */
  faults = 0;
  readonly port: number;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
  }

  /** Ends with the test. */
  static async start(t: ExecutionContext<unknown>, targetPort: number): Promise<TcpProxy> {
    const server = net.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new TcpProxy(server);
    server.on('connection', (client) => proxy.#connect(client, targetPort));
    t.teardown(() => proxy.close());
    return proxy;
  }

  /** Ends the connections that there are; new ones are as `fault` says. */
  breakConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.breakConnections();
    await closed;
  }

  #connect(client: net.Socket, targetPort: number): void {
    this.#keep(client);
    if (this.fault?.kind === 'refuse' || this.fault?.kind === 'hang') {
      this.faults += 1;
      if (this.fault.kind === 'refuse') client.destroy();
      return;
    }
    const server = net.connect(targetPort, '127.0.0.1');
    this.#keep(server);
    let [passed, ofHandshake] = [0, 0];
    let isHandshake = true;
    client.on('data', (chunk) => {
      if (isHandshake && chunk[0] !== HANDSHAKE_RECORD) {
        isHandshake = false;
        ofHandshake = passed;
      }
      server.write(chunk);
    });
    client.on('close', () => server.destroy());
    server.on('data', (chunk) => {
      this.#pass(client, chunk, passed, isHandshake ? undefined : passed - ofHandshake);
      passed += chunk.length;
    });
    server.on('end', () => client.end());
    server.on('close', () => client.destroy());
  }

  /** `passed` before this; `ofAnswers`: of them since the handshake, undefined before its end. */
  #pass(client: net.Socket, chunk: Buffer, passed: number, ofAnswers: number | undefined): void {
    const { fault } = this;
    if (fault?.kind === 'slow') {
      this.faults += 1;
      setTimeout(() => client.write(chunk), fault.delayMs);
      return;
    }
    const at =
      fault === undefined || !('after' in fault)
        ? Number.POSITIVE_INFINITY
        : fault.after - (fault.in === 'answers' ? (ofAnswers ?? Number.NEGATIVE_INFINITY) : passed);
    if (at >= chunk.length) {
      client.write(chunk);
      return;
    }
    if (at >= 0) this.faults += 1;
    if (fault?.kind === 'flip-bit') {
      const changed = Buffer.from(chunk);
      if (at >= 0) changed[at]! ^= 1;
      client.write(changed);
      return;
    }
    if (at > 0) client.write(chunk.subarray(0, at));
    if (fault?.kind === 'reset') client.resetAndDestroy();
    else if (fault?.kind === 'end') client.end();
  }

  #keep(socket: net.Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // what happens to a connection is the matter of those who use it
    socket.on('error', () => socket.destroy());
  }
}
