/** A running SFTP server over a memory file system, and the OpenSSH programs that talk to it. */
import { spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import type { ExecutionContext } from 'ava';
import { openAccountsFile } from '../../sftp/accounts.js';
import { loadOrCreateHostKey } from '../../sftp/host-key.js';
import { parseOwnerNames } from '../../sftp/long-name.js';
import { type SftpServer, type SftpServerLimits, startSftpServer } from '../../sftp/server.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { type Logger, silentLogger } from '../../src/platform/logger.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import { MemoryVfs } from './memory-vfs.js';

export const rootCap = 'URI:DIR2:test-root';
export const testNames = parseOwnerNames('root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:\n', 'wheel:x:0:\n');

export interface SftpFixture {
  readonly vfs: MemoryVfs;
  readonly server: SftpServer;
  /** Scratch directory on the real disk; removed afterwards. */
  readonly directory: string;
  readonly accountsPath: string;
  readonly keyPath: string;
  /** Options for ssh, sftp and sshfs that make them use this server's keys and nothing of the user's. */
  readonly sshOptions: readonly string[];
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function startFixture(
  t: ExecutionContext,
  options: {
    readonly vfs?: MemoryVfs;
    readonly wrap?: (vfs: MemoryVfs) => Vfs;
    readonly limits?: Partial<SftpServerLimits>;
    readonly log?: Logger;
    readonly keyType?: readonly string[];
  } = {},
): Promise<SftpFixture> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-sftp-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  const keyPath = path.join(directory, 'id');
  await generateKey(keyPath, options.keyType);
  const accountsPath = path.join(directory, 'accounts');
  await fs.writeFile(accountsPath, `alice ${(await fs.readFile(`${keyPath}.pub`, 'utf8')).trim()} ${rootCap}\n`);
  const vfs = options.vfs ?? new MemoryVfs();
  const files = new NodeFileStore();
  const log = options.log ?? silentLogger;
  const server = await startSftpServer({
    vfs: options.wrap?.(vfs) ?? vfs,
    hostKey: await loadOrCreateHostKey(files, path.join(directory, 'host_key')),
    accounts: await openAccountsFile(files, accountsPath, log),
    listen: { host: '127.0.0.1', port: 0 },
    clock: new NodeClock(),
    entropy: new NodeEntropy(),
    log,
    names: testNames,
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    limits: options.limits,
  });
  t.teardown(() => server.close());
  const hostPublic = await fs.readFile(path.join(directory, 'host_key.pub'), 'utf8');
  const knownHosts = path.join(directory, 'known_hosts');
  await fs.writeFile(knownHosts, `[127.0.0.1]:${server.address.port} ${hostPublic}`);
  const sshOptions = [
    ...['-F', 'none', '-o', `IdentityFile=${keyPath}`, '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'],
    ...['-o', `UserKnownHostsFile=${knownHosts}`, '-o', 'GlobalKnownHostsFile=none', '-o', 'BatchMode=yes'],
    ...['-o', 'StrictHostKeyChecking=yes'],
  ];
  return { vfs, server, directory, accountsPath, keyPath, sshOptions };
}

export async function generateKey(keyPath: string, type: readonly string[] = ['-t', 'ed25519']): Promise<void> {
  const made = await run('ssh-keygen', ['-q', ...type, '-N', '', '-C', 'a comment', '-f', keyPath]);
  if (made.code !== 0) throw new Error(made.stderr);
}

/** Runs the OpenSSH sftp client with a batch of commands; a command with `-` before it may fail. */
export function sftpBatch(fixture: SftpFixture, commands: readonly string[]): Promise<CommandResult> {
  const { port } = fixture.server.address;
  const args = [...fixture.sshOptions, '-b', '-', '-P', String(port), 'alice@127.0.0.1'];
  return run('sftp', args, { input: `${commands.join('\n')}\n`, cwd: fixture.directory });
}

export function run(
  command: string,
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string } = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'pipe', cwd: options.cwd });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 255, ...output }));
    child.stdin.on('error', () => undefined).end(options.input ?? '');
  });
}
