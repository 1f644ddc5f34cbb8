import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { type ErrorKind, isTahoeError } from '../../src/errors/tahoe-error.js';
import type { FileHandle, InodeNumber, NewNode, OpenFlags, Vfs } from '../../src/vfs/vfs.js';

export interface SuiteVfs {
  readonly vfs: Vfs;
  /** An empty directory. */
  readonly root: InodeNumber;
}

const node: NewNode = { mode: 0o644, uid: 1000, gid: 100 };
const readWrite: OpenFlags = { read: true, write: true };

/**
 * What a file system does, whatever is behind it: one set of tests over every implementation of `Vfs`.
 * `makeVfs` gives a fresh one for each test and cleans up through the test context.
 */
export function fileSuite(name: string, makeVfs: (t: ExecutionContext) => Promise<SuiteVfs>): void {
  const behaves = (title: string, body: (t: ExecutionContext, files: SuiteVfs) => Promise<void>) => {
    test(`${name}: ${title}`, async (t) => body(t, await makeVfs(t)));
  };
  contentBehaviour(behaves);
  nameBehaviour(behaves);
  renameBehaviour(behaves);
  attributeBehaviour(behaves);
}

/** The part of it that is about bytes. */
export function contentSuite(name: string, makeVfs: (t: ExecutionContext) => Promise<SuiteVfs>): void {
  contentBehaviour((title, body) => {
    test(`${name}: ${title}`, async (t) => body(t, await makeVfs(t)));
  });
}

type Behaves = (title: string, body: (t: ExecutionContext, files: SuiteVfs) => Promise<void>) => void;

function contentBehaviour(behaves: Behaves): void {
  behaves('what is written is read back, holes are zeros, reads end with the file', async (t, { vfs, root }) => {
    const { handle, attributes } = await vfs.create(root, 'file', node, readWrite);
    await handle.write(0, bytes('begin'));
    await handle.write(70_000, bytes('end'));
    t.is((await vfs.attributes(attributes.inode)).sizeBytes, 70_003);
    t.is(text(await handle.read(0, 5)), 'begin');
    t.deepEqual(await handle.read(5, 1000), new Uint8Array(1000));
    t.is(text(await handle.read(70_000, 100)), 'end');
    t.is((await handle.read(70_003, 10)).length, 0);
    t.is((await handle.read(1e9, 10)).length, 0);
    await handle.release();
    t.is(await contentOf(vfs, attributes.inode), `begin${'\0'.repeat(69_995)}end`);
  });

  behaves('the matrix of open flags', async (t, { vfs, root }) => {
    for (const exists of [false, true]) {
      for (const exclusive of [false, true]) {
        for (const truncate of [false, true]) {
          const file = `${exists}-${exclusive}-${truncate}`;
          if (exists) await put(vfs, root, file, 'content');
          const opening = vfs.create(root, file, node, { ...readWrite, exclusive, truncate });
          if (exists && exclusive) {
            await fails(t, 'exists', opening);
            continue;
          }
          const { handle } = await opening;
          t.is(text(await handle.read(0, 100)), exists && !truncate ? 'content' : '', file);
          await handle.release();
        }
      }
    }
    await fails(t, 'is-a-directory', vfs.open(root, { read: true, write: false }));
    await fails(t, 'exists', vfs.makeDirectory(root, 'true-false-false', node));
  });

  behaves('a handle does only what it was opened for', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', 'content');
    const reader = await vfs.open(inode, { read: true, write: false });
    await fails(t, 'permission', reader.write(0, bytes('x')));
    const writer = await vfs.open(inode, { read: false, write: true });
    await fails(t, 'permission', writer.read(0, 1));
    await reader.release();
    await writer.release();
    await fails(t, 'closed', reader.read(0, 1));
  });

  behaves('handles opened for append never overwrite each other', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'log', 'start ');
    const flags: OpenFlags = { read: false, write: true, append: true };
    const [left, right] = [await vfs.open(inode, flags), await vfs.open(inode, flags)];
    await Promise.all(Array.from({ length: 20 }, (_, i) => (i % 2 === 0 ? left : right).write(0, bytes('x'))));
    await left.release();
    await right.release();
    t.is(await contentOf(vfs, inode), `start ${'x'.repeat(20)}`);
  });

  behaves('truncation shortens and extends, for open handles too', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', 'content');
    const handle = await vfs.open(inode, readWrite);
    t.is((await vfs.setAttributes(inode, { sizeBytes: 3 })).sizeBytes, 3);
    t.is(text(await handle.read(0, 10)), 'con');
    await vfs.setAttributes(inode, { sizeBytes: 6 });
    t.is(text(await handle.read(0, 10)), 'con\0\0\0');
    await handle.write(6, bytes('x'));
    await vfs.setAttributes(inode, { sizeBytes: 0 });
    t.is((await handle.read(0, 10)).length, 0);
    await handle.release();
    await fails(t, 'is-a-directory', vfs.setAttributes(root, { sizeBytes: 0 }));
  });

  behaves('all handles of a file see one content', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', 'first');
    const [left, right] = [await vfs.open(inode, readWrite), await vfs.open(inode, readWrite)];
    const before = right.contentNumber;
    await left.write(0, bytes('FIR'));
    t.is(text(await right.read(0, 10)), 'FIRst');
    t.not(right.contentNumber, before);
    const unchanged = right.contentNumber;
    await right.read(0, 3);
    t.is(left.contentNumber, unchanged);
    await left.release();
    t.is(text(await right.read(0, 10)), 'FIRst');
    await right.release();
  });

  behaves('data given to write may change once it has returned', async (t, { vfs, root }) => {
    const { handle } = await vfs.create(root, 'file', node, readWrite);
    const data = bytes('right');
    await handle.write(0, data);
    data.fill(0);
    t.is(text(await handle.read(0, 5)), 'right');
    await handle.release();
  });

  behaves('an unlinked open file lives until its last handle is released', async (t, { vfs, root }) => {
    const { handle, attributes } = await vfs.create(root, 'file', node, readWrite);
    await handle.write(0, bytes('here'));
    await vfs.unlink(root, 'file');
    await fails(t, 'not-found', vfs.lookup(root, 'file'));
    await handle.write(4, bytes(' still'));
    t.is(text(await handle.read(0, 20)), 'here still');
    t.is((await vfs.attributes(attributes.inode)).links, 0);
    await handle.flush();
    await handle.release();
  });

  behaves(
    'a file that was looked up and then replaced opens as it was, until it is forgotten',
    async (t, { vfs, root }) => {
      const write = async (name: string, content: string) => {
        const { handle, attributes } = await vfs.create(root, name, node, readWrite);
        await handle.write(0, bytes(content));
        await handle.release();
        return attributes.inode;
      };
      const old = await write('file', 'old');
      vfs.remember(old);
      await write('new', 'new');
      await vfs.rename({ parent: root, name: 'new' }, { parent: root, name: 'file' }, 'replace');
      for (const round of [1, 2]) {
        const handle = await vfs.open(old, { read: true, write: false });
        t.is(text(await handle.read(0, 20)), 'old', `open ${round}`);
        await handle.release();
      }
      vfs.forget(old, 1);
      await fails(t, 'stale', vfs.open(old, { read: true, write: false }));
    },
  );

  behaves('any sequence of writes and truncations equals the same on an array', async (t, { vfs, root }) => {
    const step = fc.oneof(
      fc.record({ at: fc.nat(3000), data: fc.uint8Array({ minLength: 1, maxLength: 2000 }) }),
      fc.record({ size: fc.nat(4000) }),
    );
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const { handle, attributes } = await vfs.create(root, `file-${count++}`, node, readWrite);
        let model = new Uint8Array(0);
        for (const action of steps) {
          if ('size' in action) {
            await vfs.setAttributes(attributes.inode, { sizeBytes: action.size });
            model = resized(model, action.size);
          } else {
            await handle.write(action.at, action.data);
            model = resized(model, Math.max(model.length, action.at + action.data.length));
            model.set(action.data, action.at);
          }
          t.deepEqual(new Uint8Array(await handle.read(0, 10_000)), model);
        }
        await handle.release();
      }),
      { numRuns: 25 },
    );
  });
}

function nameBehaviour(behaves: Behaves): void {
  behaves('names are listed in the order of their UTF-8 bytes', async (t, { vfs, root }) => {
    const names = ['b', 'a', '\u{1f600}', '\uffee', 'ä', '日本', '.hidden', 'a b', 'x'.repeat(255)];
    for (const name of names) await put(vfs, root, name, name);
    const expected = [...names].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    t.deepEqual(await listing(vfs, root), expected);
    for (const name of names) t.is(await contentOf(vfs, (await vfs.lookup(root, name)).inode), name);
  });

  behaves('what cannot be a name is refused', async (t, { vfs, root }) => {
    for (const name of ['', '.', '..', 'a/b', 'a\0b', '\ud800']) {
      await fails(t, 'invalid', vfs.makeDirectory(root, name, node));
    }
    await fails(t, 'name-too-long', vfs.makeDirectory(root, 'x'.repeat(256), node));
    await fails(t, 'name-too-long', vfs.makeDirectory(root, 'ä'.repeat(128), node));
    t.deepEqual(await listing(vfs, root), []);
  });

  behaves('directories are made, entered, listed and removed when empty', async (t, { vfs, root }) => {
    const made = await vfs.makeDirectory(root, 'd', { ...node, mode: 0o750 });
    t.like(made, { kind: 'directory', mode: 0o750, uid: 1000, gid: 100 });
    await put(vfs, made.inode, 'file', 'x');
    t.is((await vfs.parentOf(made.inode)).inode, root);
    t.is((await vfs.parentOf(root)).inode, root);
    await fails(t, 'not-empty', vfs.removeDirectory(root, 'd'));
    await fails(t, 'is-a-directory', vfs.unlink(root, 'd'));
    await fails(t, 'not-a-directory', vfs.removeDirectory(made.inode, 'file'));
    await fails(t, 'not-a-directory', vfs.lookup((await vfs.lookup(made.inode, 'file')).inode, 'x'));
    await vfs.unlink(made.inode, 'file');
    await vfs.removeDirectory(root, 'd');
    await fails(t, 'not-found', vfs.removeDirectory(root, 'd'));
    await fails(t, 'not-found', vfs.unlink(root, 'd'));
  });

  behaves('a directory that is changed while it is listed gives each listing whole', async (t, { vfs, root }) => {
    for (let i = 0; i < 30; i++) await put(vfs, root, `f${i}`, '');
    const [first] = await Promise.all([
      vfs.readDirectory(root),
      vfs.unlink(root, 'f3'),
      vfs.makeDirectory(root, 'new', node),
    ]);
    t.true(first.length >= 29 && first.length <= 31);
    t.is((await listing(vfs, root)).length, 30);
  });

  behaves('symbolic links and special files keep what they are', async (t, { vfs, root }) => {
    const link = await vfs.makeSymlink(root, 'link', '../ä/target', node);
    t.like(link, { kind: 'symlink', sizeBytes: 12 });
    t.is(await vfs.readSymlink(link.inode), '../ä/target');
    await fails(t, 'exists', vfs.makeSymlink(root, 'link', 'x', node));
    await fails(t, 'invalid', vfs.makeSymlink(root, 'empty', '', node));
    const device = await vfs.makeNode(root, 'null', 'character-device', 0x103, node);
    t.like(device, { kind: 'character-device', rdev: 0x103 });
    t.like(await vfs.makeNode(root, 'pipe', 'fifo', 0, node), { kind: 'fifo', sizeBytes: 0 });
    await fails(t, 'invalid', vfs.readSymlink(device.inode));
  });
}

function renameBehaviour(behaves: Behaves): void {
  const rename = ({ vfs, root }: SuiteVfs, from: string, to: string, mode: 'replace' | 'no-replace' | 'exchange') =>
    vfs.rename({ parent: root, name: from }, { parent: root, name: to }, mode);

  behaves('rename keeps inode and content and replaces a file', async (t, files) => {
    const { vfs, root } = files;
    const inode = await put(vfs, root, 'a', 'from');
    await put(vfs, root, 'b', 'to');
    await rename(files, 'a', 'b', 'replace');
    t.deepEqual(await listing(vfs, root), ['b']);
    t.is((await vfs.lookup(root, 'b')).inode, inode);
    t.is(await contentOf(vfs, inode), 'from');
    await rename(files, 'b', 'b', 'replace');
    t.deepEqual(await listing(vfs, root), ['b']);
    await fails(t, 'not-found', rename(files, 'a', 'c', 'replace'));
  });

  behaves('rename without replacing, and exchange', async (t, files) => {
    const { vfs, root } = files;
    const [a, b] = [await put(vfs, root, 'a', 'A'), await put(vfs, root, 'b', 'B')];
    await fails(t, 'exists', rename(files, 'a', 'b', 'no-replace'));
    await rename(files, 'a', 'c', 'no-replace');
    await rename(files, 'b', 'c', 'exchange');
    t.is((await vfs.lookup(root, 'b')).inode, a);
    t.is((await vfs.lookup(root, 'c')).inode, b);
    await fails(t, 'not-found', rename(files, 'b', 'none', 'exchange'));
    const d = (await vfs.makeDirectory(root, 'd', node)).inode;
    await put(vfs, d, 'x', '');
    const across = vfs.rename({ parent: root, name: 'b' }, { parent: d, name: 'x' }, 'exchange');
    await fails(t, 'invalid', across);
  });

  behaves('rename between kinds and into itself is refused', async (t, files) => {
    const { vfs, root } = files;
    const a = (await vfs.makeDirectory(root, 'a', node)).inode;
    const b = (await vfs.makeDirectory(a, 'b', node)).inode;
    await put(vfs, root, 'file', '');
    await fails(t, 'is-a-directory', rename(files, 'file', 'a', 'replace'));
    await fails(t, 'not-a-directory', rename(files, 'a', 'file', 'replace'));
    await fails(t, 'invalid', vfs.rename({ parent: root, name: 'a' }, { parent: b, name: 'c' }, 'replace'));
    await vfs.makeDirectory(root, 'empty', node);
    await fails(t, 'not-empty', rename(files, 'empty', 'a', 'replace'));
    await vfs.rename({ parent: a, name: 'b' }, { parent: root, name: 'empty' }, 'replace');
    t.is((await vfs.lookup(root, 'empty')).inode, b);
    t.is((await vfs.parentOf(b)).inode, root);
    t.deepEqual(await listing(vfs, a), []);
  });

  behaves('a file replaced by rename stays readable where it is open', async (t, files) => {
    const { vfs, root } = files;
    const handle = await vfs.open(await put(vfs, root, 'old', 'old'), { read: true, write: false });
    await put(vfs, root, 'new', 'new');
    await rename(files, 'new', 'old', 'replace');
    t.is(text(await handle.read(0, 10)), 'old');
    await handle.release();
    t.is(await contentOf(vfs, (await vfs.lookup(root, 'old')).inode), 'new');
  });
}

function attributeBehaviour(behaves: Behaves): void {
  behaves('times keep nanoseconds, also after closing, and are not moved by reading', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', 'x');
    const accessed = { seconds: -5, nanoseconds: 123_456_789 };
    const modified = { seconds: 2 ** 33, nanoseconds: 1 };
    t.like(await vfs.setAttributes(inode, { accessed, modified }), { accessed, modified });
    await contentOf(vfs, inode);
    t.deepEqual((await vfs.lookup(root, 'file')).modified, modified);
    await vfs.setAttributes(inode, { modified: 'now' });
    t.deepEqual((await vfs.attributes(inode)).accessed, accessed);
    t.notDeepEqual((await vfs.attributes(inode)).modified, modified);
  });

  behaves('writing moves the time of modification, of a directory too', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', 'x');
    const modified = { seconds: 1000, nanoseconds: 0 };
    await vfs.setAttributes(inode, { modified });
    await vfs.setAttributes(root, { modified });
    const handle = await vfs.open(inode, readWrite);
    await handle.write(0, bytes('y'));
    t.notDeepEqual((await vfs.attributes(inode)).modified, modified);
    t.deepEqual((await vfs.attributes(root)).modified, modified);
    await handle.release();
    await vfs.unlink(root, 'file');
    t.notDeepEqual((await vfs.attributes(root)).modified, modified);
  });

  behaves('a time set while a file is written stays when it is closed', async (t, { vfs, root }) => {
    const { handle, attributes } = await vfs.create(root, 'file', node, readWrite);
    await handle.write(0, bytes('x'));
    const modified = { seconds: 1_000_000_000, nanoseconds: 7 };
    await vfs.setAttributes(attributes.inode, { modified });
    await handle.flush();
    await handle.release();
    t.deepEqual((await vfs.lookup(root, 'file')).modified, modified);
  });

  behaves('mode, owner and group change one by one', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', '');
    t.like(await vfs.attributes(inode), { mode: 0o644, uid: 1000, gid: 100, links: 1, kind: 'file' });
    t.like(await vfs.setAttributes(inode, { mode: 0o7501 }), { mode: 0o7501, uid: 1000, gid: 100 });
    t.like(await vfs.setAttributes(inode, { uid: 4_000_000_000 }), { mode: 0o7501, uid: 4_000_000_000, gid: 100 });
    t.like(await vfs.setAttributes(inode, { gid: 5 }), { mode: 0o7501, uid: 4_000_000_000, gid: 5 });
  });

  behaves('extended attributes are set, listed, replaced and removed', async (t, { vfs, root }) => {
    const inode = await put(vfs, root, 'file', '');
    await fails(t, 'no-attribute', vfs.getExtendedAttribute(inode, 'user.a'));
    await fails(t, 'no-attribute', vfs.setExtendedAttribute(inode, 'user.a', bytes('1'), 'replace'));
    await vfs.setExtendedAttribute(inode, 'user.a', bytes('1'), 'create');
    await fails(t, 'exists', vfs.setExtendedAttribute(inode, 'user.a', bytes('2'), 'create'));
    await vfs.setExtendedAttribute(inode, 'user.a', new Uint8Array([0, 255]), 'any');
    t.deepEqual(new Uint8Array(await vfs.getExtendedAttribute(inode, 'user.a')), new Uint8Array([0, 255]));
    t.true((await vfs.listExtendedAttributes(inode)).includes('user.a'));
    await vfs.removeExtendedAttribute(inode, 'user.a');
    await fails(t, 'no-attribute', vfs.removeExtendedAttribute(inode, 'user.a'));
    await fails(t, 'unsupported', vfs.setExtendedAttribute(inode, 'trusted.a', bytes('1'), 'any'));
    await fails(t, 'too-large', vfs.setExtendedAttribute(inode, 'user.a', new Uint8Array(65_537), 'any'));
    t.true(['local', 'uploading', 'grid'].includes(text(await vfs.getExtendedAttribute(inode, 'user.tahoe.state'))));
  });

  behaves('fsync shows in the state of a file', async (t, { vfs, root }) => {
    const { handle, attributes } = await vfs.create(root, 'file', node, readWrite);
    await handle.write(0, bytes('x'));
    t.is((await vfs.state(attributes.inode)).state, 'local');
    await handle.fsync();
    await vfs.fsyncDirectory(root);
    t.is((await vfs.state(attributes.inode)).state, 'grid');
    await handle.release();
  });
}

async function put(vfs: Vfs, parent: InodeNumber, name: string, content: string): Promise<InodeNumber> {
  const { attributes, handle } = await vfs.create(parent, name, node, { ...readWrite, truncate: true });
  await handle.write(0, bytes(content));
  await handle.flush();
  await handle.release();
  return attributes.inode;
}

async function contentOf(vfs: Vfs, inode: InodeNumber): Promise<string> {
  const handle: FileHandle = await vfs.open(inode, { read: true, write: false });
  try {
    return text(await handle.read(0, 1 << 20));
  } finally {
    await handle.release();
  }
}

async function listing(vfs: Vfs, directory: InodeNumber): Promise<string[]> {
  return (await vfs.readDirectory(directory)).map((entry) => entry.name);
}

async function fails(t: ExecutionContext, kind: ErrorKind, operation: Promise<unknown>): Promise<void> {
  const error = await t.throwsAsync(operation);
  t.true(isTahoeError(error, kind), `${kind}, not ${isTahoeError(error) ? error.kind : String(error)}`);
}

function resized(data: Uint8Array, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(sizeBytes);
  result.set(data.subarray(0, sizeBytes));
  return result;
}

function bytes(content: string): Uint8Array {
  return new TextEncoder().encode(content);
}

function text(content: Uint8Array): string {
  return new TextDecoder().decode(content);
}
