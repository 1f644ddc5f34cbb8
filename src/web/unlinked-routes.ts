/** `/uri` without a capability: new objects that no directory names yet (web API spec 3). */
import { fileCapOf, parseKnownCap, serializeCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { plainReply, type Reply, textReply } from './reply.js';
import { spoolBody } from './spool.js';
import { MUTABLE_LIMIT_BYTES, type WebContext } from './web-context.js';
import { formatArgument, invalid, readBytes, readText, type WebRequest } from './web-request.js';

export async function answerUnlinked(context: WebContext, request: WebRequest): Promise<Reply> {
  const { method, operation } = request;
  if (method === 'PUT' && operation === '') return textReply(await storeUnlinked(context, request));
  if ((method === 'PUT' || method === 'POST') && operation === 'mkdir') return makeUnlinked(context, request);
  if (method === 'GET') return redirect(request);
  throw invalid('/uri accepts only PUT, PUT?t=mkdir, POST?t=upload, and POST?t=mkdir');
}

/** What `format=` says of mutable files; the node's default where it says nothing. */
const MUTABLE_FORMATS = { SDMF: 'sdmf', MDMF: 'mdmf', mutable: undefined } as const;

/** Uploads the body as `format=` says and returns its capability. */
export async function storeUnlinked(context: WebContext, request: WebRequest): Promise<string> {
  const format = formatArgument(request.query) ?? 'CHK';
  if (format === 'CHK') return uploadBody(context, request);
  const content = await readBytes(request, MUTABLE_LIMIT_BYTES);
  return context.grid.createMutable(content, MUTABLE_FORMATS[format]);
}

export async function uploadBody(context: WebContext, request: WebRequest): Promise<string> {
  const body = await spoolBody(context.platform, context.spoolDirectory, request.body);
  try {
    const { cap } = await context.grid.upload(body, { signal: request.signal });
    return serializeCap(cap);
  } finally {
    await body.close();
  }
}

async function makeUnlinked(context: WebContext, request: WebRequest): Promise<Reply> {
  const format = directoryFormat(request);
  if ((await readText(request, 1024)) !== '')
    throw invalid('t=mkdir does not accept children=, try t=mkdir-with-children instead');
  return textReply(await createDirectory(context, format));
}

/** A new empty directory that no directory names yet; its write capability. */
export async function createDirectory({ grid, vfs }: WebContext, format: 'sdmf' | 'mdmf'): Promise<string> {
  if (format === 'sdmf') return vfs.createUnlinkedDirectory();
  // the table of an empty directory is empty
  const inner = parseKnownCap(await grid.createMutable(new Uint8Array(0), format));
  return serializeCap({ type: 'directory', inner: fileCapOf(inner) });
}

/** Kind `invalid` for a format that no directory has. */
export function directoryFormat(request: WebRequest): 'sdmf' | 'mdmf' {
  const format = formatArgument(request.query);
  if (format === 'CHK') throw invalid("format='CHK' is not allowed for directories: SDMF or MDMF");
  return format === 'MDMF' ? 'mdmf' : 'sdmf';
}

function redirect(request: WebRequest): Reply {
  const cap = request.query.get('uri');
  if (cap === null) throw invalid('GET /uri requires uri=');
  const others = new URLSearchParams(request.query);
  others.delete('uri');
  const suffix = others.size > 0 ? `?${others}` : '';
  return plainReply('', 302, { Location: `/uri/${encodeURIComponent(cap)}${suffix}` });
}

export function unsupported(message: string): TahoeError {
  return new TahoeError(message, { kind: 'unsupported', op: 'web.request' });
}
