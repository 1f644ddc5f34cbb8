/** What a handler answers, and how it goes over the wire. Handlers never touch the socket. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TahoeError } from '../errors/tahoe-error.js';
import { errorText, statusOf } from './error-table.js';

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | StreamedBody;
}

export interface StreamedBody {
  /** Undefined: unknown, sent chunked. */
  readonly length: number | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
}

/** On every answer: no page of ours is framed, and no capability in an address is told to another site. */
const COMMON_HEADERS = { 'X-Frame-Options': 'DENY', 'Referrer-Policy': 'no-referrer' };

/** Names the kind for our own command line, which must not guess it from texts. */
export const ERROR_KIND_HEADER = 'X-Tahoe-Error-Kind';

/** A capability or another short text, without newline, as the reference sends it. */
export function textReply(text: string, status = 200): Reply {
  return { status, headers: { 'Content-Type': 'text/html' }, body: text };
}

export function plainReply(text: string, status = 200, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers: { 'Content-Type': 'text/plain;charset=utf-8', ...headers }, body: text };
}

/** Pretty-printed with one space and a final newline, as the reference does. */
export function jsonReply(
  value: unknown,
  contentType = 'text/plain',
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': contentType, ...headers },
    body: `${JSON.stringify(value, null, 1)}\n`,
  };
}

export function errorReply(error: TahoeError): Reply {
  return plainReply(errorText(error), statusOf(error), { [ERROR_KIND_HEADER]: error.kind });
}

/**
 * Sends the reply; resolves when it is with the kernel or the client is gone. Fails before anything was sent if the
 * first part of the body cannot be had; a body that fails later is cut short, and nothing else is put into its place.
 */
export async function sendReply(request: IncomingMessage, response: ServerResponse, reply: Reply): Promise<void> {
  const body = typeof reply.body === 'string' ? new TextEncoder().encode(reply.body) : reply.body;
  const isStreamed = !(body instanceof Uint8Array) && request.method !== 'HEAD';
  const parts = isStreamed ? body.chunks[Symbol.asyncIterator]() : undefined;
  const first = await parts?.next();
  response.writeHead(reply.status, {
    ...COMMON_HEADERS,
    ...reply.headers,
    ...(body.length === undefined ? {} : { 'Content-Length': String(body.length) }),
  });
  if (parts !== undefined && first !== undefined) await sendStream(response, parts, first);
  else response.end(body instanceof Uint8Array && request.method !== 'HEAD' ? body : undefined);
}

async function sendStream(
  response: ServerResponse,
  parts: AsyncIterator<Uint8Array>,
  first: IteratorResult<Uint8Array>,
): Promise<void> {
  try {
    for (let next = first; next.done !== true; next = await parts.next()) {
      if (response.destroyed) {
        await parts.return?.();
        return;
      }
      if (!response.write(next.value)) await drained(response);
    }
    response.end();
  } catch (error) {
    // The status line is gone: the client learns it from the missing bytes.
    response.destroy();
    throw error;
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
