/**
 * Threads of one program: three that write and fsync old names again and again, one that only closes, one that renames
 * new files over old ones and removes them, one that moves a file between two folders, and through FUSE one that fsyncs
 * folders and one that writes to a file and never closes it (through sshfs writes and closes are answered before the
 * node has heard of them, and fsync of a folder does nothing).
 */
import type { Folder } from './kill-folder.js';
import {
  type Claim,
  type ClaimKind,
  endOf,
  errorsOf,
  isRecovered,
  linesOf,
  startProgram,
  until,
  type Work,
  type WorkPlace,
} from './kill-work.js';

const program = `
import os, sys, threading, time
target, door, round = sys.argv[1:]
os.chdir(target)
lock = threading.Lock()
def say(*words):
    with lock: print(*words, flush=True)
def body(mark, generation):
    copies = 3 + (generation * 37 + len(mark) * 101) % 600
    return ('%s %s %d %d\\n' % (round, mark, generation, copies) * copies).encode()
def write(fd, data):
    # the kernel may cut a write at a page, and answers for what was written before the node was killed
    if os.write(fd, data) != len(data): raise OSError('written in part')
def put(name, mark, generation, sync=False):
    fd = os.open(name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    write(fd, body(mark, generation))
    if sync:
        os.fsync(fd)
        say('synced', name, generation)
    os.close(fd)
def writer(thread):
    for generation in range(1, 10000):
        name = 'w%d-%d' % (thread, generation % 3)
        put(name, name, generation, thread != 3)
        say('closed', name, generation)
        if thread == 3: time.sleep(0.03)
def renamer():
    for step in range(1, 10000):
        name = 'n%d' % (step % 3)
        if step % 9 > 5:
            say('begin', name, step, 'none')
            try: os.unlink(name)
            except FileNotFoundError: pass
            say('done', name, step, 'none')
        else:
            put('n.new', name, step)
            say('begin', name, step, name)
            os.rename('n.new', name)
            say('done', name, step, name)
        time.sleep(0.005)
def mover():
    os.mkdir('left'); os.mkdir('right')
    put('left/m', 'm', 1)
    if door == 'fuse': say('done', 'm', 1, 'left/m')
    for step in range(2, 10000):
        old, new = ('left/m', 'right/m') if step % 2 == 0 else ('right/m', 'left/m')
        say('begin', 'm', step, new)
        os.rename(old, new)
        say('done', 'm', step, new)
        time.sleep(0.005)
def folders():
    for number in range(1, 10000):
        name = 'd%d' % number
        os.mkdir(name)
        put(name + '/f', 'f', number)
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        say('kept', name + '/f', number)
        os.close(fd)
def stream():
    fd = os.open('s', os.O_CREAT | os.O_WRONLY, 0o644)
    for number in range(1, 100000):
        write(fd, b'%08d %s\\n' % (number, b'.' * (number % 90)))
        say('wrote', 's', number)
        time.sleep(0.003)
jobs = [lambda: writer(0), lambda: writer(1), lambda: writer(2), lambda: writer(3), renamer, mover]
if door == 'fuse': jobs += [folders, stream]
threads = [threading.Thread(target=job, daemon=True) for job in jobs]
for thread in threads: thread.start()
for thread in threads: thread.join()
`;

export async function startFsync({ round, door, target }: WorkPlace): Promise<Work> {
  const child = startProgram('python3', ['-c', program, target, door, String(round)]);
  const lines = linesOf(child);
  return {
    killWithinMs: 1200,
    begun: () => until(child, () => lines.some((line) => line.startsWith('synced'))),
    note: async () => {},
    complaints: errorsOf(child),
    ended: () => endOf(child),
    claims: () => claimsOf(lines, round, door),
  };
}

interface Said {
  readonly word: string;
  readonly name: string;
  readonly number: number;
  /** Where it is then, or `none`. */
  readonly place: string;
}

function claimsOf(lines: readonly string[], round: number, door: 'fuse' | 'sshfs'): Claim[] {
  const said = lines.map((line): Said => {
    const [word = '', name = '', number, place = 'none'] = line.split(' ');
    return { word, name, number: Number(number), place };
  });
  const atLeast = (kind: ClaimKind, word: string, promised: Claim['promised'], mark?: string): Claim[] =>
    [...newest(said, word)].map(([name, { count, last }]) => ({
      ...{ kind, count, promised },
      check: (folder) => checkContent(folder, name, round, mark ?? name, (generation) => generation >= last.number),
    }));
  const claims = [
    ...atLeast('fsyncs', 'synced', 'grid'),
    ...atLeast('fsyncs', 'kept', 'grid', 'f'),
    ...(door === 'fuse' ? atLeast('files', 'closed', 'computer') : []),
    ...placeClaims(said, round),
  ];
  const writes = newest(said, 'wrote').get('s');
  if (writes !== undefined) {
    const check = (folder: Folder) => checkStream(folder, writes.last.number);
    claims.push({ kind: 'writes', count: writes.count, promised: 'computer', check });
  }
  claims.push({ kind: 'names', count: 0, promised: 'computer', check: checkNames });
  return claims;
}

/** The last of each name, and how many there were. */
function newest(said: readonly Said[], word: string): Map<string, { count: number; last: Said }> {
  const found = new Map<string, { count: number; last: Said }>();
  for (const each of said) {
    if (each.word === word) found.set(each.name, { count: (found.get(each.name)?.count ?? 0) + 1, last: each });
  }
  return found;
}

/** After the last step that was done, or the one that had begun. */
function placeClaims(said: readonly Said[], round: number): Claim[] {
  const begun = newest(said, 'begin');
  return [...newest(said, 'done')].map(([name, { count, last }]) => {
    const next = begun.get(name)?.last;
    const possible = next === undefined || next.number <= last.number ? [last] : [last, next];
    const places = name === 'm' ? ['left/m', 'right/m'] : [name];
    const check = (folder: Folder) => checkPlaces(folder, round, name, places, possible);
    return { kind: 'names', count, promised: 'computer', check };
  });
}

async function checkPlaces(
  folder: Folder,
  round: number,
  name: string,
  places: readonly string[],
  possible: readonly Said[],
): Promise<string | undefined> {
  const found: string[] = [];
  for (const path of places) if ((await folder.read(path)) !== undefined) found.push(path);
  const expected = possible.map(({ place }) => place);
  const where = found.length === 0 ? 'none' : found.join(' and ');
  if (!expected.includes(where)) return `${name} is in ${where}, not in ${expected.join(' or ')}`;
  if (where === 'none') return undefined;
  const steps = possible.map(({ number }) => number);
  return checkContent(folder, where, round, name, (step) => name === 'm' || steps.includes(step));
}

/** The file is whole, of this name and round, and of a generation that may be there. */
async function checkContent(
  folder: Folder,
  path: string,
  round: number,
  mark: string,
  isAllowed: (generation: number) => boolean,
): Promise<string | undefined> {
  const found = await folder.read(path);
  if (found === undefined) return `lost: ${path}`;
  const text = Buffer.from(found).toString('latin1');
  const line = text.slice(0, text.indexOf('\n') + 1);
  const [saidRound, saidMark, generation, copies] = line.trim().split(' ');
  const isWhole = text === line.repeat(Number(copies)) && saidRound === String(round) && saidMark === mark;
  if (!isWhole) return `a mixture: ${path} has ${text.length} bytes and begins with ${JSON.stringify(line)}`;
  return isAllowed(Number(generation)) ? undefined : `lost: ${path} is ${generation}, a later one was acknowledged`;
}

/** It was never closed: all that was written is beside it, once. */
async function checkStream(folder: Folder, last: number): Promise<string | undefined> {
  const copies = (await folder.files('')).filter((path) => /^s\.recovered-/.test(path));
  if (copies.length !== 1) return `${copies.length} copies of what was written without close`;
  const lines = Buffer.from((await folder.read(copies[0]!)) ?? [])
    .toString('latin1')
    .split('\n');
  const whole = lines.slice(0, -1);
  const wrong = whole.findIndex(
    (line, index) => line !== `${String(index + 1).padStart(8, '0')} ${'.'.repeat((index + 1) % 90)}`,
  );
  if (wrong !== -1) return `line ${wrong + 1} of what was written without close is wrong`;
  return whole.length >= last ? undefined : `lost: ${last - whole.length} of ${last} writes without close`;
}

async function checkNames(folder: Folder): Promise<string | undefined> {
  const known = /^(w\d-\d|n\d|n\.new|(left|right)\/m|d\d+\/f|s)$/;
  const paths = await folder.files('');
  const strange = paths.filter((path) => !known.test(path) && !isRecovered(path));
  return strange.length === 0 ? undefined : `names that nobody made: ${strange.join(', ')}`;
}
