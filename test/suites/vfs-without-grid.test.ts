import test from 'ava';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { drained, eventually, listing, newNode, oneNode, put, snapshotTree, textAt } from '../support/vfs-grid.js';

test('a node that starts without its grid shows what it proved last, takes changes, and says so', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const made = await node.vfs.makeDirectory(root, 'folder', newNode);
  await put(node.vfs, made.inode, 'inside', 'x');
  await put(node.vfs, root, 'file', 'small');
  await drained(node);
  await put(node.vfs, root, 'pending', 'not sent yet');
  node.kill();
  grid.plan(() => 'fail');
  await node.start();

  const again = (await node.vfs.openRoot(rootCap)).inode;
  t.deepEqual(await listing(node.vfs, again), ['file', 'folder', 'pending']);
  const folder = await node.vfs.lookup(again, 'folder');
  t.deepEqual(await listing(node.vfs, folder.inode), ['inside']);
  t.is(node.vfs.status().directoriesFromMemory, 2);
  t.is(await textAt(node.vfs, again, 'pending'), 'not sent yet');
  await put(node.vfs, folder.inode, 'new', 'written without the grid');
  await node.vfs.unlink(again, 'file');
  t.deepEqual(await listing(node.vfs, again), ['folder', 'pending']);

  grid.plan();
  await drained(node);
  await eventually(async () => {
    await listing(node.vfs, again);
    return node.vfs.status().directoriesFromMemory === 0;
  });
  const other = await grid.node();
  t.deepEqual(await snapshotTree(other.vfs, (await other.vfs.openRoot(rootCap)).inode), {
    '/folder': 'directory',
    '/folder/inside': 'file x',
    '/folder/new': 'file written without the grid',
    '/pending': 'file not sent yet',
  });
});

test('what others changed while a node was away is not overwritten by what it does over what it remembers', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'same', 'begin');
  await put(node.vfs, root, 'other', 'begin');
  await drained(node);
  node.kill();
  const away = await grid.node();
  const theirs = (await away.vfs.openRoot(rootCap)).inode;
  await put(away.vfs, theirs, 'same', 'theirs');
  await put(away.vfs, theirs, 'more', 'theirs');
  await drained(away);

  grid.plan(() => 'fail');
  await node.start();
  const again = (await node.vfs.openRoot(rootCap)).inode;
  t.deepEqual(await listing(node.vfs, again), ['other', 'same']);
  await put(node.vfs, again, 'same', 'ours');
  grid.plan();
  await drained(node);
  const names = await listing(node.vfs, again);
  t.deepEqual(
    names.filter((name) => !name.includes('.conflict-')),
    ['more', 'other', 'same'],
  );
  const copy = names.find((name) => name.startsWith('same.conflict-'))!;
  const told = await t.throwsAsync(textAt(node.vfs, again, copy));
  t.true(isTahoeError(told, 'uncoordinated-write'));
  t.is(await textAt(node.vfs, again, copy), 'ours');
  t.is(await textAt(node.vfs, again, 'same'), 'theirs');
});

test('what was put where another node had made a directory stays there, though the directory above is remembered without it', async (t) => {
  const slowToPublish = { publishAfterQuietMs: 60_000, publishAfterMs: 60_000 };
  const { grid, node, root, rootCap } = await oneNode(t, { settings: slowToPublish });
  await put(node.vfs, root, 'd', 'a file');
  await drained(node);
  const other = await grid.node();
  const theirs = (await other.vfs.openRoot(rootCap)).inode;
  await other.vfs.unlink(theirs, 'd');
  await other.vfs.makeDirectory(theirs, 'd', newNode);
  await drained(other);
  await eventually(async () => (await node.vfs.lookup(root, 'd')).kind === 'directory');
  await put(node.vfs, (await node.vfs.lookup(root, 'd')).inode, 'ours', '1');
  node.kill();
  grid.plan(() => 'fail');
  await node.start();
  const again = (await node.vfs.openRoot(rootCap)).inode;
  t.is((await node.vfs.lookup(again, 'd')).kind, 'directory');
  grid.plan();
  await drained(node);
  const expected = { '/d': 'directory', '/d/ours': 'file 1' };
  t.deepEqual(await snapshotTree(node.vfs, again), expected);
  await eventually(async () => (await listing(other.vfs, (await other.vfs.lookup(theirs, 'd')).inode)).length === 1);
  t.deepEqual(await snapshotTree(other.vfs, theirs), expected);
  t.deepEqual(node.vfs.conflicts(), []);
});

test('without its grid a node does not open a directory that it never proved', async (t) => {
  const { grid, rootCap } = await oneNode(t);
  const other = await grid.node();
  grid.plan(() => 'fail');
  const error = await t.throwsAsync(other.vfs.openRoot(rootCap));
  t.true(isTahoeError(error, 'unreachable', 'unrecoverable'), String(error));
});
