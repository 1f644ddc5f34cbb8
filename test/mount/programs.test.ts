import fs from 'node:fs';
import path from 'node:path';
import test from 'ava';
import { command, startMount, temporaryDirectory } from '../support/mount-fixture.js';

for (const writeback of [false, true]) {
  const mode = writeback ? 'with writeback' : 'without writeback';

  test(`rsync -a twice: the second run has nothing to do, ${mode}`, async (t) => {
    const { path: mount } = await startMount(t, { mount: { writeback } });
    const source = sampleTree(temporaryDirectory(t));
    await command('/', 'rsync', '-a', `${source}/`, `${mount}/copy/`);
    t.is(await command('/', 'rsync', '-ai', `${source}/`, `${mount}/copy/`), '');
    await command('/', 'diff', '-r', '--no-dereference', source, `${mount}/copy`);
    fs.appendFileSync(path.join(source, 'd3/f3'), 'more');
    t.regex(await command('/', 'rsync', '-ai', '--delete', `${source}/`, `${mount}/copy/`), />f\S+ d3\/f3/);
    t.is(await command('/', 'rsync', '-ai', `${mount}/copy/`, `${source}/`), '');
  });

  test(`git init, commit, clone and fsck, ${mode}`, async (t) => {
    const { path: mount } = await startMount(t, { mount: { writeback } });
    const git = (cwd: string, ...args: string[]) =>
      command(cwd, 'git', '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args);
    await git(mount, 'init', '-q', 'one');
    const one = path.join(mount, 'one');
    sampleTree(path.join(one, 'tree'));
    await git(one, 'add', '-A');
    await git(one, 'commit', '-q', '-m', 'first');
    await git(mount, 'clone', '-q', 'one', 'two');
    await git(path.join(mount, 'two'), 'fsck', '--full', '--strict');
    t.is(await git(path.join(mount, 'two'), 'status', '--porcelain'), '');
    await git(one, 'gc', '-q');
    await git(one, 'fsck', '--full', '--strict');
    t.is(await git(one, 'log', '--format=%s'), 'first\n');
  });
}

test('tar, find, df and du agree on a tree', async (t) => {
  const { path: mount } = await startMount(t);
  const source = sampleTree(temporaryDirectory(t));
  await command('/', 'sh', '-c', `tar -C ${source} -cf - . | tar -C ${mount} -xpf -`);
  t.is(await command(mount, 'sh', '-c', 'find . | wc -l'), await command(source, 'sh', '-c', 'find . | wc -l'));
  t.regex(await command('/', 'df', '--output=source,fstype', mount), /tahoe +fuse\.tahoe/);
  await command(mount, 'rm', '-r', 'd1');
  t.false(fs.existsSync(path.join(mount, 'd1')));
});

/** Directories, files of several sizes, a link and a file with odd times, under `directory`; returns it. */
function sampleTree(directory: string): string {
  for (let d = 0; d < 8; d++) {
    fs.mkdirSync(path.join(directory, `d${d}`), { recursive: true });
    for (let f = 0; f < 20; f++) {
      const file = path.join(directory, `d${d}/f${f}`);
      fs.writeFileSync(file, Buffer.alloc(f * f * 97, `${d}-${f}`), { mode: f % 2 === 0 ? 0o644 : 0o755 });
      fs.utimesSync(file, 1e9 + f, 1e9 + d + f / 7);
    }
  }
  fs.symlinkSync('d0/f1', path.join(directory, 'link'));
  return directory;
}
