/**
 * Rounds of: rsync into the mount, kill -9 of the node in the middle, start again, mount again. Every file whose close
 * had been acknowledged must be there with the right bytes, at once on the mount, and after a sync for a second client.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { mountNode, type RealGrid, shell, startReader, statusOf, sync } from './real-grid.js';
import { runTahoe } from './running-tahoe.js';

export interface RoundReport {
  readonly round: number;
  /** Files whose close, or rename by rsync, was acknowledged before the kill. */
  readonly acknowledged: number;
  /** Files that were on this computer only when it was asked last. */
  readonly pendingBefore: number;
  readonly pendingAfter: number;
}

const FILES = 400;

/** One round. Throws if something acknowledged is missing or wrong, or if nothing was pending at the kill. */
export async function killRound(
  t: ExecutionContext,
  grid: RealGrid,
  round: number,
  killAfterFiles: number,
): Promise<RoundReport> {
  const source = makeFiles(join(grid.work, `source ${round}`), round);
  const mountpoint = join(grid.work, 'mount');
  await mountNode(t, grid, mountpoint);
  const target = join(mountpoint, `round ${round}`);
  await shell('mkdir "$1"', target);
  const writers = startWriters(source, target);
  await writers.reached(killAfterFiles);
  const { filesPending: pendingBefore } = (await statusOf(grid)).pending;
  const renamed = await namesOfRsync(target);
  await grid.running.stop('SIGKILL');
  const acknowledged = [...(await writers.ended()), ...renamed];
  writeFileSync(`${source}.acknowledged`, acknowledged.map((name) => `${name}\n`).join(''));
  await shell('umount -l "$1"', mountpoint);

  grid.running = await runTahoe(t, grid.directory);
  const { filesPending: pendingAfter } = (await statusOf(grid)).pending;
  if (pendingAfter === 0) throw new Error(`round ${round} proves nothing: nothing was pending after the kill`);
  await mountNode(t, grid, mountpoint);
  await compare(source, target);
  await compareNamed(await namesOfRsync(target), source, target);
  await shell('umount "$1"', mountpoint);
  await sync(grid);
  return { round, acknowledged: acknowledged.length, pendingBefore, pendingAfter };
}

/** All rounds as a second, empty client sees them. */
export async function compareByReader(t: ExecutionContext, grid: RealGrid, reports: readonly RoundReport[]) {
  const reader = await startReader(t, grid, 'reader');
  const mount = await mountNode(t, reader, join(grid.work, 'seen by the reader'), '-o', 'ro');
  for (const { round } of reports) {
    await compare(join(grid.work, `source ${round}`), join(mount, `round ${round}`));
  }
}

function makeFiles(directory: string, round: number): string {
  for (let number = 0; number < FILES; number++) {
    const folder = join(directory, `d${number % 7}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      join(folder, `f${number}`),
      Buffer.alloc(((number * 397 + round * 31) % 20_000) + 60, `${round}.${number} `),
    );
  }
  return directory;
}

interface Writers {
  /** Resolves when this many closes were acknowledged to the writer. */
  reached(count: number): Promise<void>;
  /** The names of all files that the writer closed, once nothing writes any more. */
  ended(): Promise<readonly string[]>;
}

/** Names each file after its close returned without an error. */
const writer = `
import os, sys
source, target = sys.argv[1:]
for folder in sorted(os.listdir(source)):
    os.makedirs(target + '/own/' + folder)
    for name in sorted(os.listdir(source + '/' + folder)):
        fd = os.open(target + '/own/' + folder + '/' + name, os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, open(source + '/' + folder + '/' + name, 'rb').read())
        os.close(fd)
        print('own/' + folder + '/' + name, flush=True)
`;

function startWriters(source: string, target: string): Writers {
  const closed: string[] = [];
  let rest = '';
  let wake = () => {};
  const own = spawn('python3', ['-c', writer, source, target], { stdio: ['ignore', 'pipe', 'ignore'] });
  own.stdout.on('data', (data: Buffer) => {
    const lines = (rest + data.toString()).split('\n');
    rest = lines.pop() ?? '';
    closed.push(...lines);
    wake();
  });
  const rsync = spawn('rsync', ['-a', `${source}/`, `${target}/rsync/`], { stdio: 'ignore' });
  const ended = Promise.all([own, rsync].map((child) => once(child, 'close')));
  return {
    reached: async (count) => {
      while (closed.length < count) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    ended: async () => {
      await ended;
      return closed;
    },
  };
}

/** What rsync has given its name: it was closed and renamed, so it is whole. */
async function namesOfRsync(target: string): Promise<string[]> {
  const listing = await shell(`mkdir -p "$1/rsync"; cd "$1"; find rsync -type f -name 'f*'`, target);
  return listing.split('\n').filter((name) => name !== '');
}

/** Every acknowledged file of the round is in `target` with the right bytes. */
async function compare(source: string, target: string): Promise<void> {
  await shell(
    'while read -r name; do cmp "$1/$(cut -d/ -f2- <<< "$name")" "$2/$name"; done < "$1.acknowledged"',
    source,
    target,
  );
}

/** The files of these names, acknowledged or not, are whole. */
async function compareNamed(names: readonly string[], source: string, target: string): Promise<void> {
  await shell(
    'cd "$2"; source=$1; shift 2; for name; do cmp "$source/$(cut -d/ -f2- <<< "$name")" "$name"; done',
    source,
    target,
    ...names,
  );
}
