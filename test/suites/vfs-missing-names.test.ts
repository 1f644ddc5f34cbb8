import test, { type ExecutionContext } from 'ava';
import { encodeUtf8 } from '../../src/encoding/bytes.js';
import type { Conflict } from '../../src/vfs/vfs.js';
import { ForeignWriter } from '../support/foreign-writer.js';
import {
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  textAt,
  type VfsGridOptions,
} from '../support/vfs-grid.js';

/** A directory that another program writes as well, by what it has seen of it. */
async function shared(t: ExecutionContext<unknown>, options: VfsGridOptions = {}) {
  const { grid, node, root, rootCap } = await oneNode(t, options);
  const python = new ForeignWriter(grid, rootCap);
  const add = async (...names: readonly string[]) => {
    for (const name of names) await put(node.vfs, root, name, `content of ${name}`);
    await drained(node);
    return python.entries();
  };
  /** Looks until the node shows what the other program has written. */
  const seen = (...names: readonly string[]) =>
    eventually(async () => {
      const shown = await listing(node.vfs, root);
      return names.every((name) => shown.includes(name));
    });
  const missing = () => node.vfs.conflicts().map(({ path }) => path);
  return { grid, node, root, rootCap, python, add, seen, missing };
}

test('names synced here that another program has overwritten or removed are listed, and brought back if somebody decides so', async (t) => {
  const { node, root, rootCap, python, add, seen, missing } = await shared(t);
  await python.add(await python.entries(), 'theirs');
  await seen('theirs');
  const stale = await python.entries();
  await add('one', 'two');
  // it has seen neither, but may as well have removed one of them with each of the other versions
  await python.add(stale, 'a', 'b', 'c');
  await seen('c');
  t.deepEqual(await listing(node.vfs, root), ['a', 'b', 'c', 'theirs']);
  t.deepEqual(missing(), ['/one', '/two']);
  t.is(node.vfs.metrics().namesMissing, 2);
  t.like(node.vfs.status(), { conflicts: 2, conflictsFound: 2, uncoordinatedWriteErrors: 0 });
  const said = node.lines.filter((line) => line.startsWith('UncoordinatedWriteError: names that were synced are gone'));
  t.is(said.length, 1);
  t.regex(said[0]!, /"names":2/);
  t.deepEqual(
    node.vfs.status().problems.map(({ path, state }) => [path, state.state]),
    [
      ['/one', 'conflict'],
      ['/two', 'conflict'],
    ],
  );
  t.regex(node.vfs.status().problems[0]!.state.reason!, /"one" was synced here and is gone/);

  // the operations of a person, also after a restart
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  const [one, two] = node.vfs.conflicts() as [Conflict, Conflict];
  t.like(one, { kind: 'missing', conflictPath: undefined, theirs: undefined });
  t.regex(one.keptCap!, /^URI:(CHK|LIT):/);
  await node.vfs.resolveConflict(one.id, 'ours');
  await node.vfs.resolveConflict(two.id, 'theirs');
  await drained(node);
  t.is(await textAt(node.vfs, root, 'one'), 'content of one');
  t.deepEqual([...(await python.entries()).keys()], ['a', 'b', 'c', 'one', 'theirs']);
  t.deepEqual(missing(), []);
});

test('what another program removes, renames or changes after it has seen it is nothing to tell of', async (t) => {
  const { node, root, python, add, seen, missing } = await shared(t);
  await python.add(await add('one', 'two', 'three', 'four', 'five', 'six'), 'theirs');
  await seen('theirs', 'five');
  const gone = (name: string) => eventually(async () => !(await listing(node.vfs, root)).includes(name));

  await python.remove('one');
  await gone('one');
  await python.remove('two', 'three');
  await gone('three');
  const before = await python.entries();
  await python.publish(new Map([...before, ['renamed', before.get('four')!.renamed('renamed')]]));
  await python.remove('four');
  await seen('renamed');
  await gone('four');
  // metadata that it does not know it keeps
  const changed = python.file('six').withMetadata(before.get('six')!.metadataJson);
  await python.publish(new Map([...(await python.entries()), ['six', changed]]));
  await eventually(async () => (await textAt(node.vfs, root, 'six')) === 'The end.');
  // an addition between two looks, and a removal of something of long ago
  const old = new Map([...(await python.entries()), ['old', python.file('old', 1_600_000_000)]]);
  const metadata = new TextDecoder().decode(before.get('five')!.metadataJson);
  const aged = metadata.replace(/"linkmotime": ?[\d.]+/, '"linkmotime": 1600000000.5');
  t.not(aged, metadata);
  await python.publish(old.set('five', before.get('five')!.withMetadata(encodeUtf8(aged))));
  await seen('old');
  await python.remove('five');
  await python.add(await python.entries(), 'more');
  await gone('five');
  t.deepEqual(await listing(node.vfs, root), ['more', 'old', 'renamed', 'six', 'theirs']);
  await drained(node);
  t.deepEqual(missing(), []);
  t.like(node.vfs.status(), { conflictsFound: 0, uncoordinatedWriteErrors: 0 });
});

test('a file synced here whose name another program gave to its own without having seen it is listed; theirs keeps the name', async (t) => {
  const { node, root, python, add, seen, missing } = await shared(t);
  const stale = await python.add(await add('first'), 'theirs');
  await seen('theirs');
  await add('same');
  await python.publish(new Map([...stale, ['same', python.file('same')], ['added', python.file('added')]]));
  await seen('added');
  t.deepEqual(missing(), ['/same']);
  const [conflict] = node.vfs.conflicts() as [Conflict];
  t.like(conflict, { kind: 'missing', conflictPath: undefined, theirs: { kind: 'file' } });
  await node.vfs.resolveConflict(conflict.id, 'both');
  await drained(node);
  const names = await listing(node.vfs, root);
  const copy = names.find((name) => name.startsWith('same.conflict-'))!;
  t.is(await textAt(node.vfs, root, copy), 'content of same');
  t.is(await textAt(node.vfs, root, 'same'), 'The end.');
  t.deepEqual(missing(), []);
});

test('a directory synced here and overwritten is listed, and comes back with what is in it', async (t) => {
  const { node, root, python, seen, missing } = await shared(t);
  await python.add(await python.entries(), 'theirs');
  await seen('theirs');
  const stale = await python.entries();
  const made = await node.vfs.makeDirectory(root, 'folder', newNode);
  await put(node.vfs, made.inode, 'inside', 'x');
  await drained(node);
  await python.add(stale, 'a', 'b');
  await seen('b');
  t.deepEqual(missing(), ['/folder']);
  await node.vfs.resolveConflict(node.vfs.conflicts()[0]!.id, 'ours');
  await drained(node);
  t.is(await textAt(node.vfs, (await node.vfs.lookup(root, 'folder')).inode, 'inside'), 'x');
});

test('what is there again is no conflict any more', async (t) => {
  const { python, add, seen, missing } = await shared(t);
  await python.add(await python.entries(), 'theirs');
  await seen('theirs');
  const stale = await python.entries();
  const whole = await add('one');
  const later = await python.add(stale, 'a', 'b');
  await seen('b');
  t.deepEqual(missing(), ['/one']);
  await python.publish(new Map([...later, ['one', whole.get('one')!]]));
  await seen('one');
  t.deepEqual(missing(), []);
});

test('what another program overwrites while the node does not run is noticed when it runs again', async (t) => {
  const { node, root, rootCap, python, add, missing } = await shared(t);
  const stale = await python.add(await python.entries(), 'theirs');
  await add('one', 'two', 'three');
  node.kill();
  await python.add(stale, 'a');
  await node.start();
  await node.vfs.openRoot(rootCap);
  await drained(node);
  t.deepEqual(await listing(node.vfs, root), ['a', 'one', 'theirs', 'three', 'two']);
  t.is(await textAt(node.vfs, root, 'two'), 'content of two');

  node.kill();
  await python.add(stale, 'b', 'c', 'd', 'e', 'f');
  await node.start();
  // also if it publishes before anybody has looked
  await put(node.vfs, (await node.vfs.openRoot(rootCap)).inode, 'later', 'x');
  await drained(node);
  t.deepEqual(missing(), ['/one', '/three', '/two']);
});

test('in a directory that another program has made, what it overwrites is noticed though nobody looks', async (t) => {
  const { node, root, python, add } = await shared(t, { settings: { lookAgainAfterMs: [200] } });
  const empty = await python.entries();
  t.is(empty.size, 0);
  await add('one', 'two');
  await python.publish(empty);
  await python.add(empty, 'a');
  await eventually(async () => (await python.entries()).size === 3);
  t.deepEqual(await listing(node.vfs, root), ['a', 'one', 'two']);
  t.is(node.vfs.status().uncoordinatedWriteErrors, 1);
});
