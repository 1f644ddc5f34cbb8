/** Blocks of lines that end with an empty one: the upgrade request, its answer and the negotiation. Introducer spec 3 and 5. */
import type { Duplex } from 'node:stream';
import { concatBytes, decodeLatin1, encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

const MAX_BLOCK_BYTES = 4096;
const END = '\r\n\r\n';

/**
 * The next block of a stream, without its empty line; what follows stays in the stream. Kinds `protocol` (too long),
 * `unreachable` (the stream ended first). Rejects with the reason of `signal`.
 */
export async function readHeaderBlock(stream: Duplex, signal: AbortSignal): Promise<string> {
  let received: Uint8Array = new Uint8Array(0);
  for (;;) {
    const chunk = (await readChunk(stream, signal)) as Uint8Array;
    received = concatBytes([received, chunk]);
    const end = decodeLatin1(received.subarray(0, MAX_BLOCK_BYTES + END.length)).indexOf(END);
    if (end >= 0) {
      const rest = received.subarray(end + END.length);
      if (rest.length > 0) stream.unshift(Buffer.from(rest));
      return decodeLatin1(received.subarray(0, end));
    }
    if (received.length > MAX_BLOCK_BYTES) throw negotiationError('a header that is too long');
  }
}

/** `key: value` lines, keys in lower case; other lines are left out. */
export function parseHeaders(block: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const line of block.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return headers;
}

/** Sorted, as the reference sends them; with the empty line. */
export function serializeHeaders(headers: Readonly<Record<string, string>>): Uint8Array {
  const lines = Object.keys(headers)
    .sort()
    .map((key) => `${key}: ${headers[key]}\r\n`);
  return encodeAscii(`${lines.join('')}\r\n`);
}

export function negotiationError(what: string): TahoeError {
  return new TahoeError(`the peer sent ${what}`, { kind: 'protocol', op: 'foolscap.negotiate' });
}

function readChunk(stream: Duplex, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    const onReadable = () => {
      const chunk: unknown = stream.read();
      if (chunk instanceof Uint8Array) finish(() => resolve(chunk));
    };
    const onError = (cause: unknown) => finish(() => reject(ended(cause)));
    const onEnd = () => finish(() => reject(ended(undefined)));
    const onAbort = () => finish(() => reject(signal.reason));
    if (signal.aborted) return reject(signal.reason);
    if (stream.destroyed || stream.readableEnded) return reject(ended(stream.errored ?? undefined));
    signal.addEventListener('abort', onAbort, { once: true });
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
    onReadable();
  });
}

function ended(cause: unknown): TahoeError {
  return new TahoeError('the peer closed the connection during the negotiation', {
    kind: 'unreachable',
    op: 'foolscap.negotiate',
    cause,
  });
}
