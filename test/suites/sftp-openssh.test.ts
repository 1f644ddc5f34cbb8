import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import test from 'ava';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { rootCap, run, sftpBatch, startFixture } from '../support/sftp-fixture.js';

test('the sftp client puts, lists, renames, links, changes and removes', async (t) => {
  const fixture = await startFixture(t);
  const content = 'x'.repeat(300_000);
  await fs.writeFile(path.join(fixture.directory, 'local'), content, { mode: 0o640 });
  await fs.utimes(path.join(fixture.directory, 'local'), 1_000_000_000, 1_000_000_001);
  const result = await sftpBatch(fixture, [
    'mkdir dir',
    'put -p local dir/file',
    'chmod 600 dir/file',
    'symlink file dir/link',
    'rename dir/file dir/renamed',
    'symlink renamed dir/to-renamed',
    'get dir/to-renamed back',
    'ls -la dir',
    'df',
    'pwd',
    'cd dir/../dir',
    'pwd',
    'rm link',
    '-rmdir /dir',
    'ls -n',
  ]);
  t.is(result.code, 0, result.stderr);
  t.is(await fs.readFile(path.join(fixture.directory, 'back'), 'utf8'), content);
  t.regex(result.stdout, /-rw------- +\S+ root +wheel +300000 .* renamed\n/);
  t.regex(result.stdout, /lrwxrwxrwx .* to-renamed/);
  t.regex(result.stdout, /Remote working directory: \/\n[\s\S]*Remote working directory: \/dir\n/);
  t.regex(result.stderr, /Failure/);
  const root = (await fixture.vfs.openRoot(rootCap)).inode;
  const dir = (await fixture.vfs.lookup(root, 'dir')).inode;
  const entries = await fixture.vfs.readDirectory(dir);
  t.deepEqual(
    entries.map(({ name }) => name),
    ['renamed', 'to-renamed'],
  );
  t.is(entries[0]?.attributes.modified.seconds, 1_000_000_001);
  t.is(fixture.vfs.openHandleCount(), 0);
});

test('exec and shell are refused with a message and exit status 1', async (t) => {
  const fixture = await startFixture(t);
  const args = [...fixture.sshOptions, '-p', String(fixture.server.address.port), 'alice@127.0.0.1'];
  for (const command of [['ls'], []]) {
    const result = await run('ssh', [...args, ...command]);
    t.is(result.code, 1, result.stderr);
    t.regex(result.stderr, /SFTP only/);
  }
});

test('every kind of key that OpenSSH makes logs in, and a stranger does not', async (t) => {
  const kinds = [
    ['-t', 'rsa', '-b', '2048'],
    ['-t', 'ecdsa', '-b', '256'],
    ['-t', 'ecdsa', '-b', '384'],
    ['-t', 'ecdsa', '-b', '521'],
    ['-t', 'ed25519'],
  ];
  for (const keyType of kinds) {
    const fixture = await startFixture(t, { keyType });
    const result = await sftpBatch(fixture, ['mkdir here', 'ls']);
    t.is(result.code, 0, `${keyType.join(' ')}: ${result.stderr}`);
    t.regex(result.stdout, /here/);
  }
  const fixture = await startFixture(t);
  await fs.writeFile(fixture.accountsPath, (await fs.readFile(fixture.accountsPath, 'utf8')).replace('alice', 'bob'));
  const refused = await sftpBatch(fixture, ['ls']);
  t.is(refused.code, 255);
  t.regex(refused.stderr, /Permission denied \(publickey\)/);
});

test('rename does not replace and posix-rename does', async (t) => {
  const fixture = await startFixture(t);
  await fs.writeFile(path.join(fixture.directory, 'a'), 'new');
  await fs.writeFile(path.join(fixture.directory, 'b'), 'old');
  const both = await sftpBatch(fixture, ['put a', 'put b', '-rename -l a b', 'ls']);
  t.regex(both.stderr, /Failure/);
  t.regex(both.stdout, /a +b/);
  const replaced = await sftpBatch(fixture, ['rename a b', 'ls', 'get b result']);
  t.is(replaced.code, 0, replaced.stderr);
  t.is(await fs.readFile(path.join(fixture.directory, 'result'), 'utf8'), 'new');
});

test('a copy within the server, a missing file and an extension that is not there', async (t) => {
  const fixture = await startFixture(t);
  await fs.writeFile(path.join(fixture.directory, 'a'), 'abc'.repeat(1_000_000));
  const result = await sftpBatch(fixture, [
    'put a',
    '-cp a copy',
    '-get missing',
    '-ln a hard',
    'put -f a synced',
    'ls -l',
  ]);
  t.regex(result.stderr, /"\/missing" not found/);
  t.regex(result.stderr, /does not support hardlink/);
  t.regex(result.stdout, /3000000 .* synced/);
  const root = (await fixture.vfs.openRoot(rootCap)).inode;
  t.is((await fixture.vfs.state((await fixture.vfs.lookup(root, 'synced')).inode as InodeNumber)).state, 'grid');
});
