import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { isMountPoint, mountNode, shell, startGrid, startReader, sync } from '../support/real-grid.js';
import { runTahoe, tahoe, tahoeOutput, temporaryDirectory } from '../support/running-tahoe.js';

test('a mount point that is not empty, in use, missing or mounted already is refused, and why', async (t) => {
  const grid = await startGrid(t);
  const refused = async (code: number, message: RegExp, ...args: string[]) => {
    const outcome = await tahoe('-d', grid.directory, ...args);
    t.is(outcome.code, code, outcome.stderr);
    t.regex(outcome.stderr, message);
  };
  const full = join(grid.work, 'full');
  mkdirSync(join(full, 'inside'), { recursive: true });
  await refused(5, /is not empty/, 'mount', full);
  await refused(2, /does not exist/, 'mount', join(grid.work, 'missing'));
  await refused(1, /unknown mount option/, 'mount', full, '-o', 'wrong');
  await tahoeOutput('-d', grid.directory, 'mount', full, '-o', 'nonempty');
  await tahoeOutput('-d', grid.directory, 'unmount', full);

  const mount = await mountNode(t, grid, join(grid.work, 'mount'));
  await refused(5, /is mounted already/, 'mount', mount);
  const user = spawn('sleep', ['60'], { cwd: mount });
  await once(user, 'spawn');
  await refused(5, /in use|busy|open/i, 'unmount', mount);
  t.true(await isMountPoint(mount));
  await shell('echo still works > "$1/file"', mount);
  user.kill();
  await once(user, 'exit');
  await tahoeOutput('-d', grid.directory, 'unmount', mount);
  t.false(await isMountPoint(mount));
  await refused(2, /nothing mounted/, 'unmount', mount);

  const second = await tahoe('run', grid.directory);
  t.is(second.code, 5);
  t.regex(second.stderr, /in use by process/);
});

test('what is no capability of this kind is refused by every command, with the reason and without a stack', async (t) => {
  const grid = await startGrid(t);
  const reader = await startReader(t, grid, 'reader');
  writeFileSync(join(grid.work, 'file'), Buffer.alloc(1000, 'x'));
  const file = await tahoeOutput('-d', grid.directory, 'put', join(grid.work, 'file'), 'tahoe:file');
  const mountpoint = join(grid.work, 'mount');
  mkdirSync(mountpoint);
  const wrong = ['URI:CHK:nonsense', `${file.slice(0, -6)}999`, 'URI:DIR2:aaaa:bbbb', 'nosuchalias:x'];
  for (const cap of wrong) {
    for (const args of [
      ['get', cap],
      ['ls', cap],
      ['put', join(grid.work, 'file'), cap],
      ['mkdir', `${cap}/d`],
      ['rm', cap],
      ['mv', cap, 'tahoe:other'],
      ['cp', cap, join(grid.work, 'out')],
      ['mount', cap, mountpoint],
      ['add-alias', 'name', cap],
    ]) {
      const { code, stderr } = await tahoe('-d', grid.directory, ...args);
      t.not(code, 0, args.join(' '));
      t.regex(stderr, /^(tahoe|error|usage)/im, args.join(' '));
      t.notRegex(stderr, /\n {4}at |internal/, args.join(' '));
    }
  }
  t.is((await tahoe('-d', grid.directory, 'mount', file, mountpoint)).code, 1, 'a file cannot be mounted');
  t.is((await tahoe('-d', reader.directory, 'mkdir', 'tahoe:d')).code, 7, 'a read capability does not write');
  t.is((await tahoe('-d', reader.directory, 'put', join(grid.work, 'file'), 'tahoe:x')).code, 7);
  t.is((await tahoe('-d', reader.directory, 'rm', 'tahoe:file')).code, 7);
  const seen = await mountNode(t, reader, mountpoint);
  await t.throwsAsync(shell('touch "$1/x"', seen), { message: /Read-only|Permission denied/ });
});

test('a full disk refuses the write with ENOSPC; what was closed before is kept, arrives, and writing goes on', async (t) => {
  t.timeout(240_000);
  const work = await temporaryDirectory(t);
  const directory = join(work, 'grid');
  await tahoeOutput('create-grid', directory);
  const small = join(work, 'small');
  mkdirSync(small);
  await shell('mount -t tmpfs -o size=300m tmpfs "$1"', small);
  t.teardown(() => shell('umount -l "$1"', small));
  await shell('mv "$1/client" "$2/client"', directory, small);
  symlinkSync(join(small, 'client'), join(directory, 'client'));
  const grid = { work, directory, running: await runTahoe(t, directory) };
  const mount = await mountNode(t, grid, join(work, 'mount'));
  await shell('head -c 3000000 /dev/urandom > "$2/before"; cp "$2/before" "$1/before"', mount, work);
  await t.throwsAsync(
    shell('for i in $(seq 60); do head -c 10000000 /dev/urandom > "$1/big$i" || exit 1; done', mount),
    {
      message: /No space left on device/,
    },
  );
  await shell('cmp "$1/before" "$2/before"; rm -f "$2"/big*', work, mount);
  await sync(grid, 120);
  await shell('cp "$1/before" "$2/after"', work, mount);
  await sync(grid, 120);
  const reader = await startReader(t, grid, 'reader');
  for (const name of ['before', 'after']) {
    await tahoeOutput('-d', reader.directory, 'get', `tahoe:${name}`, join(work, 'copy'));
    await shell('cmp "$1/before" "$1/copy"', work);
  }
});
