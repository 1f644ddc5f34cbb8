import test from 'ava';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import {
  bytes,
  drained,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  snapshotTree,
  type TestNode,
  text,
} from '../support/vfs-grid.js';

const ROUNDS = 8;
const KEY = '/node/private/journal.key';

function contentOf(number: number): string {
  return `${number} `.repeat(400 + 37 * number);
}

/** Files 0 to 7 closed, in two folders, some moved and written again; `open` is open. The grid is away. */
async function work(node: TestNode, rootCap: string): Promise<void> {
  const root = (await node.vfs.openRoot(rootCap)).inode;
  const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
  for (let number = 0; number < 8; number++)
    await put(node.vfs, number % 2 === 0 ? root : d, `f${number}`, contentOf(number));
  await node.vfs.rename({ parent: root, name: 'f2' }, { parent: d, name: 'f2' }, 'replace');
  await put(node.vfs, d, 'f3', contentOf(13));
  const { handle } = await node.vfs.create(root, 'open', newNode, readWrite);
  await handle.write(0, bytes('not closed'));
}

function segmentsOf(node: TestNode): string[] {
  return node.disk.paths().filter((path) => path.startsWith('/node/journal/') && path.endsWith('.log'));
}

/** Without the header at its end, which stands there from the beginning. */
function usedBytes(segment: Uint8Array): number {
  return segment.subarray(0, segment.length - 64).findLastIndex((byte) => byte !== 0);
}

function reportsOf(node: TestNode): string[] {
  return node.disk.paths().filter((path) => /^\/node\/journal\.damaged-[^/]*\.txt$/.test(path));
}

const possible = new Map<string, readonly string[]>([
  ...Array.from({ length: 8 }, (_, number) => [`f${number}`, [contentOf(number)]] as const),
  ['f3', [contentOf(3), contentOf(13)]],
]);

for (const damage of ['one bit', 'a sector', 'half of the file']) {
  test(`a damaged journal is set aside whole, what can be read goes on, and nothing doubtful takes a name: ${damage}`, async (t) => {
    t.timeout(120_000);
    let setAside = 0;
    let files = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const { grid, node, rootCap } = await oneNode(t);
      grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
      await work(node, rootCap);
      if (round % 3 === 0) await node.killAndStart();
      node.kill();
      const inUse: string[] = [];
      for (const each of segmentsOf(node)) {
        if (usedBytes(await node.disk.readFile(each)) > 3000) inUse.push(each);
      }
      let damaged = new Uint8Array();
      const path = inUse[round % inUse.length]!;
      node.disk.damage(path, (whole) => {
        const used = usedBytes(whole);
        const at = 64 + Math.floor(((used - 64) * (round + 0.5)) / ROUNDS);
        if (damage === 'one bit') whole[at]! ^= 4;
        else whole.fill(0xa5, at, damage === 'a sector' ? at + 512 : whole.length - 64);
        damaged = whole.slice();
        return whole;
      });
      await node.start();
      const root = (await node.vfs.openRoot(rootCap)).inode;
      const found = await snapshotTree(node.vfs, root);
      for (const [name, what] of Object.entries(found)) {
        const file = name.split('/').at(-1)!;
        if (what === 'directory' || file.includes('.recovered-')) continue;
        files++;
        const allowed = possible.get(file)?.map((content) => `file ${content}`) ?? [];
        t.true(
          allowed.includes(what) || what === 'file ',
          `round ${round}: ${name} has ${what.length} bytes: ${what.slice(0, 50)}`,
        );
      }
      const [report] = reportsOf(node);
      if (report !== undefined) {
        setAside++;
        const aside = report.slice(0, -'.txt'.length);
        t.deepEqual(await node.disk.readFile(path.replace('/node/journal', aside)), damaged);
        t.regex(Buffer.from(await node.disk.readFile(report)).toString(), /was set aside whole, as journal\.damaged-/);
        t.true(node.lines.some((line) => line.includes('the journal was damaged')));
      }
      grid.plan();
      await drained(node);
      t.deepEqual(await seenByAnother(grid, rootCap), await snapshotTree(node.vfs, root));
      await node.stop();
    }
    t.log(`${setAside} of ${ROUNDS} set aside, ${files} files kept`);
    // a log that ends early looks like one that was not written further: only what is behind a hole shows that it is one
    t.true(setAside >= (damage === 'half of the file' ? 1 : ROUNDS / 2) && files > 2 * ROUNDS);
  });
}

test('what a damaged journal lost is named in its report', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
  await put(node.vfs, root, 'before', contentOf(1));
  const { handle } = await node.vfs.create(root, 'doubtful', newNode, readWrite);
  await handle.write(0, bytes('a'.repeat(5000)));
  await handle.flush();
  await handle.write(5000, bytes('b'.repeat(5000)));
  await handle.flush();
  await handle.write(10_000, bytes('c'.repeat(5000)));
  await handle.flush();
  await put(node.vfs, root, 'after', contentOf(2));
  node.kill();
  // the second write, found by its size: what is encrypted there cannot be looked for
  const sealedBytes = 10 + 16 + 5000 + 16;
  for (const path of segmentsOf(node)) {
    node.disk.damage(path, (whole) => {
      const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
      const places = [...Array(whole.length - 3).keys()].filter((at) => view.getUint32(at) === sealedBytes);
      if (places.length > 1) whole[places[1]! + 100]! ^= 1;
      return whole;
    });
  }
  await node.start();
  const [report] = reportsOf(node);
  t.regex(
    Buffer.from(await node.disk.readFile(report!)).toString(),
    /could not be read:\n {2}from segment \d+ byte \d+ to[\s\S]*may lack bytes[\s\S]*\/doubtful\n/,
  );
  grid.plan();
  await drained(node);
  const seen = await seenByAnother(grid, rootCap);
  t.is(seen['/doubtful'], `file ${'a'.repeat(5000)}`);
  t.is(seen['/before'], `file ${contentOf(1)}`);
  t.is(seen['/after'], `file ${contentOf(2)}`);
  t.is(Object.keys(seen).filter((name) => name.startsWith('/doubtful.recovered-')).length, 1);
});

test('a missing key never destroys the journal: the start is refused until the key is back', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
  await put(node.vfs, root, 'file', contentOf(3));
  node.kill();
  const key = await node.disk.readFile(KEY);
  await node.disk.remove(KEY);
  const before = await Promise.all(segmentsOf(node).map((path) => node.disk.readFile(path)));
  const refused = await t.throwsAsync(node.start());
  t.true(isTahoeError(refused, 'permission'));
  t.regex(refused.message, /journal\.key, is missing: put it back/);
  t.deepEqual(await Promise.all(segmentsOf(node).map((path) => node.disk.readFile(path))), before);
  t.is(await node.disk.stat(KEY), undefined);

  const other = await node.disk.open(KEY, 'create');
  await other.write(0, [bytes(`${'a'.repeat(52)}\n`)]);
  t.true(isTahoeError(await t.throwsAsync(node.start()), 'permission'));
  t.deepEqual(await Promise.all(segmentsOf(node).map((path) => node.disk.readFile(path))), before);

  await other.write(0, [key]);
  await node.start();
  grid.plan();
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file ${contentOf(3)}` });
});

test('a mutable file with changes in a damaged journal is what it was, or what it became, and nothing between', async (t) => {
  t.timeout(120_000);
  let changed = 0;
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const { node, rootCap, root } = await oneNode(t);
    const before = contentOf(7);
    const cap = await node.platformGrid.createMutable(bytes(before), 'mdmf');
    const file = (await node.vfs.linkCap(root, 'mutable', cap, 'never')).inode;
    await drained(node);
    node.beforeRequest = (method, _server, request) => {
      const isWrite = method === 'readTestWrite' && [...(request as ReadTestWriteRequest).shares.values()].length > 0;
      if (isWrite) throw new TahoeError('away', { kind: 'unreachable', op: 'test' });
    };
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(100, bytes('changed'));
    await handle.write(1000, bytes('changed'));
    await handle.flush();
    await handle.release();
    const after = `${before.slice(0, 100)}changed${before.slice(107, 1000)}changed${before.slice(1007)}`;
    // the second half of the rounds: out of a checkpoint
    if (round >= ROUNDS) await node.killAndStart();
    node.kill();
    const used = await Promise.all(segmentsOf(node).map(async (each) => usedBytes(await node.disk.readFile(each))));
    const path = segmentsOf(node)[used.indexOf(Math.max(...used))]!;
    node.disk.damage(path, (whole) => {
      whole[64 + Math.floor(((Math.max(...used) - 64) * ((round % ROUNDS) + 0.5)) / ROUNDS)]! ^= 4;
      return whole;
    });
    node.beforeRequest = () => {};
    await node.start();
    await node.vfs.openRoot(rootCap);
    await drained(node);
    const stands = text(await node.platformGrid.readMutable(cap));
    t.true(stands === before || stands === after, `${round}: ${stands.slice(90, 120)}`);
    if (stands === after) changed++;
    await node.stop();
  }
  t.log(`${changed} of ${2 * ROUNDS} changed`);
  t.true(changed > 0 && changed < 2 * ROUNDS);
});
