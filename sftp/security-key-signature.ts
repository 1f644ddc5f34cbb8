/**
 * Signatures of FIDO security keys (OpenSSH PROTOCOL.u2f), which ssh2 does not know: the key signs
 * SHA-256(application) || flags || counter || SHA-256(message).
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { concatBytes } from '../src/encoding/bytes.js';
import { isTahoeError } from '../src/errors/tahoe-error.js';
import { PacketReader } from './packet-reader.js';

const ed25519Type = 'sk-ssh-ed25519@openssh.com';
const ecdsaType = 'sk-ecdsa-sha2-nistp256@openssh.com';
const userPresent = 1;
/** One byte of flags and four of counter end the signature. */
const trailerLength = 5;

export function isSecurityKeyType(type: string): boolean {
  return type === ed25519Type || type === ecdsaType;
}

/**
 * True if `signature` (the inner signature, then flags and counter) is the key's over `message` and the person touched
 * the key. False for anything malformed.
 */
export function verifySecurityKeySignature(blob: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length <= trailerLength) return false;
  const trailer = signature.subarray(signature.length - trailerLength);
  if ((trailer[0]! & userPresent) === 0) return false;
  try {
    const key = parsePublicKey(blob);
    const inner = signature.subarray(0, signature.length - trailerLength);
    const signed = concatBytes([sha256(key.application), trailer, sha256(message)]);
    if (key.type === ed25519Type) return inner.length === 64 && verify(null, signed, key.publicKey, inner);
    return verify('sha256', signed, { key: key.publicKey, dsaEncoding: 'ieee-p1363' }, rawEcdsa(inner));
  } catch (error) {
    if (isTahoeError(error, 'protocol') || isKeyError(error)) return false;
    throw error;
  }
}

function parsePublicKey(blob: Uint8Array): { type: string; publicKey: KeyObject; application: Uint8Array } {
  const reader = new PacketReader(blob);
  const type = reader.ascii();
  if (type === ed25519Type) {
    const x = base64Url(reader.bytes());
    return { type, publicKey: fromJwk({ kty: 'OKP', crv: 'Ed25519', x }), application: reader.bytes() };
  }
  reader.ascii(); // the curve, which the type says already
  const point = reader.bytes();
  const [x, y] = [base64Url(point.subarray(1, 33)), base64Url(point.subarray(33))];
  return { type, publicKey: fromJwk({ kty: 'EC', crv: 'P-256', x, y }), application: reader.bytes() };
}

/** r and s as SSH writes them (signed, variable length) as two times 32 bytes. */
function rawEcdsa(inner: Uint8Array): Uint8Array {
  const reader = new PacketReader(inner);
  const raw = new Uint8Array(64);
  for (const end of [32, 64]) {
    const number = reader.bytes();
    const digits = number.subarray(Math.max(0, number.length - 32));
    raw.set(digits, end - digits.length);
  }
  return raw;
}

function fromJwk(key: { kty: string; crv: string; x: string; y?: string }): KeyObject {
  return createPublicKey({ key, format: 'jwk' });
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest();
}

/** Keys that are not points of the curve: node reports them with codes ERR_CRYPTO_* and ERR_OSSL_*. */
function isKeyError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && /^ERR_(CRYPTO|OSSL)_/.test(String(error.code));
}
