/**
 * What programs do to a mount while the node under it is killed. Each says what was acknowledged to it, and how that must
 * look afterwards, here and for another node.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Folder } from './kill-folder.js';

export type WorkName = 'rsync' | 'git' | 'fsync';

/** `files`: closed ones. `names`: renames, removals, moves. `writes`: into a file that was never closed. */
export type ClaimKind = 'files' | 'fsyncs' | 'commits' | 'names' | 'writes';

/** Something that was acknowledged. */
export interface Claim {
  readonly kind: ClaimKind;
  /** For how many acknowledgements it stands. */
  readonly count: number;
  /** `grid`: as soon as it was acknowledged. `computer`: after a restart, and on the grid after a sync. */
  readonly promised: 'grid' | 'computer';
  /** What is wrong with it; undefined if all is as it was acknowledged. */
  check(folder: Folder): Promise<string | undefined>;
}

export interface Work {
  /** The kill comes up to so long after its beginning, or after the first acknowledgement. */
  readonly killWithinMs: number;
  /** Resolves when something was acknowledged, or everything has ended. */
  begun(): Promise<void>;
  /** Some time before the kill. */
  note(): Promise<void>;
  /** What the programs complained of; empty before the kill, or they found something wrong. */
  complaints(): string;
  /** After the kill: waits until nothing of it runs. */
  ended(): Promise<void>;
  /** After the end: everything that was acknowledged. */
  claims(): readonly Claim[];
}

export interface WorkPlace {
  readonly round: number;
  readonly door: 'fuse' | 'sshfs';
  /** In the mount; exists. */
  readonly target: string;
  /** Beside it, on the real disk; exists and is empty. */
  readonly scratch: string;
}

/** What a node sets beside a file that was open when it was killed. */
export function isRecovered(path: string): boolean {
  return /\.recovered-[^/]*$/.test(path);
}

export async function until(child: ChildProcess, condition: () => boolean): Promise<void> {
  const isRunning = () => child.exitCode === null && child.signalCode === null;
  while (isRunning() && !condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** What the program has printed as errors so far. */
export function errorsOf(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.on('data', (data: Buffer) => {
    text = (text + data.toString()).slice(-2000);
  });
  return () => text;
}

/** Grows as the program prints. */
export function linesOf(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  let rest = '';
  child.stdout?.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return lines;
}

/**
 * A program on a mount that has gone ends by itself; one that does not is ended, with those that it has started: git can
 * go on for ever with a folder that cannot be listed. Then everything it printed has come.
 */
export async function endOf(child: ChildProcess): Promise<void> {
  const closed = closings.get(child) ?? once(child, 'close');
  const limit = setTimeout(() => endGroup(child), 5_000);
  await closed;
  clearTimeout(limit);
}

function endGroup(child: ChildProcess): void {
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // it leads no group of its own
    child.kill('SIGKILL');
  }
}

const closings = new WeakMap<ChildProcess, Promise<unknown>>();

/** A program of a round, in a process group of its own. */
export function startProgram(command: string, args: readonly string[]): ChildProcess {
  return watched(spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true }));
}

/** To be called when the program is started, for endOf. */
export function watched(child: ChildProcess): ChildProcess {
  closings.set(child, once(child, 'close'));
  return child;
}
