/** One real node of the Python implementation: its directory, its process, its commands. Needs TAHOE_PYTHON. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Cleanup } from '../../support/cleanup.js';
import type { Outcome } from '../../support/running-tahoe.js';

const PYTHON_TAHOE = process.env.TAHOE_PYTHON ?? 'tahoe-of-python (set TAHOE_PYTHON)';
const STARTS_AT_ONCE = 4;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 50;
const LOG_TAIL_CHARACTERS = 4_000;

/** tahoe.cfg; values as they stand there, `%` not escaped. */
export type PythonConfig = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface PythonNodeOptions {
  readonly type: 'client' | 'introducer';
  readonly config: PythonConfig;
  /** Names under `private/` and what they hold. */
  readonly privateFiles?: Readonly<Record<string, string>>;
}

/** Makes a node directory as `tahoe create-node` does (an interop test compares), without its half second. */
export async function createPythonNode(directory: string, options: PythonNodeOptions): Promise<void> {
  await mkdir(join(directory, 'private'), { recursive: true, mode: 0o700 });
  // Its name tells `tahoe run` what the node is; nothing reads what is in it.
  await writeFile(join(directory, `tahoe-${options.type}.tac`), '');
  const sections = Object.entries(options.config).map(([section, keys]) =>
    [`[${section}]`, ...Object.entries(keys).map(([key, value]) => `${key} = ${value}`), ''].join('\n'),
  );
  await writeFile(join(directory, 'tahoe.cfg'), sections.join('\n'));
  for (const [name, text] of Object.entries(options.privateFiles ?? {})) {
    await writeFile(join(directory, 'private', name), text);
  }
}

/** A node that runs, until the end of the test or `stop`. */
export class PythonNode {
  readonly directory: string;
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  #log = '';

  private constructor(directory: string) {
    this.directory = directory;
    // A node ends when its standard input does: it cannot outlive the tests, whatever becomes of them.
    this.#process = spawn(PYTHON_TAHOE, ['run', directory], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#exited = once(this.#process, 'exit').catch(() => {
      this.#log += `\n"${PYTHON_TAHOE}" cannot be started`;
    });
    const keep = (text: unknown) => {
      this.#log = (this.#log + String(text)).slice(-LOG_TAIL_CHARACTERS);
    };
    this.#process.stdout?.on('data', keep);
    this.#process.stderr?.on('data', keep);
  }

  /** Starts the node of a directory; resolves when `ready` has given something. At most four start at a time. */
  static start<Ready>(
    scope: Cleanup,
    directory: string,
    ready: (node: PythonNode) => Promise<Ready | undefined>,
  ): Promise<{ readonly node: PythonNode; readonly found: Ready }> {
    return starts.run(async () => {
      // Left by an earlier run, it would name a port of the past.
      await rm(join(directory, 'node.url'), { force: true });
      const node = new PythonNode(directory);
      scope.teardown(() => node.stop());
      return { node, found: await node.waitFor('start', () => ready(node)) };
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The end of what it printed. */
  get log(): string {
    return `--- ${this.directory}:\n${this.#log}`;
  }

  /** Asks until `probe` gives something; throws with the log after a minute, or when the node has ended. */
  async waitFor<Result>(what: string, probe: () => Promise<Result | undefined>): Promise<Result> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    let problem: unknown;
    while (performance.now() < deadline && this.#running) {
      try {
        const result = await probe();
        if (result !== undefined) return result;
      } catch (error) {
        problem = error;
      }
      await delay(POLL_MS);
    }
    const outcome = this.#running ? `waited in vain for: ${what}` : `ended with ${this.#process.exitCode}`;
    throw new Error(`Python node ${outcome}\n${this.log}`, { cause: problem });
  }

  /** SIGTERM, and SIGKILL if that does not end it. */
  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  /** A trimmed file of the node directory; undefined while it is empty or missing. */
  async file(...names: string[]): Promise<string | undefined> {
    try {
      return (await readFile(join(this.directory, ...names), 'utf8')).trim() || undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  get #running(): boolean {
    return this.#process.pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null;
  }
}

/** Any command of the Python program, whatever its exit code. */
export function pythonTahoe(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(PYTHON_TAHOE, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}

/** What a command printed that must succeed. */
export async function pythonOutput(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await pythonTahoe(...args);
  if (code !== 0) throw new Error(`Python tahoe ${args.join(' ')} exited with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/** The Python interpreter with the package, for scripts that use it directly. */
export function pythonInterpreter(): string {
  return join(PYTHON_TAHOE, '..', 'python');
}

class Slots {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}

const starts = new Slots(STARTS_AT_ONCE);
