/** What fsync says of directories that another node has changed and that nobody has changed here. */
import test, { type ExecutionContext } from 'ava';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { ReadTestWriteRequest, StorageServer } from '../../src/storage-protocol/storage-server.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { DirectoryCaps } from '../support/directory-caps.js';
import {
  drained,
  eventually,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  type TestNode,
  type VfsGrid,
  type VfsGridOptions,
} from '../support/vfs-grid.js';

const looksOnce = { freshnessMs: 60_000 };

function isWrite(method: string, request: unknown): boolean {
  return method === 'readTestWrite' && (request as ReadTestWriteRequest).shares.size > 0;
}

function refuse(): never {
  throw new TahoeError('cut off', { kind: 'unreachable', op: 'test' });
}

/** Servers by the share of the root that they hold. */
function homes(grid: VfsGrid): StorageServer[] {
  const holds = (server: VfsGrid['servers'][number], share: number) =>
    [...server.slots.values()].some(({ shares }) => shares.has(share));
  const numbers = Array.from({ length: grid.encoding.sharesTotal }, (_, number) => number);
  return numbers.map((number) => grid.servers.find((server) => holds(server, number))!);
}

/** On how many servers the newest versions are: the only slot is the root's. */
function spread(grid: VfsGrid): number[] {
  const heads = grid.servers.flatMap((server) =>
    [...server.slots.values()].flatMap(({ shares }) =>
      [...shares.values()].map((share) => Buffer.from(share.subarray(0, 57)).toString('hex')),
    ),
  );
  const counts = new Map<string, number>();
  for (const head of heads) counts.set(head, (counts.get(head) ?? 0) + 1);
  return [...counts.values()].sort();
}

/** A root with `base` in it, and a node that has begun to publish `new` there, reached so many servers, and died. */
async function halfPublished(t: ExecutionContext<unknown>, reached: number, options: VfsGridOptions = {}) {
  const { grid, node, root, rootCap } = await oneNode(t, {
    ...options,
    settings: { ...looksOnce, ...options.settings },
  });
  await put(node.vfs, root, 'base', 'base');
  await drained(node);
  const servers = homes(grid);
  const { sharesTotal } = grid.encoding;
  let written = 0;
  node.beforeRequest = (method, server, request) => {
    if (isWrite(method, request) && (!servers.slice(0, reached).includes(server) || ++written > reached)) refuse();
  };
  await put(node.vfs, root, 'new', 'from the other');
  await eventually(() => spread(grid).join() === [reached, sharesTotal - reached].sort().join());
  node.kill();
  return { grid, rootCap, author: node, servers };
}

async function fsync({ vfs }: TestNode, root: InodeNumber, name: string): Promise<void> {
  const handle = await vfs.open((await vfs.lookup(root, name)).inode, readWrite);
  try {
    await handle.fsync();
  } finally {
    await handle.release();
  }
}

for (const what of ['file', 'directory'] as const) {
  test(`fsync of a ${what} that another node has published on too few servers publishes it again as it is`, async (t) => {
    const { grid, rootCap } = await halfPublished(t, 2);
    const reader = await grid.node();
    const root = (await reader.vfs.openRoot(rootCap)).inode;
    t.deepEqual(spread(grid), [2, 2]);
    if (what === 'file') await fsync(reader, root, 'new');
    else await reader.vfs.fsyncDirectory(root);
    t.true(spread(grid).at(-1)! >= 3, spread(grid).join());
    t.like(await seenByAnother(grid, rootCap), { '/base': 'file base', '/new': 'file from the other' });
    t.is(reader.vfs.status().directoriesPending, 0);
  });
}

test('fsync of what another node has published on enough servers asks no server, however often', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: looksOnce });
  await put(node.vfs, root, 'file', 'x');
  await drained(node);
  const reader = await grid.node();
  const there = (await reader.vfs.openRoot(rootCap)).inode;
  let requests = 0;
  reader.beforeRequest = () => {
    requests++;
  };
  for (let turn = 0; turn < 3; turn++) {
    await fsync(reader, there, 'file');
    await reader.vfs.fsyncDirectory(there);
  }
  t.is(requests, 0);
});

test('fsync of a directory of which a few servers lag behind asks all of them once', async (t) => {
  const { grid, rootCap } = await halfPublished(t, 3);
  const reader = await grid.node();
  // the one that lags is among the first to answer
  const [lagging] = homes(grid).slice(3);
  reader.beforeRequest = (_method, server) =>
    server === lagging ? undefined : new Promise((resolve) => setTimeout(resolve, 20));
  const root = (await reader.vfs.openRoot(rootCap)).inode;
  let requests = 0;
  reader.beforeRequest = (method, _server, request) => {
    t.false(isWrite(method, request));
    requests++;
  };
  for (let turn = 0; turn < 3; turn++) await reader.vfs.fsyncDirectory(root);
  t.true(requests <= 4, `${requests} requests`);
  t.deepEqual(spread(grid), [1, 3]);
});

test('fsync through a capability that only reads waits for the version of another node, then fails and says why', async (t) => {
  const { grid, rootCap, author } = await halfPublished(t, 2, { settings: { stallMs: 3000 } });
  const reader = await grid.node();
  const root = (await reader.vfs.openRoot(DirectoryCaps.readOnly(rootCap))).inode;
  const error = await t.throwsAsync<TahoeError>(reader.vfs.fsyncDirectory(root));
  t.true(isTahoeError(error, 'timeout'), String(error));
  t.regex(error?.message ?? '', /too few servers.*sequence 3 on shares 0 1/);
  t.is(reader.vfs.status().directoriesPending, 0);
  t.deepEqual(spread(grid), [2, 2]);
  author.beforeRequest = () => {};
  const synced = reader.vfs.fsyncDirectory(root);
  await author.start();
  await synced;
  t.true(spread(grid).at(-1)! >= 3);
});

test('fsync fails when what it was called for was lost in a publish that broke off, and something else stands there', async (t) => {
  const { grid, rootCap, servers } = await halfPublished(t, 3, {
    encoding: { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 },
  });
  const reader = await grid.node();
  const root = (await reader.vfs.openRoot(rootCap)).inode;
  await reader.vfs.lookup(root, 'new');
  // somebody who sees too little of it comes first
  const third = await grid.node();
  third.beforeRequest = (_method, server) => {
    if (server === servers[0]) refuse();
  };
  const there = (await third.vfs.openRoot(rootCap)).inode;
  await put(third.vfs, there, 'third', '3');
  await drained(third);
  const error = await t.throwsAsync(reader.vfs.fsyncDirectory(root));
  t.true(isTahoeError(error, 'uncoordinated-write'), String(error));
  t.false('/new' in (await seenByAnother(grid, rootCap)));
  await reader.vfs.fsyncDirectory(root);
});
