import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { sha1 } from '../crypto/hashes.js';
import { decodeBase32, encodeBase32 } from '../encoding/base32.js';
import type { ServerId, TubId } from '../encoding/brands.js';
import { concatBytes, decodeUtf8, encodeAscii, encodeUtf8, fromHex } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Entropy } from '../platform/entropy.js';
import type { FileStore } from '../platform/file-store.js';
import { writeFileDurably } from '../platform/write-file.js';
import { serializeHost, serializeNurl } from '../storage-protocol/nurl.js';
import { makeCertificate, spkiHashOf } from './certificate.js';

/** Who a storage server is. Never changes while it holds shares: clients derive their write enablers from it. */
export interface StorageIdentity {
  /** `v0-` and the base32 of the Ed25519 public key. */
  readonly serverId: ServerId;
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

export interface IdentityPlatform {
  readonly files: FileStore;
  readonly entropy: Entropy;
  readonly clock: Clock;
}

const SWISSNUM_BYTES = 20;
/** RFC 8410: what stands before the 32 bytes of an Ed25519 seed in PKCS#8. */
const ED25519_PKCS8_HEAD = fromHex('302e020100300506032b657004220420');

/**
 * The identity kept in a node directory, in the files of the reference (storage-http spec 3.1, 4, 5.2); whatever is
 * missing is made and kept. The swissnum is kept with the first `publishAddresses`. Kind `invalid` for files that hold
 * something else.
 */
export async function openIdentity(platform: IdentityPlatform, nodeDirectory: string): Promise<StorageIdentity> {
  const directory = new TextFiles(platform.files, nodeDirectory);
  await platform.files.makeDirectory(join(nodeDirectory, 'private'), { mode: 0o700 });
  const pair = await openCertificate(platform, directory);
  const certificate = new X509Certificate(pair.certificate);
  const tubId = sha1(certificate.raw) as TubId;
  await directory.keep('my_nodeid', `${encodeBase32(tubId)}\n`);
  const publicKey = await openServerKey(platform, directory);
  const seed = (await directory.read('permutation-seed')) ?? encodeBase32(encodeAscii(publicKey));
  await directory.keep('permutation-seed', `${seed.trim()}\n`);
  const furl = await directory.read('private/storage.furl');
  return {
    serverId: `v0-${publicKey}` as ServerId,
    tubId,
    permutationSeed: decodeBase32(seed.trim()),
    ...pair,
    spkiHash: spkiHashOf(certificate),
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

async function openCertificate(platform: IdentityPlatform, directory: TextFiles) {
  const text = await directory.read('private/node.pem');
  if (text === undefined) {
    const made = makeCertificate(platform.entropy, platform.clock.wallMs());
    await directory.write('private/node.pem', `${made.certificate}${made.privateKey}`);
    return made;
  }
  const certificate = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/.exec(text)?.[0];
  const privateKey = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----\n?/.exec(text)?.[0];
  if (certificate === undefined || privateKey === undefined) throw damaged('private/node.pem');
  return { certificate, privateKey };
}

/** The base32 of the Ed25519 public key that announcements are signed with. */
async function openServerKey(platform: IdentityPlatform, directory: TextFiles): Promise<string> {
  const text = await directory.read('private/node.privkey');
  const seed = text === undefined ? platform.entropy.bytes(32) : seedOf(text.trim());
  const der = Buffer.from(concatBytes([ED25519_PKCS8_HEAD, seed]));
  const publicKey = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  const encoded = encodeBase32(publicKey.export({ type: 'spki', format: 'der' }).subarray(-32));
  if (text === undefined) await directory.write('private/node.privkey', `priv-v0-${encodeBase32(seed)}\n`);
  await directory.keep('node.pubkey', `pub-v0-${encoded}\n`);
  return encoded;
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

/** Small text files of a node directory. */
class TextFiles {
  readonly #files: FileStore;
  readonly #directory: string;

  constructor(files: FileStore, directory: string) {
    this.#files = files;
    this.#directory = directory;
  }

  async read(name: string): Promise<string | undefined> {
    try {
      return decodeUtf8(await this.#files.readFile(join(this.#directory, name)));
    } catch (error) {
      if (isTahoeError(error, 'not-found')) return undefined;
      throw error;
    }
  }

  async write(name: string, text: string): Promise<void> {
    await writeFileDurably(this.#files, join(this.#directory, name), encodeUtf8(text));
  }

  /** Writes only what is not there already. */
  async keep(name: string, text: string): Promise<void> {
    if ((await this.read(name)) !== text) await this.write(name, text);
  }
}
