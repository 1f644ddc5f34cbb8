import test, { type ExecutionContext } from 'ava';
import { isTahoeError, type TahoeError } from '../../src/errors/tahoe-error.js';
import { sleep } from '../../src/platform/clock.js';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { memoryGridClock } from '../support/memory-grid.js';
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
  snapshotTree,
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

/** Nothing is published before somebody waits for it. */
const slowToPublish: VfsGridOptions = { settings: { publishAfterQuietMs: 60_000, publishAfterMs: 60_000 } };

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

const copyOf = (name: string) => new RegExp(`^${name}\\.conflict-n\\d-\\d{8}T\\d{6}Z(-\\d+)?(\\.\\w+)?$`);

async function fsynced(who: TestNode, inode: InodeNumber): Promise<void> {
  const handle = await who.vfs.open(inode, readWrite);
  try {
    await handle.fsync();
  } finally {
    await handle.release();
  }
}

test('the same name made by two nodes: theirs keeps it, ours goes beside it, and everybody is told once', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(other.vfs, there, 'same.txt', 'theirs');
  await drained(other);
  const { handle, attributes } = await node.vfs.create(root, 'same.txt', newNode, readWrite);
  await handle.write(0, bytes('ours'));
  const error = await t.throwsAsync<TahoeError>(handle.fsync());
  t.true(isTahoeError(error, 'uncoordinated-write'), String(error));
  t.regex(error?.message ?? '', /UncoordinatedWriteError: "same\.txt" .*"same\.conflict-n0-\d{8}T\d{6}Z\.txt"/);

  // the handle goes on under the new name
  await handle.write(4, bytes(', more'));
  await handle.fsync();
  await handle.release();
  const [theirs, copy] = await listing(node.vfs, root).then(([first, second]) => [second, first]);
  t.is(theirs, 'same.txt');
  t.regex(copy!, copyOf('same'));
  t.deepEqual(await seenByAnother(grid, rootCap), { [`/${copy}`]: 'file ours, more', '/same.txt': 'file theirs' });
  t.is((await node.vfs.lookup(root, copy!)).inode, attributes.inode);
  t.is(await textAt(node.vfs, root, 'same.txt'), 'theirs');

  t.is((await node.vfs.state(attributes.inode)).state, 'conflict');
  t.is((await node.vfs.state((await node.vfs.lookup(root, 'same.txt')).inode)).state, 'grid');
  t.regex(node.vfs.status().problems[0]?.state.reason ?? '', /UncoordinatedWriteError.*same/);
  t.like(node.vfs.status(), { conflicts: 1, conflictsFound: 1, uncoordinatedWriteErrors: 1 });
  t.true(node.lines.some((line) => line.includes('UncoordinatedWriteError')));
  const [conflict] = node.vfs.conflicts();
  t.like(conflict, {
    kind: 'created',
    path: '/same.txt',
    conflictPath: `/${copy}`,
    theirs: { kind: 'file', sizeBytes: 6 },
    ours: { kind: 'file', sizeBytes: 4 },
  });
  t.deepEqual(other.vfs.conflicts(), []);

  // kept over a kill, and not told again
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  t.deepEqual(node.vfs.conflicts(), [conflict!]);
  await fsynced(node, (await node.vfs.lookup(root, copy!)).inode);
  await node.killAndStart('power');
  t.is(node.vfs.conflicts().length, 1);
  await t.throwsAsync(node.vfs.resolveConflict(conflict!.id + 1, 'both'), { message: /no such/ });
  await node.vfs.resolveConflict(conflict!.id, 'both');
  t.deepEqual(node.vfs.conflicts(), []);
  await node.killAndStart('power');
  t.deepEqual(node.vfs.conflicts(), []);
  t.deepEqual(node.vfs.status().problems, []);
});

test('fsync of a directory waits for what was put beside a name meanwhile, though somebody else has been told', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(other.vfs, there, 'same.txt', 'theirs');
  await drained(other);
  await put(node.vfs, root, 'same.txt', 'ours');
  let isHeld = true;
  node.beforeRequest = async (method, _server, request) => {
    const isWrite = method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0;
    if (isWrite) await eventually(() => !isHeld);
  };
  let isSynced = false;
  const synced = node.vfs.fsyncDirectory(root).finally(() => {
    isSynced = true;
  });
  await eventually(() => node.vfs.conflicts().length > 0);
  const isTold = (error: unknown) => isTahoeError(error, 'uncoordinated-write');
  const copy = node.vfs.conflicts()[0]!.conflictPath!.slice(1);
  t.true(await textAt(node.vfs, root, copy).then(() => false, isTold));
  // longer than it takes whoever waits to look again
  await sleep(memoryGridClock, 1200);
  t.false(isSynced);
  isHeld = false;
  await synced;
  t.is((await seenByAnother(grid, rootCap))[`/${copy}`], 'file ours');
});

test('the same file changed by two nodes: the next operation of the name is told, and the copy is kept', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await put(other.vfs, there, 'file', 'theirs');
  await drained(other);
  await put(node.vfs, root, 'file', 'ours');
  await drained(node);
  t.true(isTahoeError(await t.throwsAsync(textAt(node.vfs, root, 'file')), 'uncoordinated-write'));
  t.is(await textAt(node.vfs, root, 'file'), 'theirs');
  const [, copy] = await listing(node.vfs, root);
  t.is(await textAt(node.vfs, root, copy!), 'ours');
  t.like(node.vfs.conflicts()[0], { kind: 'changed', path: '/file', conflictPath: `/${copy}` });
  // whoever renames the copy has decided
  await node.vfs.rename({ parent: root, name: copy! }, { parent: root, name: 'mine' }, 'no-replace');
  t.deepEqual(node.vfs.conflicts(), []);
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file theirs', '/mine': 'file ours' });
});

for (const [choice, left] of [
  ['ours', { '/file': 'file ours' }],
  ['theirs', { '/file': 'file theirs' }],
] as const) {
  test(`a conflict settled for ${choice}`, async (t) => {
    const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
    await put(other.vfs, there, 'file', 'theirs');
    await drained(other);
    await put(node.vfs, root, 'file', 'ours');
    await drained(node);
    const [conflict] = node.vfs.conflicts();
    await node.vfs.resolveConflict(conflict!.id, choice);
    t.deepEqual(node.vfs.conflicts(), []);
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), left);
  });
}

test('a file that is open for writing when another node replaces it is not written over theirs', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const inode = await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  const handle = await node.vfs.open(inode, readWrite);
  await handle.write(0, bytes('ours'));
  await put(other.vfs, there, 'file', 'theirs');
  await drained(other);
  await new Promise((resolve) => setTimeout(resolve, 40));
  // a look at the directory brings theirs here, but not into what is being written
  await listing(node.vfs, root);
  t.is(text(await handle.read(0, 100)), 'ours');
  await handle.flush();
  await t.throwsAsync(handle.fsync(), { message: /UncoordinatedWriteError/ });
  await handle.fsync();
  await handle.release();
  const tree = await seenByAnother(grid, rootCap);
  t.is(tree['/file'], 'file theirs');
  t.deepEqual(Object.values(tree).sort(), ['file ours', 'file theirs']);
});

test('attributes changed by one node and the content by another are both kept', async (t) => {
  for (const who of ['node', 'other'] as const) {
    const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
    const inode = await put(node.vfs, root, 'file', 'base');
    await drained(node);
    await other.stop();
    await other.start();
    await other.vfs.openRoot(rootCap);
    const chmod = async (side: TestNode, parent: InodeNumber) => {
      const { inode: file } = await side.vfs.lookup(parent, 'file');
      await side.vfs.setAttributes(file, { mode: 0o600 });
    };
    if (who === 'other') {
      await chmod(other, there);
      await drained(other);
      await put(node.vfs, root, 'file', 'new');
      await drained(node);
    } else {
      await put(other.vfs, there, 'file', 'new');
      await drained(other);
      await chmod(node, root);
      await drained(node);
    }
    t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file new' });
    t.deepEqual(node.vfs.conflicts(), []);
    const reader = await grid.node();
    const seen = await reader.vfs.lookup((await reader.vfs.openRoot(rootCap)).inode, 'file');
    t.like(seen, { mode: 0o600, sizeBytes: 3 });
    t.like(await node.vfs.attributes(inode), { mode: 0o600, sizeBytes: 3 });
    t.is(await textAt(node.vfs, root, 'file'), 'new');
  }
});

test('a file that another node removed stays if we changed it', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'file', 'base');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await other.vfs.unlink(there, 'file');
  await drained(other);
  await put(node.vfs, root, 'file', 'ours');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file ours' });
  t.deepEqual(node.vfs.conflicts(), []);
});

test('the same directory made by two nodes is one directory with everything in it, at every depth', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  const make = async (who: TestNode, parent: InodeNumber, mark: string) => {
    const d = (await who.vfs.makeDirectory(parent, 'd', newNode)).inode;
    const e = (await who.vfs.makeDirectory(d, 'e', newNode)).inode;
    await put(who.vfs, d, mark, mark);
    await put(who.vfs, e, mark, mark);
    await put(who.vfs, e, 'same', mark);
    return { d, e };
  };
  await make(other, there, 'theirs');
  await drained(other);
  const ours = await make(node, root, 'ours');
  const { handle } = await node.vfs.create(ours.e, 'open', newNode, readWrite);
  await handle.write(0, bytes('still'));
  await drained(node);
  // whoever holds the old directory works in theirs
  await put(node.vfs, ours.e, 'late', 'late');
  await handle.write(5, bytes(' open'));
  await closeHandle(handle);
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  const copy = Object.keys(tree).find((path) => path.includes('conflict'))!;
  t.regex(copy, /^\/d\/e\/same\.conflict-n0-/);
  t.deepEqual(tree, {
    '/d': 'directory',
    '/d/e': 'directory',
    '/d/e/late': 'file late',
    '/d/e/open': 'file still open',
    '/d/e/ours': 'file ours',
    '/d/e/same': 'file theirs',
    [copy]: 'file ours',
    '/d/e/theirs': 'file theirs',
    '/d/ours': 'file ours',
    '/d/theirs': 'file theirs',
  });
  await t.throwsAsync(textAt(node.vfs, (await node.vfs.lookup(ours.d, 'e')).inode, 'same'), {
    message: /Uncoordinated/,
  });
  t.deepEqual(await snapshotTree(node.vfs, root), tree);
  await node.killAndStart();
  t.deepEqual(await snapshotTree(node.vfs, (await node.vfs.openRoot(rootCap)).inode), tree);
});

test('a directory that we made where another node made a file goes beside it', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(other.vfs, there, 'x', 'theirs');
  await drained(other);
  const d = (await node.vfs.makeDirectory(root, 'x', newNode)).inode;
  await put(node.vfs, d, 'inside', 'ours');
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  const copy = Object.keys(tree)[1]!;
  t.regex(copy, /^\/x\.conflict-n0-/);
  t.deepEqual(tree, { '/x': 'file theirs', [copy]: 'directory', [`${copy}/inside`]: 'file ours' });
});

test('a file moved to a name that another node made goes beside it, and is gone from where it was', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await put(node.vfs, root, 'a', 'moved');
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await put(other.vfs, there, 'b', 'theirs');
  await drained(other);
  await node.vfs.rename({ parent: root, name: 'a' }, { parent: root, name: 'b' }, 'replace');
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  t.deepEqual(Object.values(tree).sort(), ['file moved', 'file theirs']);
  t.is(tree['/b'], 'file theirs');
  t.is(tree['/a'], undefined);
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

test('what is put into a directory that another node removes is not lost: it is linked again, and fsync says so once', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await put(node.vfs, d, 'x', '1');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  await other.vfs.detach(there, 'd');
  await drained(other);
  const { handle } = await node.vfs.create(d, 'y', newNode, readWrite);
  await handle.write(0, bytes('2'));
  t.true(isTahoeError(await t.throwsAsync(handle.fsync()), 'stale'));
  await handle.fsync();
  await handle.release();
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/x': 'file 1', '/d/y': 'file 2' });
});

for (const restarts of [false, true]) {
  const when = restarts ? 'also over a restart' : 'as if nothing had been asked';
  test(`a directory that is removed stays if another node has put something into it by then, ${when}`, async (t) => {
    const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToPublish);
    await node.vfs.makeDirectory(root, 'd', newNode);
    await drained(node);
    const d = (await other.vfs.lookup(there, 'd')).inode;
    await node.vfs.removeDirectory(root, 'd');
    await put(other.vfs, d, 'x', '1');
    await drained(other);
    if (restarts) await node.killAndStart();
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/x': 'file 1' });
    const root2 = (await node.vfs.openRoot(rootCap)).inode;
    t.deepEqual(await listing(node.vfs, root2), ['d']);
  });
}

test('what another node puts into a directory that was replaced here stands beside the new one, and is listed', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToPublish);
  await node.vfs.makeDirectory(root, 'd', newNode);
  await drained(node);
  const d = (await other.vfs.lookup(there, 'd')).inode;
  await node.vfs.removeDirectory(root, 'd');
  await put(node.vfs, (await node.vfs.makeDirectory(root, 'd', newNode)).inode, 'ours', '2');
  await put(other.vfs, d, 'theirs', '1');
  await drained(other);
  await drained(node);
  const [conflict] = node.vfs.conflicts();
  t.like(conflict, { kind: 'fork', path: '/d' });
  const copy = conflict!.conflictPath!;
  t.regex(copy, /^\/d\.conflict-/);
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/d': 'directory',
    '/d/ours': 'file 2',
    [copy]: 'directory',
    [`${copy}/theirs`]: 'file 1',
  });
});

test('a directory that another node moves is where it is now, with what was put into it here', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const from = (await node.vfs.makeDirectory(root, 'from', newNode)).inode;
  const d = (await node.vfs.makeDirectory(from, 'd', newNode)).inode;
  await drained(node);
  const parent = (await other.vfs.lookup(there, 'from')).inode;
  await other.vfs.rename({ parent, name: 'd' }, { parent: there, name: 'd' }, 'replace');
  await drained(other);
  await eventually(async () => (await listing(node.vfs, root)).includes('d'));
  await eventually(async () => (await listing(node.vfs, from)).length === 0);
  t.is((await node.vfs.lookup(root, 'd')).inode, d);
  await put(node.vfs, d, 'x', '1');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/from': 'directory', '/d': 'directory', '/d/x': 'file 1' });
});

test('what is put into a directory that another node replaces by another one goes there', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  await other.vfs.removeDirectory(there, 'd');
  await put(other.vfs, (await other.vfs.makeDirectory(there, 'd', newNode)).inode, 'theirs', '1');
  await drained(other);
  await put(node.vfs, d, 'ours', '2');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/ours': 'file 2', '/d/theirs': 'file 1' });
  await put(node.vfs, d, 'later', '3');
  await drained(node);
  t.is((await seenByAnother(grid, rootCap))['/d/later'], 'file 3');
});

test('what went where another node had put another directory is not lost with that one, if this node died meanwhile', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToPublish);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  await put(node.vfs, d, 'ours', '2');
  await other.vfs.removeDirectory(there, 'd');
  const theirs = (await other.vfs.makeDirectory(there, 'd', newNode)).inode;
  await put(other.vfs, theirs, 'theirs', '1');
  await drained(other);
  await eventually(async () => {
    const { inode } = await node.vfs.lookup(root, 'd');
    return (await listing(node.vfs, inode)).join() === 'ours,theirs';
  });
  node.kill();
  await other.vfs.unlink(theirs, 'theirs');
  await drained(other);
  await other.vfs.removeDirectory(there, 'd');
  await drained(other);
  await node.start();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/ours': 'file 2' });
});

test('what is put into a directory that another node replaces by a file goes beside that', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 1);
  await other.vfs.removeDirectory(there, 'd');
  await put(other.vfs, there, 'd', 'theirs');
  await drained(other);
  await put(node.vfs, d, 'ours', '2');
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  t.deepEqual(Object.values(tree).sort(), ['directory', 'file 2', 'file theirs']);
  t.is(tree['/d'], 'file theirs');
  t.like(node.vfs.conflicts()[0], { kind: 'removed-above', path: '/d' });
});

test('a directory that is removed while another node puts something into it is there again', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  await node.vfs.makeDirectory(root, 'd', newNode);
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  const d = (await other.vfs.lookup(there, 'd')).inode;
  // removed here, and published only after the other has put something in
  await node.vfs.removeDirectory(root, 'd');
  const { handle } = await other.vfs.create(d, 'late', newNode, readWrite);
  await handle.write(0, bytes('late'));
  await Promise.allSettled([handle.fsync(), drained(node)]);
  await handle.release();
  await Promise.all([drained(node), drained(other)]);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/late': 'file late' });
});

for (const where of ['in one directory', 'in two directories'] as const) {
  test(`two directories ${where} that two nodes move into each other at once: both are still there`, async (t) => {
    const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
    const parents: InodeNumber[] = [];
    for (const name of ['p', 'q']) {
      const isOne = where === 'in one directory';
      parents.push(isOne ? root : (await node.vfs.makeDirectory(root, name, newNode)).inode);
    }
    for (const [index, name] of ['x', 'y'].entries()) {
      const d = (await node.vfs.makeDirectory(parents[index]!, name, newNode)).inode;
      await put(node.vfs, d, `in ${name}`, name);
    }
    await drained(node);
    await other.stop();
    await other.start();
    await other.vfs.openRoot(rootCap);
    const inodesOf = async (who: TestNode, from: InodeNumber) => {
      const look = async (parent: string, name: string) => {
        const above = where === 'in one directory' ? from : (await who.vfs.lookup(from, parent)).inode;
        return { parent: above, name, inode: (await who.vfs.lookup(above, name)).inode };
      };
      return { x: await look('p', 'x'), y: await look('q', 'y') };
    };
    const [ours, theirs] = [await inodesOf(node, root), await inodesOf(other, there)];
    await node.vfs.rename(ours.x, { parent: ours.y.inode, name: 'x' }, 'replace');
    await other.vfs.rename(theirs.y, { parent: theirs.x.inode, name: 'y' }, 'replace');
    await Promise.all([drained(node), drained(other)]);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await Promise.all([drained(node), drained(other)]);
    const reader = await grid.node();
    const names = await namesBelow(reader, (await reader.vfs.openRoot(rootCap)).inode);
    t.true(names.includes('in x') && names.includes('in y'), names.join());
  });
}

test('two directories that two nodes link in each other at once have no path without end, and one node cannot do that', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  for (const name of ['x', 'y']) {
    await put(node.vfs, (await node.vfs.makeDirectory(root, name, newNode)).inode, `in ${name}`, name);
  }
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  const link = async ({ vfs }: TestNode, from: InodeNumber, what: string, into: string) => {
    const cap = await vfs.capOf((await vfs.lookup(from, what)).inode);
    await vfs.linkCap((await vfs.lookup(from, into)).inode, what, cap!, 'never');
  };
  await link(node, root, 'x', 'y');
  const refused = await t.throwsAsync(link(node, root, 'y', 'x'));
  t.true(isTahoeError(refused, 'invalid'), String(refused));
  await link(other, there, 'y', 'x');
  await Promise.all([drained(node), drained(other)]);
  const reader = await grid.node();
  const names = await namesBelow(reader, (await reader.vfs.openRoot(rootCap)).inode);
  // y is also in x, and there is a file in y where x would lead back
  t.deepEqual(names.sort(), ['in x', 'in y', 'in y', 'x', 'x', 'x', 'y', 'y']);
});

/** All names in a tree; a directory inside itself shows as something that cannot be entered. */
async function namesBelow({ vfs }: TestNode, directory: InodeNumber): Promise<string[]> {
  const names: string[] = [];
  for (const { name, attributes } of await vfs.readDirectory(directory)) {
    names.push(name);
    if (attributes.kind === 'directory') names.push(...(await namesBelow({ vfs } as TestNode, attributes.inode)));
  }
  return names;
}

test('a directory that another node renames while we put something into it takes it along', async (t) => {
  const { grid, node, root, rootCap, other, there } = await twoNodes(t, slowToLook);
  const d = (await node.vfs.makeDirectory(root, 'old', newNode)).inode;
  await drained(node);
  await other.stop();
  await other.start();
  await other.vfs.openRoot(rootCap);
  await other.vfs.rename({ parent: there, name: 'old' }, { parent: there, name: 'new' }, 'replace');
  await drained(other);
  await put(node.vfs, d, 'file', 'x');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/new': 'directory', '/new/file': 'file x' });
  t.is((await node.vfs.lookup(root, 'new')).inode, d);
});

test('a directory that another node moves away and that is found again later can be entered', async (t) => {
  const { node, root, other, there } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  const e = (await node.vfs.makeDirectory(root, 'e', newNode)).inode;
  await put(node.vfs, d, 'file', 'x');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).length === 2);
  t.deepEqual(await listing(other.vfs, (await other.vfs.lookup(there, 'd')).inode), ['file']);
  await node.vfs.rename({ parent: root, name: 'd' }, { parent: e, name: 'd' }, 'replace');
  await drained(node);
  await eventually(async () => (await listing(other.vfs, there)).join() === 'e');
  const found = await other.vfs.lookup((await other.vfs.lookup(there, 'e')).inode, 'd');
  t.is(await textAt(other.vfs, found.inode, 'file'), 'x');
});

test('a file renamed during its own fsync is synced under its new name', async (t) => {
  const { grid, node, root, rootCap } = await twoNodes(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await drained(node);
  grid.plan(() => ({ delayMs: 10 }));
  const { handle } = await node.vfs.create(root, 'a', newNode, readWrite);
  await handle.write(0, bytes('x'.repeat(100)));
  const syncing = handle.fsync();
  await new Promise((resolve) => setTimeout(resolve, 15));
  await node.vfs.rename({ parent: root, name: 'a' }, { parent: d, name: 'b' }, 'replace');
  await syncing;
  const tree = await seenByAnother(grid, rootCap);
  t.is(tree['/d/b'], `file ${'x'.repeat(100)}`);
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
