import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { ed25519PublicKey } from '../crypto/ed25519.js';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import type { ServerId, TubId } from '../encoding/brands.js';
import { encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { FileStore } from '../platform/file-store.js';
import { TextFiles } from '../platform/text-files.js';
import { serializeHost, serializeNurl } from '../storage-protocol/nurl.js';
import { spkiHashOf } from '../transport/certificate.js';
import { type CertificatePlatform, openTubCertificate, tubIdOf } from '../transport/tub-certificate.js';

/** Who a storage server is. Never changes while it holds shares: clients derive their write enablers from it. */
export interface StorageIdentity {
  /** `v0-` and the base32 of the Ed25519 public key. */
  readonly serverId: ServerId;
  /** The 32-byte seed of its key, with which announcements are signed; a secret. */
  readonly signingSeed: Uint8Array;
  /** SHA-1 of the certificate. */
  readonly tubId: TubId;
  /** As announced (base32-decoded once): opaque bytes. */
  readonly permutationSeed: Uint8Array;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
  readonly spkiHash: string;
  /** The right to use the server; a secret. */
  readonly swissnum: string;
}

export interface ServerAddresses {
  readonly furl: string;
  readonly nurl: string;
}

const SWISSNUM_BYTES = 20;

/**
 * The identity kept in a node directory, in the files of the reference (storage-http spec 3.1, 4, 5.2); whatever is
 * missing is made and kept. The swissnum is kept with the first `publishAddresses`. Kind `invalid` for files that hold
 * something else.
 */
export async function openIdentity(platform: CertificatePlatform, nodeDirectory: string): Promise<StorageIdentity> {
  const directory = new TextFiles(platform.files, nodeDirectory);
  await platform.files.makeDirectory(join(nodeDirectory, 'private'), { mode: 0o700 });
  const pair = await openTubCertificate(platform, nodeDirectory);
  const { publicKey, signingSeed } = await openServerKey(platform, directory);
  const seed = (await directory.read('permutation-seed')) ?? encodeBase32(encodeAscii(publicKey));
  await directory.keep('permutation-seed', `${seed.trim()}\n`);
  const furl = await directory.read('private/storage.furl');
  return {
    serverId: `v0-${publicKey}` as ServerId,
    signingSeed,
    tubId: tubIdOf(pair),
    permutationSeed: decodeBase32(seed.trim()),
    ...pair,
    spkiHash: spkiHashOf(new X509Certificate(pair.certificate)),
    swissnum: furl === undefined ? encodeBase32(platform.entropy.bytes(SWISSNUM_BYTES)) : swissnumOf(furl.trim()),
  };
}

/** Keeps and returns the addresses under which clients reach the server; call it whenever it has begun to listen. */
export async function publishAddresses(
  files: FileStore,
  nodeDirectory: string,
  identity: StorageIdentity,
  location: { readonly host: string; readonly port: number },
): Promise<ServerAddresses> {
  const { host, port } = location;
  const { spkiHash, swissnum } = identity;
  const directory = new TextFiles(files, nodeDirectory);
  const furl = `pb://${encodeBase32(identity.tubId)}@tcp:${serializeHost(host)}:${port}/${swissnum}`;
  const nurl = serializeNurl({ scheme: 'pb', spkiHash, host, port, swissnum });
  await directory.keep('private/storage.furl', `${furl}\n`);
  await directory.keep('private/storage.nurl', `${nurl}\n`);
  return { furl, nurl };
}

/** The key that announcements are signed with; its public half in base32. */
async function openServerKey(platform: CertificatePlatform, directory: TextFiles) {
  const text = await directory.read('private/node.privkey');
  const signingSeed = text === undefined ? platform.entropy.bytes(32) : seedOf(text.trim());
  const publicKey = encodeBase32(ed25519PublicKey(signingSeed));
  if (text === undefined) await directory.write('private/node.privkey', `priv-v0-${encodeBase32(signingSeed)}\n`);
  await directory.keep('node.pubkey', `pub-v0-${publicKey}\n`);
  return { publicKey, signingSeed };
}

function seedOf(text: string): Uint8Array {
  const seed = text.startsWith('priv-v0-') ? decodeBase32(text.slice('priv-v0-'.length)) : new Uint8Array(0);
  if (seed.length !== 32) throw damaged('private/node.privkey');
  return seed;
}

function swissnumOf(furl: string): string {
  const swissnum = /^pb:\/\/[^/]*\/([^/#?\s]+)$/.exec(furl)?.[1];
  if (swissnum === undefined) throw damaged('private/storage.furl');
  return swissnum;
}

function damaged(name: string): TahoeError {
  return new TahoeError(`${name} does not hold what it should`, {
    kind: 'invalid',
    op: 'identity.open',
    subject: name,
  });
}
