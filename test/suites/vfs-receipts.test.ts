import test from 'ava';
import { encodeBase32 } from '../../src/encoding/base32.js';
import { fromHex } from '../../src/encoding/bytes.js';
import type { InodeNumber, Receipt, SharePlacement } from '../../src/vfs/vfs.js';
import {
  bytes,
  closeHandle,
  drained,
  newNode,
  oneNode,
  put,
  readWrite,
  type TestNode,
  text,
  type VfsGrid,
} from '../support/vfs-grid.js';

const long = (word: string) => word.repeat(200);

async function receiptOf(node: TestNode, inode: InodeNumber): Promise<Receipt> {
  const receipt = await node.vfs.receipt(inode);
  if (receipt.kind === 'none') throw new Error(`no receipt: ${receipt.message}`);
  return receipt;
}

async function synced(node: TestNode, parent: InodeNumber, name: string, content: string): Promise<InodeNumber> {
  const { attributes, handle } = await node.vfs.create(parent, name, newNode, { ...readWrite, truncate: true });
  await handle.write(0, bytes(content));
  await handle.fsync();
  await handle.release();
  return attributes.inode;
}

/** Which servers really hold the slot of this storage index, and which shares. */
function slotOnServers(grid: VfsGrid, storageIndex: string | undefined): SharePlacement {
  return grid.servers.flatMap(({ id, slots }) => {
    const found = [...slots].find(([key]) => encodeBase32(fromHex(key)) === storageIndex);
    return found === undefined ? [] : [{ server: id, shareNumbers: [...found[1].shares.keys()].sort() }];
  });
}

test('an fsync has a receipt: cap, share placement, directory versions, time, all as the servers have it', async (t) => {
  const startedMs = Date.now();
  const { grid, node, root } = await oneNode(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  const file = await synced(node, d, 'file', long('synced '));
  const receipt = await receiptOf(node, file);
  t.true(receipt.cap.startsWith('URI:CHK:'));
  t.is(receipt.cap, (await node.vfs.capOf(file)) ?? '');
  t.true(receipt.isCurrent);
  t.true(receipt.storedMs >= startedMs && receipt.storedMs <= Date.now());
  for (const { server, shareNumbers } of receipt.shares) {
    const held = [...(grid.servers.find(({ id }) => id === server)?.buckets.values() ?? [])];
    t.true(
      held.some((bucket) => shareNumbers.every((number) => bucket.has(number))),
      server,
    );
  }
  t.deepEqual(receipt.shares.flatMap(({ shareNumbers }) => shareNumbers).sort(), [0, 1, 2, 3]);
  t.deepEqual(
    receipt.directories.map(({ path, how }) => [path, how]),
    [
      ['/d', 'published'],
      ['/', 'published'],
    ],
  );
  for (const { storageIndex, shares, sequenceNumber, rootHash } of receipt.directories) {
    t.deepEqual(shares, slotOnServers(grid, storageIndex));
    t.true(sequenceNumber! >= 1);
    t.is(rootHash?.length, 52);
  }
  t.true(text(await node.vfs.getExtendedAttribute(file, 'user.tahoe.receipt')).includes(receipt.cap));
});

test('there is no receipt before anything is proven, and that says so', async (t) => {
  const { grid, node, root } = await oneNode(t);
  grid.plan(() => 'fail');
  const file = await put(node.vfs, root, 'file', long('local '));
  t.like(await node.vfs.receipt(file), { kind: 'none', reason: 'local' });
  const attribute = JSON.parse(text(await node.vfs.getExtendedAttribute(file, 'user.tahoe.receipt')));
  t.like(attribute, { kind: 'none', reason: 'local' });
});

test('a receipt is kept over kill -9 and read without the grid', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const file = await synced(node, root, 'file', long('kept '));
  const before = await receiptOf(node, file);
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  const found = await node.vfs.lookup((await node.vfs.openRoot(rootCap)).inode, 'file');
  grid.plan(() => 'fail');
  t.deepEqual(await receiptOf(node, found.inode), before);
});

test('an upload that was finished before a kill is in the receipt of the publish after it', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan((method) => (method === 'readTestWrite' ? 'fail' : undefined));
  await put(node.vfs, root, 'file', long('uploaded '));
  while (node.vfs.status().uploads === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await node.killAndStart();
  await node.killAndStart();
  grid.plan();
  await drained(node);
  const found = await node.vfs.lookup((await node.vfs.openRoot(rootCap)).inode, 'file');
  t.is((await receiptOf(node, found.inode)).shares.length, 4);
});

test('a receipt goes on to describe what was proven when the file is changed, and says that it is old', async (t) => {
  const { grid, node, root } = await oneNode(t);
  const file = await synced(node, root, 'file', long('old '));
  const before = await receiptOf(node, file);
  grid.plan(() => 'fail');
  const handle = await node.vfs.open(file, readWrite);
  await handle.write(0, bytes('new'));
  await closeHandle(handle);
  t.deepEqual(await receiptOf(node, file), { ...before, isCurrent: false });
});

test('a receipt goes with a file that is renamed, also into another directory', async (t) => {
  const { node, root } = await oneNode(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  const file = await synced(node, root, 'file', long('moved '));
  const { cap, shares, storedMs } = await receiptOf(node, file);
  await node.vfs.rename({ parent: root, name: 'file' }, { parent: root, name: 'other' }, 'replace');
  t.like(await node.vfs.receipt(file), { kind: 'none', reason: 'local' });
  await drained(node);
  t.like(await receiptOf(node, file), { cap, shares, storedMs });
  await node.vfs.rename({ parent: root, name: 'other' }, { parent: d, name: 'there' }, 'replace');
  await drained(node);
  const moved = await receiptOf(node, file);
  t.like(moved, { cap, shares, storedMs, isCurrent: true });
  t.is(moved.directories[0]?.path, '/d');
});

test('what another node stored has no receipt here', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await synced(node, root, 'file', long('theirs '));
  const other = await grid.node();
  const found = await other.vfs.lookup((await other.vfs.openRoot(rootCap)).inode, 'file');
  t.like(await other.vfs.receipt(found.inode), { kind: 'none', reason: 'not-stored-here' });
});

test('a directory and the root have receipts of their own', async (t) => {
  const { grid, node, root } = await oneNode(t);
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  await node.vfs.fsyncDirectory(d);
  const receipt = await receiptOf(node, d);
  t.true(receipt.cap.startsWith('URI:DIR2-RO:'));
  t.deepEqual(receipt.shares, slotOnServers(grid, receipt.directories[0]?.storageIndex));
  t.is(receipt.directories.length, 2);
  t.is((await receiptOf(node, root)).directories.length, 1);
});
