/** GET and HEAD of contents (web API spec 4.1). */

import { parseCap, storageIndexOf } from '../caps/cap.js';
import { encodeBase32 } from '../encoding/base32.js';
import { parseRange } from './byte-range.js';
import { contentHeaders } from './content-type.js';
import { type Contents, streamContents } from './contents.js';
import { plainReply, type Reply } from './reply.js';
import { booleanArgument, type WebRequest } from './web-request.js';

/** Sends the contents, or the range asked for, and closes them. `cap` is known for what is on the grid. */
export async function answerContents(request: WebRequest, contents: Contents, cap: string | undefined): Promise<Reply> {
  const { sizeBytes } = contents;
  const headers = {
    ...contentHeaders(
      request.query.get('filename') ?? nameInPath(request),
      booleanArgument(request.query, 'save', false),
    ),
    ...etagHeader(cap, ''),
    'Accept-Ranges': 'bytes',
  };
  const range = parseRange(request.headers.range, sizeBytes);
  if (range.what === 'beyond') {
    await contents.close();
    return plainReply('First beyond end of file', 416, { 'Content-Range': `bytes */${sizeBytes}` });
  }
  const { offset, length } = range.what === 'all' ? { offset: 0, length: sizeBytes } : range;
  const part = { 'Content-Range': `bytes ${offset}-${offset + length - 1}/${sizeBytes}` };
  if (request.method === 'HEAD') await contents.close();
  return {
    status: range.what === 'all' ? 200 : 206,
    headers: range.what === 'all' ? headers : { ...headers, ...part },
    body: { length, chunks: streamContents(contents, offset, length, request.signal) },
  };
}

/** 304 if the client holds what never changes: an immutable object under this capability. */
export function notModified(request: WebRequest, cap: string | undefined): Reply | undefined {
  const { ETag } = etagHeader(cap, request.operation);
  if (ETag === undefined || request.headers['if-none-match'] !== ETag) return undefined;
  return { status: 304, headers: { ETag }, body: '' };
}

/** The reference's ETag, unquoted: immutable objects with shares have one. */
export function etagHeader(capText: string | undefined, operation: string): { ETag?: string } {
  const cap = capText === undefined ? undefined : parseCap(capText);
  if (cap === undefined) return {};
  const inner = cap.type === 'directory' ? cap.inner : cap;
  if (inner.type !== 'chk') return {};
  const name = `${encodeBase32(storageIndexOf(inner))}-${operation}`;
  return { ETag: cap.type === 'directory' ? `DIR:${name}` : name };
}

function nameInPath(request: WebRequest): string | undefined {
  return request.segments.length > 2 ? request.segments.at(-1) : undefined;
}
