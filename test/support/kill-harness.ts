/**
 * Rounds of: programs work on the mount, kill -9 of the node at a random moment, start and mount again. What was
 * acknowledged must be there at once, and on the grid for a node that has never seen it: what fsync acknowledged before
 * the killed node is started again, the rest after a sync. The servers keep running.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createGrid } from '../../src/node/create-node.js';
import type { VfsStatus } from '../../src/vfs/vfs.js';
import type { NodeStatus } from '../../src/web/node-control.js';
import { GridReader } from './grid-reader.js';
import { folderOnDisk, type WorkName, works } from './kill-work.js';

export type Door = 'fuse' | 'sshfs';

export interface KillReport {
  readonly round: number;
  readonly door: Door;
  readonly work: WorkName;
  readonly killedAfterMs: number;
  readonly acknowledged: number;
  /** Files and directories in the journal that the grid did not have at the kill. */
  readonly pending: number;
  readonly seconds: number;
}

const execute = promisify(execFile);
const ROUNDS_PER_FOLDER = 40;
/** So often the moment of the kill is counted from the first acknowledgement, otherwise from the start. */
const AFTER_ACKNOWLEDGEMENT = 0.8;
const TAHOE = 'dist/src/cli/tahoe.cjs';

export class KillHarness {
  readonly #directory: string;
  readonly #servers: ChildProcess;
  readonly #reader: GridReader;
  #node: ChildProcess | undefined;
  #door: Door | undefined;
  #round = 0;

  private constructor(directory: string, servers: ChildProcess, reader: GridReader) {
    this.#directory = directory;
    this.#servers = servers;
    this.#reader = reader;
  }

  /** `directory` is empty and stays behind. */
  static async start(directory: string): Promise<KillHarness> {
    const grid = join(directory, 'grid');
    await createGrid(grid, { servers: 10, encoding: { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 } });
    await makeRoot(grid);
    const servers = await start('dist/test/support/server-process.js', grid);
    const reader = await GridReader.open(join(grid, 'client'), join(directory, 'reader'));
    return new KillHarness(directory, servers, reader);
  }

  /** Undefined if nothing was pending at the kill: such a round shows nothing. Throws if anything acknowledged is lost. */
  async round(door: Door, workName: WorkName, random: () => number): Promise<KillReport | undefined> {
    const startedMs = performance.now();
    const round = ++this.#round;
    if (this.#node === undefined) await this.#startNode();
    if (this.#door !== door) await this.#mount(door);
    const names = [`b${Math.floor(round / ROUNDS_PER_FOLDER)}`, `r${round}`];
    const target = join(this.#mountpoint, ...names);
    const scratch = join(this.#directory, 'scratch', String(round));
    await mkdir(scratch, { recursive: true });
    await mkdir(target, { recursive: true });
    const work = await works[workName]({ round, door, target, scratch });
    const beganMs = performance.now();
    if (random() < AFTER_ACKNOWLEDGEMENT) await work.begun();
    await new Promise((resolve) => setTimeout(resolve, random() * work.killWithinMs));
    const killedAfterMs = Math.round(performance.now() - beganMs);
    await work.note();
    await this.#kill();
    await work.ended();
    const seen = () => this.#reader.folder(names);
    await work.verify(await seen(), 'synced');

    await this.#startNode();
    const { filesPending, directoriesPending } = await this.#status();
    await this.#mount(door);
    await work.verify(folderOnDisk(target), 'closed');
    await this.#sync();
    await work.verify(await seen(), 'closed');
    await rm(scratch, { recursive: true });
    const pending = filesPending + directoriesPending;
    if (pending === 0) return undefined;
    const seconds = Math.round(performance.now() - startedMs) / 1000;
    return { round, door, work: workName, killedAfterMs, acknowledged: work.acknowledged(), pending, seconds };
  }

  async close(): Promise<void> {
    await this.#kill();
    await this.#reader.close();
    this.#servers.kill('SIGKILL');
    await endOf(this.#servers);
  }

  get #mountpoint(): string {
    return join(this.#directory, 'mount');
  }

  get #client(): string {
    return join(this.#directory, 'grid', 'client');
  }

  async #startNode(): Promise<void> {
    this.#node = await start(TAHOE, 'run', this.#client);
  }

  async #kill(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    if (node !== undefined) {
      node.kill('SIGKILL');
      await endOf(node);
    }
    await this.#detach();
  }

  async #mount(door: Door): Promise<void> {
    await this.#detach();
    await mkdir(this.#mountpoint, { recursive: true });
    if (door === 'fuse') {
      const cap = (await readFile(join(this.#client, 'private/root_dir.cap'), 'utf8')).trim();
      const body = JSON.stringify({ cap, path: [], mountpoint: this.#mountpoint, options: [] });
      await this.#call('POST', 'mounts', body);
    } else {
      const line = ((await (await this.#call('GET', 'status')).json()) as NodeStatus).sftp?.sshfs ?? 'false';
      await execute('bash', ['-c', `${line} "$1"`, 'sh', this.#mountpoint]);
    }
    this.#door = door;
  }

  async #detach(): Promise<void> {
    this.#door = undefined;
    const isMounted = async () => (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${this.#mountpoint} `);
    if (!(await isMounted())) return;
    // the mount of a program that has ended may go by itself at the same moment
    const failure = await execute('umount', ['-l', this.#mountpoint]).catch((error: unknown) => error);
    if (await isMounted()) throw failure;
  }

  async #status(): Promise<VfsStatus> {
    return ((await (await this.#call('GET', 'status')).json()) as NodeStatus).pending;
  }

  async #sync(): Promise<void> {
    const answer = await this.#call('POST', 'sync', undefined, AbortSignal.timeout(120_000));
    const last = (await answer.text()).trim().split('\n').at(-1) ?? '';
    if (!/"done":true/.test(last)) throw new Error(`sync ended with ${last}`);
  }

  async #call(method: string, path: string, body?: string, signal?: AbortSignal): Promise<Response> {
    const url = (await readFile(join(this.#client, 'node.url'), 'utf8')).trim();
    const token = (await readFile(join(this.#client, 'private/api_auth_token'), 'utf8')).trim();
    const answer = await fetch(`${url}private/${path}`, {
      method,
      headers: { authorization: `tahoe-lafs ${token}` },
      body: body ?? null,
      signal: signal ?? null,
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}

function start(...args: string[]): Promise<ChildProcess> {
  return ready(spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** The root directory is made when a whole grid is run for the first time. */
async function makeRoot(grid: string): Promise<void> {
  const whole = await start(TAHOE, 'run', grid);
  whole.kill('SIGTERM');
  await endOf(whole);
}

function ready(child: ChildProcess): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    let output = '';
    const onData = (data: unknown) => {
      output = (output + String(data)).slice(-10_000);
      if (/^ready/m.test(output)) resolve(child);
    };
    child.stdout?.on('data', onData);
    child.stderr?.on('data', onData);
    child.once('exit', (code) => reject(new Error(`exited with ${code}: ${output}`)));
  });
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}
