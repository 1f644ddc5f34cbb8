/** `private/node.pem`: the certificate that a node shows wherever it listens or calls. Storage-http spec 3.1. */
import { X509Certificate } from 'node:crypto';
import { sha1 } from '../crypto/hashes.js';
import { encodeBase32 } from '../encoding/base32.js';
import type { TubId } from '../encoding/brands.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { FileStore } from '../platform/file-store.js';
import { TextFiles } from '../platform/text-files.js';
import { type CertificatePair, makeCertificate } from './certificate.js';

export interface CertificatePlatform {
  readonly files: FileStore;
  readonly entropy: Entropy;
  readonly clock: Clock;
}

/** SHA-1 of the whole certificate. */
export function tubIdOf({ certificate }: CertificatePair): TubId {
  return sha1(new X509Certificate(certificate).raw) as TubId;
}

/**
 * The certificate kept in a node directory, made if there is none; `my_nodeid` says its tub id. `private/` must exist.
 * Kind `invalid` for a file that holds something else.
 */
export async function openTubCertificate(
  platform: CertificatePlatform,
  nodeDirectory: string,
): Promise<CertificatePair> {
  const directory = new TextFiles(platform.files, nodeDirectory);
  const pair = await readOrMake(platform, directory);
  await directory.keep('my_nodeid', `${encodeBase32(tubIdOf(pair))}\n`);
  return pair;
}

async function readOrMake(platform: CertificatePlatform, directory: TextFiles): Promise<CertificatePair> {
  const text = await directory.read('private/node.pem');
  if (text === undefined) {
    const made = makeCertificate(platform.entropy, platform.clock.wallMs());
    await directory.write('private/node.pem', `${made.certificate}${made.privateKey}`);
    return made;
  }
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(text)?.[0];
  const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----\n?/.exec(text)?.[0];
  if (certificate !== undefined && privateKey !== undefined) return { certificate, privateKey };
  throw new TahoeError('private/node.pem does not hold a certificate and its key', {
    kind: 'invalid',
    op: 'identity.open',
    subject: 'private/node.pem',
  });
}
