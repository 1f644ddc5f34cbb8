import test, { type ExecutionContext } from 'ava';
import { type DirectoryCap, parseKnownCap, readCapOf, type SdmfWriteCap, serializeCap } from '../../src/caps/cap.js';
import { decryptWriteCap, type PackedEntry, packDirectory, parseDirectory } from '../../src/dirnode/packing.js';
import { bytesEqual, encodeUtf8 } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { readVector } from '../support/golden-vectors.js';
import {
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  snapshotTree,
  type TestNode,
  textAt,
} from '../support/vfs-grid.js';

/** A directory with the entries that the reference wrote, their write capabilities under the key of ours. */
async function foreignDirectory(t: ExecutionContext<unknown>) {
  const { node } = await oneNode(t);
  const golden = parseDirectory(readVector('directories/dir-mixed.packed.bin'), { deepImmutable: false });
  const table = packDirectory(golden.values());
  const fileCap = await node.platformGrid.createMutable(table);
  const rootCap = fileCap.replace('URI:SSK:', 'URI:DIR2:');
  return { node, golden, fileCap, rootCap };
}

async function entriesOf(node: TestNode, fileCap: string): Promise<ReadonlyMap<string, PackedEntry>> {
  return parseDirectory(await node.platformGrid.readMutable(fileCap), { deepImmutable: false });
}

test('entries that another program wrote are copied byte for byte when ours is added, changed and removed', async (t) => {
  const { node, golden, fileCap, rootCap } = await foreignDirectory(t);
  const root = (await node.vfs.openRoot(rootCap)).inode;
  const compare = async (more: readonly string[]) => {
    const now = await entriesOf(node, fileCap);
    t.deepEqual([...now.keys()].sort(), [...golden.keys(), ...more].sort());
    for (const [name, entry] of golden) t.true(bytesEqual(now.get(name)!.raw, entry.raw), name);
  };
  await put(node.vfs, root, 'ours', 'x');
  await drained(node);
  await compare(['ours']);
  await node.vfs.rename({ parent: root, name: 'ours' }, { parent: root, name: 'renamed' }, 'replace');
  await drained(node);
  await compare(['renamed']);
  await node.vfs.unlink(root, 'renamed');
  await drained(node);
  await compare([]);
});

test('renaming an entry of another program keeps its capability and its metadata', async (t) => {
  const { node, golden, fileCap, rootCap } = await foreignDirectory(t);
  const before = golden.get('chk.bin')!;
  const root = (await node.vfs.openRoot(rootCap)).inode;
  await node.vfs.rename({ parent: root, name: 'chk.bin' }, { parent: root, name: 'other' }, 'replace');
  await drained(node);
  const after = (await entriesOf(node, fileCap)).get('other')!;
  t.is(after.readCap, before.readCap);
  const metadata = JSON.parse(new TextDecoder().decode(after.metadataJson)) as Record<string, unknown>;
  t.is(metadata.comment, 'ünïcode');
  t.deepEqual(metadata.nested, { a: [1, 2, null, true] });
});

test('capabilities of the future are listed, renamed and kept whole', async (t) => {
  const { node, root, rootCap } = await oneNode(t);
  await node.vfs.linkCap(root, 'future', 'x-future-cap:rw', 'never').catch((error: unknown) => {
    // a write capability of unknown kind has no read capability that could stand beside it
    t.true(isTahoeError(error, 'bad-cap', 'unknown-cap'));
  });
  await node.vfs.linkCap(root, 'ro', 'ro.x-future-cap:abc', 'never');
  await drained(node);
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  await node.vfs.rename({ parent: root, name: 'ro' }, { parent: root, name: 'moved' }, 'replace');
  await drained(node);
  const moved = await node.vfs.lookup(root, 'moved');
  t.is(await node.vfs.capOf(moved.inode), 'ro.x-future-cap:abc');
  await t.throwsAsync(node.vfs.open(moved.inode, { read: true, write: false }));
});

test('names are found in either normal form and shown as they were written, here and elsewhere', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const [composed, decomposed] = ['Ä.txt', 'A\u0308.txt'];
  await put(node.vfs, root, decomposed, 'x');
  const check = async (vfs: TestNode['vfs'], parent: InodeNumber) => {
    t.deepEqual(await listing(vfs, parent), [decomposed]);
    t.is(await textAt(vfs, parent, composed), 'x');
    t.is(await textAt(vfs, parent, decomposed), 'x');
  };
  await check(node.vfs, root);
  t.true(isTahoeError(await t.throwsAsync(node.vfs.makeDirectory(root, composed, newNode)), 'exists'));
  await drained(node);
  await check(node.vfs, root);
  await node.killAndStart();
  await node.vfs.openRoot(rootCap);
  await check(node.vfs, root);
  const other = await grid.node();
  await check(other.vfs, (await other.vfs.openRoot(rootCap)).inode);
  await node.vfs.rename({ parent: root, name: composed }, { parent: root, name: composed }, 'replace');
  await node.vfs.unlink(root, composed);
  t.deepEqual(await listing(node.vfs, root), []);
});

test('a name of 255 bytes fits, one whose normal form is longer is refused as a whole', async (t) => {
  const { node, root } = await oneNode(t);
  await put(node.vfs, root, `${'ä'.repeat(127)}x`, '1');
  // U+0958 is three bytes, and six in normal form C
  const growing = '\u0958'.repeat(80);
  t.true(isTahoeError(await t.throwsAsync(put(node.vfs, root, growing, '2')), 'name-too-long'));
  await drained(node);
  t.is((await listing(node.vfs, root)).length, 1);
  t.true(isTahoeError(await t.throwsAsync(node.vfs.lookup(root, 'ä'.repeat(128))), 'name-too-long'));
});

test('an immutable directory is read and refuses changes', async (t) => {
  const { node, root } = await oneNode(t);
  const empty = await node.vfs.linkCap(root, 'empty', 'URI:DIR2-LIT:', 'never');
  t.is(empty.kind, 'directory');
  t.deepEqual(await listing(node.vfs, empty.inode), []);
  t.true(isTahoeError(await t.throwsAsync(node.vfs.makeDirectory(empty.inode, 'x', newNode)), 'read-only'));
  await drained(node);
  t.deepEqual(await snapshotTree(node.vfs, root), { '/empty': 'directory' });
});

test('a directory that holds itself is an error and no endless loop', async (t) => {
  const { node, root, rootCap } = await oneNode(t);
  await put(node.vfs, root, 'file', 'x');
  await drained(node);
  const before = await listing(node.vfs, root);
  await t.throwsAsync(node.vfs.linkCap(root, 'self', rootCap, 'never'));
  t.deepEqual(await listing(node.vfs, root), before);
  await drained(node);
});

test('a directory linked to be read only stays that when it is linked elsewhere to be written, and changed and renamed', async (t) => {
  const { node, root } = await oneNode(t);
  const sharedCap = await node.vfs.createUnlinkedDirectory();
  const targetCap = await node.vfs.createUnlinkedDirectory();
  const readCap = serializeCap(readCapOf(parseKnownCap(targetCap))!);
  const shared = (await node.vfs.openRoot(sharedCap)).inode;
  await node.vfs.linkCap(shared, 'link', readCap, 'never');
  await node.vfs.linkCap(root, 'own', targetCap, 'never');
  const own = await node.vfs.lookup(root, 'own');
  await put(node.vfs, own.inode, 'file', 'x');
  await drained(node);
  const link = await node.vfs.lookup(shared, 'link');
  t.is(await node.vfs.capOf(link.inode), readCap);
  t.true(isTahoeError(await t.throwsAsync(put(node.vfs, link.inode, 'other', 'x')), 'read-only'));
  await node.vfs.rename({ parent: shared, name: 'link' }, { parent: shared, name: 'renamed' }, 'replace');
  await node.vfs.setAttributes(link.inode, { mode: 0o700 });
  await drained(node);
  const { inner } = parseKnownCap(sharedCap) as DirectoryCap<SdmfWriteCap>;
  const entry = (await entriesOf(node, serializeCap(inner))).get('renamed')!;
  t.is(decryptWriteCap(entry.encryptedWriteCap, inner.writeKey), '');
});

test('names that another program overwrote without having seen them are added again; those that it removed are not', async (t) => {
  const { node, root, rootCap } = await oneNode(t);
  const fileCap = serializeCap((parseKnownCap(rootCap) as DirectoryCap<SdmfWriteCap>).inner);
  const add = async (...names: readonly string[]) => {
    for (const name of names) await put(node.vfs, root, name, name);
    await drained(node);
    return entriesOf(node, fileCap);
  };
  const stale = await add('first');
  const theirs = stale.get('first')!.withMetadata(encodeUtf8('{}'));
  const overwrite = async (
    added: string,
    entries: ReadonlyMap<string, PackedEntry>,
    ...versions: (readonly string[])[]
  ) => {
    for (const without of versions) {
      const kept = [...entries.values()].filter(({ name }) => !without.includes(name));
      await node.platformGrid.overwriteMutable(fileCap, packDirectory([...kept, theirs.renamed(added)]));
    }
  };
  const seen = async (names: readonly string[]) => {
    await eventually(async () => !(await listing(node.vfs, root)).some((name) => !names.includes(name)));
    await drained(node);
    t.deepEqual([...(await entriesOf(node, fileCap)).keys()].sort(), [...names].sort());
  };

  const published = await add('one', 'two', 'three');
  await overwrite('removing', published, [], ['one'], ['one', 'two']);
  await seen(['first', 'removing', 'three']);

  await add('four', 'five', 'six');
  await overwrite('overwriting', stale, ['first'], []);
  await eventually(async () => (await listing(node.vfs, root)).includes('overwriting'));
  for (const name of ['three', 'four', 'five', 'six']) t.is(await textAt(node.vfs, root, name), name);
  await seen(['first', 'overwriting', 'three', 'four', 'five', 'six']);
  t.is(node.vfs.status().uncoordinatedWriteErrors, 1);
});

test('names that another program overwrote are added again also when nobody uses the directory', async (t) => {
  const { node, root, rootCap } = await oneNode(t, { settings: { lookAgainAfterMs: [300] } });
  const fileCap = serializeCap((parseKnownCap(rootCap) as DirectoryCap<SdmfWriteCap>).inner);
  await put(node.vfs, root, 'first', 'first');
  await drained(node);
  const first = (await entriesOf(node, fileCap)).get('first')!.withMetadata(encodeUtf8('{}'));
  await node.platformGrid.overwriteMutable(fileCap, packDirectory([first]));
  await listing(node.vfs, root);
  for (const name of ['one', 'two']) await put(node.vfs, root, name, name);
  await drained(node);
  // twice, because what this node writes says what it was built on, and the other program does not
  await node.platformGrid.overwriteMutable(fileCap, packDirectory([first]));
  await node.platformGrid.overwriteMutable(fileCap, packDirectory([first, first.renamed('overwriting')]));
  await eventually(async () => (await entriesOf(node, fileCap)).has('two'));
  t.deepEqual([...(await entriesOf(node, fileCap)).keys()].sort(), ['first', 'one', 'overwriting', 'two']);
});
