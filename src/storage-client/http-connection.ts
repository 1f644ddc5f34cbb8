import { type Dispatcher, Pool } from 'undici';
import { concatBytes } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import { serializeAuthorization } from '../storage-protocol/http-headers.js';
import { MAX_CBOR_RESPONSE, MAX_ERROR_BODY } from '../storage-protocol/limits.js';
import { type Nurl, serializeHost } from '../storage-protocol/nurl.js';
import type { CallOptions } from '../storage-protocol/storage-server.js';
import { HttpExchange, type HttpResponse } from './http-exchange.js';
import { PartsBody } from './parts-body.js';
import { pinnedConnector } from './pinned-connector.js';

const KEEP_ALIVE_MS = 50_000;
const CONNECT_LIMIT_MS = 10_000;
/** For the head of an answer, and between two pieces of its body. */
const SILENCE_LIMIT_MS = 60_000;

/** Bodies up to this size are copied into one write with the header. */
const LARGEST_JOINED_BYTES = 65536;
/** How long an answer that nobody waits for may keep its connection from the next request. */
const LATE_ANSWER_MS = 250;

export interface HttpConnectionOptions {
  readonly nurl: Nurl;
  readonly clock: Clock;
  /** At most this many connections. Default 2: the second lets a small request pass a large body. */
  readonly connections?: number;
}

export interface HttpCall {
  /** The public operation, for errors. */
  readonly op: string;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** Below /storage/v1/. */
  readonly path: string;
  /** Alternating names and values. */
  readonly headers?: readonly string[];
  /** One part after the other; lent until the call has ended. */
  readonly body?: readonly Uint8Array[];
  /** More in an answer is kind `protocol`. Default: the limit for CBOR answers. */
  readonly bodyLimit?: number;
  /** Where the body of a good answer is put, if it has exactly this length. */
  readonly into?: Uint8Array | undefined;
  /** Whether sending it twice does the same as once: then it is repeated when an idle connection turns out dead. */
  readonly isIdempotent: boolean;
  readonly options: CallOptions | undefined;
}

/** Authorised requests to the server of one NURL, over a small pool of pinned connections. */
export class HttpConnection {
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #baseHeaders: readonly string[];

  /** Kind `unsupported` for a NURL that is reachable through Tor only. */
  constructor(options: HttpConnectionOptions) {
    const { nurl, clock, connections = 2 } = options;
    if (nurl.scheme !== 'pb') {
      throw new TahoeError('a server behind Tor', { kind: 'unsupported', op: 'storage.connect' });
    }
    this.#clock = clock;
    this.#baseHeaders = ['Authorization', serializeAuthorization(nurl.swissnum), 'Accept', 'application/cbor'];
    this.#pool = new Pool(`https://${serializeHost(nurl.host)}:${nurl.port}`, {
      connections,
      pipelining: 1,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: 2 * KEEP_ALIVE_MS,
      headersTimeout: SILENCE_LIMIT_MS,
      bodyTimeout: SILENCE_LIMIT_MS,
      connect: pinnedConnector(nurl.spkiHash, CONNECT_LIMIT_MS),
    });
  }

  /** Kinds `unreachable`, `timeout`, `cancelled`, `protocol`; every complete answer, whatever its status, is a result. */
  async call(call: HttpCall): Promise<HttpResponse> {
    const { signal, timeoutMs } = call.options ?? {};
    if (signal?.aborted) throw cancelled(call.op, signal.reason);
    let exchange: HttpExchange | undefined;
    let stopped: TahoeError | undefined;
    const stop = (error: TahoeError) => {
      stopped = error;
      exchange?.abort(error);
    };
    const onAbort = () => {
      stopped = cancelled(call.op, signal?.reason);
      // What is lent may change when the call has failed, so nothing may be sent of it any more.
      if (exchange === undefined || call.method === 'PATCH') stop(stopped);
      else this.#leave(exchange, stopped);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = timeoutMs === undefined ? undefined : this.#clock.setTimer(timeoutMs, () => stop(timedOut(call.op)));
    const send = () =>
      new Promise<HttpResponse>((resolve, reject) => {
        const limits = { bodyBytes: call.bodyLimit ?? MAX_CBOR_RESPONSE, errorBytes: MAX_ERROR_BODY, into: call.into };
        exchange = new HttpExchange(limits, resolve, reject);
        this.#pool.dispatch(this.#dispatchOptions(call), exchange);
      });
    try {
      try {
        return await send();
      } catch (error) {
        const mayRepeat = call.isIdempotent && stopped === undefined && exchange?.hasStarted === false;
        if (!mayRepeat || !isLostConnection(error)) throw error;
        return await send();
      }
    } catch (error) {
      throw connectionError(error, call.op);
    } finally {
      timer?.cancel();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Ends it; calls under way fail. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #leave(exchange: HttpExchange, error: TahoeError): void {
    const timer = this.#clock.setTimer(LATE_ANSWER_MS, () => exchange.abort(error));
    exchange.leave(error, () => timer.cancel());
  }

  #dispatchOptions(call: HttpCall): Dispatcher.DispatchOptions {
    const headers = [...this.#baseHeaders, ...(call.headers ?? [])];
    const { body, length } = requestBody(call.body);
    if (body instanceof PartsBody) headers.push('Content-Length', String(length));
    return { path: `/storage/v1/${call.path}`, method: call.method, headers, body };
  }
}

function requestBody(parts: readonly Uint8Array[] = []): {
  readonly body: Buffer | PartsBody | null;
  readonly length: number;
} {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > LARGEST_JOINED_BYTES) return { body: new PartsBody(parts), length };
  if (parts.length === 0) return { body: null, length };
  const whole = parts.length === 1 ? (parts[0] as Uint8Array) : concatBytes(parts);
  return { body: Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength), length };
}

/** The connection was closed by the other side, as happens to idle ones. */
function isLostConnection(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

function connectionError(error: unknown, op: string): TahoeError {
  if (error instanceof TahoeError) return error;
  const code = errorCode(error);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return timedOut(op, error);
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return new TahoeError('the server does not speak HTTP', { kind: 'protocol', op, cause: error });
  }
  return new TahoeError('no connection to the server', { kind: 'unreachable', op, cause: error });
}

function errorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function cancelled(op: string, cause: unknown): TahoeError {
  return new TahoeError('cancelled', { kind: 'cancelled', op, cause });
}

function timedOut(op: string, cause?: unknown): TahoeError {
  return new TahoeError('the server did not answer in time', { kind: 'timeout', op, cause });
}
