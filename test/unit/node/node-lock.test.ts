import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { lockNodeDirectory } from '../../../src/node/node-lock.js';

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-lock-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

test('a second holder is refused and told the process that holds the directory', async (t) => {
  const path = await temporaryDirectory(t);
  const lock = await lockNodeDirectory(path);
  const error = await t.throwsAsync(lockNodeDirectory(path));
  t.true(isTahoeError(error, 'busy'));
  t.regex(error?.message ?? '', new RegExp(`in use by process ${process.pid}:`));
  await lock.release();
  const again = await lockNodeDirectory(path);
  await again.release();
});

test('the lock is of the directory, not of one of its names', async (t) => {
  const path = await temporaryDirectory(t);
  const link = `${path}-link`;
  await symlink(path, link);
  t.teardown(() => rm(link));
  const lock = await lockNodeDirectory(path);
  t.teardown(() => lock.release());
  await t.throwsAsync(lockNodeDirectory(link), { message: /in use/ });
});

test('kill -9 of the holder frees the directory', async (t) => {
  const path = await temporaryDirectory(t);
  const lockModule = pathToFileURL(join(process.cwd(), 'dist/src/node/node-lock.js')).href;
  const program = `
    const { lockNodeDirectory } = await import(${JSON.stringify(lockModule)});
    await lockNodeDirectory(${JSON.stringify(path)});
    process.stdout.write('locked');
    setInterval(() => {}, 1000);
  `;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => holder.kill('SIGKILL'));
  await once(holder.stdout, 'data');
  await t.throwsAsync(lockNodeDirectory(path), { message: new RegExp(`process ${holder.pid}:`) });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  const lock = await lockNodeDirectory(path);
  await lock.release();
});
