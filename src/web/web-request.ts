/** One request, taken apart and checked: path segments, arguments, body. */
import type { IncomingMessage } from 'node:http';
import { TahoeError } from '../errors/tahoe-error.js';

export interface WebRequest {
  readonly method: string;
  /** Decoded segments without the leading slash: `/uri/CAP/a%20b` is `['uri', 'CAP', 'a b']`. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  /** The `t` argument, empty if there is none. */
  readonly operation: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
}

/** Kind `invalid` for an address that is not well formed. */
export function readRequest(message: IncomingMessage, signal: AbortSignal): WebRequest {
  const address = message.url ?? '/';
  const mark = address.indexOf('?');
  const path = mark < 0 ? address : address.slice(0, mark);
  if (!path.startsWith('/')) throw invalid('the request does not name a path of this server');
  const query = new URLSearchParams(mark < 0 ? '' : address.slice(mark + 1));
  return {
    method: message.method ?? 'GET',
    segments: path.slice(1).split('/').map(decodeSegment),
    query,
    operation: (query.get('t') ?? '').trim(),
    headers: message.headers,
    body: bodyOf(message),
    signal,
  };
}

/** Stopping early leaves the connection open: the client has still to be told why. */
async function* bodyOf(message: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const part of message.iterator({ destroyOnReturn: false })) yield part as Uint8Array;
  } catch (cause) {
    throw new TahoeError('the client is gone', { kind: 'cancelled', op: 'web.request', cause });
  }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new TahoeError('the path is not percent-encoded UTF-8', { kind: 'invalid', op: 'web.request', cause });
  }
}

/** A boolean argument; kind `invalid` for other words than the reference takes. */
export function booleanArgument(query: URLSearchParams, name: string, otherwise: boolean): boolean {
  const value = query.get(name)?.trim().toLowerCase();
  if (value === undefined) return otherwise;
  if (['true', 't', '1', 'on'].includes(value)) return true;
  if (['false', 'f', '0', 'off'].includes(value)) return false;
  throw invalid(`invalid boolean argument: ${value}`);
}

/** `replace=`: a boolean or `only-files`; always by default. */
export function replaceArgument(query: URLSearchParams): 'never' | 'only-files' | 'always' {
  const value = query.get('replace')?.trim().toLowerCase();
  if (value === undefined) return 'always';
  if (value === 'only-files') return 'only-files';
  try {
    return booleanArgument(query, 'replace', true) ? 'always' : 'never';
  } catch (cause) {
    throw new TahoeError(`invalid replace= argument: ${value}`, { kind: 'invalid', op: 'web.request', cause });
  }
}

/** `format=`; `mutable=true` alone leaves the choice to the node. Kind `invalid` for unknown ones. */
export function formatArgument(query: URLSearchParams): 'CHK' | 'SDMF' | 'MDMF' | 'mutable' | undefined {
  const value = query.get('format')?.trim().toUpperCase();
  if (value === undefined) return booleanArgument(query, 'mutable', false) ? 'mutable' : undefined;
  if (value === 'CHK' || value === 'SDMF' || value === 'MDMF') return value;
  throw invalid(`Unknown format: ${query.get('format')}, I know CHK, SDMF, MDMF`);
}

/** `offset=` in bytes. Kind `invalid` unless it is a whole number that is not negative. */
export function offsetArgument(query: URLSearchParams): number | undefined {
  const value = query.get('offset');
  if (value === null) return undefined;
  const offset = Number(value);
  if (/^\d+$/.test(value) && Number.isSafeInteger(offset)) return offset;
  throw invalid(`invalid offset= argument: ${value}`);
}

/**
 * `wait=journal`, ours: the answer comes as soon as this computer keeps the change, before the grid has it. For many
 * changes in a row, which then share publishes; `POST /private/sync` tells when the grid has them all.
 */
export function waitsForGrid(query: URLSearchParams): boolean {
  return query.get('wait') !== 'journal';
}

/** The whole body as text; kind `too-large` above `limitBytes`, `invalid` if it is not UTF-8. */
export async function readText(request: WebRequest, limitBytes: number): Promise<string> {
  const bytes = await readBytes(request, limitBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new TahoeError('the body is not UTF-8', { kind: 'invalid', op: 'web.request', cause });
  }
}

export async function readBytes(request: WebRequest, limitBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body) {
    length += part.length;
    if (length > limitBytes) {
      throw new TahoeError(`the body is longer than ${limitBytes} bytes`, { kind: 'too-large', op: 'web.request' });
    }
    parts.push(part);
  }
  return Buffer.concat(parts, length);
}

/** The body as JSON; kind `invalid`. */
export async function readJson(request: WebRequest, limitBytes: number): Promise<unknown> {
  const text = await readText(request, limitBytes);
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new TahoeError('the body is not JSON', { kind: 'invalid', op: 'web.request', cause });
  }
}

export function invalid(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'web.request' });
}
