/** The web server of a node: bare HTTP on loopback. Turns requests into calls of the file system and the grid. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { asTahoeError, describeError, TahoeError } from '../errors/tahoe-error.js';
import { answerControl } from './control-routes.js';
import { metricsReply } from './metrics.js';
import type { IntroducerState } from './node-control.js';
import { answerObject } from './object-routes.js';
import { errorReply, jsonReply, type Reply, sendReply } from './reply.js';
import { answerUnlinked } from './unlinked-routes.js';
import type { WebContext } from './web-context.js';
import { readRequest, type WebRequest } from './web-request.js';

export interface WebServer {
  /** `http://HOST:PORT/` */
  readonly url: string;
  /** Stops taking requests; those in progress are cancelled. */
  close(): Promise<void>;
}

/** Kind `busy` if the port is taken. Port 0 is chosen by the kernel. */
export async function startWebServer(
  context: WebContext,
  address: { readonly port: number; readonly host: string | undefined },
): Promise<WebServer> {
  const server = createServer({ requestTimeout: 0 }, (message, response) => {
    void serve(context, message, response);
  });
  await listen(server, address);
  const { port } = server.address() as AddressInfo;
  const host = address.host ?? '127.0.0.1';
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(context: WebContext, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const abort = new AbortController();
  response.on('close', () => {
    if (!response.writableFinished) {
      abort.abort(new TahoeError('the client is gone', { kind: 'cancelled', op: 'web.request' }));
    }
  });
  const { log } = context.platform;
  try {
    await sendReply(message, response, await answer(context, message, abort.signal));
  } catch (error) {
    log.warn('a download ended early', { error: describeError(error) });
    if (!response.headersSent) await sendReply(message, response, errorReply(asTahoeError(error, 'web.download')));
  }
  // What is left of a refused body goes by, so that the next request on this connection can be read.
  if (!message.complete) message.resume();
}

async function answer(context: WebContext, message: IncomingMessage, signal: AbortSignal): Promise<Reply> {
  try {
    return await route(context, readRequest(message, signal));
  } catch (error) {
    const failure = asTahoeError(error, 'web.request');
    if (failure.kind === 'internal') {
      context.platform.log.error('a request failed', { op: failure.op, error: describeError(failure) });
    }
    return errorReply(failure);
  }
}

function route(context: WebContext, request: WebRequest): Promise<Reply> {
  const [first = '', second] = request.segments;
  if (first === 'private') return answerControl(context, request);
  if (first === 'metrics' && second === undefined) {
    if (request.method !== 'GET' && request.method !== 'HEAD') throw onlyGet();
    return Promise.resolve(metricsReply(context));
  }
  if (first === '') return welcome(context, request);
  if (first !== 'uri' && first !== 'cap') {
    throw new TahoeError('no such page', { kind: 'not-found', op: 'web.request', subject: first });
  }
  return second === undefined || second === '' ? answerUnlinked(context, request) : answerObject(context, request);
}

function onlyGet(): TahoeError {
  return new TahoeError('only GET', { kind: 'unsupported', op: 'web.request' });
}

/** The servers as the reference describes them (web API spec 8). */
async function welcome(context: WebContext, request: WebRequest): Promise<Reply> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    throw onlyGet();
  }
  const servers = context.grid.servers().map((server) => ({
    nodeid: server.id,
    nickname: server.nickname,
    connection_status: server.state === 'connected' ? 'connected' : (server.reason ?? server.state),
    available_space: server.availableSpace ?? null,
    version: null,
    last_received_data: server.lastContactMs === undefined ? null : server.lastContactMs / 1000,
  }));
  const statuses = context.control.introducers().map(describeIntroducer);
  return jsonReply({ introducers: { statuses }, servers }, 'application/json; charset=utf-8');
}

function describeIntroducer({ state, address, reason }: IntroducerState): string {
  return state === 'connected' ? `Connected to ${address}` : `Trying to connect: ${reason ?? 'no answer yet'}`;
}

function listen(server: Server, address: { readonly port: number; readonly host: string | undefined }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const kind = cause.code === 'EADDRINUSE' ? 'busy' : 'internal';
      const message = `the web server cannot listen on ${address.host ?? '*'}:${address.port} (web.port in tahoe.cfg)`;
      reject(new TahoeError(message, { kind, op: 'web.start', cause }));
    });
    server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) }, resolve);
  });
}
