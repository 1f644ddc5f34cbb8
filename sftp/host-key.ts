import { createHash } from 'node:crypto';
import ssh2 from 'ssh2';
import { decodeUtf8, encodeUtf8 } from '../src/encoding/bytes.js';
import { isTahoeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { FileStore } from '../src/platform/file-store.js';
import { generateSshKeyPair } from './ssh-key-pair.js';

export interface HostKey {
  /** Private key in OpenSSH or PEM format. Secret. */
  readonly privateKey: string;
  /** Type and base64, as in known_hosts. */
  readonly publicKey: string;
  /** `SHA256:` and base64, as ssh shows it. */
  readonly fingerprint: string;
}

/**
 * The host key at `path`; at the first start an ed25519 key is made and written there (readable by the owner only), and
 * its public half to `path`.pub. Kind `invalid` for a file that is not an unencrypted private key.
 */
export async function loadOrCreateHostKey(files: FileStore, path: string): Promise<HostKey> {
  try {
    return parseHostKey(decodeUtf8(await files.readFile(path)));
  } catch (error) {
    if (!isTahoeError(error, 'not-found')) throw error;
  }
  const { privateKey, publicKey } = generateSshKeyPair('tahoe sftp');
  await writeNew(files, `${path}.pub`, `${publicKey}\n`);
  await writeNew(files, path, privateKey);
  return parseHostKey(privateKey);
}

/** Kind `invalid` for text that is not an unencrypted private key. */
export function parseHostKey(privateKey: string): HostKey {
  const key = ssh2.utils.parseKey(privateKey);
  if (key instanceof Error || !key.isPrivateKey()) {
    const cause = key instanceof Error ? key : undefined;
    throw new TahoeError('the SFTP host key is not a private key without passphrase', {
      kind: 'invalid',
      op: 'sftp.host-key',
      cause,
    });
  }
  const blob = key.getPublicSSH();
  const digest = createHash('sha256').update(blob).digest('base64').replace(/=+$/, '');
  return { privateKey, publicKey: `${key.type} ${blob.toString('base64')}`, fingerprint: `SHA256:${digest}` };
}

/** Whole or not at all: a start that was cut off leaves no half key behind. */
async function writeNew(files: FileStore, path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await files.open(temporary, 'create');
  try {
    await file.truncate(0);
    await file.write(0, [encodeUtf8(text)]);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncDirectory(path.slice(0, path.lastIndexOf('/')) || '/');
}
