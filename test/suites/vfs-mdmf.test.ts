/** Directories in MDMF and mutable files inside directories: the same guarantees, though their versions say nothing of their past. */
import test, { type ExecutionContext } from 'ava';
import { bytesEqual } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import {
  contentOf,
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  seenByAnother,
  text,
  textAt,
} from '../support/vfs-grid.js';

async function mdmfDirectory(t: ExecutionContext<unknown>) {
  const { grid, node } = await oneNode(t);
  const cap = await node.platformGrid.createMutable(new Uint8Array(0), 'mdmf');
  const rootCap = cap.replace('URI:MDMF:', 'URI:DIR2-MDMF:');
  return { grid, node, rootCap, root: (await node.vfs.openRoot(rootCap)).inode };
}

test('a directory in MDMF takes files, directories, renames and removals, and another node sees them', async (t) => {
  const { grid, node, rootCap, root } = await mdmfDirectory(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await put(node.vfs, d, 'inner', 'x'.repeat(1000));
  for (let i = 0; i < 10; i++) await put(node.vfs, root, `f${i}`, `${i}`);
  await drained(node);
  await node.vfs.rename({ parent: root, name: 'f1' }, { parent: d, name: 'moved' }, 'replace');
  await node.vfs.unlink(root, 'f2');
  await drained(node);
  const seen = await seenByAnother(grid, rootCap);
  t.is(seen['/d/moved'], 'file 1');
  t.is(seen['/d/inner'], `file ${'x'.repeat(1000)}`);
  t.deepEqual(Object.keys(seen).sort(), [
    '/d',
    '/d/inner',
    '/d/moved',
    ...[0, 3, 4, 5, 6, 7, 8, 9].map((i) => `/f${i}`),
  ]);
});

test('changes to a directory in MDMF survive a kill and are published by the next life of the node', async (t) => {
  const { grid, node, rootCap } = await mdmfDirectory(t);
  const root = (await node.vfs.openRoot(rootCap)).inode;
  await put(node.vfs, root, 'before', '1');
  await drained(node);
  // the attempt is under way when the node is killed
  grid.plan((method) => (method === 'readTestWrite' ? 'lose-answer' : undefined));
  await put(node.vfs, root, 'after', '2');
  await new Promise((resolve) => setTimeout(resolve, 150));
  grid.plan();
  await node.killAndStart();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/before': 'file 1', '/after': 'file 2' });
});

test('a directory in MDMF is published while a server is away, and when that is back', async (t) => {
  const { grid, node, rootCap, root } = await mdmfDirectory(t);
  for (let round = 0; round < 4; round++) {
    grid.servers[round]!.plan = () => 'fail';
    await put(node.vfs, root, `away-${round}`, 'x');
    await drained(node);
    grid.plan();
    await put(node.vfs, root, `back-${round}`, 'x');
    await drained(node);
  }
  t.is(Object.keys(await seenByAnother(grid, rootCap)).length, 8);
});

test('two nodes add to a directory in MDMF, one after the other, and both see everything', async (t) => {
  const { grid, node, rootCap, root } = await mdmfDirectory(t);
  const other = await grid.node();
  const there = (await other.vfs.openRoot(rootCap)).inode;
  for (let round = 0; round < 5; round++) {
    await put(node.vfs, root, `one-${round}`, '1');
    await drained(node);
    await put(other.vfs, there, `two-${round}`, '2');
    await drained(other);
  }
  await eventually(async () => (await listing(node.vfs, root)).length === 10);
  t.is(Object.keys(await seenByAnother(grid, rootCap)).length, 10);
});

for (const format of ['sdmf', 'mdmf'] as const) {
  test(`a mutable file in ${format} inside a directory shows its size and contents, new ones at the next open`, async (t) => {
    const { node, root } = await oneNode(t);
    const content = Uint8Array.from({ length: 300_000 }, (_, index) => index & 0xff);
    const cap = await node.platformGrid.createMutable(content, format);
    await node.vfs.linkCap(root, 'mutable', cap, 'never');
    const attributes = await node.vfs.lookup(root, 'mutable');
    t.is(attributes.sizeBytes, 300_000);
    const handle = await node.vfs.open(attributes.inode, { read: true, write: false });
    t.true(bytesEqual(await handle.read(131_000, 500), content.subarray(131_000, 131_500)));
    await node.platformGrid.overwriteMutable(cap, new TextEncoder().encode('shorter'));
    // what was opened stays what it was
    t.true(bytesEqual(await handle.read(0, 300_000), content));
    const { contentNumber } = handle;
    await handle.release();
    t.is((await node.vfs.attributes(attributes.inode)).sizeBytes, 7);
    t.is(text(await contentOf(node.vfs, attributes.inode)), 'shorter');
    const again = await node.vfs.open(attributes.inode, { read: true, write: false });
    t.not(again.contentNumber, contentNumber);
    await again.release();
    t.is(await textAt(node.vfs, root, 'mutable'), 'shorter');
  });
}

test('a large mutable file that is overwritten under its reader is stale', async (t) => {
  const { node, root } = await oneNode(t);
  const cap = await node.platformGrid.createMutable(new Uint8Array(17 * 1024 * 1024).fill(1), 'mdmf');
  await node.vfs.linkCap(root, 'large', cap, 'never');
  const { inode } = await node.vfs.lookup(root, 'large');
  const handle = await node.vfs.open(inode, { read: true, write: false });
  t.deepEqual(await handle.read(5_000_000, 3), new Uint8Array([1, 1, 1]));
  await node.platformGrid.updateMutable(cap, 5_000_000, new Uint8Array([2]));
  t.true(isTahoeError(await t.throwsAsync(handle.read(5_000_000, 3)), 'stale'));
  await handle.release();
  const again = await node.vfs.open(inode, { read: true, write: false });
  t.deepEqual(await again.read(4_999_999, 3), new Uint8Array([1, 2, 1]));
  await again.release();
});
