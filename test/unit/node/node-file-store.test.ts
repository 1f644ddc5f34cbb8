import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-files-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  return directory;
}

async function kindOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    return error instanceof TahoeError ? error.kind : `not a TahoeError: ${String(error)}`;
  }
}

test('writes many parts at a position and reads them back, short at the end of the file', async (t) => {
  const directory = await temporaryDirectory(t);
  const files = new NodeFileStore();
  const file = await files.open(path.join(directory, 'a'), 'create-new');
  const parts = Array.from({ length: 3000 }, (_, index) => new Uint8Array(index % 5).fill(index & 255));
  await file.write(7, parts);
  file.writeNow(0, [new Uint8Array([1, 2, 3]), new Uint8Array(0), new Uint8Array([4])]);
  await file.sync();
  const expected = Buffer.concat([new Uint8Array([1, 2, 3, 4, 0, 0, 0]), ...parts]);
  t.deepEqual(Buffer.from(await file.read(0, expected.length + 100)), expected);
  t.is((await file.read(expected.length, 10)).length, 0);
  const target = new Uint8Array(10);
  t.is(await file.readInto(target, expected.length - 4), 4);
  t.is(await file.sizeBytes(), expected.length);
  await file.truncate(2);
  await file.close();
  t.deepEqual([...(await files.readFile(path.join(directory, 'a')))], [1, 2]);
});

test('errors have the kinds that the contract names', async (t) => {
  const directory = await temporaryDirectory(t);
  const files = new NodeFileStore();
  const missing = path.join(directory, 'missing');
  const full = path.join(directory, 'full');
  await files.makeDirectory(path.join(full, 'inner'));
  await files.makeDirectory(full);
  const plain = path.join(directory, 'plain');
  await (await files.open(plain, 'create')).close();
  t.is(await kindOf(files.open(missing, 'read')), 'not-found');
  t.is(await kindOf(files.open(missing, 'update')), 'not-found');
  t.is(await kindOf(files.open(plain, 'create-new')), 'exists');
  t.is(await kindOf(files.list(missing)), 'not-found');
  t.is(await kindOf(files.list(plain)), 'not-a-directory');
  t.is(await kindOf(files.removeDirectory(full)), 'not-empty');
  t.is(await kindOf(files.readFile(full)), 'is-a-directory');
  t.is(await kindOf(files.removeTree(missing)), 'none');
  t.is(await files.stat(missing), undefined);
  t.true((await files.stat(full))?.isDirectory);
});

test('a file on a full device fails with no-space', async (t) => {
  const file = await new NodeFileStore().open('/dev/full', 'update');
  t.teardown(() => file.close());
  t.is(await kindOf(file.write(0, [new Uint8Array(10)])), 'no-space');
});

test('a closed file refuses use instead of touching a reused descriptor', async (t) => {
  const directory = await temporaryDirectory(t);
  const file = await new NodeFileStore().open(path.join(directory, 'a'), 'create');
  await file.close();
  await t.throwsAsync(file.read(0, 1), { message: /after close/ });
});

test('rename replaces, removeTree removes all, space is positive', async (t) => {
  const directory = await temporaryDirectory(t);
  const files = new NodeFileStore();
  for (const name of ['a', 'b']) {
    const file = await files.open(path.join(directory, name), 'create');
    await file.write(0, [new TextEncoder().encode(name)]);
    await file.close();
  }
  await files.rename(path.join(directory, 'a'), path.join(directory, 'b'));
  await files.syncDirectory(directory);
  t.deepEqual(await files.list(directory), ['b']);
  t.is(new TextDecoder().decode(await files.readFile(path.join(directory, 'b'))), 'a');
  const space = await files.space(directory);
  t.true(space.totalBytes > 0 && space.freeBytes <= space.totalBytes);
  await files.removeTree(directory);
  t.is(await files.stat(directory), undefined);
});
