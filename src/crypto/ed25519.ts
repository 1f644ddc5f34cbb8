/** Ed25519 (RFC 8032) with keys as 32 raw bytes. */
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { concatBytes, fromHex } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

/** RFC 8410: what stands before the 32 bytes of a seed in PKCS#8, and of a public key in SubjectPublicKeyInfo. */
const PKCS8_HEAD = fromHex('302e020100300506032b657004220420');
const SPKI_HEAD = fromHex('302a300506032b6570032100');
const KEY_BYTES = 32;

/** The public key to a seed of 32 bytes. Kind `invalid` for another length, as in all functions here. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKeyOf(seed)).export({ type: 'spki', format: 'der' });
  return new Uint8Array(spki.subarray(-KEY_BYTES));
}

/** 64 bytes. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, message, privateKeyOf(seed)));
}

/** False also for a signature of another length and a public key that is no point of the curve. */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const der = Buffer.from(concatBytes([SPKI_HEAD, checked(publicKey)]));
  return verify(null, message, createPublicKey({ key: der, format: 'der', type: 'spki' }), signature);
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  const der = Buffer.from(concatBytes([PKCS8_HEAD, checked(seed)]));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function checked(key: Uint8Array): Uint8Array {
  if (key.length === KEY_BYTES) return key;
  throw new TahoeError(`an Ed25519 key has ${KEY_BYTES} bytes, not ${key.length}`, {
    kind: 'invalid',
    op: 'ed25519.key',
  });
}
