import test, { type ExecutionContext } from 'ava';
import { isTahoeError, type TahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import {
  bytes,
  contentOf,
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  type TestNode,
  text,
  textAt,
  type VfsGridOptions,
} from '../support/vfs-grid.js';

async function twoNodes(t: ExecutionContext<unknown>, options: VfsGridOptions = {}) {
  const { grid, node, root, rootCap } = await oneNode(t, options);
  const other = await grid.node();
  const there = (await other.vfs.openRoot(rootCap)).inode;
  return { grid, node, root, rootCap, other, there };
}

/** The node does not look at the directory again before it publishes. */
const slowToLook: VfsGridOptions = { settings: { freshnessMs: 60_000 } };

test('two nodes that add different names to one directory at the same time both end up there', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const expected: string[] = [];
  for (let i = 0; i < 6; i++) {
    await Promise.all([put(node.vfs, root, `a${i}`, 'A'), put(other.vfs, there, `b${i}`, 'B')]);
    expected.push(`/a${i}`, `/b${i}`);
    await Promise.all([drained(node), drained(other)]);
  }
  t.deepEqual(Object.keys(await seenByAnother(grid, rootCap)), expected.sort());
  t.deepEqual([...node.vfs.status().problems, ...other.vfs.status().problems], []);
});

test('both fsyncs of two nodes that add different names are true', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const add = async (who: TestNode, parent: InodeNumber, name: string) => {
    const { handle } = await who.vfs.create(parent, name, newNode, readWrite);
    await handle.write(0, bytes(name));
    await handle.fsync();
    await handle.release();
  };
  await Promise.all([add(node, root, 'one'), add(other, there, 'two')]);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/one': 'file one', '/two': 'file two' });
});

test('what another node changed is seen after the freshness time: new, changed, renamed and removed names', async (t) => {
  const { node, root, other, there } = await twoNodes(t);
  for (const name of ['changed', 'removed', 'renamed']) await put(node.vfs, root, name, 'old');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 3);
  const inode = (await other.vfs.lookup(there, 'changed')).inode;
  t.is(text(await contentOf(other.vfs, inode)), 'old');
  const heard: string[] = [];
  other.vfs.watch((change) => heard.push(change.what));
  await put(node.vfs, root, 'changed', 'new');
  await put(node.vfs, root, 'added', 'new');
  await node.vfs.unlink(root, 'removed');
  await node.vfs.rename({ parent: root, name: 'renamed' }, { parent: root, name: 'to' }, 'replace');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).join(' ') === 'added changed to');
  t.is(text(await contentOf(other.vfs, inode)), 'new');
  t.is(await textAt(other.vfs, there, 'to'), 'old');
  t.true(heard.includes('content') && heard.includes('entry'));
});

test('the same name made by two nodes: theirs stays, ours is kept here, and everybody is told', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(other.vfs, there, 'same', 'theirs');
  await drained(other);
  const { handle, attributes } = await node.vfs.create(root, 'same', newNode, readWrite);
  await handle.write(0, bytes('ours'));
  const error = await t.throwsAsync<TahoeError>(handle.fsync());
  t.true(isTahoeError(error, 'uncoordinated-write'), String(error));
  await handle.release();
  t.is((await node.vfs.state(attributes.inode)).state, 'conflict');
  t.regex(node.vfs.status().problems[0]?.state.reason ?? '', /UncoordinatedWriteError.*same/);
  t.true(node.lines.some((line) => line.includes('UncoordinatedWriteError')));
  t.deepEqual(await seenByAnother(grid, rootCap), { '/same': 'file theirs' });
  t.is(await textAt(node.vfs, root, 'same'), 'ours');

  const again = await node.vfs.open(attributes.inode, readWrite);
  t.true(isTahoeError(await t.throwsAsync(again.fsync()), 'uncoordinated-write'));
  await again.release();

  // other names of the directory are not held back, nor is their fsync
  await put(node.vfs, root, 'other', 'x');
  const opened = await node.vfs.open((await node.vfs.lookup(root, 'other')).inode, readWrite);
  await opened.fsync();
  await opened.release();
  t.deepEqual(await seenByAnother(grid, rootCap), { '/other': 'file x', '/same': 'file theirs' });

  // kept over a kill, and resolved by giving ours another name
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  t.is(await textAt(node.vfs, root, 'same'), 'ours');
  await eventually(() => node.vfs.status().problems.length > 0);
  await node.vfs.rename({ parent: root, name: 'same' }, { parent: root, name: 'mine' }, 'no-replace');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/mine': 'file ours',
    '/other': 'file x',
    '/same': 'file theirs',
  });
  t.is(await textAt(node.vfs, root, 'same'), 'theirs');
  t.deepEqual(node.vfs.status().problems, []);
});

test('the same file changed by two nodes: theirs stays, ours is kept and can be given another name', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await put(other.vfs, there, 'file', 'theirs');
  await drained(other);
  await put(node.vfs, root, 'file', 'ours');
  await eventually(() => node.vfs.status().problems.length > 0);
  t.is(await textAt(node.vfs, root, 'file'), 'ours');
  await node.vfs.rename({ parent: root, name: 'file' }, { parent: root, name: 'mine' }, 'no-replace');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file theirs', '/mine': 'file ours' });
  t.is(await textAt(node.vfs, root, 'file'), 'theirs');
});

test('a file that we removed and another node changed meanwhile stays as theirs', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await put(other.vfs, there, 'file', 'theirs');
  await drained(other);
  await node.vfs.unlink(root, 'file');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file theirs' });
  t.is(await textAt(node.vfs, root, 'file'), 'theirs');
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  t.is(await textAt(node.vfs, root, 'file'), 'theirs');
  t.deepEqual(node.vfs.status().problems, []);
});

test('the same file removed by two nodes is removed', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await other.vfs.unlink(there, 'file');
  await drained(other);
  await node.vfs.unlink(root, 'file');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {});
  t.deepEqual(node.vfs.status().problems, []);
});

test('a file changed by another node while this one was away is read as it is now', async (t) => {
  const { node, root, rootCap, other, there } = await twoNodes(t);
  await put(node.vfs, root, 'file', 'before');
  await put(node.vfs, root, 'gone', 'before');
  await drained(node);
  await node.stop();
  await eventually(async () => (await listing(other.vfs, there)).length === 2);
  await put(other.vfs, there, 'file', 'after');
  await other.vfs.unlink(there, 'gone');
  await drained(other);
  await node.start();
  await node.vfs.openRoot(rootCap);
  t.deepEqual(await listing(node.vfs, root), ['file']);
  t.is(await textAt(node.vfs, root, 'file'), 'after');
});

test('a file open for reading keeps its old content or shows the new one, never a mixture', async (t) => {
  const { node, root, other, there } = await twoNodes(t);
  await put(node.vfs, root, 'file', 'o'.repeat(300_000));
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  const handle = await other.vfs.open((await other.vfs.lookup(there, 'file')).inode, { read: true, write: false });
  t.is(text(await handle.read(0, 3)), 'ooo');
  await put(node.vfs, root, 'file', 'n'.repeat(300_000));
  await drained(node);
  for (let i = 0; i < 10; i++) {
    const whole = text(await handle.read(0, 300_000));
    t.true(/^(o*|n*)$/.test(whole) && whole.length === 300_000);
    await listing(other.vfs, there);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await handle.release();
});

test('fsync in a directory that another node has removed says so', async (t) => {
  const { node, root, other, there } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await put(node.vfs, d, 'x', '1');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  await other.vfs.detach(there, 'd');
  await drained(other);
  const { handle } = await node.vfs.create(d, 'y', newNode, readWrite);
  await handle.write(0, bytes('2'));
  await new Promise((resolve) => setTimeout(resolve, 40));
  t.true(isTahoeError(await t.throwsAsync(handle.fsync()), 'stale'));
  await handle.release();
});

test('a read-only root refuses every change and reads what the writer writes', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const inode = await put(node.vfs, root, 'file', 'x');
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await put(node.vfs, d, 'inner', 'y');
  await node.vfs.makeSymlink(root, 'link', 'file', newNode);
  await drained(node);
  const { DirectoryCaps } = await import('../support/directory-caps.js');
  const reader = await grid.node();
  const { vfs } = reader;
  const there = (await vfs.openRoot(DirectoryCaps.readOnly(rootCap))).inode;
  t.is(await textAt(vfs, there, 'file'), 'x');
  const inner = (await vfs.lookup(there, 'd')).inode;
  t.is(await textAt(vfs, inner, 'inner'), 'y');
  const refused = async (change: Promise<unknown>) => {
    t.true(isTahoeError(await t.throwsAsync(change), 'read-only'));
  };
  await refused(vfs.create(there, 'new', newNode, readWrite));
  await refused(vfs.create(inner, 'new', newNode, readWrite));
  await refused(vfs.makeDirectory(there, 'new', newNode));
  await refused(vfs.makeSymlink(there, 'new', 'x', newNode));
  await refused(vfs.makeNode(there, 'new', 'fifo', 0, newNode));
  await refused(vfs.unlink(there, 'file'));
  await refused(vfs.removeDirectory(there, 'd'));
  await refused(vfs.rename({ parent: there, name: 'file' }, { parent: there, name: 'to' }, 'replace'));
  await refused(vfs.linkCap(there, 'new', 'URI:LIT:', 'never'));
  await refused(vfs.detach(there, 'd'));
  await refused(vfs.open(inode, { read: false, write: true }));
  await refused(vfs.setAttributes(inode, { mode: 0o600 }));
  await refused(vfs.setAttributes(inner, { mode: 0o700 }));
  await refused(vfs.setAttributes(inode, { sizeBytes: 0 }));
  await refused(vfs.setExtendedAttribute(inode, 'user.a', bytes('1'), 'any'));
  await put(node.vfs, root, 'more', 'z');
  await drained(node);
  await eventually(async () => (await listing(vfs, there)).includes('more'));
  t.is(vfs.status().directoriesPending, 0);
});
