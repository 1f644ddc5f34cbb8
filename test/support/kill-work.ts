/**
 * What programs do to a mount while the node under it is killed: rsync, git commits, a writer that calls fsync all the
 * time. Each says what was acknowledged to it, and how that must look afterwards, here and for another node.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

export type WorkName = 'rsync' | 'git' | 'fsync';

/** A folder to look into, be it a mount or what another node reads from the grid. */
export interface Folder {
  /** Undefined if there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** The files below a folder, with their paths from here. */
  files(path: string): Promise<string[]>;
}

export interface Work {
  /** The kill comes up to so long after its beginning, or after the first acknowledgement. */
  readonly killWithinMs: number;
  /** Resolves when something was acknowledged, or everything has ended. */
  begun(): Promise<void>;
  /** Just before the kill. */
  note(): Promise<void>;
  /** After the kill: waits until nothing of it runs. */
  ended(): Promise<void>;
  /** How much was acknowledged: files or commits. */
  acknowledged(): number;
  /** Throws if something acknowledged is missing or wrong. `when`: what of it is promised by now. */
  verify(folder: Folder, when: 'synced' | 'closed'): Promise<void>;
}

export interface WorkPlace {
  readonly round: number;
  readonly door: 'fuse' | 'sshfs';
  /** In the mount; exists. */
  readonly target: string;
  /** Beside it, on the real disk; exists and is empty. */
  readonly scratch: string;
}

export const works: Readonly<Record<WorkName, (place: WorkPlace) => Promise<Work>>> = {
  rsync: startRsync,
  git: startGit,
  fsync: startFsync,
};

const execute = promisify(execFile);
const RSYNC_FILES = 80;

async function startRsync({ round, target, scratch }: WorkPlace): Promise<Work> {
  const source = join(scratch, 'source');
  const contents = new Map<string, Buffer>();
  for (let folder = 0; folder < 5; folder++) await mkdir(join(source, `d${folder}`), { recursive: true });
  for (let number = 0; number < RSYNC_FILES; number++) {
    const path = `d${number % 5}/f${number}`;
    const content = Buffer.alloc(60 + ((number * 397 + round * 31) % 20_000), `${round}.${number} `);
    contents.set(path, content);
    await writeFile(join(source, path), content);
  }
  const children = [spawn('rsync', ['-a', `${source}/`, `${target}/rsync/`], { stdio: 'ignore' })];
  let renamed: string[] = [];
  return {
    killWithinMs: 500,
    begun: () => until(children, async () => (await folderOnDisk(target).files('rsync')).some(hasItsName)),
    // what has its name was closed and renamed
    note: async () => {
      renamed = (await folderOnDisk(target).files('rsync')).filter(hasItsName);
    },
    ended: () => endOf(children),
    acknowledged: () => renamed.length,
    verify: async (folder, when) => {
      if (when === 'synced') return;
      for (const path of renamed) {
        const found = await folder.read(path);
        const expected = contents.get(path.slice('rsync/'.length));
        if (found === undefined) throw new Error(`lost: ${path}`);
        if (expected === undefined || !expected.equals(found)) throw new Error(`not what was written: ${path}`);
      }
    },
  };
}

const gitScript = `
set -e
cd "$1"
git init -q --template= repository; cd repository
git config user.name a; git config user.email a@b; git config gc.auto 0
for number in $(seq 1 500); do
  echo "$2 $number" > "file$((number % 7))"
  git add .
  git commit -q -m "$number"
  git rev-parse HEAD
done`;

async function startGit({ round, target, scratch }: WorkPlace): Promise<Work> {
  const child = spawn('bash', ['-c', gitScript, 'sh', target, String(round)], { stdio: ['ignore', 'pipe', 'ignore'] });
  const commits = linesOf(child);
  let last: string | undefined;
  return {
    killWithinMs: 800,
    begun: () => until([child], async () => commits.length > 0),
    note: async () => {
      last = commits.at(-1);
    },
    ended: () => endOf([child]),
    acknowledged: () => commits.length,
    verify: async (folder, when) => {
      if (when === 'synced' || last === undefined) return;
      const copy = join(scratch, `copy ${process.hrtime.bigint()}`);
      for (const path of await folder.files('repository/.git')) {
        const to = join(copy, path.slice('repository/'.length));
        await mkdir(join(to, '..'), { recursive: true });
        await writeFile(to, (await folder.read(path)) ?? '');
      }
      // folders without files do not come along, and git wants them
      for (const name of ['refs/tags', 'objects/info', 'objects/pack'])
        await mkdir(join(copy, '.git', name), { recursive: true });
      await execute('git', ['-C', copy, 'fsck', '--full', '--strict']);
      await execute('git', ['-C', copy, 'merge-base', '--is-ancestor', last, 'HEAD']);
    },
  };
}

/** Three threads that write and fsync in turn, old names again and again, and one that only closes. */
const fsyncScript = `
import os, sys, threading
target, round = sys.argv[1:]
lock = threading.Lock()
def work(thread, sync):
    for generation in range(1, 10000):
        name = 'w%d-%d' % (thread, generation % 3)
        copies = 3 + (generation * 37 + thread * 101) % 900
        line = '%s %s %d %d\\n' % (round, name, generation, copies)
        fd = os.open(target + '/' + name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
        os.write(fd, (line * copies).encode())
        if sync:
            os.fsync(fd)
            with lock: print('synced', name, generation, flush=True)
        os.close(fd)
        with lock: print('closed', name, generation, flush=True)
        if not sync: threading.Event().wait(0.05)
for thread in range(4):
    threading.Thread(target=work, args=(thread, thread != 3), daemon=thread != 0).start()
`;

async function startFsync({ round, door, target }: WorkPlace): Promise<Work> {
  const child = spawn('python3', ['-c', fsyncScript, target, String(round)], { stdio: ['ignore', 'pipe', 'ignore'] });
  const lines = linesOf(child);
  const newest = (word: string) => {
    const generations = new Map<string, number>();
    for (const line of lines) {
      const [said, name = '', generation] = line.split(' ');
      if (said === word) generations.set(name, Math.max(generations.get(name) ?? 0, Number(generation)));
    }
    return generations;
  };
  return {
    killWithinMs: 1500,
    begun: () => until([child], async () => lines.some((line) => line.startsWith('synced'))),
    note: async () => {},
    ended: () => endOf([child]),
    acknowledged: () => lines.filter((line) => line.startsWith('synced')).length,
    verify: async (folder, when) => {
      for (const [name, generation] of newest('synced')) await verifyGeneration(folder, round, name, generation);
      // sshfs answers close() before the node has heard of it
      if (when === 'synced' || door === 'sshfs') return;
      for (const [name, generation] of newest('closed')) await verifyGeneration(folder, round, name, generation);
    },
  };
}

/** The file is whole and not older than the generation. */
async function verifyGeneration(folder: Folder, round: number, name: string, generation: number): Promise<void> {
  const found = await folder.read(name);
  if (found === undefined) throw new Error(`lost: ${name}, generation ${generation}`);
  const text = Buffer.from(found).toString('latin1');
  const line = text.slice(0, text.indexOf('\n') + 1);
  const [saidRound, saidName, saidGeneration, copies] = line.trim().split(' ');
  const isWhole = text === line.repeat(Number(copies)) && saidRound === String(round) && saidName === name;
  if (!isWhole) throw new Error(`a mixture: ${name} has ${text.length} bytes and begins with ${JSON.stringify(line)}`);
  if (Number(saidGeneration) < generation)
    throw new Error(`lost: ${name} is ${saidGeneration}, ${generation} was acknowledged`);
}

/** A folder through the kernel. */
export function folderOnDisk(root: string): Folder {
  return {
    read: (path) => readFile(join(root, path)).catch(undefinedIfMissing),
    files: async (path) => {
      const entries = await readdir(join(root, path), { recursive: true, withFileTypes: true }).catch(
        undefinedIfMissing,
      );
      const files = (entries ?? []).filter((entry) => entry.isFile());
      return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
    },
  };
}

function undefinedIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}

/** rsync writes under names with a dot. */
function hasItsName(path: string): boolean {
  return !/\/\.[^/]*$/.test(path);
}

async function until(children: readonly ChildProcess[], condition: () => Promise<boolean>): Promise<void> {
  const isRunning = () => children.some(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
  while (isRunning() && !(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Grows as the program prints. */
function linesOf(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  let rest = '';
  child.stdout?.on('data', (data: Buffer) => {
    const parts = (rest + data.toString()).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  return lines;
}

/** Programs on a mount that has gone end by themselves; one that does not is ended. */
async function endOf(children: readonly ChildProcess[]): Promise<void> {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const limit = setTimeout(() => child.kill('SIGKILL'), 5_000);
    await once(child, 'close');
    clearTimeout(limit);
  }
}
