/** When a file was changed last: as the node shows it, as it shows it after a kill, and as the grid has it. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import type { FileHandle, InodeNumber, Timestamp } from '../../src/vfs/vfs.js';
import type { Method } from '../support/memory-storage-server.js';
import {
  bytes,
  closeHandle,
  drained,
  eventually,
  oneNode,
  put,
  readWrite,
  type TestNode,
  type VfsGrid,
  workUntilCheckpoint,
} from '../support/vfs-grid.js';

const longAgo: Timestamp = { seconds: 1_234_567_890, nanoseconds: 987_654_321 };

async function modifiedAt(node: TestNode, root: InodeNumber, name: string): Promise<Timestamp> {
  return (await node.vfs.lookup(root, name)).modified;
}

/** By name, of the files in a root. */
async function timesOf({ vfs }: TestNode, rootCap: string): Promise<Record<string, Timestamp>> {
  const entries = await vfs.readDirectory((await vfs.openRoot(rootCap)).inode);
  return Object.fromEntries(entries.map(({ name, attributes }) => [name, attributes.modified]));
}

async function timesOnGrid(grid: VfsGrid, rootCap: string): Promise<Record<string, Timestamp>> {
  const other = await grid.node();
  const times = await timesOf(other, rootCap);
  await other.stop();
  return times;
}

interface Opened {
  readonly node: TestNode;
  readonly root: InodeNumber;
  readonly inode: InodeNumber;
  readonly handle: FileHandle;
}

/** What happens to a file that is open and was written; returns when it was changed last by something acknowledged. */
const variants: Readonly<Record<string, (opened: Opened, closed: Timestamp) => Promise<readonly [string, Timestamp]>>> =
  {
    'is being written': async (_, closed) => ['file', closed],
    'is being written and was given another mode': async ({ node, inode }, closed) => {
      await node.vfs.setAttributes(inode, { mode: 0o600 });
      return ['file', closed];
    },
    'is being written and was given a time': async ({ node, inode }) => {
      await node.vfs.setAttributes(inode, { modified: longAgo });
      return ['file', longAgo];
    },
    'was given a time and is written again': async ({ node, inode, handle }) => {
      await node.vfs.setAttributes(inode, { modified: longAgo });
      await handle.write(2, bytes('3'));
      return ['file', longAgo];
    },
    'was flushed and is written again': async ({ node, root, handle }) => {
      await handle.flush();
      const flushed = await modifiedAt(node, root, 'file');
      await delay(5);
      await handle.write(2, bytes('3'));
      return ['file', flushed];
    },
    'was cut and is being written': async ({ node, inode }, closed) => {
      await node.vfs.setAttributes(inode, { sizeBytes: 1 });
      return ['file', closed];
    },
    'was written and renamed and is written again': async ({ node, root, handle }) => {
      const written = await modifiedAt(node, root, 'file');
      await node.vfs.rename({ parent: root, name: 'file' }, { parent: root, name: 'moved' }, 'replace');
      await delay(5);
      await handle.write(2, bytes('3'));
      return ['moved', written];
    },
    'was written and closed': async ({ node, root, handle }) => {
      await closeHandle(handle);
      return ['file', await modifiedAt(node, root, 'file')];
    },
  };

for (const [what, change] of Object.entries(variants)) {
  for (const where of ['on the grid', 'in the journal'] as const) {
    for (const isCheckpointed of [false, true]) {
      const when = isCheckpointed ? 'after a checkpoint' : 'before a checkpoint';
      test(`a file ${where} that ${what} has the time of what it is after kill -9 ${when}`, async (t) => {
        const { grid, node, root, rootCap } = await oneNode(t, { settings: { openFileMs: 60_000 } });
        const noUploads = (method: Method) => (method === 'allocateShares' ? 'fail' : undefined);
        if (where === 'in the journal') grid.plan(noUploads);
        const inode = await put(node.vfs, root, 'file', 'x'.repeat(200));
        if (where === 'on the grid') await drained(node);
        const closed = await modifiedAt(node, root, 'file');
        grid.plan(noUploads);
        await delay(5);
        const handle = await node.vfs.open(inode, readWrite);
        await handle.write(0, bytes('1'));
        const written = await modifiedAt(node, root, 'file');
        t.true(written.seconds + written.nanoseconds / 1e9 > closed.seconds + closed.nanoseconds / 1e9);
        const [name, expected] = await change({ node, root, inode, handle }, closed);
        if (isCheckpointed) await workUntilCheckpoint(node, root);
        else await delay(60);
        await node.killAndStart();
        const here = await timesOf(node, rootCap);
        t.deepEqual(here[name], expected);
        grid.plan();
        await drained(node);
        t.deepEqual(await timesOf(node, rootCap), here);
        t.deepEqual(await timesOnGrid(grid, rootCap), here);
      });
    }
  }
}

test('a file that was being written when it was published has one time, here and on the grid, if nobody heard of the proof before kill -9', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { openFileMs: 10 } });
  const inode = await put(node.vfs, root, 'file', 'x'.repeat(200));
  await drained(node);
  const handle = await node.vfs.open(inode, readWrite);
  await handle.write(0, bytes('1'));
  await handle.flush();
  const flushed = await modifiedAt(node, root, 'file');
  await delay(5);
  await handle.write(0, bytes('2'));
  let sent = 0;
  node.beforeRequest = (method, _server, request) => {
    const isWrite = method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0;
    if (isWrite) sent++;
    grid.plan(() => (sent > 0 ? 'lose-answer' : undefined));
  };
  await eventually(() => sent >= 2);
  await delay(20);
  await node.killAndStart();
  node.beforeRequest = () => {};
  grid.plan();
  const here = await timesOf(node, rootCap);
  t.deepEqual(here.file, flushed);
  await drained(node);
  t.deepEqual(await timesOf(node, rootCap), here);
  t.deepEqual(await timesOnGrid(grid, rootCap), here);
});

test('an empty file that is emptied has the same new time on the node and on the grid', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const inode = await put(node.vfs, root, 'file', '');
  await node.vfs.setAttributes(inode, { modified: longAgo });
  await drained(node);
  await closeHandle(await node.vfs.open(inode, { ...readWrite, truncate: true }));
  const here = await timesOf(node, rootCap);
  t.true(here.file!.seconds > longAgo.seconds);
  await node.killAndStart();
  t.deepEqual(await timesOf(node, rootCap), here);
  await drained(node);
  t.deepEqual(await timesOnGrid(grid, rootCap), here);
});
