/** Header values of storage-http spec 8 and 10.6, both halves, as pure functions. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { ByteRange } from './storage-server.js';

export const CBOR_TYPE = 'application/cbor';
export const BYTES_TYPE = 'application/octet-stream';
export const SECRET_HEADER = 'X-Tahoe-Authorization';

export type SecretName = 'lease-renew-secret' | 'lease-cancel-secret' | 'upload-secret' | 'write-enabler';
export type Secrets = ReadonlyMap<SecretName, Uint8Array>;

const LEASE_SECRET_LENGTH = 32;
const SECRET_PATTERN =
  /^(lease-renew-secret|lease-cancel-secret|upload-secret|write-enabler) ((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)$/;

/** The Authorization header for a swissnum. */
export function serializeAuthorization(swissnum: string): string {
  return `Tahoe-LAFS ${base64(new TextEncoder().encode(swissnum))}`;
}

/** One X-Tahoe-Authorization value. */
export function serializeSecret(name: SecretName, secret: Uint8Array): string {
  return `${name} ${base64(secret)}`;
}

/**
 * The secrets of a request from its X-Tahoe-Authorization lines. Kind `invalid` unless there is exactly one well-formed
 * secret for each of `required` and nothing else. Messages never repeat a secret.
 */
export function parseSecrets(lines: readonly string[], required: readonly SecretName[]): Secrets {
  const secrets = new Map<SecretName, Uint8Array>();
  for (const line of lines) {
    const found = SECRET_PATTERN.exec(line.trim());
    if (found === null) throw invalid(`malformed ${SECRET_HEADER} header`);
    const name = found[1] as SecretName;
    const secret = new Uint8Array(Buffer.from(found[2] as string, 'base64'));
    const isLease = name === 'lease-renew-secret' || name === 'lease-cancel-secret';
    if (secret.length === 0 || (isLease && secret.length !== LEASE_SECRET_LENGTH)) {
      throw invalid(`${name} has the wrong length`);
    }
    secrets.set(name, secret);
  }
  const isExact = secrets.size === required.length && required.every((name) => secrets.has(name));
  if (!isExact) throw invalid(`this route takes exactly these secrets: ${required.join(', ') || 'none'}`);
  return secrets;
}

/** A Range header value. `range.length` must not be 0. */
export function serializeRange(range: ByteRange): string {
  return `bytes=${range.offset}-${range.offset + range.length - 1}`;
}

/** The closed single range of a Range header; undefined for every other form, which the protocol refuses. */
export function parseRange(value: string): ByteRange | undefined {
  return rangeOf(/^bytes=([0-9]+)-([0-9]+)$/.exec(value.trim()));
}

/** A Content-Range header value, total unknown as both reference halves write it. `range.length` must not be 0. */
export function serializeContentRange(range: ByteRange): string {
  return `bytes ${range.offset}-${range.offset + range.length - 1}/*`;
}

/** The range of a Content-Range header, its total ignored; undefined if it cannot be understood. */
export function parseContentRange(value: string): ByteRange | undefined {
  return rangeOf(/^bytes ([0-9]+)-([0-9]+)\/(?:\*|[0-9]+)$/.exec(value.trim()));
}

/** Whether an Accept header value has application/cbor as its best match; absent is yes. Storage-http spec 8.3. */
export function acceptsCbor(accept: string | undefined): boolean {
  if (accept === undefined || accept === CBOR_TYPE) return true;
  let best = { type: '', quality: 0 };
  for (const part of accept.split(',')) {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const given = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = given === undefined ? 1 : Number(given.slice(2));
    if (quality > best.quality) best = { type, quality };
  }
  return best.type === CBOR_TYPE;
}

function rangeOf(found: RegExpExecArray | null): ByteRange | undefined {
  if (found === null) return undefined;
  const first = Math.min(Number(found[1]), Number.MAX_SAFE_INTEGER - 1);
  const last = Math.min(Number(found[2]), Number.MAX_SAFE_INTEGER - 1);
  return last < first ? undefined : { offset: first, length: last - first + 1 };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function invalid(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'http.secrets' });
}
