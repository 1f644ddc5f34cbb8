import { encodeBase32 } from '../encoding/base32.js';
import type { ServerId, StorageIndex, TubId } from '../encoding/brands.js';
import { type ErrorKind, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import {
  BYTES_TYPE,
  CBOR_TYPE,
  parseContentRange,
  SECRET_HEADER,
  type SecretName,
  serializeContentRange,
  serializeRange,
  serializeSecret,
} from '../storage-protocol/http-headers.js';
import {
  decodeAllocation,
  decodeMissingRanges,
  decodeReadTestWriteResult,
  decodeShareNumbers,
  decodeVersion,
  encodeAllocateRequest,
  encodeCorruptionReport,
  encodeReadTestWriteRequest,
} from '../storage-protocol/messages.js';
import type { Nurl } from '../storage-protocol/nurl.js';
import type {
  AbortShareRequest,
  AllocateRequest,
  Allocation,
  ByteRange,
  CallOptions,
  LeaseSecrets,
  ReadShareOptions,
  ReadTestWriteRequest,
  ReadTestWriteResult,
  ServerVersion,
  ShareAddress,
  ShareKind,
  StorageServer,
  WriteShareRequest,
} from '../storage-protocol/storage-server.js';
import { HttpConnection } from './http-connection.js';
import type { HttpResponse } from './http-exchange.js';

const VERSION_OP = 'storage.version';
const VERSION_LIMIT_MS = 5_000;
const CBOR_BODY = ['Content-Type', CBOR_TYPE] as const;

export interface HttpsStorageServerOptions {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  readonly nurl: Nurl;
  /** Further addresses of the same server, of which perhaps not all can be reached from here. */
  readonly otherNurls?: readonly Nurl[];
  readonly clock: Clock;
  /** At most this many connections. Default 2. */
  readonly connections?: number;
}

/** A storage server at the other end of storage-http. Connects when first used; `close` it in the end. */
export class HttpsStorageServer implements StorageServer {
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  /** One for each address. */
  readonly #connections: readonly HttpConnection[];
  /** The one whose address answered, until it does not answer any more. */
  #current: HttpConnection | undefined;
  #requests = 0;

  /** Kind `unsupported` for a server that is reachable through Tor only. */
  constructor(options: HttpsStorageServerOptions) {
    this.id = options.id;
    this.nickname = options.nickname;
    this.permutationSeed = options.permutationSeed;
    this.tubId = options.tubId;
    const { nurl, otherNurls = [], clock, connections = 2 } = options;
    this.#connections = [nurl, ...otherNurls].map(
      (address) => new HttpConnection({ nurl: address, clock, connections }),
    );
  }

  /** Sent so far, without those for its version. */
  get requests(): number {
    return this.#requests;
  }

  async close(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }

  /** Also finds out which of its addresses answers: with several, whoever asks now and then keeps the server reachable. */
  async version(options?: CallOptions): Promise<ServerVersion> {
    const current = this.#current;
    if (current !== undefined) {
      try {
        return await this.#versionAt(current, options);
      } catch (error) {
        this.#current = undefined;
        if (this.#connections.length === 1 || options?.signal?.aborted) throw error;
      }
    }
    try {
      return await Promise.any(this.#connections.map((connection) => this.#versionAt(connection, options)));
    } catch (error) {
      throw error instanceof AggregateError ? error.errors[0] : error;
    }
  }

  async #versionAt(connection: HttpConnection, options: CallOptions | undefined): Promise<ServerVersion> {
    const op = VERSION_OP;
    const limited = { timeoutMs: VERSION_LIMIT_MS, ...options };
    const response = await connection.call({
      op,
      method: 'GET',
      path: 'version',
      isIdempotent: true,
      options: limited,
    });
    const version = decodeVersion(this.#cbor(response, op));
    this.#current ??= connection;
    return version;
  }

  async allocateShares(request: AllocateRequest, options?: CallOptions): Promise<Allocation> {
    const op = 'storage.allocateShares';
    const response = await this.#call({
      op,
      method: 'POST',
      path: `immutable/${encodeBase32(request.storageIndex)}`,
      headers: [...CBOR_BODY, ...leases(request.leases), ...secret('upload-secret', request.uploadSecret)],
      body: [encodeAllocateRequest(request)],
      isIdempotent: false,
      options,
    });
    return decodeAllocation(this.#cbor(response, op));
  }

  async writeShare(request: WriteShareRequest, options?: CallOptions): Promise<{ readonly complete: boolean }> {
    const op = 'storage.writeShare';
    const length = request.parts.reduce((sum, part) => sum + part.length, 0);
    const range = serializeContentRange({ offset: request.offset, length });
    const response = await this.#call({
      op,
      method: 'PATCH',
      path: sharePath('immutable', request),
      headers: [
        ...['Content-Type', BYTES_TYPE, 'Content-Range', range],
        ...secret('upload-secret', request.uploadSecret),
      ],
      body: request.parts,
      isIdempotent: false,
      options,
    });
    const missing = decodeMissingRanges(this.#cbor(response, op, 200, 201));
    return { complete: response.status === 201 && missing.length === 0 };
  }

  async abortShare(request: AbortShareRequest, options?: CallOptions): Promise<void> {
    const op = 'storage.abortShare';
    const path = `${sharePath('immutable', request)}/abort`;
    const headers = secret('upload-secret', request.uploadSecret);
    const response = await this.#call({ op, method: 'PUT', path, headers, isIdempotent: false, options });
    // 405 tells that the share is complete: the upload has ended all the same.
    if (response.status === 405) throw this.#failure(response, op, 'not-found');
    this.#expect(response, op, 200);
  }

  listShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#list('storage.listShares', 'immutable', storageIndex, options);
  }

  readShare(address: ShareAddress, range: ByteRange, options?: ReadShareOptions): Promise<Uint8Array> {
    return this.#read('storage.readShare', 'immutable', address, range, options);
  }

  listSlotShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#list('storage.listSlotShares', 'mutable', storageIndex, options);
  }

  readSlotShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#read('storage.readSlotShare', 'mutable', address, range, options);
  }

  async readTestWrite(request: ReadTestWriteRequest, options?: CallOptions): Promise<ReadTestWriteResult> {
    const op = 'storage.readTestWrite';
    const response = await this.#call({
      op,
      method: 'POST',
      path: `mutable/${encodeBase32(request.storageIndex)}/read-test-write`,
      headers: [...CBOR_BODY, ...leases(request.leases), ...secret('write-enabler', request.writeEnabler)],
      body: [encodeReadTestWriteRequest(request)],
      isIdempotent: false,
      options,
    });
    const result = decodeReadTestWriteResult(this.#cbor(response, op));
    if (!answersVector(result, request.readVector)) {
      throw this.#failure(response, op, 'protocol', 'the answer does not fit the read vector');
    }
    return result;
  }

  async addLease(storageIndex: StorageIndex, secrets: LeaseSecrets, options?: CallOptions): Promise<void> {
    const op = 'storage.addLease';
    const path = `lease/${encodeBase32(storageIndex)}`;
    const headers = leases(secrets);
    const response = await this.#call({ op, method: 'PUT', path, headers, isIdempotent: true, options });
    this.#expect(response, op, 204);
  }

  async adviseCorrupt(kind: ShareKind, address: ShareAddress, reason: string, options?: CallOptions): Promise<void> {
    const op = 'storage.adviseCorrupt';
    const response = await this.#call({
      op,
      method: 'POST',
      path: `${sharePath(kind, address)}/corrupt`,
      headers: [...CBOR_BODY],
      body: [encodeCorruptionReport(reason)],
      isIdempotent: true,
      options,
    });
    this.#expect(response, op, 200);
  }

  async #list(op: string, kind: ShareKind, storageIndex: StorageIndex, options: CallOptions | undefined) {
    const path = `${kind}/${encodeBase32(storageIndex)}/shares`;
    const response = await this.#call({ op, method: 'GET', path, isIdempotent: true, options });
    return decodeShareNumbers(this.#cbor(response, op));
  }

  async #read(
    op: string,
    kind: ShareKind,
    address: ShareAddress,
    range: ByteRange,
    options: ReadShareOptions | undefined,
  ) {
    // A range of HTTP cannot be empty; one byte tells whether the share is there.
    const wanted = { offset: range.offset, length: Math.max(1, range.length) };
    const response = await this.#call({
      op,
      method: 'GET',
      path: sharePath(kind, address),
      headers: ['Range', serializeRange(wanted)],
      bodyLimit: wanted.length,
      into: options?.into,
      isIdempotent: true,
      options,
    });
    if (response.status === 204) return new Uint8Array(0);
    this.#expect(response, op, 206);
    const sent = parseContentRange(response.contentRange ?? '');
    const isSound =
      mediaType(response) === BYTES_TYPE && sent?.offset === wanted.offset && sent.length === response.body.length;
    if (!isSound) throw this.#failure(response, op, 'protocol', 'the answer is not the range that was asked for');
    return response.body.subarray(0, range.length);
  }

  #call(call: Parameters<HttpConnection['call']>[0]): Promise<HttpResponse> {
    this.#requests++;
    return (this.#current ?? this.#connections[0]!).call(call);
  }

  #cbor(response: HttpResponse, op: string, ...statuses: number[]): Uint8Array {
    this.#expect(response, op, ...(statuses.length > 0 ? statuses : [200]));
    if (mediaType(response) !== CBOR_TYPE) throw this.#failure(response, op, 'protocol', 'the answer is not CBOR');
    return response.body;
  }

  #expect(response: HttpResponse, op: string, ...statuses: number[]): void {
    if (!statuses.includes(response.status)) throw this.#failure(response, op, kindOf(response.status));
  }

  #failure(response: HttpResponse, op: string, kind: ErrorKind, reason?: string): TahoeError {
    const said = reason ?? printable(response.body);
    const message = `the server answered ${response.status}${said === '' ? '' : `: ${said}`}`;
    return new TahoeError(message, { kind, op, subject: this.nickname });
  }
}

function kindOf(status: number): ErrorKind {
  switch (status) {
    case 401:
      return 'permission';
    case 404:
      return 'not-found';
    case 409:
      return 'exists';
    case 507:
      return 'no-space';
    default:
      return 'protocol';
  }
}

function mediaType(response: HttpResponse): string | undefined {
  return response.contentType?.split(';', 1)[0]?.trim().toLowerCase();
}

/** For each share one answer to each question, none longer than was asked for. */
function answersVector({ reads }: ReadTestWriteResult, readVector: readonly ByteRange[]): boolean {
  return [...reads.values()].every(
    (parts) =>
      parts.length === readVector.length && parts.every((part, index) => part.length <= readVector[index]!.length),
  );
}

/** The beginning of an error text, without what could disturb a log or a terminal. */
function printable(body: Uint8Array): string {
  const text = new TextDecoder('latin1').decode(body.subarray(0, 200));
  return text.replace(/[^\x20-\x7e]+/g, ' ').trim();
}

function sharePath(kind: ShareKind, address: ShareAddress): string {
  return `${kind}/${encodeBase32(address.storageIndex)}/${address.shareNumber}`;
}

function secret(name: SecretName, value: Uint8Array): string[] {
  return [SECRET_HEADER, serializeSecret(name, value)];
}

function leases(secrets: LeaseSecrets): string[] {
  return [...secret('lease-renew-secret', secrets.renew), ...secret('lease-cancel-secret', secrets.cancel)];
}
