import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { secretsEqual } from '../crypto/constant-time.js';
import { asTahoeError, describeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { serializeAuthorization } from '../storage-protocol/http-headers.js';
import { HttpAnswer } from './http-answer.js';
import { matchRoute } from './http-router.js';
import { runRoute } from './http-routes.js';
import { pickHeaders } from './request-headers.js';
import type { StorageService } from './service.js';

/** Longer than clients keep idle connections (50 s ours, 60 s the reference), so that the server never closes first. */
const KEEP_ALIVE_MS = 75_000;
const SILENCE_LIMIT_MS = 120_000;
const CLOSE_GRACE_MS = 2_000;
const DEFAULT_MAX_READ_TEST_WRITE = 512 * 1024 * 1024;

export interface StorageHttpsServerOptions {
  readonly service: StorageService;
  /** PEM; one self-signed certificate. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
  readonly swissnum: string;
  readonly log: Logger;
  readonly clock: Clock;
  /** A read-test-write with a longer body is refused; it is held in memory. Default 512 MiB. */
  readonly maxReadTestWriteBytes?: number;
}

/** Speaks storage-http for one StorageService. Many can live in one process. */
export class StorageHttpsServer {
  readonly #options: StorageHttpsServerOptions;
  readonly #server: Server;
  readonly #authorization: Uint8Array;

  constructor(options: StorageHttpsServerOptions) {
    this.#options = options;
    this.#authorization = Buffer.from(serializeAuthorization(options.swissnum), 'latin1');
    this.#server = createServer({ cert: options.certificate, key: options.privateKey, minVersion: 'TLSv1.2' });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    // A large body over a slow line may take any time as long as it moves.
    this.#server.requestTimeout = 0;
    this.#server.timeout = SILENCE_LIMIT_MS;
    this.#server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#onRequest(request, response);
    });
  }

  /** Port 0 takes any free one; the answer says which. Kind `internal` if it cannot listen. */
  async listen(port: number, host: string): Promise<{ readonly host: string; readonly port: number }> {
    try {
      const listening = once(this.#server, 'listening');
      this.#server.listen(port, host);
      await listening;
    } catch (error) {
      throw asTahoeError(error, 'storage.listen');
    }
    this.#server.on('error', (error) => this.#options.log.error('storage server', { error: describeError(error) }));
    return { host, port: (this.#server.address() as AddressInfo).port };
  }

  /** Takes no new connections, lets requests under way finish for a short while, then ends them. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const timer = this.#options.clock.setTimer(CLOSE_GRACE_MS, () => this.#server.closeAllConnections());
    await closed;
    timer.cancel();
  }

  async #onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const headers = pickHeaders(request.rawHeaders);
    const answer = new HttpAnswer(request, response, headers);
    // Without a listener an aborted connection would end the process.
    request.on('error', () => answer.cut());
    response.on('error', () => answer.cut());
    try {
      const match = matchRoute(request.method ?? '', request.url ?? '');
      if ('status' in match) {
        if (match.status === 405) answer.text(405, 'Method Not Allowed', { Allow: match.allow });
        else answer.text(404, 'Not Found');
      } else if (!this.#isAuthorized(headers.authorization)) {
        answer.text(401, 'Wrong Authorization header');
      } else {
        const { service, maxReadTestWriteBytes = DEFAULT_MAX_READ_TEST_WRITE } = this.#options;
        await runRoute({ service, maxReadTestWriteBytes, request, headers, match, answer });
      }
    } catch (error) {
      this.#onFailure(error, request, answer);
    }
  }

  #onFailure(error: unknown, request: IncomingMessage, answer: HttpAnswer): void {
    if (request.socket.destroyed || answer.isStarted) {
      answer.cut();
      return;
    }
    const failure = asTahoeError(error, 'storage.request');
    if (failure.kind === 'internal' || failure.kind === 'corrupt') {
      const { method } = request;
      this.#options.log.error('storage request failed', { method, kind: failure.kind, error: describeError(failure) });
    }
    answer.failure(failure);
  }

  #isAuthorized(header: string | undefined): boolean {
    return header !== undefined && secretsEqual(Buffer.from(header, 'latin1'), this.#authorization);
  }
}
