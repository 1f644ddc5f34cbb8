/**
 * Real sshfs mounts over a memory file system. Only child processes may touch the mount: the file system is served by
 * this process, so a synchronous or pooled file operation of ours would wait for itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import type { ExecutionContext } from 'ava';
import { runSession } from '../../sftp/session.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { silentLogger } from '../../src/platform/logger.js';
import { MemoryVfs } from './memory-vfs.js';
import { type CommandResult, rootCap, run, startFixture, testNames } from './sftp-fixture.js';

export interface SshfsMount {
  readonly vfs: MemoryVfs;
  readonly mountPoint: string;
  /** Scratch directory on the real disk. */
  readonly scratch: string;
  /** Runs a shell script with $MNT and $TMP; fails the test unless it exits 0. Returns what it printed. */
  shell(script: string): Promise<string>;
}

/** sshfs since 3.7.4 (and in Debian's 3.7.3) otherwise refuses links with `..` in them. */
const sshfsOptions = ['-o', 'no_contain_symlinks'];

/** sshfs talks to the session over pipes, without SSH. */
export async function mountPassively(t: ExecutionContext): Promise<SshfsMount> {
  const { mountPoint, scratch } = await directories(t);
  const vfs = new MemoryVfs();
  const child = spawn('sshfs', ['-f', ...sshfsOptions, '-o', 'passive', ':/', mountPoint], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  const served = runSession({
    ...{ vfs, rootCap, input: child.stdout, output: child.stdin },
    ...{ clock: new NodeClock(), entropy: new NodeEntropy(), log: silentLogger, names: testNames },
    owner: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
  });
  await mounted(mountPoint, child);
  t.teardown(async () => {
    await unmount(mountPoint);
    await served;
    child.stdin.end();
  });
  return { vfs, mountPoint, scratch, shell: (script) => shell(t, script, mountPoint, scratch) };
}

/** sshfs talks to the server through OpenSSH. */
export async function mountOverSsh(t: ExecutionContext): Promise<SshfsMount> {
  const { mountPoint, scratch } = await directories(t);
  const fixture = await startFixture(t);
  // sshfs takes ssh's options as -o only; -F none is for ssh alone
  const options = fixture.sshOptions.filter((option, index, all) => option !== '-F' && all[index - 1] !== '-F');
  const args = [
    '-f',
    ...sshfsOptions,
    ...options,
    '-p',
    String(fixture.server.address.port),
    'alice@127.0.0.1:/',
    mountPoint,
  ];
  const child = spawn('sshfs', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  await mounted(mountPoint, child);
  t.teardown(() => unmount(mountPoint));
  return { vfs: fixture.vfs, mountPoint, scratch, shell: (script) => shell(t, script, mountPoint, scratch) };
}

async function directories(t: ExecutionContext) {
  const scratch = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-sshfs-'));
  t.teardown(() => fs.rm(scratch, { recursive: true, force: true }));
  const mountPoint = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-sshfs-mount-'));
  t.teardown(() => fs.rmdir(mountPoint));
  return { scratch, mountPoint };
}

async function mounted(mountPoint: string, child: ChildProcess): Promise<void> {
  for (;;) {
    if (child.exitCode !== null) throw new Error(`sshfs ended with ${child.exitCode}`);
    if ((await fs.readFile('/proc/self/mountinfo', 'utf8')).includes(` ${mountPoint} `)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function unmount(mountPoint: string): Promise<void> {
  const result = await run('fusermount3', ['-u', mountPoint]);
  if (result.code !== 0) await run('fusermount3', ['-uz', mountPoint]);
}

async function shell(t: ExecutionContext, script: string, mountPoint: string, scratch: string): Promise<string> {
  const prelude = `set -eu; export LC_ALL=C.UTF-8 MNT='${mountPoint}' TMP='${scratch}' HOME='${scratch}'; cd "$MNT"\n`;
  const result: CommandResult = await run('bash', ['-c', prelude + script]);
  t.is(result.code, 0, `${script}\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}
