import { join } from 'node:path';
import test from 'ava';
import {
  isMountPoint,
  listTree,
  mountNode,
  mountSshfs,
  shell,
  startGrid,
  startReader,
  statusOf,
  sync,
  timed,
} from '../support/real-grid.js';
import { tahoeOutput } from '../support/running-tahoe.js';
import { makeSampleTree } from '../support/sample-tree.js';

test('rsync of a real tree into the mount and through sshfs: nothing to do twice, equal for a second client', async (t) => {
  t.timeout(400_000);
  const grid = await startGrid(t);
  const tree = await makeSampleTree(join(grid.work, 'tree'));
  const mount = await mountNode(t, grid, join(grid.work, 'mount'));

  // without -1 rsync leaves the time of a directory alone that was made in the second of its original
  const copied = await timed(shell('rsync -a --modify-window=-1 "$1/" "$2/tree/"', tree, mount));
  const synced = await timed(sync(grid));
  t.log(`mount: rsync returned after ${copied.seconds.toFixed(1)} s, on the grid ${synced.seconds.toFixed(1)} s later`);
  t.is(await shell('rsync -ai --modify-window=-1 "$1/" "$2/tree/"', tree, mount), '');
  t.is((await statusOf(grid)).pending.filesPending, 0, 'nothing was written the second time');

  const sshfs = await mountSshfs(t, grid, join(grid.work, 'sshfs'));
  const copiedOverSsh = await timed(shell('rsync -a "$1/" "$2/by sshfs/"', tree, sshfs));
  t.is(await shell('rsync -ai "$1/" "$2/by sshfs/"', tree, sshfs), '');
  const syncedOverSsh = await timed(sync(grid));
  t.log(
    `sshfs: rsync returned after ${copiedOverSsh.seconds.toFixed(1)} s, on the grid ${syncedOverSsh.seconds.toFixed(1)} s later`,
  );
  t.is(await shell('diff -r --no-dereference "$1/by sshfs" "$2/by sshfs"', sshfs, mount), '', 'both doors, one room');
  await shell('fusermount3 -u "$1"', sshfs);

  const reader = await startReader(t, grid, 'reader');
  const other = await mountNode(t, reader, join(grid.work, 'other'), '-o', 'ro');
  t.is(await shell('diff -r --no-dereference "$1" "$2/tree"', tree, other), '');
  t.is(await listTree(join(other, 'tree'), 'nanoseconds'), await listTree(tree, 'nanoseconds'));
  t.is(await shell('diff -r --no-dereference "$1" "$2/by sshfs"', tree, other), '');
  t.is(await listTree(join(other, 'by sshfs'), 'seconds'), await listTree(tree, 'seconds'));
  await t.throwsAsync(shell('touch "$1/new"', other), { message: /Read-only file system/ });
  t.regex(await shell('findmnt -no OPTIONS "$1"', other), /^ro,/, 'the kernel knows that it is read-only');
  await tahoeOutput('-d', reader.directory, 'unmount', other);
  await tahoeOutput('-d', grid.directory, 'unmount', mount);
  t.false(await isMountPoint(mount));
});
