import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import {
  bytes,
  closeHandle,
  contentOf,
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  text,
  textAt,
  workUntilCheckpoint,
} from '../support/vfs-grid.js';

test('what fsync acknowledged is read by another node that has never seen anything', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 60_000 } });
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  const e = (await node.vfs.makeDirectory(d, 'e', newNode)).inode;
  const { handle } = await node.vfs.create(e, 'file', newNode, readWrite);
  await handle.write(0, bytes('synced'));
  await handle.fsync();
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/d': 'directory',
    '/d/e': 'directory',
    '/d/e/file': 'file synced',
  });
  await handle.release();
});

test('two fsyncs of one open file at the same time both end', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const { handle, attributes } = await node.vfs.create(root, 'file', newNode, readWrite);
  const other = await node.vfs.open(attributes.inode, readWrite);
  await handle.write(0, bytes('first'));
  const first = handle.fsync();
  await other.write(5, bytes(' second'));
  await Promise.all([first, other.fsync()]);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file first second' });
  await handle.release();
  await other.release();
});

test('a second fsync of an open file is true for what was written between the two', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 1, publishAfterMs: 2 } });
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('1'.repeat(100)));
  grid.plan((method) => (method === 'allocateShares' ? { delayMs: 60 } : undefined));
  const first = handle.fsync();
  await new Promise((resolve) => setTimeout(resolve, 30));
  await handle.write(100, bytes('2'.repeat(100)));
  await first;
  await handle.fsync();
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file ${'1'.repeat(100)}${'2'.repeat(100)}` });
  await handle.release();
});

test('fsync of a directory brings names whose files are still open', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { stallMs: 1500 } });
  const { handle } = await node.vfs.create(root, 'log', newNode, readWrite);
  await handle.write(0, bytes('line'));
  await put(node.vfs, root, 'other', 'x');
  await node.vfs.fsyncDirectory(root);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/log': 'file line', '/other': 'file x' });
  await handle.release();
});

test('the rename of a file that is open for writing reaches the grid before it is closed', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const inode = await put(node.vfs, root, 'log', 'line');
  await drained(node);
  const handle = await node.vfs.open(inode, readWrite);
  await node.vfs.rename({ parent: root, name: 'log' }, { parent: root, name: 'log.1' }, 'replace');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/log.1': 'file line' });
  await handle.release();
});

for (const when of ['uploading', 'uploaded']) {
  test(`a file that is written on for ever when it was ${when} is on the grid as of its last close`, async (t) => {
    const { grid, node, root, rootCap } = await oneNode(t, { settings: { openFileMs: 100, publishAfterQuietMs: 100 } });
    const { handle } = await node.vfs.create(root, 'log', newNode, readWrite);
    await handle.write(0, bytes('one'));
    await handle.flush();
    await (when === 'uploading' ? handle.write(3, bytes(' two')) : undefined);
    await eventually(() => node.vfs.status().uploads === 1);
    await handle.write(3, bytes(' two'));
    const other = await grid.node({ settings: { freshnessMs: 0 } });
    const there = (await other.vfs.openRoot(rootCap)).inode;
    await eventually(async () => (await listing(other.vfs, there)).length === 1);
    t.is(await textAt(other.vfs, there, 'log'), 'one');
    await handle.release();
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/log': 'file one two' });
  });
}

test('what close acknowledged survives kill -9 and arrives', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan(() => 'fail');
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await put(node.vfs, d, 'file', 'closed');
  const big = new Uint8Array(300_000).map((_, index) => index * 7);
  await put(node.vfs, root, 'big', big);
  await node.killAndStart();
  grid.plan();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/big': `file ${Buffer.from(big).toString('latin1')}`,
    '/d': 'directory',
    '/d/file': 'file closed',
  });
});

/** What stands at each path, as if files came back under names without the time. */
function withoutTimes(tree: Readonly<Record<string, string>>): Record<string, string> {
  const timeless = (path: string) => path.replace(/recovered-\d{8}T\d{6}Z/, 'recovered');
  return Object.fromEntries(Object.entries(tree).map(([path, what]) => [timeless(path), what]));
}

test('what was written after the last close comes back beside the file, which is as it was closed', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const onGrid = await put(node.vfs, root, 'on grid', 'synced');
  await drained(node);
  grid.plan(() => 'fail');
  const closed = await put(node.vfs, root, 'closed', 'closed');
  const long = 'ü'.repeat(127);
  const [first, second] = [await node.vfs.open(onGrid, readWrite), await node.vfs.open(closed, readWrite)];
  const { handle: third } = await node.vfs.create(root, long, newNode, readWrite);
  await first.write(6, bytes(' more'));
  await second.write(0, bytes('CHANGED'));
  await third.write(0, bytes('new'));
  await node.killAndStart();
  await node.killAndStart();
  grid.plan();
  await drained(node);
  t.deepEqual(withoutTimes(await seenByAnother(grid, rootCap)), {
    '/on grid': 'file synced',
    '/on grid.recovered': 'file synced more',
    '/closed': 'file closed',
    '/closed.recovered': 'file CHANGED',
    [`/${'ü'.repeat(114)}.recovered`]: 'file new',
  });
  await drained(node);
});

for (const [how, where] of [
  ['touched', 'on the grid'],
  ['touched', 'in the journal'],
  ['truncated', 'in the journal'],
] as const) {
  test(`an empty file, ${how} and ${where}, keeps its name when it is being written at a kill`, async (t) => {
    const { grid, node, root, rootCap } = await oneNode(t);
    if (where === 'in the journal') grid.plan(() => 'fail');
    const inode = await put(node.vfs, root, 'file', how === 'touched' ? '' : 'x'.repeat(200));
    if (how === 'truncated') await node.vfs.setAttributes(inode, { sizeBytes: 0 });
    if (where === 'on the grid') await drained(node);
    else await delay(50);
    const handle = await node.vfs.open(inode, readWrite);
    await handle.write(0, bytes('half'));
    await node.killAndStart();
    await node.killAndStart();
    grid.plan();
    await drained(node);
    t.deepEqual(withoutTimes(await seenByAnother(grid, rootCap)), { '/file': 'file ', '/file.recovered': 'file half' });
  });
}

for (const where of ['on the grid', 'in the journal']) {
  test(`a file that replaced another one while it was open has its name after kill -9, the old one being ${where}`, async (t) => {
    const { grid, node, root, rootCap } = await oneNode(t);
    await put(node.vfs, root, 'file', 'old');
    if (where === 'on the grid') await drained(node);
    grid.plan(() => 'fail');
    const { handle } = await node.vfs.create(root, 'file.new', newNode, readWrite);
    await handle.write(0, bytes('new'));
    await node.vfs.rename({ parent: root, name: 'file.new' }, { parent: root, name: 'file' }, 'replace');
    await handle.write(3, bytes(' and more'));
    await node.killAndStart();
    grid.plan();
    await drained(node);
    const seen = Object.entries(await seenByAnother(grid, rootCap));
    t.deepEqual(Object.fromEntries(seen.map(([path, what]) => [path.replace(/-\d{8}T\d{6}Z/, ''), what])), {
      '/file': 'file new',
      '/file.recovered': 'file new and more',
    });
  });
}

test('what close acknowledged survives the loss of power', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan(() => 'fail');
  await put(node.vfs, root, 'file', 'closed');
  await node.killAndStart('power');
  grid.plan();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file closed' });
});

test('attributes, links and special files survive kill -9 and are seen by another node', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const { vfs } = node;
  const inode = await put(vfs, root, 'file', 'x');
  const modified = { seconds: 1_234_567_890, nanoseconds: 987_654_321 };
  const accessed = { seconds: -3, nanoseconds: 5 };
  await vfs.setAttributes(inode, { mode: 0o4751, uid: 4_000_000_001, gid: 77, modified, accessed });
  await vfs.setExtendedAttribute(inode, 'user.note', new Uint8Array([0, 255, 7]), 'any');
  await vfs.makeSymlink(root, 'link', '../ä', newNode);
  await vfs.makeNode(root, 'pipe', 'fifo', 0, newNode);
  await vfs.makeNode(root, 'tty', 'character-device', 0x501, newNode);
  await vfs.makeNode(root, 'sda', 'block-device', 0x800, newNode);
  await vfs.makeNode(root, 'sock', 'socket', 0, newNode);
  const d = await vfs.makeDirectory(root, 'd', { mode: 0o1770, uid: 5, gid: 6 });
  await vfs.setAttributes(d.inode, { modified });
  await vfs.fsyncDirectory(root);
  const check = async (files: typeof vfs, parent: typeof root) => {
    const found = await files.lookup(parent, 'file');
    t.like(found, { mode: 0o4751, uid: 4_000_000_001, gid: 77, modified, accessed, inode, kind: 'file', sizeBytes: 1 });
    t.deepEqual(
      new Uint8Array(await files.getExtendedAttribute(found.inode, 'user.note')),
      new Uint8Array([0, 255, 7]),
    );
    t.is(await files.readSymlink((await files.lookup(parent, 'link')).inode), '../ä');
    t.like(await files.lookup(parent, 'pipe'), { kind: 'fifo' });
    t.like(await files.lookup(parent, 'tty'), { kind: 'character-device', rdev: 0x501 });
    t.like(await files.lookup(parent, 'sda'), { kind: 'block-device', rdev: 0x800 });
    t.like(await files.lookup(parent, 'sock'), { kind: 'socket' });
    t.like(await files.lookup(parent, 'd'), { kind: 'directory', mode: 0o1770, uid: 5, gid: 6, modified });
  };
  await check(vfs, root);
  await node.killAndStart();
  await check(node.vfs, (await node.vfs.openRoot(rootCap)).inode);
  const other = await grid.node();
  await check(other.vfs, (await other.vfs.openRoot(rootCap)).inode);
});

test('inode numbers stay the same over a restart and on other nodes', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const inode = await put(node.vfs, root, 'file', 'x');
  await node.restart();
  await node.vfs.openRoot(rootCap);
  t.is((await node.vfs.lookup(root, 'file')).inode, inode);
  await drained(node);
  const other = await grid.node();
  t.is((await other.vfs.openRoot(rootCap)).inode, root);
  t.is((await other.vfs.lookup(root, 'file')).inode, inode);
});

test('an unlinked open file stays readable and nothing of it is sent', async (t) => {
  const { grid, node, root } = await oneNode(t);
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('here'));
  await node.vfs.unlink(root, 'file');
  await handle.fsync();
  await handle.write(4, bytes(' still'));
  t.is(text(await handle.read(0, 100)), 'here still');
  await closeHandle(handle);
  await drained(node);
  t.is(grid.countOf('allocateShares'), 0);
  t.is(node.vfs.status().uploads, 0);
});

test('an unlinked open file is not sent however long it is open, and is nothing that waits', async (t) => {
  const { grid, node, root } = await oneNode(t, { settings: { openFileMs: 10 } });
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await node.vfs.unlink(root, 'file');
  await handle.write(0, bytes('x'.repeat(1000)));
  await handle.flush();
  await delay(100);
  await drained(node);
  t.is(grid.countOf('allocateShares'), 0);
  t.like(node.vfs.status(), { filesPending: 0, bytesPending: 0, oldestPendingSeconds: 0 });
  await closeHandle(handle);
});

test('an unlinked file that was on the grid stays readable where it is open', async (t) => {
  const { node, root } = await oneNode(t);
  const content = 'x'.repeat(1000);
  const inode = await put(node.vfs, root, 'file', content);
  await drained(node);
  const handle = await node.vfs.open(inode, readWrite);
  await node.vfs.unlink(root, 'file');
  await drained(node);
  await handle.write(0, bytes('y'));
  t.is(text(await handle.read(0, 2000)), `y${content.slice(1)}`);
  await closeHandle(handle);
  await drained(node);
  t.is(node.vfs.status().filesPending, 0);
});

test('changes over a file on the grid keep what they do not touch', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const base = new Uint8Array(400_000).map((_, index) => index % 251);
  const inode = await put(node.vfs, root, 'file', base);
  await drained(node);
  const handle = await node.vfs.open(inode, readWrite);
  await handle.write(150_000, bytes('middle'));
  await node.vfs.setAttributes(inode, { sizeBytes: 300_000 });
  await node.vfs.setAttributes(inode, { sizeBytes: 310_000 });
  await handle.write(320_000, bytes('end'));
  const expected = new Uint8Array(320_003);
  expected.set(base.subarray(0, 300_000));
  expected.set(bytes('middle'), 150_000);
  expected.set(bytes('end'), 320_000);
  t.deepEqual(new Uint8Array(await handle.read(0, 400_000)), expected);
  await closeHandle(handle);
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  t.deepEqual(new Uint8Array(await contentOf(node.vfs, inode)), expected);
  await drained(node);
  const other = await grid.node();
  const there = (await other.vfs.openRoot(rootCap)).inode;
  t.is(await textAt(other.vfs, there, 'file'), text(expected));
});

test('what was written without a close survives kill -9 beside the file, which is what it was', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const inode = await put(node.vfs, root, 'file', 'on the grid');
  const closed = await put(node.vfs, root, 'closed', 'closed');
  await drained(node);
  grid.plan(() => 'fail');
  const handle = await node.vfs.open(inode, readWrite);
  await handle.write(0, bytes('OPEN'));
  const again = await node.vfs.open(closed, readWrite);
  await again.write(0, bytes('CLOSED'));
  await again.flush();
  await again.write(6, bytes(' and open'));
  const { handle: created } = await node.vfs.create(root, 'new', newNode, readWrite);
  await created.write(0, bytes('never closed'));
  for (const how of ['kill', 'kill'] as const) await node.killAndStart(how);
  grid.plan();
  await node.vfs.openRoot(rootCap);
  await drained(node);
  const tree = Object.entries(await seenByAnother(grid, rootCap)).map(
    ([path, content]) => `${path.replace(/-\d+T\d+Z/, '')}: ${content}`,
  );
  t.deepEqual(tree, [
    '/closed: file CLOSED',
    '/closed.recovered: file CLOSED and open',
    '/file: file on the grid',
    '/file.recovered: file OPENhe grid',
    '/new.recovered: file never closed',
  ]);
});

test('a file that was synced, written on and not closed is beside itself after kill -9, also after a checkpoint', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('synced'));
  await handle.fsync();
  await handle.write(6, bytes(' and more'));
  await workUntilCheckpoint(node, root);
  await node.killAndStart();
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  t.is(tree['/file'], 'file synced');
  t.is(Object.keys(tree).length, 2);
  t.is(Object.values(tree)[1], 'file synced and more');
});

test('a file removed after a checkpoint leaves a journal that can be replayed', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
  await put(node.vfs, root, 'removed', new Uint8Array(250_000).fill(1));
  const { handle } = await node.vfs.create(root, 'orphan', newNode, readWrite);
  await handle.write(0, new Uint8Array(250_000).fill(2));
  await node.vfs.unlink(root, 'orphan');
  await node.restart();
  await node.vfs.openRoot(rootCap);
  const { handle: orphan } = await node.vfs.create(root, 'orphan', newNode, readWrite);
  await orphan.write(0, new Uint8Array(250_000).fill(2));
  await node.vfs.unlink(root, 'orphan');
  await workUntilCheckpoint(node, root);
  await node.vfs.unlink(root, 'removed');
  await orphan.release();
  await workUntilCheckpoint(node, root);
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  grid.plan();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {});
});

test('a journal whose work is done is small again, and inodes that nobody holds are forgotten', async (t) => {
  const { node, root } = await oneNode(t);
  const before = node.vfs.status().journalBytes;
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < 10; i++) await put(node.vfs, root, `f${i}`, new Uint8Array(60_000).fill(round));
    await drained(node);
  }
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  for (let i = 0; i < 5; i++) await put(node.vfs, d, `g${i}`, new Uint8Array(60_000));
  await node.vfs.detach(root, 'd');
  for (let i = 0; i < 10; i++) await node.vfs.unlink(root, `f${i}`);
  await drained(node);
  await put(node.vfs, root, 'last', 'x');
  await drained(node);
  await node.restart();
  await drained(node);
  const { journalBytes, filesPending, bytesPending, directoriesPending } = node.vfs.status();
  t.deepEqual([filesPending, bytesPending, directoriesPending], [0, 0, 0]);
  t.true(journalBytes <= before + 8 * 2 ** 18, `${before} to ${journalBytes}`);
});

test('a new directory whose first version reached one server only before a kill is published all the same', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  let sent = 0;
  node.beforeRequest = (method, _, request) => {
    const isWrite = method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0;
    if (isWrite && ++sent === 2) node.kill();
  };
  await node.vfs.makeDirectory(root, 'd', newNode);
  await eventually(() => sent >= 2);
  t.is(grid.servers.filter(({ slots }) => slots.size === 2).length, 1);
  node.beforeRequest = () => {};
  await node.start();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory' });
});
