/** Mutable files in directories, written through the file system: into their slots, with the promises of any other file. */
import test, { type ExecutionContext } from 'ava';
import {
  type MutableFormat,
  type MutableWriteCap,
  parseKnownCap,
  readCapOf,
  serializeCap,
  storageIndexOf,
} from '../../src/caps/cap.js';
import { bytesEqual, concatBytes, toHex } from '../../src/encoding/bytes.js';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import type { ReadTestWriteRequest } from '../../src/storage-protocol/storage-server.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { DirectoryCaps } from '../support/directory-caps.js';
import {
  bytes,
  closeHandle,
  contentOf,
  drained,
  eventually,
  listing,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  type TestNode,
  text,
  textAt,
  type VfsGrid,
  type VfsGridOptions,
} from '../support/vfs-grid.js';

const formats = ['sdmf', 'mdmf'] as const;
const SEGMENT = 128 * 1024;

async function withFile(
  t: ExecutionContext<unknown>,
  format: MutableFormat,
  content: string | Uint8Array,
  options: VfsGridOptions = {},
) {
  const made = await oneNode(t, options);
  const { node, root } = made;
  const cap = await node.platformGrid.createMutable(typeof content === 'string' ? bytes(content) : content, format);
  const file = (await node.vfs.linkCap(root, 'file.txt', cap, 'never')).inode;
  await drained(node);
  return { ...made, cap, file };
}

async function write(node: TestNode, file: InodeNumber, offset: number, content: string): Promise<void> {
  const handle = await node.vfs.open(file, readWrite);
  await handle.write(offset, bytes(content));
  await closeHandle(handle);
}

function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167) % 251);
}

async function again(node: TestNode, rootCap: string) {
  const root = (await node.vfs.openRoot(rootCap)).inode;
  return { root, file: (await node.vfs.lookup(root, 'file.txt')).inode };
}

/** The first who comes after a conflict is told of it; then everything goes on. */
async function toldOnce<Result>(operation: () => Promise<Result>): Promise<Result> {
  try {
    return await operation();
  } catch (error) {
    if (!isTahoeError(error, 'uncoordinated-write')) throw error;
    return operation();
  }
}

/** Everything that stands under the name or beside it, as another node sees it. */
async function sides(grid: VfsGrid, rootCap: string): Promise<string[]> {
  return Object.values(await seenByAnother(grid, rootCap)).map((content) => content.replace('file ', ''));
}

for (const format of formats) {
  test(`${format}: what is written and synced stands in the slot, and the capability stays`, async (t) => {
    const { grid, node, rootCap, root, cap, file } = await withFile(t, format, 'before it was changed');
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(0, bytes('BEFORE'));
    await handle.write(30, bytes('far'));
    t.is((await node.vfs.attributes(file)).sizeBytes, 33);
    await handle.fsync();
    const expected = 'BEFORE it was changed\0\0\0\0\0\0\0\0\0far';
    t.is(text(await node.platformGrid.readMutable(cap)), expected);
    t.is((await node.vfs.state(file)).state, 'grid');
    await handle.write(33, bytes('!'));
    t.is(text(await handle.read(0, 100)), `${expected}!`);
    await closeHandle(handle);
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), `${expected}!`);
    t.is(await node.vfs.capOf(file), cap);
    t.is((await node.vfs.attributes(file)).sizeBytes, 34);
    t.deepEqual(await listing(node.vfs, root), ['file.txt']);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/file.txt': `file ${expected}!` });
    t.deepEqual(node.vfs.conflicts(), []);
  });

  test(`${format}: truncation by path and at open, shorter, longer and to nothing`, async (t) => {
    const { node, cap, file } = await withFile(t, format, 'content');
    await node.vfs.setAttributes(file, { sizeBytes: 3 });
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'con');
    await node.vfs.setAttributes(file, { sizeBytes: 5 });
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'con\0\0');
    const handle = await node.vfs.open(file, { ...readWrite, truncate: true });
    await handle.write(0, bytes('new'));
    await closeHandle(handle);
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'new');
    await node.vfs.setAttributes(file, { sizeBytes: 0 });
    await drained(node);
    t.is((await node.platformGrid.readMutable(cap)).length, 0);
    t.is((await node.vfs.attributes(file)).sizeBytes, 0);
  });

  test(`${format}: another writer's version keeps the name, ours is an immutable file beside it`, async (t) => {
    const { grid, node, rootCap, root, cap, file } = await withFile(t, format, 'one two three');
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(0, bytes('ONE'));
    await (await grid.node()).platformGrid.overwriteMutable(cap, bytes('theirs'));
    t.true(isTahoeError(await t.throwsAsync(handle.fsync()), 'uncoordinated-write'));
    await closeHandle(handle);
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'theirs');
    const [conflict, ...others] = node.vfs.conflicts();
    t.is(others.length, 0);
    t.like(conflict, { kind: 'changed', path: '/file.txt' });
    const copy = conflict!.conflictPath!.slice(1);
    t.regex(copy, /^file\.conflict-n0-.*\.txt$/);
    t.true((await node.vfs.capOf((await node.vfs.lookup(root, copy)).inode))!.startsWith('URI:LIT:'));
    t.deepEqual(await seenByAnother(grid, rootCap), { '/file.txt': 'file theirs', [`/${copy}`]: 'file ONE two three' });
    // the name is writeable again, and its object the same
    await write(node, (await node.vfs.lookup(root, 'file.txt')).inode, 0, 'OURS');
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'OURSrs');
  });

  test(`${format}: killed before any request of a publish, the next life brings it to its end, once`, async (t) => {
    const { grid, node, rootCap, cap } = await withFile(t, format, 'begin');
    for (let after = 0; after < 14; after++) {
      const { file } = await again(node, rootCap);
      const content = `content ${after}`;
      await write(node, file, 0, content);
      let requests = 0;
      const dead = new Promise<void>((resolve) => {
        node.beforeRequest = () => {
          if (requests++ !== after) return;
          // a file that was closed is durable
          node.kill(after % 2 === 0 ? 'kill' : 'power');
          resolve();
        };
      });
      await Promise.race([dead, drained(node)]);
      node.beforeRequest = () => {};
      if (requests > after) await node.start();
      const { root } = await again(node, rootCap);
      await drained(node);
      t.is(text(await node.platformGrid.readMutable(cap)), content, `${after}`);
      t.deepEqual(await listing(node.vfs, root), ['file.txt'], `${after}`);
    }
    t.deepEqual(await seenByAnother(grid, rootCap), { '/file.txt': 'file content 13' });
  });

  test(`${format}: answers get lost, servers fail, the node is killed: a single writer never meets a conflict`, async (t) => {
    const { grid, node, rootCap, cap } = await withFile(t, format, 'begin');
    const random = seededRandom(format === 'sdmf' ? 1 : 2);
    for (let round = 0; round < 12; round++) {
      grid.plan((method) => {
        if (method !== 'readTestWrite' || random() > 0.15) return undefined;
        return random() < 0.7 ? 'lose-answer' : 'fail';
      });
      const { file } = await again(node, rootCap).catch(async () => {
        grid.plan();
        return again(node, rootCap);
      });
      await write(node, file, 0, `content ${round}`).catch(async (error: unknown) => {
        t.true(isTahoeError(error, 'unreachable', 'unrecoverable', 'stale'), `${error}`);
        grid.plan();
        await write(node, file, 0, `content ${round}`);
      });
      if (round % 3 === 2) {
        await new Promise((resolve) => setTimeout(resolve, 60 * random()));
        await node.killAndStart();
        grid.plan();
        await again(node, rootCap);
      }
      if (round % 2 === 0) grid.plan();
      await drained(node);
      grid.plan();
      t.is(text(await node.platformGrid.readMutable(cap)), `content ${round}`);
      t.deepEqual(node.vfs.conflicts(), []);
    }
    t.deepEqual(await seenByAnother(grid, rootCap), { '/file.txt': 'file content 11' });
  });

  test(`${format}: changed by another while this node was dead, after any part of a publish: both are there`, async (t) => {
    const { grid, node, rootCap, cap } = await withFile(t, format, 'begin');
    const other = await grid.node();
    for (let after = 3; after < 12; after += 2) {
      const { root, file } = await again(node, rootCap);
      for (const name of await listing(node.vfs, root)) if (name !== 'file.txt') await node.vfs.unlink(root, name);
      await drained(node);
      await write(node, file, 0, `ours ${after}`);
      let requests = 0;
      const dead = new Promise<void>((resolve) => {
        node.beforeRequest = (method) => {
          if (method !== 'readTestWrite' && requests === 0) return;
          if (requests++ !== after % 5) return;
          node.kill();
          resolve();
        };
      });
      await dead;
      node.beforeRequest = () => {};
      const theirs = await other.platformGrid
        .overwriteMutable(cap, bytes(`theirs ${after}`))
        .then(() => `theirs ${after}`)
        .catch((error: unknown) => {
          if (isTahoeError(error, 'uncoordinated-write', 'unhappy')) return undefined;
          throw error;
        });
      await node.start();
      await again(node, rootCap);
      await drained(node);
      const found = await sides(grid, rootCap);
      // a version built on ours has seen it, and replaced it knowingly
      const isSeen = format === 'sdmf' && found.includes(`theirs ${after}`) && found.length === 1;
      t.true(isSeen || found.some((content) => content.startsWith(`ours ${after}`)), found.join());
      if (theirs !== undefined) t.true(found.includes(theirs), found.join());
    }
  });

  test(`${format}: closed while the servers are away, changed by another: the copy has what the file was with our change`, async (t) => {
    const { grid, node, rootCap, cap, file } = await withFile(t, format, 'one two three');
    const other = await grid.node();
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(0, bytes('ONE'));
    await closeHandle(handle);
    node.kill();
    await other.platformGrid.overwriteMutable(cap, bytes('theirs'));
    await node.start();
    await again(node, rootCap);
    await drained(node);
    t.deepEqual((await sides(grid, rootCap)).sort(), ['ONE two three', 'theirs']);
    t.is(node.vfs.conflicts().length, 1);
    await node.restart();
    t.is(node.vfs.conflicts().length, 1);
  });

  test(`${format}: a conflict is settled for ours by writing it into the file, for theirs by removing the copy`, async (t) => {
    const { grid, node, rootCap, root, cap } = await withFile(t, format, 'begin');
    const other = await grid.node();
    for (const choice of ['ours', 'theirs'] as const) {
      const { file } = await again(node, rootCap);
      const handle = await node.vfs.open(file, { ...readWrite, truncate: true });
      await handle.write(0, bytes(`ours, ${choice}`));
      await other.platformGrid.overwriteMutable(cap, bytes(`theirs, ${choice}`));
      await closeHandle(handle);
      await drained(node);
      const [conflict] = node.vfs.conflicts();
      await node.vfs.resolveConflict(conflict!.id, choice);
      await drained(node);
      t.is(text(await node.platformGrid.readMutable(cap)), `${choice}, ${choice}`);
      t.deepEqual(await listing(node.vfs, root), ['file.txt']);
      t.deepEqual(node.vfs.conflicts(), []);
    }
  });

  test(`${format}: what was written after the last close stands beside the file after a kill`, async (t) => {
    const { node, rootCap, cap, file } = await withFile(t, format, 'content');
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(0, bytes('closed!'));
    await handle.flush();
    await handle.write(2, bytes('OPEN'));
    await node.killAndStart();
    await drained(node);
    const { root } = await again(node, rootCap);
    t.is(text(await node.platformGrid.readMutable(cap)), 'closed!');
    const recovered = (await listing(node.vfs, root)).find((name) => name.startsWith('file.txt.recovered-'))!;
    t.is(await textAt(node.vfs, root, recovered), 'clOPEN!');
    t.is((await listing(node.vfs, root)).length, 2);
  });

  test(`${format}: pending changes outlive checkpoints and restarts while no server can be written`, async (t) => {
    const { node, rootCap, cap, file } = await withFile(t, format, 'one two three');
    node.beforeRequest = (method, _server, request) => {
      if (method !== 'readTestWrite') return;
      const { shares } = request as ReadTestWriteRequest;
      if ([...shares.values()].every(({ writes }) => writes.length === 0)) return;
      throw new TahoeError('away', { kind: 'unreachable', op: 'test' });
    };
    await write(node, file, 0, 'ONE');
    for (let life = 0; life < 3; life++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await (life === 1 ? node.killAndStart() : node.restart());
      const here = await again(node, rootCap);
      t.is(text(await contentOf(node.vfs, here.file)), life === 0 ? 'ONE two three' : 'ONE TWO three');
      if (life === 0) await write(node, here.file, 4, 'TWO');
    }
    node.beforeRequest = () => {};
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'ONE TWO three');
    t.deepEqual(node.vfs.conflicts(), []);
  });

  test(`${format}: renamed while it is dirty it is written under its new name; removed, it is left alone`, async (t) => {
    const { grid, node, rootCap, root, cap, file } = await withFile(t, format, 'content');
    const d = (await node.vfs.makeDirectory(root, 'd', { mode: 0o755, uid: 0, gid: 0 })).inode;
    const handle = await node.vfs.open(file, readWrite);
    await handle.write(0, bytes('CON'));
    await node.vfs.rename({ parent: root, name: 'file.txt' }, { parent: d, name: 'moved' }, 'replace');
    await handle.write(3, bytes('TENT'));
    await closeHandle(handle);
    await drained(node);
    t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/moved': 'file CONTENT' });
    t.is(text(await node.platformGrid.readMutable(cap)), 'CONTENT');
    const second = await node.vfs.open(file, readWrite);
    await second.write(0, bytes('gone'));
    await node.vfs.unlink(d, 'moved');
    t.is(text(await second.read(0, 10)), 'goneENT');
    await closeHandle(second);
    await drained(node);
    t.is(text(await node.platformGrid.readMutable(cap)), 'CONTENT');
    t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory' });
  });

  test(`${format}: two nodes write one after the other without a conflict`, async (t) => {
    const { grid, node, rootCap, cap } = await withFile(t, format, '');
    const other = await grid.node();
    for (let round = 0; round < 4; round++) {
      for (const [index, each] of [node, other].entries()) {
        const { file } = await again(each, rootCap);
        const handle = await each.vfs.open(file, { ...readWrite, append: true });
        await handle.write(0, bytes(`${index}`));
        await handle.fsync();
        await handle.release();
      }
    }
    t.is(text(await node.platformGrid.readMutable(cap)), '01010101');
    t.is(node.vfs.conflicts().length + other.vfs.conflicts().length, 0);
  });
}

for (const format of formats) {
  test(`${format}: three nodes write at the same time: one stands, the others are beside it, and nothing is lost`, async (t) => {
    const { grid, node, rootCap, cap } = await withFile(t, format, 'begin');
    const nodes = [node, await grid.node(), await grid.node()];
    const written: string[] = [];
    for (let round = 0; round < 4; round++) {
      const handles = await Promise.all(
        nodes.map(async (each) => {
          const { file } = await again(each, rootCap);
          return toldOnce(() => each.vfs.open(file, { ...readWrite, truncate: true }));
        }),
      );
      await Promise.all(
        handles.map(async (handle, index) => {
          written.push(`round ${round} by ${index}`);
          await handle.write(0, bytes(`round ${round} by ${index}`));
          await toldOnce(() => handle.flush());
          await handle.release();
        }),
      );
      await Promise.all(nodes.map(drained));
    }
    const found = await sides(grid, rootCap);
    const stands = text(await node.platformGrid.readMutable(cap));
    t.is(found.filter((content) => content === stands).length, 1);
    // what stood was opened, and so seen, by whoever replaced it in a later round
    const lost = written.filter((content) => !found.includes(content));
    t.deepEqual(
      lost.map((content) => content.slice(0, 7)),
      ['round 0', 'round 1', 'round 2'],
    );
  });
}

test('mdmf: a small change of a large file is sent as the segments that it touches', async (t) => {
  const before = pattern(10 * SEGMENT);
  const { node, cap, file } = await withFile(t, 'mdmf', before);
  let sent = 0;
  node.beforeRequest = (method, _server, request) => {
    if (method !== 'readTestWrite') return;
    for (const { writes } of (request as ReadTestWriteRequest).shares.values())
      for (const { data } of writes) sent += data.length;
  };
  await write(node, file, 5 * SEGMENT + 10, 'changed');
  await drained(node);
  const after = before.slice();
  after.set(bytes('changed'), 5 * SEGMENT + 10);
  t.true(bytesEqual(await node.platformGrid.readMutable(cap), after));
  // four shares of half a segment each, hashes, and the directory
  t.true(sent < 4 * SEGMENT, `${sent} bytes`);
  await write(node, file, after.length, 'and more');
  await drained(node);
  t.true(bytesEqual(await node.platformGrid.readMutable(cap), concatBytes([after, bytes('and more')])));
});

test('mdmf: a file too large to be kept here is changed, and changed again while it is open', async (t) => {
  const before = pattern(17 * 1024 * 1024);
  const { node, cap, file } = await withFile(t, 'mdmf', before);
  const handle = await node.vfs.open(file, readWrite);
  for (const offset of [1000, 9_000_000, 500]) {
    await handle.write(offset, bytes('changed'));
    before.set(bytes('changed'), offset);
    await handle.fsync();
    t.deepEqual(await handle.read(offset - 10, 100), before.slice(offset - 10, offset + 90));
  }
  await handle.release();
  await node.vfs.setAttributes(file, { sizeBytes: 12_000_000 });
  await drained(node);
  t.true(bytesEqual(await node.platformGrid.readMutable(cap), before.slice(0, 12_000_000)));
});

test('a mutable file that is open elsewhere on this node shows what is written at once', async (t) => {
  const { node, file } = await withFile(t, 'sdmf', 'content');
  const reader = await node.vfs.open(file, { read: true, write: false });
  t.is(text(await reader.read(0, 10)), 'content');
  const known = reader.contentNumber;
  const writer = await node.vfs.open(file, readWrite);
  await writer.write(0, bytes('CON'));
  t.is(text(await reader.read(0, 10)), 'CONtent');
  t.not(reader.contentNumber, known);
  await writer.fsync();
  t.is(text(await reader.read(0, 10)), 'CONtent');
  await closeHandle(writer);
  await reader.release();
});

test('what is reached by a capability to read is read only, all the way down, though this node may write it', async (t) => {
  const { node, rootCap, root, cap } = await withFile(t, 'mdmf', 'content');
  const { platformGrid, vfs } = node;
  const d = (await vfs.makeDirectory(root, 'd', { mode: 0o755, uid: 0, gid: 0 })).inode;
  await vfs.linkCap(d, 'inner', cap, 'never');
  await put(vfs, d, 'plain', 'x');
  await drained(node);
  const readCap = DirectoryCaps.readOnly(rootCap);
  const view = vfs.view();
  const readOnly = (await view.openRoot(readCap)).inode;
  const refused = async (work: Promise<unknown>) =>
    t.true(isTahoeError(await t.throwsAsync(work), 'read-only', 'permission'));
  const walk = async (directory: InodeNumber): Promise<string[]> => {
    const node644 = { mode: 0o644, uid: 0, gid: 0 };
    await refused(view.create(directory, 'new', node644, readWrite));
    await refused(view.makeDirectory(directory, 'new', node644));
    await refused(view.linkCap(directory, 'new', cap, 'never'));
    const caps = [(await view.capOf(directory))!];
    for (const { name, attributes } of await view.readDirectory(directory)) {
      await refused(view.unlink(directory, name));
      await refused(view.rename({ parent: directory, name }, { parent: directory, name: 'new' }, 'replace'));
      await refused(view.setAttributes(attributes.inode, { mode: 0o600 }));
      if (attributes.kind === 'directory') caps.push(...(await walk(attributes.inode)));
      else {
        await refused(view.open(attributes.inode, readWrite));
        await refused(view.setAttributes(attributes.inode, { sizeBytes: 0 }));
        caps.push((await view.capOf(attributes.inode))!);
      }
    }
    return caps;
  };
  const caps = await walk(readOnly);
  t.is(caps.length, 5);
  for (const each of caps) t.regex(each, /^URI:(DIR2-RO|MDMF-RO|CHK|LIT):/);
  // who has the write capability still may, whichever came first
  await write(node, (await vfs.lookup(d, 'inner')).inode, 0, 'CON');
  await drained(node);
  t.is(text(await platformGrid.readMutable(cap)), 'CONtent');
  await eventually(async () => (await textAt(view, readOnly, 'file.txt')) === 'CONtent');
  // a read capability that is linked somewhere gives no more through that link
  await vfs.linkCap(root, 'back', DirectoryCaps.readOnly((await vfs.capOf(d))!), 'never');
  const back = (await vfs.lookup(root, 'back')).inode;
  await refused(vfs.unlink(back, 'plain'));
  t.true((await vfs.capOf(back))!.startsWith('URI:DIR2-RO:'));
});

for (const format of formats) {
  test(`a ${format} file that was written has a receipt: the version and where it was read back`, async (t) => {
    const { grid, node, rootCap, cap, file } = await withFile(t, format, 'before');
    t.like(await node.vfs.receipt(file), { kind: 'none', reason: 'not-stored-here' });
    await write(node, file, 0, 'after!');
    await drained(node);
    const receipt = await node.vfs.receipt(file);
    if (receipt.kind === 'none') return t.fail(receipt.message);
    const writeCap = parseKnownCap(cap) as MutableWriteCap;
    t.is(receipt.cap, serializeCap(readCapOf(writeCap)));
    t.is(receipt.version?.sequenceNumber, 2);
    t.true(receipt.isCurrent);
    t.deepEqual(
      receipt.directories.map(({ path }) => path),
      ['/'],
    );
    const index = toHex(storageIndexOf(writeCap));
    const held = grid.servers.flatMap(({ id, slots }) => {
      const slot = slots.get(index);
      return slot === undefined ? [] : [{ server: id as string, shareNumbers: [...slot.shares.keys()].sort() }];
    });
    t.deepEqual(receipt.shares, held);
    await node.killAndStart();
    t.deepEqual(await node.vfs.receipt((await again(node, rootCap)).file), receipt);
  });
}
