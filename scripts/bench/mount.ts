/**
 * What a user of the mount sees, through the real node: ten servers and a client in one process as `create-grid` makes
 * them, mounted here. Needs /dev/fuse and rsync.
 *
 * node dist/scripts/bench/mount.js [--json] [directory]
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const program = fileURLToPath(new URL('../../src/cli/tahoe.cjs', import.meta.url));
const MKDIRS = 50;
const SMALL_FILES = 200;
const TREE_FILES = 1200;
const TREE_BYTES = 35e6;
const FILES_PER_DIRECTORY = 40;
const SYNC_LIMIT_MS = 600_000;

/** The parts of `status --json` that are counted here. */
interface Status {
  readonly pid: number;
  readonly pending: { readonly publishes: number };
  readonly servers: readonly { readonly requests: number }[];
}

export interface MountResults {
  readonly mkdirMs: number;
  readonly smallFiles: { readonly returnedMs: number; readonly syncedMs: number; readonly publishes: number };
  readonly tree: { readonly returnedMs: number; readonly syncedMs: number; readonly publishes: number };
  readonly secondRsyncMs: number;
  readonly warmListing: { readonly tookMs: number; readonly requests: number };
  readonly peakMib: number;
}

class MountedGrid {
  readonly mountpoint: string;
  readonly #client: string;
  readonly #node: ChildProcess;

  constructor(mountpoint: string, client: string, node: ChildProcess) {
    this.mountpoint = mountpoint;
    this.#client = client;
    this.#node = node;
  }

  static async start(directory: string): Promise<MountedGrid> {
    const grid = join(directory, 'grid');
    const mountpoint = join(directory, 'mnt');
    await mkdir(mountpoint);
    await run(process.execPath, [program, 'create-grid', grid]);
    const node = spawn(process.execPath, [program, 'run', grid], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(node.stdout, 'data', { signal: AbortSignal.timeout(60_000) });
    const mounted = new MountedGrid(mountpoint, join(grid, 'client'), node);
    try {
      await mounted.tahoe('mount', 'tahoe:', mountpoint);
    } catch (error) {
      await mounted.#end();
      throw error;
    }
    return mounted;
  }

  async tahoe(...words: string[]): Promise<string> {
    const options = { timeout: SYNC_LIMIT_MS };
    return (await run(process.execPath, [program, '-d', this.#client, ...words], options)).stdout;
  }

  async status(): Promise<Status> {
    return JSON.parse(await this.tahoe('status', '--json')) as Status;
  }

  async requests(): Promise<number> {
    return (await this.status()).servers.reduce((sum, { requests }) => sum + requests, 0);
  }

  /** Of servers and client together, as Linux keeps it. */
  peakMib(): number {
    const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#node.pid}/status`, 'latin1'));
    return Number(line?.[1] ?? Number.NaN) / 1024;
  }

  async stop(): Promise<void> {
    try {
      await this.tahoe('unmount', this.mountpoint);
    } finally {
      await this.#end();
    }
  }

  async #end(): Promise<void> {
    const exited = once(this.#node, 'exit');
    this.#node.kill('SIGTERM');
    await exited;
  }
}

async function elapsedMs(task: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await task();
  return performance.now() - startedMs;
}

function medianOf(values: number[]): number {
  return values.sort((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

/** Until the caller has its answer, until the grid has it all, and what that took. */
async function untilSynced(grid: MountedGrid, task: () => Promise<unknown>) {
  const before = (await grid.status()).pending.publishes;
  const startedMs = performance.now();
  await task();
  const returnedMs = performance.now() - startedMs;
  await grid.tahoe('sync');
  const syncedMs = performance.now() - startedMs;
  return { returnedMs, syncedMs, publishes: (await grid.status()).pending.publishes - before };
}

/** Files of sizes as in a source tree, 30 kB in the mean. */
async function makeTree(root: string): Promise<void> {
  const weights = Array.from({ length: TREE_FILES }, (_, number) => 1 + ((number * 7919) % 100) ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (const [number, weight] of weights.entries()) {
    const directory = join(root, `directory-${Math.floor(number / FILES_PER_DIRECTORY)}`);
    await mkdir(directory, { recursive: true });
    const bytes = new Uint8Array(Math.round((weight / total) * TREE_BYTES));
    await writeFile(join(directory, `file ${number}`), randomFillSync(bytes));
  }
}

async function measure(grid: MountedGrid, tree: string): Promise<MountResults> {
  const inMount = (...names: string[]) => join(grid.mountpoint, ...names);
  const mkdirs: number[] = [];
  for (let number = 0; number < MKDIRS; number++) {
    mkdirs.push(await elapsedMs(() => mkdir(inMount(`made-${number}`))));
  }
  await grid.tahoe('sync');

  await mkdir(inMount('small'));
  await grid.tahoe('sync');
  const smallFiles = await untilSynced(grid, async () => {
    for (let number = 0; number < SMALL_FILES; number++) {
      await writeFile(inMount('small', `file-${number}`), randomFillSync(new Uint8Array(1024)));
    }
  });

  const rsync = () => run('rsync', ['-a', `${tree}/`, inMount('tree')]);
  const copied = await untilSynced(grid, rsync);
  const secondRsyncMs = await elapsedMs(rsync);

  const list = () => run('ls', ['-l', inMount('small')]);
  await list();
  const requestsBefore = await grid.requests();
  const tookMs = await elapsedMs(list);
  const warmListing = { tookMs, requests: (await grid.requests()) - requestsBefore };
  const peakMib = grid.peakMib();
  return { mkdirMs: medianOf(mkdirs), smallFiles, tree: copied, secondRsyncMs, warmListing, peakMib };
}

function print({ mkdirMs, smallFiles, tree, secondRsyncMs, warmListing, peakMib }: MountResults): void {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const synced = ({ returnedMs, syncedMs, publishes }: MountResults['tree']) =>
    `${seconds(returnedMs)} until it returned, ${seconds(syncedMs)} until the grid had all, ${publishes} publishes`;
  process.stdout.write(
    `${[
      `mkdir: median ${mkdirMs.toFixed(2)} ms`,
      `${SMALL_FILES} files of 1 KiB into one directory: ${synced(smallFiles)}`,
      `rsync -a of ${TREE_FILES} files, ${TREE_BYTES / 1e6} MB: ${synced(tree)}; again: ${seconds(secondRsyncMs)}`,
      `ls -l of ${SMALL_FILES} files, warm: ${warmListing.tookMs.toFixed(0)} ms, ${warmListing.requests} requests`,
      `peak memory of servers and client together: ${peakMib.toFixed(0)} MiB`,
    ].join('\n')}\n`,
  );
}

const [json, parent = tmpdir()] = process.argv[2] === '--json' ? [true, process.argv[3]] : [false, process.argv[2]];
const directory = await mkdtemp(join(parent, 'tahoe-bench-mount-'));
try {
  const tree = join(directory, 'source');
  await makeTree(tree);
  const grid = await MountedGrid.start(directory);
  try {
    const results = await measure(grid, tree);
    if (json) process.stdout.write(JSON.stringify(results));
    else print(results);
  } finally {
    await grid.stop();
  }
} finally {
  await rm(directory, { recursive: true });
}
