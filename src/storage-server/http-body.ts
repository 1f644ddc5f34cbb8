import type { IncomingMessage } from 'node:http';
import { ArrivingBytes } from '../encoding/arriving-bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

/** Taken for a body before any of it has come, however long it says to be. */
const FIRST_BODY_BYTES = 64 * 1024;
/** As many pieces are gathered, however small the client sends them: each takes memory of its own. */
const MAX_GATHERED_PIECES = 1024;

/** The whole body. Kind `too-large` above `limitBytes`, `unreachable` if the client goes away. */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Uint8Array> {
  const announced = Number(request.headers['content-length'] ?? limitBytes);
  if (announced > limitBytes) throw tooLarge();
  const body = new ArrivingBytes(announced, new Uint8Array(Math.min(announced, FIRST_BODY_BYTES)));
  await consume(request, (chunk) => {
    if (chunk.length > body.missing) throw tooLarge();
    body.append(chunk);
  });
  return body.bytes();
}

/**
 * Hands the first `limitBytes` of the body to `sink` in gathered pieces, each with its position; the rest is read and
 * dropped. Returns how many bytes were handed on. The network delivers 16 KiB at a time: one write for each of those
 * costs more than the transfer.
 */
export async function pumpBody(
  request: IncomingMessage,
  limitBytes: number,
  pieceBytes: number,
  sink: (position: number, parts: readonly Uint8Array[]) => Promise<void>,
): Promise<number> {
  let parts: Uint8Array[] = [];
  let pending = 0;
  let position = 0;
  const flush = async () => {
    const full = parts;
    const start = position;
    position += pending;
    parts = [];
    pending = 0;
    if (full.length > 0) await sink(start, full);
  };
  await consume(request, (chunk) => {
    const wanted = chunk.subarray(0, limitBytes - position - pending);
    if (wanted.length === 0) return undefined;
    parts.push(wanted);
    pending += wanted.length;
    return pending >= pieceBytes || parts.length >= MAX_GATHERED_PIECES ? flush() : undefined;
  });
  await flush();
  return position;
}

/** Calls `onChunk` for every piece, waiting for those that return a promise. */
function consume(request: IncomingMessage, onChunk: (chunk: Uint8Array) => Promise<void> | undefined | void) {
  return new Promise<void>((resolve, reject) => {
    const fail = (error: unknown) => {
      request.off('data', onData);
      request.resume();
      reject(error);
    };
    const onData = (chunk: Uint8Array) => {
      try {
        const busy = onChunk(chunk);
        if (busy === undefined) return;
        request.pause();
        busy.then(() => request.resume(), fail);
      } catch (error) {
        fail(error);
      }
    };
    let isWhole = false;
    // Comes after the end of every body, too: an error made each time would cost more than all else here.
    const onClose = () => {
      if (!isWhole) reject(goneAway());
    };
    request.on('data', onData);
    request.once('end', () => {
      isWhole = true;
      resolve();
    });
    request.once('error', onClose);
    request.once('close', onClose);
  });
}

function tooLarge(): TahoeError {
  return new TahoeError('the request body is too large', { kind: 'too-large', op: 'http.body' });
}

function goneAway(): TahoeError {
  return new TahoeError('the client went away', { kind: 'unreachable', op: 'http.body' });
}
