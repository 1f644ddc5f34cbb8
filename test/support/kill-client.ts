/** The node that is killed, as a process, with its mount. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { NodeStatus } from '../../src/web/node-control.js';
import { KEY_OWNERS } from './kill-keys.js';
import { endOf, watched } from './kill-work.js';

export type Door = 'fuse' | 'sshfs';

const execute = promisify(execFile);
const SYNC_LIMIT_MS = 120_000;

/** A program that says `ready`; see kill-node.ts. */
export class NodeProcess {
  readonly child: ChildProcess;
  #output = '';
  readonly #loaded: Promise<void>;
  readonly #ready: Promise<void>;
  readonly #ended: Promise<void>;

  constructor(...args: string[]) {
    this.child = watched(spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    this.child.stdin?.on('error', () => undefined);
    this.#loaded = this.#says(/^loaded/m);
    this.#ready = this.#says(/^ready/m);
    this.#ended = new Promise((resolve) => this.child.once('exit', () => resolve()));
  }

  get isReady(): boolean {
    return /^ready/m.test(this.#output);
  }

  /** Of one that waits for it. Resolves when it is ready or has ended. */
  async start(): Promise<void> {
    await this.#loaded;
    this.child.stdin?.write('start\n');
    await this.#ready;
  }

  /** Throws if it ends before. */
  async ready(): Promise<this> {
    await this.#ready;
    if (!this.isReady) throw new Error(`the node did not start: ${this.#output}`);
    return this;
  }

  /** Kill -9 in the middle of the so manyth change of the journal's files from now on. Resolves when that has happened. */
  async dieIn(changes: number): Promise<void> {
    await this.#loaded;
    this.child.stdin?.write(`die ${changes}\n`);
    await this.#ended;
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.child.kill(signal);
    await endOf(this.child);
  }

  #says(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => {
      const onData = (data: unknown) => {
        this.#output = (this.#output + String(data)).slice(-10_000);
        if (pattern.test(this.#output)) resolve();
      };
      this.child.stdout?.on('data', onData);
      this.child.stderr?.on('data', onData);
      this.child.once('exit', () => resolve());
    });
  }
}

export class KillClient {
  readonly directory: string;
  readonly mountpoint: string;
  #node: NodeProcess | undefined;
  /** Has loaded its code already. */
  #next: NodeProcess | undefined;
  #door: Door | undefined;
  readonly #primes: string;
  #spawned = 0;

  /** `primes`: written by writePrimes. */
  constructor(directory: string, mountpoint: string, primes: string) {
    this.directory = directory;
    this.mountpoint = mountpoint;
    this.#primes = primes;
  }

  get isRunning(): boolean {
    return this.#node !== undefined;
  }

  /** One that does not run yet, or ends before it is ready if it has been told to die. */
  begin(): NodeProcess {
    this.#node = this.#next ?? this.#spawn();
    this.#next = this.#spawn();
    return this.#node;
  }

  async start(): Promise<void> {
    const node = this.begin();
    await node.start();
    await node.ready();
  }

  async dieIn(changes: number): Promise<void> {
    await this.#node?.dieIn(changes);
  }

  /** Returns after its death. */
  async kill(): Promise<void> {
    const node = this.#node;
    this.#node = undefined;
    await node?.kill();
    await this.#detach();
  }

  async close(): Promise<void> {
    await this.kill();
    await this.#next?.kill();
    this.#next = undefined;
  }

  async mount(door: Door): Promise<void> {
    if (this.#door === door) return;
    await this.#detach();
    await mkdir(this.mountpoint, { recursive: true });
    if (door === 'fuse') {
      const cap = (await readFile(join(this.directory, 'private/root_dir.cap'), 'utf8')).trim();
      const body = JSON.stringify({ cap, path: [], mountpoint: this.mountpoint, options: [] });
      await this.#call('POST', 'mounts', body);
    } else {
      const line = ((await (await this.#call('GET', 'status')).json()) as NodeStatus).sftp?.sshfs ?? 'false';
      await execute('bash', ['-c', `${line} "$1"`, 'sh', this.mountpoint]);
    }
    this.#door = door;
  }

  async sync(): Promise<void> {
    const answer = await this.#call('POST', 'sync', undefined, AbortSignal.timeout(SYNC_LIMIT_MS));
    const last = (await answer.text()).trim().split('\n').at(-1) ?? '';
    if (!/"done":true/.test(last)) throw new Error(`sync ended with ${last}`);
  }

  #spawn(): NodeProcess {
    if (this.#spawned === KEY_OWNERS) throw new Error('no keys are left for another node');
    return new NodeProcess('dist/test/support/kill-node.js', this.directory, this.#primes, String(this.#spawned++));
  }

  async #detach(): Promise<void> {
    this.#door = undefined;
    const isMounted = async () => (await readFile('/proc/self/mountinfo', 'utf8')).includes(` ${this.mountpoint} `);
    if (!(await isMounted())) return;
    // the mount of a program that has ended may go by itself at the same moment
    const failure = await execute('umount', ['-l', this.mountpoint]).catch((error: unknown) => error);
    if (await isMounted()) throw failure;
  }

  async #call(method: string, path: string, body?: string, signal?: AbortSignal): Promise<Response> {
    const url = (await readFile(join(this.directory, 'node.url'), 'utf8')).trim();
    const token = (await readFile(join(this.directory, 'private/api_auth_token'), 'utf8')).trim();
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
