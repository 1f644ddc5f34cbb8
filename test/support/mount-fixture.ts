import { type ChildProcess, execFile, execFileSync, fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import type { FuseMountOptions } from '../../mount/mount.js';

export interface MountServerOptions {
  readonly path: string;
  readonly driver?: 'kernel' | 'fuse-native';
  readonly mount?: Omit<FuseMountOptions, 'log'>;
}

export type MountCommand = { readonly id: number } & (
  | { readonly what: 'unmount'; readonly force?: boolean }
  | { readonly what: 'hold' | 'break'; readonly operation: string }
  | { readonly what: 'write-elsewhere'; readonly name: string; readonly text: string }
  | { readonly what: 'unlink-elsewhere' | 'state'; readonly name: string }
);

type WithoutId<Command> = Command extends unknown ? Omit<Command, 'id'> : never;

interface Answer {
  readonly id?: number;
  readonly value?: unknown;
  readonly error?: string;
  readonly ready?: boolean;
  readonly refused?: string;
  readonly message?: string;
}

/** A mount of a MemoryVfs, served by another process. */
export interface TestMount {
  readonly path: string;
  readonly server: ChildProcess;
  call(command: WithoutId<MountCommand>): Promise<unknown>;
}

/** What is left in the Vfs after the unmount; all counts are 0 when nothing leaks. */
export interface Leftovers {
  readonly remembered: number;
  readonly openHandles: number;
  readonly problems: readonly string[];
}

export class MountRefused extends Error {
  readonly kind: string;

  constructor(kind: string, message: string) {
    super(message);
    this.kind = kind;
  }
}

/** Mounts in a temporary directory, or at `at`; everything is cleaned up after the test. Throws MountRefused. */
export async function startMount(
  t: ExecutionContext,
  options: Omit<MountServerOptions, 'path'> & { readonly at?: string; readonly uid?: number } = {},
): Promise<TestMount> {
  const { at, uid, ...serverOptions } = options;
  const directory = at ?? temporaryDirectory(t);
  if (uid !== undefined) fs.chownSync(directory, uid, uid);
  const server = fork(
    fileURLToPath(new URL('./mount-server.js', import.meta.url)),
    [JSON.stringify({ ...serverOptions, path: directory })],
    { execArgv: [], ...(uid === undefined ? {} : { uid, gid: uid }) },
  );
  t.teardown(() => {
    server.kill('SIGKILL');
    if (isMounted(directory)) execFileSync('umount', ['-l', directory]);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('message', (answer: Answer) => {
      if (answer.ready) resolve();
      else reject(new MountRefused(answer.refused ?? '', answer.message ?? ''));
    });
    server.once('exit', () => reject(new MountRefused('exit', 'the server ended')));
  });
  let nextId = 1;
  const call = (command: WithoutId<MountCommand>): Promise<unknown> => {
    const id = nextId++;
    return new Promise((resolve, reject) => {
      const listen = (answer: Answer) => {
        if (answer.id !== id) return;
        server.off('message', listen);
        if (answer.error === undefined) resolve(answer.value);
        else reject(new MountRefused(answer.error, answer.error));
      };
      server.on('message', listen);
      server.send({ ...command, id });
    });
  };
  return { path: directory, server, call };
}

export function temporaryDirectory(t: ExecutionContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tahoe-mount-'));
  t.teardown(() => fs.rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function isMounted(directory: string): boolean {
  return fs.readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `);
}

const execute = promisify(execFile);

/** Runs a command in the mount and returns its standard output; rejects when it fails. */
export async function command(cwd: string, name: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await execute(name, [...args], { cwd, maxBuffer: 1 << 26 });
  return stdout;
}
