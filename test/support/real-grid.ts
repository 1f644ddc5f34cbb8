/** A grid of real processes with real mounts, for tests of what a person sees. */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { NodeStatus } from '../../src/web/node-control.js';
import type { Cleanup } from './cleanup.js';
import { type RunningProgram, runTahoe, tahoe, tahoeOutput, temporaryDirectory } from './running-tahoe.js';

/** A node that runs, with what it has mounted. */
export interface RealNode {
  /** The node's directory, or that of the grid. */
  readonly directory: string;
  running: RunningProgram;
}

export interface RealGrid extends RealNode {
  /** Everything of this test; removed afterwards. */
  readonly work: string;
}

/** Ten storage servers and a client in one process. */
export async function startGrid(t: Cleanup, ...createOptions: string[]): Promise<RealGrid> {
  const work = await temporaryDirectory(t);
  await chmod(work, 0o755);
  const directory = join(work, 'grid');
  await tahoeOutput('create-grid', directory, ...createOptions);
  return { work, directory, running: await runTahoe(t, directory) };
}

/** The FURL that nodes need to join the grid. */
export async function introducerOf({ directory }: RealNode): Promise<string> {
  return (await readFile(join(directory, 'introducer/private/introducer.furl'), 'utf8')).trim();
}

/** The same with a process for each server, and one for the introducer. */
export async function startSeparately(t: Cleanup): Promise<RealGrid & { readonly servers: readonly RunningProgram[] }> {
  const work = await temporaryDirectory(t);
  const directory = join(work, 'grid');
  await tahoeOutput('create-grid', directory);
  // Makes the root directory, which a client alone does not.
  await (await runTahoe(t, directory)).stop();
  await runTahoe(t, join(directory, 'introducer'));
  const servers = await startServers(t, directory, [...Array(10).keys()]);
  return { work, directory, servers, running: await runTahoe(t, join(directory, 'client')) };
}

export function startServers(t: Cleanup, grid: string, numbers: readonly number[]): Promise<RunningProgram[]> {
  return Promise.all(numbers.map((number) => runTahoe(t, join(grid, `server-${number}`))));
}

/** A new, empty client of the grid that has no more than the capability to read. */
export async function startReader(t: Cleanup, grid: RealGrid, name: string): Promise<RealNode> {
  const own = join(grid.work, name);
  const aliases = JSON.parse(await tahoeOutput('-d', grid.directory, 'list-aliases', '--json'));
  const introducer = await introducerOf(grid);
  await tahoeOutput('create-client', own, '--introducer', introducer, '--root', aliases.tahoe.readonly);
  return { directory: own, running: await runTahoe(t, own) };
}

/** Mounts the node's root; returns the mount point. Whatever is still mounted at the end of the test is detached. */
export async function mountNode(t: Cleanup, node: RealNode, mountpoint: string, ...options: string[]): Promise<string> {
  await mkdir(mountpoint, { recursive: true });
  t.teardown(() => detach(mountpoint));
  await tahoeOutput('-d', node.directory, 'mount', mountpoint, ...options);
  return mountpoint;
}

/** Mounts through the system's sshfs, with the command line that `status` gives. */
export async function mountSshfs(t: Cleanup, node: RealNode, mountpoint: string): Promise<string> {
  await mkdir(mountpoint, { recursive: true });
  t.teardown(() => detach(mountpoint));
  const line = (await statusOf(node)).sftp?.sshfs ?? 'false';
  // Links to absolute paths are refused by sshfs itself otherwise.
  await shell(`${line} -o no_contain_symlinks '${mountpoint}'`);
  return mountpoint;
}

async function detach(mountpoint: string): Promise<void> {
  if (await isMountPoint(mountpoint)) await shell(`umount -l '${mountpoint}'`);
}

export async function isMountPoint(path: string): Promise<boolean> {
  const escaped = resolve(path).replaceAll(' ', '\\040');
  return (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${escaped} `);
}

export async function statusOf(node: RealNode): Promise<NodeStatus> {
  return JSON.parse(await tahoeOutput('-d', node.directory, 'status', '--json')) as NodeStatus;
}

/** Everything is on the grid, or the test fails. */
export async function sync(node: RealNode, timeoutSeconds = 120): Promise<void> {
  const { code, stderr } = await tahoe('-d', node.directory, 'sync', '--timeout', String(timeoutSeconds));
  if (code !== 0) throw new Error(`sync exited with ${code}: ${stderr}`);
}

/** Runs a shell script that must succeed; returns what it printed. `$1`, `$2`... are the arguments. */
export function shell(script: string, ...args: string[]): Promise<string> {
  return new Promise((resolvePromise, reject) => {
    execFile('bash', ['-euc', script, 'sh', ...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error === null) resolvePromise(stdout);
      else reject(new Error(`${script}\nexited with ${error.code}: ${stdout.slice(-2000)}${stderr.slice(-4000)}`));
    });
  });
}

/** The seconds that `work` took, and what it gave. */
export async function timed<Result>(work: Promise<Result>): Promise<{ result: Result; seconds: number }> {
  const began = performance.now();
  const result = await work;
  return { result, seconds: (performance.now() - began) / 1000 };
}

/** One line for each entry: path, type, mode, time and size, or target. */
export function listTree(directory: string, precision: 'nanoseconds' | 'seconds'): Promise<string> {
  const cut = precision === 'seconds' ? String.raw`sed -E 's/ ([0-9]+)\.[0-9]+/ \1/'` : 'cat';
  return shell(
    String.raw`cd "$1"; find . -mindepth 1 \( -type f -printf '%P f %m %T@ %s\n' \) -o \( -type l -printf '%P l %l\n' \) -o -printf '%P %y %m %T@\n' | ${cut} | LC_ALL=C sort`,
    directory,
  );
}
