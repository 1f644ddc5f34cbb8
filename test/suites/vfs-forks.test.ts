import test, { type ExecutionContext } from 'ava';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { ReadTestWriteRequest, StorageServer } from '../../src/storage-protocol/storage-server.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import {
  drained,
  eventually,
  oneNode,
  put,
  seenByAnother,
  snapshotTree,
  type TestNode,
  type VfsGrid,
  type VfsGridOptions,
} from '../support/vfs-grid.js';

const slowToLook = { freshnessMs: 60_000 };

/** A root with one file `base` in it, and nodes that have seen it. */
async function nodesOn(t: ExecutionContext<unknown>, count: number, options: VfsGridOptions = {}) {
  const settings = { ...slowToLook, ...options.settings };
  const { grid, node, root, rootCap } = await oneNode(t, { ...options, settings });
  await put(node.vfs, root, 'base', 'base');
  await drained(node);
  const nodes: { readonly node: TestNode; readonly root: InodeNumber }[] = [];
  for (let index = 0; index < count; index++) {
    const other = await grid.node();
    nodes.push({ node: other, root: (await other.vfs.openRoot(rootCap)).inode });
  }
  await node.stop();
  return { grid, rootCap, nodes };
}

/** The server with this share of the only slot. */
function homeOf(grid: VfsGrid, shareNumber: number): StorageServer {
  return grid.servers.find((server) => [...server.slots.values()].some(({ shares }) => shares.has(shareNumber)))!;
}

function isWrite(method: string, request: unknown): boolean {
  return method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0;
}

function refuse(): never {
  throw new TahoeError('cut off', { kind: 'unreachable', op: 'test' });
}

/** Share numbers on the servers by version. */
function versionsOf(grid: VfsGrid): number[] {
  const heads = new Map<string, number>();
  for (const server of grid.servers) {
    for (const { shares } of server.slots.values()) {
      for (const share of shares.values()) {
        const head = Buffer.from(share.subarray(0, 57)).toString('hex');
        heads.set(head, (heads.get(head) ?? 0) + 1);
      }
    }
  }
  return [...heads.values()].sort();
}

/**
 * Two readable versions that know nothing of each other, on two of four servers each: the first writer did not reach the
 * server that decides, nor the last one; the second had looked before the first wrote.
 */
async function fork(t: ExecutionContext<unknown>, contents: { a: [string, string][]; b: [string, string][] }) {
  const { grid, rootCap, nodes } = await nodesOn(t, 2);
  const [a, b] = [nodes[0]!, nodes[1]!];
  const [decides, last] = [homeOf(grid, 0), homeOf(grid, 3)];
  let isLate = true;
  let waiting = 0;
  b.node.beforeRequest = async (method, _server, request) => {
    if (!isWrite(method, request)) return;
    waiting++;
    await eventually(() => !isLate);
  };
  for (const [name, content] of contents.b) await put(b.node.vfs, b.root, name, content);
  await eventually(() => waiting > 0);
  a.node.beforeRequest = (method, server, request) => {
    if (server === decides || (server === last && isWrite(method, request))) refuse();
  };
  for (const [name, content] of contents.a) await put(a.node.vfs, a.root, name, content);
  await eventually(() => versionsOf(grid).join() === '2,2');
  a.node.kill();
  const stopped = new Promise<void>(() => {});
  // b goes on as far as its one attempt
  let attempts = 0;
  b.node.beforeRequest = async (method, _server, request) => {
    if (isWrite(method, request) && ++attempts > 3) await stopped;
  };
  isLate = false;
  await eventually(() => versionsOf(grid).join() === '2,2' && attempts > 3);
  return { grid, rootCap, a, b };
}

test('two versions published side by side are merged by whoever comes next, with nothing lost and nothing said twice', async (t) => {
  const { grid, rootCap, a, b } = await fork(t, {
    a: [
      ['only a', '1'],
      ['same.txt', 'from a'],
    ],
    b: [
      ['only b', '2'],
      ['same.txt', 'from b'],
    ],
  });
  b.node.kill();
  // a stranger, who has neither of the two in a journal
  const third = await grid.node();
  const root = (await third.vfs.openRoot(rootCap)).inode;
  await put(third.vfs, root, 'third', '3');
  await drained(third);
  const merged = await seenByAnother(grid, rootCap);
  const copies = Object.keys(merged).filter((path) => path.includes('conflict'));
  t.is(copies.length, 1);
  t.regex(copies[0]!, /^\/same\.conflict-n[12]-\d{8}T\d{6}Z\.txt$/);
  t.deepEqual([merged['/same.txt'], merged[copies[0]!]].sort(), ['file from a', 'file from b']);
  t.like(merged, { '/base': 'file base', '/only a': 'file 1', '/only b': 'file 2', '/third': 'file 3' });
  t.like(third.vfs.conflicts()[0], { kind: 'fork', path: '/same.txt', conflictPath: copies[0]! });

  // both authors come back: what they published is there already
  a.node.beforeRequest = () => {};
  b.node.beforeRequest = () => {};
  for (const { node } of [a, b]) {
    await node.start();
    await drained(node);
    const own = (await node.vfs.openRoot(rootCap)).inode;
    await put(node.vfs, own, `back ${node.name}`, '4');
    await drained(node);
  }
  const last = await seenByAnother(grid, rootCap);
  t.deepEqual(Object.keys(last), [...Object.keys(merged), '/back n1', '/back n2'].sort());
  t.like(last, merged);
});

test('the author of one of two versions merges the other and follows its own file under its new name', async (t) => {
  const { grid, rootCap, b } = await fork(t, { a: [['same', 'from a']], b: [['same', 'from b']] });
  b.node.beforeRequest = () => {};
  await b.node.killAndStart();
  await drained(b.node);
  const merged = await seenByAnother(grid, rootCap);
  t.deepEqual(Object.values(merged).sort(), ['file base', 'file from a', 'file from b']);
  t.is(Object.keys(merged).filter((path) => path.includes('conflict')).length, 1);
  t.is(b.node.vfs.conflicts().length, 1);
  const root = (await b.node.vfs.openRoot(rootCap)).inode;
  // the first look may be the one that is told
  await snapshotTree(b.node.vfs, root).catch((error: unknown) => t.true(isTahoeError(error, 'uncoordinated-write')));
  t.deepEqual(await snapshotTree(b.node.vfs, root), merged);
});

test('publishes of dead writers that nobody can read are replaced, but only after everything has stood still', async (t) => {
  const { grid, rootCap, nodes } = await nodesOn(t, 3, {
    servers: 10,
    encoding: { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 },
  });
  // each of the first two reaches two servers only, and dies
  for (const [index, { node, root }] of nodes.slice(0, 2).entries()) {
    const reached = new Set([homeOf(grid, 2 * index), homeOf(grid, 2 * index + 1)]);
    const lowest = homeOf(grid, 0);
    let written = 0;
    node.beforeRequest = (method, server, request) => {
      if (!isWrite(method, request)) {
        // the second does not see what would decide against it
        if (index === 1 && server === lowest) refuse();
        return;
      }
      if (!reached.has(server) || ++written > 2) refuse();
    };
    await put(node.vfs, root, `from ${index}`, 'x');
    await eventually(() => versionsOf(grid).filter((count) => count <= 2).length > index);
    node.kill();
  }
  t.deepEqual(versionsOf(grid), [2, 2, 6]);
  const { node, root } = nodes[2]!;
  await put(node.vfs, root, 'third', '3');
  const startedMs = performance.now();
  await drained(node);
  t.true(performance.now() - startedMs > 3000);
  t.deepEqual(versionsOf(grid), [10]);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/base': 'file base', '/third': 'file 3' });
  // their authors have it in their journals
  nodes[0]!.node.beforeRequest = () => {};
  await nodes[0]!.node.start();
  await drained(nodes[0]!.node);
  t.is((await seenByAnother(grid, rootCap))['/from 0'], 'file x');
});
