import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TahoeError } from '../errors/tahoe-error.js';
import { acceptsCbor, BYTES_TYPE, CBOR_TYPE, serializeContentRange } from '../storage-protocol/http-headers.js';
import type { CborBytes } from '../storage-protocol/messages.js';
import type { ByteRange } from '../storage-protocol/storage-server.js';
import type { ShareReader } from './backend.js';
import type { RequestHeaders } from './request-headers.js';

/** Bytes of a share that are read and queued at a time. */
const PIECE_BYTES = 1024 * 1024;

/** One answer, with its length always known beforehand. */
export class HttpAnswer {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #headers: RequestHeaders;

  constructor(request: IncomingMessage, response: ServerResponse, headers: RequestHeaders) {
    this.#request = request;
    this.#response = response;
    this.#headers = headers;
    response.sendDate = false;
  }

  get isStarted(): boolean {
    return this.#response.headersSent;
  }

  empty(status: number, headers: Readonly<Record<string, string>> = {}): void {
    const length = status === 204 ? {} : { 'Content-Length': '0' };
    this.#response.writeHead(status, { ...headers, ...length }).end();
  }

  text(status: number, message: string, headers: Readonly<Record<string, string>> = {}): void {
    const body = Buffer.from(message, 'utf8');
    const type = { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': String(body.length) };
    this.#response.writeHead(status, { ...headers, ...type }).end(body);
  }

  /** 406 instead if the client cannot take CBOR, as the reference does even after the effects. */
  cbor(status: number, body: CborBytes): void {
    if (!acceptsCbor(this.#headers.accept)) {
      this.empty(406);
      return;
    }
    const headers = { 'Content-Type': CBOR_TYPE, 'Content-Length': String(body.length) };
    this.#response.writeHead(status, headers).end(body);
  }

  /** Bytes of a share: status 200 for the whole, 206 for a range within it. */
  async share(share: ShareReader, range: ByteRange | undefined): Promise<void> {
    const { offset, length } = range ?? { offset: 0, length: share.sizeBytes };
    const contentRange = range === undefined ? {} : { 'Content-Range': serializeContentRange(range) };
    const headers = { 'Content-Type': BYTES_TYPE, 'Content-Length': String(length), ...contentRange };
    // The first piece is read before the status is sent, so that a failing disk can still be told.
    const first = await share.read(offset, this.#request.method === 'HEAD' ? 0 : Math.min(length, PIECE_BYTES));
    this.#response.writeHead(range === undefined ? 200 : 206, headers);
    if (this.#request.method === 'HEAD' || length <= PIECE_BYTES) {
      this.#response.end(first);
      return;
    }
    await this.#send(first);
    for (let sent = PIECE_BYTES; sent < length; sent += PIECE_BYTES) {
      await this.#send(await share.read(offset + sent, Math.min(PIECE_BYTES, length - sent)));
    }
    this.#response.end();
  }

  failure(error: TahoeError): void {
    if (error.kind === 'too-large') this.text(413, error.message, { Connection: 'close' });
    else this.text(statusOf(error), error.message);
  }

  /** Ends the connection: the only way to tell of a failure after the status has gone out. */
  cut(): void {
    this.#response.destroy();
  }

  #send(piece: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#response.destroyed) {
        reject(new Error('the client went away'));
        return;
      }
      const onClose = () => reject(new Error('the client went away'));
      this.#response.once('close', onClose);
      this.#response.write(piece, (error) => {
        this.#response.off('close', onClose);
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

function statusOf(error: TahoeError): number {
  switch (error.kind) {
    case 'invalid':
    case 'protocol':
      return 400;
    case 'permission':
      return 401;
    case 'not-found':
      return 404;
    case 'exists':
      return 409;
    case 'no-space':
      return 507;
    default:
      return 500;
  }
}
