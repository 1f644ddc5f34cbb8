/** The `tahoe` command as a program of its own, for tests of what users and their scripts see. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cleanup } from './cleanup.js';

const PROGRAM = 'dist/src/cli/tahoe.cjs';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export function tahoe(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, ...args], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}

/** The trimmed output of a command that must succeed. */
export async function tahoeOutput(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await tahoe(...args);
  if (code !== 0) throw new Error(`tahoe ${args.join(' ')} exited with ${code}: ${stderr}`);
  return stdout.trim();
}

export interface RunningProgram {
  readonly pid: number;
  /** Ends it and waits; the exit code, or null if the signal ended it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** `tahoe run DIR`; resolves when it has said that it is ready. */
export async function runTahoe(t: Cleanup, directory: string): Promise<RunningProgram> {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM, 'run', directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit') as Promise<[number | null]>;
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return (await exited)[0];
  };
  t.teardown(() => stop('SIGKILL'));
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const onData = (data: unknown) => {
      output += String(data);
      if (/^ready/m.test(output)) resolve();
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.on('exit', (code) => reject(new Error(`tahoe run exited with ${code}: ${output}`)));
  });
  return { pid: child.pid ?? 0, stop };
}

export async function temporaryDirectory(t: Cleanup): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-test-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}
