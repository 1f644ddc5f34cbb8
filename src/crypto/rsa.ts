/**
 * RSA keys of mutable files (mutable spec 1.1): 2048 bits, any public exponent, RSASSA-PSS with SHA-256, MGF1-SHA-256
 * and a salt of exactly 32 bytes. Importing a key costs about 0.4 ms: keep the KeyObject.
 */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { asTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { type RsaNumbers, rsaKeyObject, rsaNumbers } from './rsa-from-primes.js';

export const modulusBits = 2048;
export const signatureLength = 256;
const saltLength = 32;

export interface RsaKeyDer {
  /** PKCS#8. */
  readonly privateKeyDer: Uint8Array;
  /** SubjectPublicKeyInfo. */
  readonly publicKeyDer: Uint8Array;
}

/**
 * A new key pair as DER. Takes tens to hundreds of milliseconds of this thread: call it in a worker. OpenSSL before 3.5
 * (Node 20) builds each prime by the provable method, 130 to 250 ms a key; two probable primes take 65. Later ones need
 * 32 to 68 for the whole key, which our arithmetic does not beat.
 */
export function generateRsaKeyDer(): RsaKeyDer {
  return hasSlowGenerator() ? generateFromPrimes() : generateBuiltIn();
}

function hasSlowGenerator(): boolean {
  const [major = 0, minor = 0] = process.versions.openssl.split('.').map(Number);
  return major < 3 || (major === 3 && minor < 5);
}

/** By the generator of OpenSSL. */
export function generateBuiltIn(): RsaKeyDer {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: modulusBits,
    publicExponent: 65537,
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  });
  return { privateKeyDer: new Uint8Array(pair.privateKey), publicKeyDer: new Uint8Array(pair.publicKey) };
}

/** From two primes of OpenSSL; signs and verifies with what it hands out. Kind `internal` if that fails. */
export function generateFromPrimes(): RsaKeyDer {
  let numbers: RsaNumbers | undefined;
  while (numbers === undefined) {
    const [p, q] = [modulusBits / 2, modulusBits / 2].map((bits) => generatePrimeSync(bits, { bigint: true }));
    numbers = rsaNumbers(p as bigint, q as bigint);
  }
  const exported = rsaKeyObject(numbers).export({ type: 'pkcs8', format: 'der' });
  const privateKey = importPrivateKey(exported);
  const publicKeyDer = publicKeyDerOf(privateKey);
  const signature = signPss(privateKey, publicKeyDer);
  if (!verifyPss(importPublicKey(publicKeyDer), publicKeyDer, signature)) {
    throw new TahoeError('a new key does not verify what it signs', { kind: 'internal', op: 'rsa.generate' });
  }
  return { privateKeyDer: new Uint8Array(exported), publicKeyDer };
}

/** From PKCS#8 DER; kind `corrupt` if it is not an RSA key of 2048 bits. */
export function importPrivateKey(privateKeyDer: Uint8Array): KeyObject {
  return imported('rsa.import-private', () =>
    createPrivateKey({ key: Buffer.from(privateKeyDer), format: 'der', type: 'pkcs8' }),
  );
}

/** From SubjectPublicKeyInfo DER; kind `corrupt` if it is not an RSA key of 2048 bits. */
export function importPublicKey(publicKeyDer: Uint8Array): KeyObject {
  return imported('rsa.import-public', () =>
    createPublicKey({ key: Buffer.from(publicKeyDer), format: 'der', type: 'spki' }),
  );
}

/** SubjectPublicKeyInfo DER of the public half of a private key. */
export function publicKeyDerOf(privateKey: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }));
}

/** 256 bytes, different each time. */
export function signPss(privateKey: KeyObject, message: Uint8Array): Uint8Array {
  const options = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
  try {
    return new Uint8Array(sign('sha256', message, options));
  } catch (error) {
    throw asTahoeError(error, 'rsa.sign');
  }
}

/** False for anything but a valid signature, also for one of the wrong length. Kind `corrupt` if the key cannot be used. */
export function verifyPss(publicKey: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  const options = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
  try {
    return verify('sha256', message, options, signature);
  } catch (cause) {
    throw new TahoeError('a key with which nothing can be verified', { kind: 'corrupt', op: 'rsa.verify', cause });
  }
}

function imported(op: string, load: () => KeyObject): KeyObject {
  let key: KeyObject;
  try {
    key = load();
  } catch (cause) {
    throw new TahoeError('not an RSA key', { kind: 'corrupt', op, cause });
  }
  const length = key.asymmetricKeyDetails?.modulusLength;
  if (key.asymmetricKeyType !== 'rsa' || length !== modulusBits) {
    throw new TahoeError(`not an RSA key of ${modulusBits} bits`, { kind: 'corrupt', op });
  }
  return key;
}
