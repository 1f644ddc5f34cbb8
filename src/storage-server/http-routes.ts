import type { IncomingMessage } from 'node:http';
import type { StorageIndex, UploadSecret } from '../encoding/brands.js';
import { asLeaseCancelSecret, asLeaseRenewSecret, asWriteEnabler } from '../encoding/checked-bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import {
  BYTES_TYPE,
  CBOR_TYPE,
  parseContentRange,
  parseRange,
  parseSecrets,
  type SecretName,
  type Secrets,
} from '../storage-protocol/http-headers.js';
import { MAX_ALLOCATE_REQUEST, MAX_CORRUPTION_REQUEST } from '../storage-protocol/limits.js';
import {
  decodeAllocateRequest,
  decodeCorruptionReport,
  decodeReadTestWriteRequest,
  encodeAllocation,
  encodeMissingRanges,
  encodeReadTestWriteResult,
  encodeShareNumbers,
  encodeVersion,
} from '../storage-protocol/messages.js';
import type { LeaseSecrets, ShareAddress, ShareKind } from '../storage-protocol/storage-server.js';
import type { HttpAnswer } from './http-answer.js';
import { pumpBody, readBody } from './http-body.js';
import type { RouteMatch } from './http-router.js';
import type { RequestHeaders } from './request-headers.js';
import type { StorageService } from './service.js';

/** Bytes of a body that are gathered for one write to an upload. */
const UPLOAD_PIECE_BYTES = 512 * 1024;

export interface RouteContext {
  readonly service: StorageService;
  readonly maxReadTestWriteBytes: number;
  readonly request: IncomingMessage;
  readonly headers: RequestHeaders;
  readonly match: RouteMatch;
  readonly answer: HttpAnswer;
}

/** Does what an authorised request asks for and answers it. Storage-http spec 10. */
export async function runRoute(context: RouteContext): Promise<void> {
  switch (context.match.path) {
    case 'version':
      return version(context);
    case 'immutable/:si':
      return allocate(context);
    case 'immutable/:si/shares':
      return list(context, 'immutable');
    case 'immutable/:si/:n':
      return context.match.method === 'PATCH' ? write(context) : read(context, 'immutable');
    case 'immutable/:si/:n/abort':
      return abort(context);
    case 'immutable/:si/:n/corrupt':
      return adviseCorrupt(context, 'immutable');
    case 'lease/:si':
      return addLease(context);
    case 'mutable/:si/read-test-write':
      return readTestWrite(context);
    case 'mutable/:si/shares':
      return list(context, 'mutable');
    case 'mutable/:si/:n':
      return read(context, 'mutable');
    case 'mutable/:si/:n/corrupt':
      return adviseCorrupt(context, 'mutable');
  }
}

async function version(context: RouteContext): Promise<void> {
  takeSecrets(context);
  context.answer.cbor(200, encodeVersion(await context.service.version()));
}

async function allocate(context: RouteContext): Promise<void> {
  const secrets = takeSecrets(context, 'lease-renew-secret', 'lease-cancel-secret', 'upload-secret');
  const body = await cborBody(context, MAX_ALLOCATE_REQUEST);
  if (body === undefined) return;
  const { shareNumbers, allocatedSize } = decodeAllocateRequest(body);
  const allocation = await context.service.allocateShares({
    storageIndex: storageIndexOf(context),
    shareNumbers,
    allocatedSize,
    uploadSecret: uploadSecretOf(secrets),
    leases: leasesOf(secrets),
  });
  context.answer.cbor(200, encodeAllocation(allocation));
}

async function write(context: RouteContext): Promise<void> {
  const secrets = takeSecrets(context, 'upload-secret');
  const range = parseContentRange(context.headers.contentRange ?? '');
  if (range === undefined) {
    context.answer.empty(416);
    return;
  }
  const upload = context.service.openUpload(addressOf(context), uploadSecretOf(secrets));
  const received = await pumpBody(context.request, range.length, UPLOAD_PIECE_BYTES, (position, parts) =>
    upload.write(range.offset + position, parts),
  );
  if (received < range.length) {
    throw new TahoeError('the body is shorter than its range', { kind: 'invalid', op: 'http.write' });
  }
  const missing = await upload.finish();
  context.answer.cbor(missing.length === 0 ? 201 : 200, encodeMissingRanges(missing));
}

async function abort(context: RouteContext): Promise<void> {
  const secrets = takeSecrets(context, 'upload-secret');
  const address = addressOf(context);
  try {
    await context.service.abortShare({ ...address, uploadSecret: uploadSecretOf(secrets) });
    context.answer.empty(200);
  } catch (error) {
    if (!isTahoeError(error, 'not-found')) throw error;
    const complete = await context.service.listShares(address.storageIndex);
    context.answer.empty(complete.has(address.shareNumber) ? 405 : 404);
  }
}

async function list(context: RouteContext, kind: ShareKind): Promise<void> {
  takeSecrets(context);
  const { service } = context;
  const storageIndex = storageIndexOf(context);
  const numbers = await (kind === 'immutable'
    ? service.listShares(storageIndex)
    : service.listSlotShares(storageIndex));
  context.answer.cbor(200, encodeShareNumbers(numbers));
}

async function read(context: RouteContext, kind: ShareKind): Promise<void> {
  takeSecrets(context);
  const wanted = context.headers.range === undefined ? undefined : parseRange(context.headers.range);
  const isBadRange = context.headers.range !== undefined && wanted === undefined;
  const share = await openShare(context, kind);
  if (share === undefined) return;
  try {
    if (isBadRange) context.answer.empty(416);
    else if (wanted !== undefined && wanted.offset >= share.sizeBytes) context.answer.empty(204);
    else {
      const length = Math.min(wanted?.length ?? 0, share.sizeBytes - (wanted?.offset ?? 0));
      await context.answer.share(share, wanted === undefined ? undefined : { offset: wanted.offset, length });
    }
  } finally {
    await share.close();
  }
}

/** Undefined after the 404 that readers expect: of type octet-stream and empty. */
async function openShare(context: RouteContext, kind: ShareKind) {
  try {
    return await context.service.openShare(kind, addressOf(context));
  } catch (error) {
    if (!isTahoeError(error, 'not-found')) throw error;
    context.answer.empty(404, { 'Content-Type': BYTES_TYPE });
    return undefined;
  }
}

async function adviseCorrupt(context: RouteContext, kind: ShareKind): Promise<void> {
  takeSecrets(context);
  const body = await cborBody(context, MAX_CORRUPTION_REQUEST);
  if (body === undefined) return;
  await context.service.adviseCorrupt(kind, addressOf(context), decodeCorruptionReport(body));
  context.answer.empty(200);
}

async function addLease(context: RouteContext): Promise<void> {
  const secrets = takeSecrets(context, 'lease-renew-secret', 'lease-cancel-secret');
  await context.service.addLease(storageIndexOf(context), leasesOf(secrets));
  context.answer.empty(204);
}

async function readTestWrite(context: RouteContext): Promise<void> {
  const secrets = takeSecrets(context, 'write-enabler', 'lease-renew-secret', 'lease-cancel-secret');
  const body = await cborBody(context, context.maxReadTestWriteBytes);
  if (body === undefined) return;
  const result = await context.service.readTestWrite({
    storageIndex: storageIndexOf(context),
    writeEnabler: asWriteEnabler(required(secrets, 'write-enabler')),
    leases: leasesOf(secrets),
    ...decodeReadTestWriteRequest(body),
  });
  context.answer.cbor(200, encodeReadTestWriteResult(result));
}

function takeSecrets(context: RouteContext, ...names: SecretName[]): Secrets {
  return parseSecrets(context.headers.secrets, names);
}

/** Undefined after answering 415. No content type at all counts as CBOR. */
async function cborBody(context: RouteContext, limitBytes: number): Promise<Uint8Array | undefined> {
  const type = context.headers.contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined || type === CBOR_TYPE) return readBody(context.request, limitBytes);
  context.answer.empty(415);
  return undefined;
}

function storageIndexOf(context: RouteContext): StorageIndex {
  return context.match.storageIndex as StorageIndex;
}

function addressOf(context: RouteContext): ShareAddress {
  return { storageIndex: storageIndexOf(context), shareNumber: context.match.shareNumber as number };
}

function leasesOf(secrets: Secrets): LeaseSecrets {
  return {
    renew: asLeaseRenewSecret(required(secrets, 'lease-renew-secret')),
    cancel: asLeaseCancelSecret(required(secrets, 'lease-cancel-secret')),
  };
}

/** Clients of other makes may use upload secrets of any length. */
function uploadSecretOf(secrets: Secrets): UploadSecret {
  return required(secrets, 'upload-secret') as UploadSecret;
}

function required(secrets: Secrets, name: SecretName): Uint8Array {
  return secrets.get(name) as Uint8Array;
}
