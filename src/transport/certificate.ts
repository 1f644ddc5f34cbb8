import {
  createECDH,
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  type X509Certificate,
} from 'node:crypto';
import type { Entropy } from '../platform/entropy.js';
import {
  derBitString,
  derElement,
  derInteger,
  derObjectId,
  derSequence,
  derSet,
  derTime,
  derUtf8String,
} from './der.js';

const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2';
const COMMON_NAME = '2.5.4.3';
const COMMON_NAME_TEXT = 'newpb_thingy';
/** Nobody checks it: peers pin the key. Long, for the tools that warn. */
const VALID_YEARS = 100;

export interface CertificatePair {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
}

/** A new EC P-256 key and its self-signed certificate (RFC 5280, X.509 v3 without extensions). */
export function makeCertificate(entropy: Entropy, nowMs: number): CertificatePair {
  const privateKey = newKey(entropy);
  const algorithm = derSequence(derObjectId(ECDSA_WITH_SHA256));
  const name = derSequence(derSet(derSequence(derObjectId(COMMON_NAME), derUtf8String(COMMON_NAME_TEXT))));
  const begin = new Date(nowMs);
  const end = new Date(nowMs);
  end.setUTCFullYear(end.getUTCFullYear() + VALID_YEARS);
  const version3 = derElement(0xa0, derInteger(new Uint8Array([2])));
  const body = derSequence(
    version3,
    derInteger(entropy.bytes(16)),
    algorithm,
    name,
    derSequence(derTime(begin), derTime(end)),
    name,
    createPublicKey(privateKey).export({ type: 'spki', format: 'der' }),
  );
  const signature = sign('sha256', body, privateKey);
  return {
    certificate: pem('CERTIFICATE', derSequence(body, algorithm, derBitString(signature))),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

/** SHA-256 of the certificate's public key, base64url without padding: what a NURL pins. */
export function spkiHashOf(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(spki).digest('base64url');
}

function newKey(entropy: Entropy): KeyObject {
  const curve = createECDH('prime256v1');
  const scalar = entropy.bytes(32);
  // A scalar outside the group's order, one in 2^32, is refused by setPrivateKey: clearing the top bit rules it out.
  scalar[0] = (scalar[0] as number) & 0x7f;
  curve.setPrivateKey(scalar);
  const point = curve.getPublicKey();
  return createPrivateKey({
    format: 'jwk',
    key: {
      kty: 'EC',
      crv: 'P-256',
      d: Buffer.from(scalar).toString('base64url'),
      x: point.subarray(1, 33).toString('base64url'),
      y: point.subarray(33).toString('base64url'),
    },
  });
}

function pem(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
