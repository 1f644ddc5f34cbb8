/**
 * Our mounts over storage servers of the Python implementation: what rsync puts in, a Python client lists and downloads.
 * The same on our servers, for the times.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { mountNode, mountSshfs, shell, sync, timed } from '../support/real-grid.js';
import { temporaryDirectory } from '../support/running-tahoe.js';
import { listDirectory } from './support/directory-listing.js';
import { type GridKind, MatrixGrids, SERVERS } from './support/matrix-grid.js';
import { startOurClient } from './support/our-client.js';
import { ask, request, type WebApi } from './support/web-api.js';

const FUSE_FILES = 1000;
const SSHFS_FILES = 200;
const FILES_PER_DIRECTORY = 40;
const DOWNLOADS_AT_ONCE = 8;
/** Every other file is kept in its capability, and one in fifty is bigger. */
const BIG_BYTES = 300_000;

const grids = new MatrixGrids();
test.after.always(() => grids.close());

type Tree = ReadonlyMap<string, Uint8Array>;

/** Writes so many files in directories, some inside others; returns what is in them, by path. */
async function makeTree(directory: string, files: number): Promise<Tree> {
  const tree = new Map<string, Uint8Array>();
  for (let number = 0; number < files; number++) {
    const d = Math.floor(number / FILES_PER_DIRECTORY);
    const parent = d % 2 === 0 ? `plain ${d}` : `Ünïcödé — 日本語/${d}`;
    const name = number % 5 === 0 ? `файл ${number} 🗂 100% 'odd' & more` : `f${number}.txt`;
    const size = number % 50 === 1 ? BIG_BYTES : number % 2 === 0 ? number % 56 : 56 + ((number * 331) % 4000);
    const content = new Uint8Array(randomBytes(size));
    await mkdir(join(directory, parent), { recursive: true });
    await writeFile(join(directory, parent, name), content);
    tree.set(`${parent}/${name}`, content);
  }
  return tree;
}

/** Lists and reads everything below a directory, as one who has nothing but the capability. */
async function download(client: WebApi, cap: string): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, string>();
  const list = async (at: string, prefix: string): Promise<void> => {
    for (const [name, [type, { ro_uri }]] of Object.entries(await listDirectory(client, at))) {
      if (type === 'dirnode') await list(String(ro_uri), `${prefix}${name}/`);
      else found.set(`${prefix}${name}`, String(ro_uri));
    }
  };
  await list(cap, '');
  const tree = new Map<string, Uint8Array>();
  const queue = [...found];
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      tree.set(next[0], await request(client, 'GET', `uri/${next[1]}`));
    }
  };
  await Promise.all(Array.from({ length: DOWNLOADS_AT_ONCE }, lane));
  return tree;
}

async function readTree(directory: string): Promise<Map<string, Uint8Array>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(
      files.map(async (path) => [path.slice(directory.length + 1), new Uint8Array(await readFile(path))] as const),
    ),
  );
}

function sameTree(t: ExecutionContext, found: Tree, expected: Tree): void {
  t.deepEqual([...found.keys()].sort(), [...expected.keys()].sort());
  const different = [...expected].filter(
    ([path, content]) => Buffer.compare(content, found.get(path) ?? new Uint8Array()) !== 0,
  );
  t.deepEqual(
    different.map(([path]) => path),
    [],
  );
}

async function copiesThroughBothMounts(t: ExecutionContext, kind: GridKind): Promise<void> {
  const { introducer, python } = await grids.open(kind);
  const root = await ask(python, 'POST', 'uri?t=mkdir');
  const ours = await startOurClient(t, { introducer, root });
  await ours.connectedTo(SERVERS);
  const work = await temporaryDirectory(t);
  for (const { door, files } of [
    { door: 'FUSE', files: FUSE_FILES },
    { door: 'sshfs', files: SSHFS_FILES },
  ] as const) {
    const tree = await makeTree(join(work, 'trees', door), files);
    const mountpoint = join(work, door);
    const mount = door === 'FUSE' ? await mountNode(t, ours, mountpoint) : await mountSshfs(t, ours, mountpoint);
    const copied = await timed(shell('rsync -a "$1" "$2/"', join(work, 'trees', door), mount));
    const synced = await timed(sync(ours));
    const downloaded = await timed(download(python, await ask(python, 'GET', `uri/${root}/${door}?t=readonly-uri`)));
    t.log(
      `${kind.servers}, ${door}, ${files} files: rsync returned after ${copied.seconds.toFixed(1)} s, ` +
        `on the grid ${synced.seconds.toFixed(1)} s later, downloaded by Python in ${downloaded.seconds.toFixed(1)} s`,
    );
    sameTree(t, downloaded.result, tree);
    if (door === 'FUSE') continue;
    await python.output('cp', '-r', `${root}/${door}`, join(work, 'by tahoe cp'));
    sameTree(t, await readTree(join(work, 'by tahoe cp', door)), tree);
  }
}

for (const servers of ['Python servers', 'our servers'] as const) {
  test.serial(
    `${servers}: trees copied by rsync into our FUSE mount and sshfs are whole for a Python client`,
    async (t) => {
      t.timeout(300_000);
      await copiesThroughBothMounts(t, { servers, introducer: 'a Python introducer' });
    },
  );
}
