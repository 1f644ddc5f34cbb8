import test from 'ava';
import { isTahoeError, type TahoeError } from '../../src/errors/tahoe-error.js';
import type { VfsStatus } from '../../src/vfs/vfs.js';
import type { Fault, Method } from '../support/memory-storage-server.js';
import {
  bytes,
  closeHandle,
  drained,
  eventually,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  text,
  textAt,
} from '../support/vfs-grid.js';

const publishing: readonly Method[] = ['readTestWrite'];

test('with no server answering close works, fsync says in bounded time why not, and all arrives later', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { stallMs: 15000 } });
  grid.plan(() => 'fail');
  const { handle, attributes } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('x'.repeat(200)));
  await handle.flush();
  const started = performance.now();
  const error = await t.throwsAsync<TahoeError>(handle.fsync());
  t.true(performance.now() - started < 30_000);
  t.true(isTahoeError(error, 'timeout'));
  t.regex(error?.message ?? '', /servers|unreachable|refused|shares/);
  t.is((await node.vfs.state(attributes.inode)).state, 'local');
  t.like(node.vfs.status(), { filesPending: 1, bytesPending: 200 });
  grid.plan();
  await handle.fsync();
  t.is((await node.vfs.state(attributes.inode)).state, 'grid');
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file ${'x'.repeat(200)}` });
  await handle.release();
});

test('after an outage data goes up as soon as a server answers, not when the delay of the last failure is over', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { retryAfterMs: 3_600_000 } });
  grid.plan(() => 'fail');
  await put(node.vfs, root, 'file', 'x'.repeat(200));
  await node.vfs.makeDirectory(root, 'directory', newNode);
  const hasFailed = (what: string) => node.lines.some((line) => line.startsWith(what));
  await eventually(() => hasFailed('upload failed') && hasFailed('publish not proven'));
  grid.plan();
  t.true(node.vfs.status().filesPending > 0);
  node.noticeReturn();
  const isPending = ({ filesPending, directoriesPending }: VfsStatus) => filesPending + directoriesPending > 0;
  await eventually(() => !isPending(node.vfs.status()));
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file ${'x'.repeat(200)}`, '/directory': 'directory' });
});

test('an fsync that failed does not succeed the next time merely because it was reported', async (t) => {
  const { grid, node, root } = await oneNode(t, { settings: { stallMs: 1500 } });
  grid.plan((method) => (publishing.includes(method) ? 'fail' : undefined));
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('x'));
  await t.throwsAsync(handle.fsync());
  await t.throwsAsync(handle.fsync());
  await t.throwsAsync(node.vfs.fsyncDirectory(root));
  await handle.release();
});

test('an fsync that is given up by its caller ends at once', async (t) => {
  const { grid, node, root } = await oneNode(t);
  grid.plan(() => 'hang');
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('x'));
  const abort = new AbortController();
  const waiting = handle.fsync({ signal: abort.signal });
  setTimeout(() => abort.abort(new Error('given up')), 30);
  await t.throwsAsync(waiting, { message: 'given up' });
  await handle.release();
});

const oneServer: readonly (readonly [string, Fault])[] = [
  ['hangs', 'hang'],
  ['is gone', 'fail'],
  ['does what it is told but its answer is lost', 'lose-answer'],
];

for (const [what, fault] of oneServer) {
  test(`files and directories are synced while one of four servers ${what}`, async (t) => {
    const { grid, node, root, rootCap } = await oneNode(t);
    for (const victim of [0, 2]) {
      grid.plan();
      grid.servers[victim]!.plan = () => fault;
      const { handle } = await node.vfs.create(root, `file-${victim}`, newNode, readWrite);
      await handle.write(0, bytes('y'.repeat(300)));
      await handle.fsync();
      await handle.release();
    }
    const tree = await seenByAnother(grid, rootCap);
    t.deepEqual(Object.keys(tree), ['/file-0', '/file-2']);
    grid.plan();
    t.deepEqual(await seenByAnother(grid, rootCap), tree);
  });
}

test('every answer to a publish is lost after its effect: the change arrives once', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'before', '1');
  await drained(node);
  let lost = 0;
  grid.plan((method) => (publishing.includes(method) && ++lost % 2 === 0 && lost < 16 ? 'lose-answer' : undefined));
  await put(node.vfs, root, 'file', '2');
  await drained(node);
  t.true(lost > 4);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/before': 'file 1', '/file': 'file 2' });
  t.deepEqual(node.vfs.status().problems, []);
});

test('servers that fail at random lose nothing', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  let seed = 12345;
  const faults: (Fault | undefined)[] = ['fail', 'lose-answer', 'lose-answer', { delayMs: 5 }];
  grid.plan(() => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed % 1000 < 100 ? faults[seed % faults.length] : undefined;
  });
  const expected: Record<string, string> = {};
  for (let i = 0; i < 30; i++) {
    await put(node.vfs, root, `f${i % 17}`, `${i}`.repeat(50));
    expected[`/f${i % 17}`] = `file ${`${i}`.repeat(50)}`;
    if (i % 10 === 9) await drained(node).catch(() => {});
  }
  grid.plan();
  await drained(node);
  t.deepEqual(
    await seenByAnother(grid, rootCap),
    Object.fromEntries(Object.entries(expected).sort(([a], [b]) => (a < b ? -1 : 1))),
  );
  t.deepEqual(node.vfs.status().problems, []);
});

test('servers that refuse uploads: the reason is in the status and everything stays', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { stallMs: 15000 } });
  grid.plan((method) => (method === 'allocateShares' ? 'refuse' : undefined));
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  await handle.write(0, bytes('z'.repeat(500)));
  const error = await t.throwsAsync<TahoeError>(handle.fsync());
  t.regex(error?.message ?? '', /server|share|happ/i);
  t.is(node.vfs.status().problems.length, 1);
  t.is(node.vfs.status().problems[0]?.path, '/file');
  grid.plan();
  await handle.fsync();
  t.deepEqual(node.vfs.status().problems, []);
  await handle.release();
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file ${'z'.repeat(500)}` });
});

test('a directory is read and written while one server shows damaged shares', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'file', '1');
  await drained(node);
  for (const slot of grid.servers[1]!.slots.values()) {
    for (const share of slot.shares.values()) share[share.length >> 1]! ^= 1;
  }
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file 1' });
  await put(node.vfs, root, 'other', '2');
  await node.vfs.fsyncDirectory(root);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file 1', '/other': 'file 2' });
});

test('a server that lost its share of a directory gets it again', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'file', '1');
  await drained(node);
  grid.servers[2]!.slots.clear();
  await put(node.vfs, root, 'other', '2');
  await drained(node);
  t.is(grid.servers[2]!.slots.size, 1);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': 'file 1', '/other': 'file 2' });
});

test('what a directory has on servers that are away counts, and is not put onto others while they are', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { servers: 7 });
  await put(node.vfs, root, 'file', '1');
  await drained(node);
  const holders = grid.servers.filter(({ slots }) => slots.size > 0);
  const [first, second] = holders;
  node.away.add(first!.nickname);
  await put(node.vfs, root, 'with three', '2');
  await drained(node);
  t.deepEqual(
    grid.servers.filter(({ slots }) => slots.size > 0),
    holders,
  );
  node.away.add(second!.nickname);
  await put(node.vfs, root, 'with two', '3');
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.is(node.vfs.status().filesPending, 1, 'two of four are no write quorum');
  node.away.clear();
  await drained(node);
  t.deepEqual(
    grid.servers.filter(({ slots }) => slots.size > 0),
    holders,
  );
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/file': 'file 1',
    '/with three': 'file 2',
    '/with two': 'file 3',
  });
});

test('a new directory goes to the servers that are there', async (t) => {
  const { grid, node } = await oneNode(t, { servers: 7 });
  const away = grid.servers.slice(0, 3);
  const before = away.map(({ slots }) => slots.size);
  for (const { nickname } of away) node.away.add(nickname);
  const cap = await node.vfs.createUnlinkedDirectory();
  t.deepEqual(
    away.map(({ slots }) => slots.size),
    before,
  );
  t.deepEqual(await seenByAnother(grid, cap), {});
});

test('servers rolled back to an earlier version are noticed, what was proven is shown and published again', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'old', '1');
  await drained(node);
  const saved = grid.servers.map((server) =>
    [...server.slots].map(([key, slot]) => [key, new Map([...slot.shares].map(([n, s]) => [n, s.slice()]))] as const),
  );
  await put(node.vfs, root, 'new', '2');
  await drained(node);
  grid.servers.forEach((server, index) => {
    for (const [key, shares] of saved[index]!) {
      const slot = server.slots.get(key)!;
      slot.shares.clear();
      for (const [n, share] of shares) slot.shares.set(n, share);
    }
  });
  await new Promise((resolve) => setTimeout(resolve, 40));
  t.is(await textAt(node.vfs, root, 'new'), '2');
  await eventually(() => node.lines.some((line) => line.includes('published again')), 30_000);
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/new': 'file 2', '/old': 'file 1' });
  await put(node.vfs, root, 'third', '3');
  await drained(node);
  t.is((await seenByAnother(grid, rootCap))['/third'], 'file 3');
});

test('a full journal refuses the write before it is taken; names still change, and it drains when servers return', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { journalBytesMax: 24 << 18 });
  const inode = await put(node.vfs, root, 'there', 'before');
  await put(node.vfs, root, 'gone', 'before');
  await drained(node);
  grid.plan(() => 'fail');
  const piece = new Uint8Array(60_000).fill(65);
  const written: string[] = [];
  let error: unknown;
  for (let i = 0; error === undefined && i < 200; i++) {
    const { handle } = await node.vfs.create(root, `f${i}`, newNode, readWrite);
    try {
      await handle.write(0, piece);
      written.push(`f${i}`);
    } catch (refusal) {
      error = refusal;
      t.is((await handle.read(0, 10)).length, 0);
    }
    await closeHandle(handle);
  }
  t.true(isTahoeError(error, 'no-space'), String(error));
  t.true(written.length > 20);
  const handle = await node.vfs.open(inode, readWrite);
  await t.throwsAsync(handle.write(0, piece), { message: /full|space/i });
  t.is(text(await handle.read(0, 100)), 'before');
  await closeHandle(handle);
  await node.vfs.setAttributes(inode, { mode: 0o600 });
  await node.vfs.rename({ parent: root, name: 'there' }, { parent: root, name: 'renamed' }, 'replace');
  await node.vfs.unlink(root, 'gone');
  await node.killAndStart();
  grid.plan();
  await drained(node);
  const tree = await seenByAnother(grid, rootCap);
  for (const name of written) t.is(tree[`/${name}`], `file ${'A'.repeat(60_000)}`);
  t.is(tree['/renamed'], 'file before');
  t.false('/gone' in tree || '/there' in tree);
  await node.vfs.openRoot(rootCap);
  await put(node.vfs, root, 'again', piece);
  await drained(node);
});

test('a wrong bit in the keys of one share does not get into the next version', async (t) => {
  for (const offset of [150, 900]) {
    const { grid, node, root, rootCap } = await oneNode(t);
    await put(node.vfs, root, 'a', 'one');
    await drained(node);
    const damaged = grid.servers.find(({ slots }) => [...slots.values()].some(({ shares }) => shares.has(0)))!;
    for (const { shares } of damaged.slots.values()) shares.get(0)![offset]! ^= 1;
    // the key of the others is known by then
    damaged.plan = () => ({ delayMs: 20 });
    await node.restart();
    await put(node.vfs, (await node.vfs.openRoot(rootCap)).inode, 'b', 'two');
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/a': 'file one', '/b': 'file two' });
  }
});
