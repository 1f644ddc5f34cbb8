/** The sentences of the README's promise, where no other test says exactly that. */
import test from 'ava';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import { quorumsOf } from '../../src/mutable/slot-map.js';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import {
  bytes,
  closeHandle,
  drained,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  snapshotTree,
  text,
} from '../support/vfs-grid.js';

const secret = 'nobody else may read this '.repeat(200);

test('once a write is acknowledged its bytes survive kill -9 of the node', async (t) => {
  const { node, root, rootCap } = await oneNode(t);
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes(secret));
  await node.killAndStart();
  const tree = await snapshotTree(node.vfs, (await node.vfs.openRoot(rootCap)).inode);
  const [name, what] = Object.entries(tree)[0] ?? [];
  t.regex(name ?? '', /^\/file\.recovered-\d{8}T\d{6}Z$/);
  t.is(what, `file ${secret}`);
});

for (const acknowledged of ['close', 'fsync'] as const) {
  test(`once ${acknowledged} is acknowledged, bytes and intent are durable and encrypted in the journal`, async (t) => {
    const { grid, node, root, rootCap } = await oneNode(t, { settings: { fsync: 'journal' } });
    grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
    const { handle } = await node.vfs.create(root, 'private name', newNode, readWrite);
    await handle.write(0, bytes(secret));
    await (acknowledged === 'close' ? handle.flush() : handle.fsync());
    await node.killAndStart('power');
    for (const path of node.disk.paths()) {
      const stored = Buffer.from(await node.disk.readFile(path));
      t.false(stored.includes('nobody else') || stored.includes('private name'), path);
    }
    grid.plan();
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/private name': `file ${secret}` });
  });
}

test('when fsync returns, shares are on happy servers, every directory up to the root on a write quorum, and read back', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  const e = (await node.vfs.makeDirectory(d, 'e', newNode)).inode;
  const { attributes, handle } = await node.vfs.create(e, 'file', newNode, readWrite);
  await handle.write(0, bytes(secret));
  // one server is away: four shares on three servers
  grid.servers[3]!.plan = () => 'fail';
  await handle.fsync();
  grid.plan(() => 'fail');
  const receipt = await node.vfs.receipt(attributes.inode);
  if (receipt.kind !== 'receipt') throw new Error(receipt.message);
  t.true(receipt.shares.length >= grid.encoding.sharesHappy);
  for (const { server, shareNumbers } of receipt.shares) {
    const { buckets } = grid.servers.find(({ id }) => id === server)!;
    t.true([...buckets.values()].some((held) => shareNumbers.every((number) => held.has(number))));
  }
  const { write } = quorumsOf(grid.encoding);
  t.deepEqual(
    receipt.directories.map(({ path }) => path),
    ['/d/e', '/d', '/'],
  );
  for (const { shares } of receipt.directories) {
    t.true(new Set(shares.flatMap(({ shareNumbers }) => shareNumbers)).size >= write);
  }
  grid.plan();
  t.is((await seenByAnother(grid, rootCap))['/d/e/file'], `file ${secret}`);
});

const stages = {
  'the shares of the content': (method: string) => method === 'allocateShares' || method === 'writeShare',
  'the version of a directory': (method: string, request: unknown) =>
    method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0,
} as const;

for (const [what, isOf] of Object.entries(stages)) {
  test(`if ${what} could not be shown to be on the grid, fsync fails, and says why`, async (t) => {
    const { node, root } = await oneNode(t);
    const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
    await handle.write(0, bytes(secret));
    node.beforeRequest = (method, _, request) => {
      if (isOf(method, request)) throw new TahoeError('no connection', { kind: 'unreachable', op: 'test' });
    };
    const failure = await t.throwsAsync(handle.fsync());
    t.true(isTahoeError(failure, 'timeout'));
    t.regex(failure.message, /the data stays in the journal \(.+\)/);
    node.beforeRequest = () => {};
    await handle.fsync();
    await handle.release();
  });
}

test('fsync=journal returns when the journal is durable, and waits for no server', async (t) => {
  const { grid, node, root } = await oneNode(t, { settings: { fsync: 'journal' } });
  grid.plan(() => 'hang');
  const { handle, attributes } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes(secret));
  await handle.fsync();
  t.is((await node.vfs.state(attributes.inode)).state, 'local');
  await closeHandle(handle);
});

test('every path is local, uploading, grid, conflict or failed, and its extended attribute says the same', async (t) => {
  const { grid, node, root } = await oneNode(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
  const file = await put(node.vfs, d, 'file', secret);
  const check = async (expected: string) => {
    const { state, reason } = await node.vfs.state(file);
    t.is(state, expected as typeof state);
    const attribute = text(await node.vfs.getExtendedAttribute(file, 'user.tahoe.state'));
    t.is(attribute, reason === undefined ? state : `${state} (${reason})`);
  };
  await check('local');
  grid.plan((method) => (method === 'allocateShares' ? { delayMs: 100 } : undefined));
  while ((await node.vfs.state(file)).state === 'local') await new Promise((resolve) => setTimeout(resolve, 2));
  await check('uploading');
  grid.plan();
  await drained(node);
  await check('grid');
  t.is((await node.vfs.state(d)).state, 'grid');
});
