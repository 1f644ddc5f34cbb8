/** The node's SFTP server, with a key of its own for the user who runs the node, so that sshfs works at once. */
import { readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { openAccountsFile } from '../../sftp/accounts.js';
import { type HostKey, loadOrCreateHostKey } from '../../sftp/host-key.js';
import { type OwnerNames, parseOwnerNames } from '../../sftp/long-name.js';
import { type SftpServer, startSftpServer } from '../../sftp/server.js';
import { generateSshKeyPair } from '../../sftp/ssh-key-pair.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Platform } from '../platform/platform.js';
import type { Vfs } from '../vfs/vfs.js';
import type { SftpStatus } from '../web/node-control.js';
import type { NodeDirectory } from './node-directory.js';
import type { SftpConfig } from './tahoe-config.js';

const USER_KEY = 'private/sftp_user_key';
const KNOWN_HOSTS = 'private/sftp_known_hosts';
const USER = 'tahoe';

export interface SftpFrontend {
  readonly status: SftpStatus;
  close(): Promise<void>;
}

/** `rootCap` is where the node's own user begins; needed only when there is no accounts file yet. */
export async function startSftpFrontend(
  directory: NodeDirectory,
  config: SftpConfig,
  platform: Platform,
  vfs: Vfs,
  rootCap: string | undefined,
): Promise<SftpFrontend> {
  const accountsFile = config.accountsFile ?? 'private/accounts';
  if ((await directory.read(accountsFile)) === undefined) {
    await createAccounts(directory, accountsFile, rootCap);
  }
  const { clock, entropy, files, log } = platform;
  const hostKey = await loadOrCreateHostKey(files, directory.file(config.hostKeyFile));
  const server = await startSftpServer({
    vfs,
    hostKey,
    accounts: await openAccountsFile(files, directory.file(accountsFile), log),
    listen: { host: config.port.host ?? '0.0.0.0', port: config.port.port },
    clock,
    entropy,
    log,
    names: await readOwnerNames(),
    owner: processOwner(),
  });
  return { status: await describe(directory, server, hostKey), close: () => server.close() };
}

/** Makes a key pair for this computer's user and an accounts file that lets it in. */
async function createAccounts(directory: NodeDirectory, name: string, rootCap: string | undefined): Promise<void> {
  if (rootCap === undefined) {
    throw new TahoeError(
      `[sftpd] is enabled, but the accounts file ${directory.file(name)} is missing: ` +
        'write lines of "username keytype base64key rootcap" into it',
      { kind: 'invalid', op: 'sftp.start', subject: name },
    );
  }
  const { privateKey, publicKey } = generateSshKeyPair('');
  const [type, key] = publicKey.split(' ');
  await directory.write(USER_KEY, privateKey);
  await directory.write(name, `# username  keytype  base64key  rootcap\n${USER} ${type} ${key} ${rootCap}\n`);
}

async function describe(directory: NodeDirectory, server: SftpServer, { publicKey }: HostKey): Promise<SftpStatus> {
  const host = server.address.host === '0.0.0.0' ? '127.0.0.1' : server.address.host;
  const { port } = server.address;
  await directory.write(KNOWN_HOSTS, `[${host}]:${port} ${publicKey}\n`);
  const options = [
    `IdentityFile=${quoteForSsh(directory.file(USER_KEY))}`,
    'IdentitiesOnly=yes',
    `UserKnownHostsFile=${quoteForSsh(directory.file(KNOWN_HOSTS))}`,
    'StrictHostKeyChecking=yes',
  ];
  const shellOptions = options.map((option) => `-o ${quoteForShell(option)}`).join(' ');
  return {
    address: `${host}:${port}`,
    hostKeyFingerprint: server.fingerprint,
    sshfs: `sshfs -p ${port} ${shellOptions} ${USER}@${host}:/`,
    sftp: `sftp -P ${port} ${shellOptions} ${USER}@${host}`,
  };
}

/** ssh reads quotes in an option itself, after the shell has taken its own. */
function quoteForSsh(path: string): string {
  return /[\s"]/.test(path) ? `"${path.replaceAll('"', '\\"')}"` : path;
}

function quoteForShell(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

async function readOwnerNames(): Promise<OwnerNames> {
  const [passwd, group] = await Promise.all(
    ['passwd', 'group'].map((name) => readFile(join('/etc', name), 'utf8').catch(emptyIfMissing)),
  );
  return parseOwnerNames(passwd ?? '', group ?? '');
}

function emptyIfMissing(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}

/** Who owns what is made through this node. */
export function processOwner(): { readonly uid: number; readonly gid: number } {
  const { uid, gid } = userInfo();
  return { uid: Math.max(uid, 0), gid: Math.max(gid, 0) };
}
