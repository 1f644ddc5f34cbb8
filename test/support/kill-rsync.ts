/**
 * rsync --delete of a tree that changes between its runs: files are added, changed, renamed and removed. A run that
 * exited with 0 acknowledged its whole generation; of a run that was cut off every name that had been seen counts.
 */
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Folder, folderOnDisk } from './kill-folder.js';
import { type Claim, endOf, errorsOf, isRecovered, startProgram, type Work, type WorkPlace } from './kill-work.js';

interface Version {
  readonly content: Buffer;
  readonly modifiedSeconds: number;
}

type Generation = ReadonlyMap<string, Version>;

/** Times of modification by path, looked at when so many generations had been finished. */
interface Seen {
  readonly during: number;
  readonly versions: ReadonlyMap<string, number>;
}

const FILES = 18;
const FOLDERS = 3;
const ROOT = 'rsync';

export async function startRsync({ round, target, scratch }: WorkPlace): Promise<Work> {
  const source = join(scratch, 'source');
  const generations: Generation[] = [new Map()];
  let finished = 0;
  let isOver = false;
  let complaints = () => '';
  let seen: Seen = { during: 0, versions: new Map() };
  const run = async () => {
    while (!isOver) {
      const next = nextGeneration(generations.at(-1)!, generations.length, round);
      await writeGeneration(source, generations.at(-1)!, next);
      generations.push(next);
      const child = startProgram('rsync', ['-a', '--delete', `${source}/`, `${target}/${ROOT}/`]);
      complaints = errorsOf(child);
      await endOf(child);
      if (child.exitCode !== 0) return;
      finished = generations.length - 1;
    }
  };
  const running = run().finally(() => {
    isOver = true;
  });
  const begun = async () => {
    const isThere = async () => (await folderOnDisk(target).files(ROOT)).some((path) => !isTemporary(path));
    while (!isOver && finished === 0 && !(await isThere())) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    killWithinMs: 700,
    begun,
    note: async () => {
      const during = finished;
      const known = new Set(generations.flatMap((generation) => [...generation.keys()]));
      seen = { during, versions: await versionsOf(target, known) };
    },
    complaints: () => complaints(),
    ended: async () => {
      isOver = true;
      await running;
    },
    claims: () => claimsOf(generations, finished, seen),
  };
}

function claimsOf(generations: readonly Generation[], finished: number, seen: Seen): Claim[] {
  const before = generations[finished]!;
  const after = generations[finished + 1] ?? before;
  const claims: Claim[] = [];
  for (const path of new Set(generations.flatMap((generation) => [...generation.keys()]))) {
    const allowed = allowedVersions(
      before.get(path),
      after.get(path),
      seen.versions.get(path),
      seen.during === finished,
    );
    if (finished === 0 && allowed.length > 1) continue;
    const kind = allowed.includes(undefined) ? 'names' : 'files';
    const check = (folder: Folder) => checkVersion(folder, path, allowed);
    claims.push({ kind, count: 1, promised: 'computer', check });
  }
  const known = new Set([...before.keys(), ...after.keys()]);
  claims.push({ kind: 'names', count: 0, promised: 'computer', check: (folder) => checkNames(folder, known) });
  return claims;
}

/** The acknowledged version and the one that was being written, or the one of them that had been seen to be there. */
function allowedVersions(
  before: Version | undefined,
  after: Version | undefined,
  seen: number | undefined,
  isSeenNow: boolean,
): readonly (Version | undefined)[] {
  if (before === after) return [before];
  const isSeen = after === undefined ? isSeenNow && seen === undefined : seen === after.modifiedSeconds;
  return isSeen ? [after] : [before, after];
}

async function checkVersion(
  folder: Folder,
  path: string,
  allowed: readonly (Version | undefined)[],
): Promise<string | undefined> {
  const [found, facts] = await Promise.all([folder.read(`${ROOT}/${path}`), folder.stat(`${ROOT}/${path}`)]);
  if (found === undefined) return allowed.includes(undefined) ? undefined : `lost: ${path}`;
  const version = allowed.find((each) => each?.content.equals(found));
  if (version === undefined) return `not what was written: ${path}, ${found.length} bytes`;
  if (facts?.modified.seconds !== version.modifiedSeconds || facts.mode !== 0o644)
    return `not the time or mode it had: ${path}, ${JSON.stringify(facts)}`;
  return undefined;
}

/** Beside the files there is at most what rsync was writing. */
async function checkNames(folder: Folder, known: ReadonlySet<string>): Promise<string | undefined> {
  const paths = (await folder.files(ROOT)).map((path) => path.slice(ROOT.length + 1));
  const strange = paths.filter((path) => !known.has(path) && !isTemporary(path) && !isRecovered(path));
  return strange.length === 0 ? undefined : `names that are not there: ${strange.join(', ')}`;
}

/** rsync writes under names with a dot. */
function isTemporary(path: string): boolean {
  return /(^|\/)\.[^/]*$/.test(path);
}

/** Each is asked for by its name: sshfs may list a folder from memory, without what has come since. */
async function versionsOf(target: string, paths: Iterable<string>): Promise<Map<string, number>> {
  const folder = folderOnDisk(target);
  const versions = new Map<string, number>();
  for (const path of paths) {
    const facts = await folder.stat(join(ROOT, path));
    if (facts !== undefined) versions.set(path, facts.modified.seconds);
  }
  return versions;
}

function nextGeneration(last: Generation, number: number, round: number): Generation {
  const modifiedSeconds = 1_500_000_000 + round * 1000 + number;
  const version = (path: string, size: number): Version => ({
    content: Buffer.alloc(size, `${round}.${number} ${path} `),
    modifiedSeconds,
  });
  const next = new Map(last);
  for (let index = 0; index < FILES; index++) {
    const path = `d${index % FOLDERS}/f${index}`;
    const size = 40 + ((index * 997 + round * 31 + number * 389) % 12_000);
    const turn = (index + number) % 6;
    if (number === 1) next.set(path, version(path, size));
    else if (turn === 0 && next.has(path)) next.delete(path);
    else if (turn === 1) next.set(path, version(path, size));
    else if (turn === 2 && next.has(path)) {
      next.delete(path);
      next.set(`${path}-renamed-${number}`, version(path, size));
    }
  }
  return next;
}

async function writeGeneration(source: string, last: Generation, next: Generation): Promise<void> {
  for (const [path, { content, modifiedSeconds }] of next) {
    if (last.get(path)?.modifiedSeconds === modifiedSeconds) continue;
    const to = join(source, path);
    await mkdir(dirname(to), { recursive: true });
    await writeFile(to, content, { mode: 0o644 });
    await utimes(to, modifiedSeconds, modifiedSeconds);
  }
  for (const path of last.keys()) if (!next.has(path)) await rm(join(source, path));
}
