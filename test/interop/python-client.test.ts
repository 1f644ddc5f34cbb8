/** A client of the Python implementation on our servers: what each writes, the other reads. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { introducerOf, mountNode, type RealGrid, shell, startGrid, sync } from '../support/real-grid.js';
import { tahoeOutput } from '../support/running-tahoe.js';

const program = process.env.TAHOE_PYTHON ?? 'tahoe-of-python (set TAHOE_PYTHON)';

/** Starts a Python client that knows our servers; returns a function that runs its commands. */
async function startPython(t: ExecutionContext, grid: RealGrid): Promise<(...args: string[]) => Promise<string>> {
  const directory = join(grid.work, 'python');
  const create = '"$1" create-client --webport=tcp:0:interface=127.0.0.1 --introducer="$3" "$2"';
  await shell(create, program, directory, await introducerOf(grid));
  const node = spawn(program, ['run', '--allow-stdin-close', directory], { stdio: 'ignore' });
  const ended = once(node, 'exit');
  t.teardown(async () => {
    node.kill('SIGKILL');
    await ended;
  });
  const run = (...args: string[]) =>
    shell('program=$1; directory=$2; shift 2; "$program" -d "$directory" "$@"', program, directory, ...args);
  for (;;) {
    try {
      const url = readFileSync(join(directory, 'node.url'), 'utf8').trim();
      const page = (await (await fetch(`${url}?t=json`)).json()) as { servers: { connection_status: string }[] };
      if (page.servers.filter(({ connection_status: status }) => /^connected/i.test(status)).length === 10) return run;
    } catch {
      // it is not up yet
    }
    await delay(300);
  }
}

test('a Python client on our servers: each reads, lists and verifies what the other has written', async (t) => {
  t.timeout(240_000);
  const grid = await startGrid(t);
  const mount = await mountNode(t, grid, join(grid.work, 'mount'));
  const python = await startPython(t, grid);
  const content = randomBytes(1_200_000);
  writeFileSync(join(grid.work, 'content'), content);

  await shell(
    `mkdir -p "$1/tree/sub/Ünïcödé — 日本語"; cp "$2/content" "$1/tree/sub/big"; printf small > "$1/tree/sub/Ünïcödé — 日本語/lit"
     head -c 56 "$2/content" > "$1/tree/smallest chk"; ln -s sub/big "$1/tree/link"`,
    mount,
    grid.work,
  );
  await sync(grid);
  const aliases = JSON.parse(await tahoeOutput('-d', grid.directory, 'list-aliases', '--json'));
  const root: string = aliases.tahoe.readwrite;
  t.is(await python('ls', `${root}/tree`), 'link\nsmallest chk\nsub\n');
  t.is(await python('ls', `${root}/tree/sub/Ünïcödé — 日本語`), 'lit\n');
  t.is(await python('get', `${root}/tree/sub/Ünïcödé — 日本語/lit`), 'small');
  await python('get', `${root}/tree/sub/big`, join(grid.work, 'by python'));
  t.deepEqual(readFileSync(join(grid.work, 'by python')), content);
  await python('get', `${aliases.tahoe.readonly}/tree/smallest chk`, join(grid.work, 'smallest'));
  t.deepEqual(readFileSync(join(grid.work, 'smallest')), content.subarray(0, 56));
  for (const path of ['tree/sub/big', 'tree', 'tree/sub']) {
    t.regex(await python('check', '--verify', `${root}/${path}`), /Healthy/, path);
  }

  const theirs = (await python('mkdir')).trim();
  await python('put', join(grid.work, 'content'), `${theirs}/their file`);
  await shell('printf tiny > "$1/tiny"', grid.work);
  await python('put', join(grid.work, 'tiny'), `${theirs}/deep/tiny`);
  t.is(await tahoeOutput('-d', grid.directory, 'ls', theirs), 'deep\ntheir file');
  t.is(await tahoeOutput('-d', grid.directory, 'get', `${theirs}/deep/tiny`), 'tiny');
  const own = join(grid.work, 'theirs');
  await shell('mkdir "$1"', own);
  await tahoeOutput('-d', grid.directory, 'mount', theirs, own);
  await shell('cmp "$1/content" "$2/their file"; printf ours > "$2/our file"', grid.work, own);
  await tahoeOutput('-d', grid.directory, 'unmount', own);
  t.is(await python('get', `${theirs}/our file`), 'ours', 'their directory, changed by us');
  t.is(await python('ls', theirs), 'deep\nour file\ntheir file\n');

  const put = await tahoeOutput('-d', grid.directory, 'put', join(grid.work, 'content'));
  t.regex(put, /^URI:CHK:/);
  await python('get', put, join(grid.work, 'put'));
  t.deepEqual(readFileSync(join(grid.work, 'put')), content);
});
