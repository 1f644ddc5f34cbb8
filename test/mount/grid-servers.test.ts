import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import {
  mountNode,
  type RealGrid,
  shell,
  startGrid,
  startReader,
  startSeparately,
  startServers,
  statusOf,
  sync,
  timed,
} from '../support/real-grid.js';
import { tahoe, tahoeOutput } from '../support/running-tahoe.js';

const SEVEN = [0, 1, 2, 3, 4, 5, 6];

/** A file in a directory on the grid; returns its capability. */
async function putInDirectory(grid: RealGrid, content: Uint8Array): Promise<string> {
  writeFileSync(join(grid.work, 'content'), content);
  await tahoeOutput('-d', grid.directory, 'mkdir', 'tahoe:d');
  return tahoeOutput('-d', grid.directory, 'put', join(grid.work, 'content'), 'tahoe:d/file');
}

function sharesOf(grid: RealGrid, server: number): string[] {
  const shares = join(grid.directory, `server-${server}/storage/shares`);
  return readdirSync(shares, { recursive: true, encoding: 'utf8' })
    .map((name) => join(shares, name))
    .filter((path) => statSync(path).isFile());
}

/** Every 500th byte behind the container's header is another one. */
function corrupt(path: string): void {
  const bytes = readFileSync(path);
  const header = bytes.subarray(0, 23).toString('latin1') === 'Tahoe mutable container' ? 468 : 12;
  for (let at = header + 5; at < bytes.length; at += 500) bytes[at] = (bytes[at] ?? 0) ^ 0x55;
  writeFileSync(path, bytes);
}

for (const [what, harm] of [
  ['deleted', (path: string) => rmSync(path)],
  ['corrupted', corrupt],
] as const) {
  test(`with all shares of 7 of 10 servers ${what}, mount and get still give the right bytes`, async (t) => {
    t.timeout(120_000);
    const grid = await startGrid(t);
    const content = randomBytes(1_500_000);
    const cap = await putInDirectory(grid, content);
    const harmed = SEVEN.flatMap((server) => sharesOf(grid, server));
    t.true(harmed.length >= 3 * 7, 'the root, the directory and the file have a share on each server');
    harmed.forEach(harm);

    const reader = await startReader(t, grid, 'reader');
    const mount = await mountNode(t, reader, join(grid.work, 'mount'), '-o', 'ro');
    const read = await timed(
      shell('cat "$1/d/file"', mount).then(() => shell('cmp "$1/content" "$2/d/file"', grid.work, mount)),
    );
    const other = await startReader(t, grid, 'other');
    const got = await timed(tahoeOutput('-d', other.directory, 'get', cap, join(grid.work, 'copy')));
    t.deepEqual(readFileSync(join(grid.work, 'copy')), content);
    t.log(`read through the mount in ${read.seconds.toFixed(2)} s, got in ${got.seconds.toFixed(2)} s`);
    t.true(read.seconds < 30 && got.seconds < 30);
  });
}

test('servers hang, go and come back: reads stay right, too few are named, what was written arrives later', async (t) => {
  t.timeout(300_000);
  const grid = await startSeparately(t);
  const client = { directory: join(grid.directory, 'client'), running: grid.running };
  const content = randomBytes(1_500_000);
  const cap = await putInDirectory(grid, content);
  const reader = await startReader(t, grid, 'reader');
  const seen = await mountNode(t, reader, join(grid.work, 'seen'), '-o', 'ro');
  t.is(await shell('ls "$1"', seen), 'd\n');

  writeFileSync(join(grid.work, 'unread'), randomBytes(200_000));
  const unreadCap = await tahoeOutput('-d', client.directory, 'put', join(grid.work, 'unread'));

  const hanging = grid.servers.slice(0, 7);
  for (const { pid } of hanging) process.kill(pid, 'SIGSTOP');
  const read = await timed(shell('cmp "$1/content" "$2/d/file"', grid.work, seen));
  const got = await timed(tahoeOutput('-d', client.directory, 'get', cap, join(grid.work, 'copy')));
  t.deepEqual(readFileSync(join(grid.work, 'copy')), content);
  t.log(`7 servers hang: through the mount in ${read.seconds.toFixed(2)} s, get in ${got.seconds.toFixed(2)} s`);
  t.true(read.seconds < 60 && got.seconds < 60);
  for (const { pid } of hanging) process.kill(pid, 'SIGCONT');

  const gone = grid.servers.slice(0, 8);
  for (const server of gone) await server.stop('SIGKILL');
  const refused = await timed(tahoe('-d', reader.directory, 'get', unreadCap));
  t.is(refused.result.code, 6);
  t.regex(refused.result.stderr, /\b2\b.*\b3\b|\b3\b.*\b2\b/, 'shares found and needed');
  t.log(`8 servers gone, after ${refused.seconds.toFixed(2)} s: ${refused.result.stderr.trim()}`);

  writeFileSync(join(grid.work, 'more'), randomBytes(100_000));
  const put = await tahoe('-d', client.directory, 'put', join(grid.work, 'more'));
  t.is(put.code, 6);
  t.is(put.stdout, '');
  t.regex(put.stderr, /UploadUnhappinessError.*\b2\b.*\b7\b/s);
  t.log(put.stderr.trim().slice(0, 400));

  const mount = await mountNode(t, client, join(grid.work, 'mount'));
  await shell('cp "$1/more" "$2/d/kept"; cmp "$1/more" "$2/d/kept"', grid.work, mount);
  t.true((await statusOf(client)).pending.filesPending > 0);
  const left = await tahoe('-d', client.directory, 'unmount', mount, '--timeout', '4');
  t.is(left.code, 3);
  t.regex(left.stderr, /1 file .*on this computer only: not finished after 4 seconds/);
  t.is((await tahoe('-d', client.directory, 'sync', '--timeout', '1')).code, 3);

  await startServers(t, grid.directory, [0, 1, 2, 3, 4, 5, 6, 7]);
  const arrived = await timed(sync(client, 120));
  t.log(`on the grid ${arrived.seconds.toFixed(1)} s after the servers were back`);
  const late = await startReader(t, grid, 'late');
  await tahoeOutput('-d', late.directory, 'get', 'tahoe:d/kept', join(grid.work, 'arrived'));
  await shell('cmp "$1/more" "$1/arrived"', grid.work);
});
