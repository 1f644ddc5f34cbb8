import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import {
  command,
  isMounted,
  type Leftovers,
  MountRefused,
  startMount,
  temporaryDirectory,
} from '../support/mount-fixture.js';

const nobody = 65534;

async function refusal(t: ExecutionContext, at: string): Promise<string | undefined> {
  const error = await t.throwsAsync(startMount(t, { at }), { instanceOf: MountRefused });
  return error?.kind;
}

test('mount points that are missing, no directory or not empty are refused', async (t) => {
  const directory = temporaryDirectory(t);
  t.is(await refusal(t, path.join(directory, 'missing')), 'not-found');
  fs.writeFileSync(path.join(directory, 'file'), '');
  t.is(await refusal(t, path.join(directory, 'file')), 'not-a-directory');
  t.is(await refusal(t, directory), 'not-empty');
  await startMount(t, { at: directory, mount: { nonempty: true } });
  t.deepEqual(fs.readdirSync(directory), []);
  t.is(await refusal(t, directory), 'busy');
});

test('after kill -9 the stale mount is refused with advice, and mounts again once cleaned', async (t) => {
  const mount = await startMount(t);
  fs.writeFileSync(path.join(mount.path, 'file'), 'x');
  mount.server.kill('SIGKILL');
  await once(mount.server, 'exit');
  t.throws(() => fs.statSync(mount.path), { code: 'ENOTCONN' });
  await t.throwsAsync(startMount(t, { at: mount.path }), { message: /fusermount3 -u/ });
  execFileSync('fusermount3', ['-u', mount.path]);
  const again = await startMount(t, { at: mount.path });
  t.deepEqual(fs.readdirSync(again.path), []);
});

test('a busy unmount is refused, force detaches, and nothing is left behind', async (t) => {
  const mount = await startMount(t);
  const fd = fs.openSync(path.join(mount.path, 'file'), 'w');
  await t.throwsAsync(mount.call({ what: 'unmount' }), { message: 'busy' });
  fs.writeSync(fd, 'still works');
  const left = (await mount.call({ what: 'unmount', force: true })) as Leftovers;
  t.deepEqual(left, { remembered: 0, openHandles: 0, problems: [] });
  t.false(isMounted(mount.path));
  t.throws(() => fs.writeSync(fd, 'x'), { message: /ENOTCONN|ECONNABORTED|EIO/ });
  try {
    fs.closeSync(fd);
  } catch {
    // the flush of a detached file fails; the descriptor is closed all the same
  }
});

test('an unmount from outside ends the mount cleanly', async (t) => {
  const mount = await startMount(t);
  fs.writeFileSync(path.join(mount.path, 'file'), 'x');
  await command('/', 'umount', mount.path);
  t.deepEqual(await mount.call({ what: 'unmount' }), { remembered: 0, openHandles: 0, problems: [] });
});

test('the mount goes when the serving process ends by itself', async (t) => {
  const mount = await startMount(t);
  mount.server.disconnect();
  await once(mount.server, 'exit');
  for (let i = 0; i < 50 && isMounted(mount.path); i++) await delay(50);
  t.false(isMounted(mount.path));
});

for (const operation of ['fsync', 'read']) {
  test(`a waiting ${operation} is interrupted by a signal`, async (t) => {
    const mount = await startMount(t);
    fs.writeFileSync(path.join(mount.path, 'file'), 'x');
    fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
    await mount.call({ what: 'hold', operation });
    const program = operation === 'fsync' ? ['sync', 'file'] : ['dd', 'if=file', 'iflag=direct', 'bs=4096'];
    const child = spawn(program[0] ?? '', program.slice(1), { cwd: mount.path, stdio: 'ignore' });
    await delay(500);
    t.is(child.exitCode, null, 'it waits');
    child.kill('SIGTERM');
    await once(child, 'exit');
    t.is(child.signalCode, 'SIGTERM');
    await mount.call({ what: 'hold', operation: '' });
    const left = (await mount.call({ what: 'unmount' })) as Leftovers;
    t.deepEqual(left.problems, []);
  });
}

test('a slow lookup does not hold up others in the same directory', async (t) => {
  const mount = await startMount(t);
  fs.writeFileSync(path.join(mount.path, 'file'), 'x');
  await mount.call({ what: 'hold', operation: 'lookup' });
  const waiting = ['a', 'b', 'c'].map((name) => command(mount.path, 'test', '!', '-e', name));
  await delay(300);
  t.truthy(fs.statfsSync(mount.path).bsize, 'other requests are answered meanwhile');
  await mount.call({ what: 'hold', operation: '' });
  t.is((await Promise.all(waiting)).length, 3);
});

test('an operation that throws answers EIO at once and is logged', async (t) => {
  const mount = await startMount(t);
  await mount.call({ what: 'break', operation: 'makeDirectory' });
  t.throws(() => fs.mkdirSync(path.join(mount.path, 'd')), { code: 'EIO' });
  const problems = (await mount.call({ what: 'break', operation: '' })) as string[];
  t.regex(problems.join(), /broken by the test/);
  fs.mkdirSync(path.join(mount.path, 'd'));
});

test('changes of another frontend show at once, before any timeout', async (t) => {
  const mount = await startMount(t, { mount: { entryTimeoutMs: 5000, attributeTimeoutMs: 5000 } });
  const file = path.join(mount.path, 'file');
  t.false(fs.existsSync(file));
  await mount.call({ what: 'write-elsewhere', name: 'file', text: 'one' });
  await delay(100);
  t.is(fs.readFileSync(file, 'latin1'), 'one');
  const fd = fs.openSync(file, 'r');
  await mount.call({ what: 'write-elsewhere', name: 'file', text: 'two and more' });
  await delay(100);
  t.is(fs.readFileSync(file, 'latin1'), 'two and more');
  t.is(fs.readFileSync(fd, 'latin1'), 'two and more');
  fs.closeSync(fd);
  await mount.call({ what: 'unlink-elsewhere', name: 'file' });
  await delay(100);
  t.false(fs.existsSync(file));
});

test('changes of others to a file with dirty cached pages do not lock anything up', async (t) => {
  const mount = await startMount(t, { mount: { writeback: true } });
  const writing = command(
    mount.path,
    'sh',
    '-c',
    'for i in 1 2 3 4 5; do dd if=/dev/zero of=file bs=1M count=40; done',
  );
  for (let i = 0; i < 200; i++) await mount.call({ what: 'write-elsewhere', name: 'file', text: `change ${i}` });
  await writing;
  await mount.call({ what: 'write-elsewhere', name: 'file', text: 'last' });
  await delay(200);
  t.is(fs.readFileSync(path.join(mount.path, 'file'), 'latin1').slice(0, 4), 'last');
  t.like(await mount.call({ what: 'unmount' }), { remembered: 0, problems: [] });
});

test('fsync reaches the grid and unmounted files say so', async (t) => {
  const mount = await startMount(t);
  const fd = fs.openSync(path.join(mount.path, 'file'), 'w');
  fs.writeSync(fd, 'x');
  t.deepEqual(await mount.call({ what: 'state', name: 'file' }), { state: 'local' });
  fs.fsyncSync(fd);
  t.deepEqual(await mount.call({ what: 'state', name: 'file' }), { state: 'grid' });
  fs.closeSync(fd);
});

test('an ordinary user mounts through fusermount3', async (t) => {
  const mode = fs.statSync('/dev/fuse').mode & 0o777;
  fs.chmodSync('/dev/fuse', 0o666);
  t.teardown(() => fs.chmodSync('/dev/fuse', mode));
  const mount = await startMount(t, { uid: nobody });
  const as = (...args: string[]) =>
    command('/', 'setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', ...args);
  await as('sh', '-c', `cd ${mount.path} && echo hello > a && mkdir d && mv a d/b && cp /bin/sh sh && cmp sh /bin/sh`);
  t.is(await as('cat', `${mount.path}/d/b`), 'hello\n');
  await t.throwsAsync(command('/', 'ls', mount.path), undefined, 'others may not look');
  const left = (await mount.call({ what: 'unmount' })) as Leftovers;
  t.deepEqual(left, { remembered: 0, openHandles: 0, problems: [] });
});

test('the mount of an ordinary user goes when its process is killed', async (t) => {
  const mode = fs.statSync('/dev/fuse').mode & 0o777;
  fs.chmodSync('/dev/fuse', 0o666);
  t.teardown(() => fs.chmodSync('/dev/fuse', mode));
  const mount = await startMount(t, { uid: nobody });
  mount.server.kill('SIGKILL');
  for (let i = 0; i < 50 && isMounted(mount.path); i++) await delay(50);
  t.false(isMounted(mount.path));
});

test('the second driver serves files, names and attributes', async (t) => {
  const mount = await startMount(t, { driver: 'fuse-native' });
  const at = (name: string) => path.join(mount.path, name);
  fs.writeFileSync(at('file'), 'content');
  fs.mkdirSync(at('d'));
  fs.renameSync(at('file'), at('d/file'));
  fs.symlinkSync('d/file', at('link'));
  t.is(fs.readFileSync(at('link'), 'latin1'), 'content');
  fs.truncateSync(at('d/file'), 4);
  fs.chmodSync(at('d/file'), 0o600);
  t.is(fs.statSync(at('d/file')).mode & 0o7777, 0o600);
  await command(mount.path, 'setfattr', '-n', 'user.note', '-v', 'v', 'd/file');
  t.is(await command(mount.path, 'getfattr', '--only-values', '-n', 'user.note', 'd/file'), 'v');
  t.deepEqual(fs.readdirSync(mount.path), ['d', 'link']);
  t.throws(() => fs.rmdirSync(at('d')), { code: 'ENOTEMPTY' });
  t.true(fs.statfsSync(mount.path).blocks > 0);
  fs.rmSync(at('d'), { recursive: true });
  t.deepEqual(await mount.call({ what: 'unmount' }), { remembered: 0, openHandles: 0, problems: [] });
  t.false(isMounted(mount.path));
});
