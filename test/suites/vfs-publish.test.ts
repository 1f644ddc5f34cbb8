import test from 'ava';
import type { InodeNumber, Vfs } from '../../src/vfs/vfs.js';
import {
  bytes,
  closeHandle,
  drained,
  eventually,
  listing,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  snapshotTree,
  type TestNode,
} from '../support/vfs-grid.js';

const slow = { settings: { publishAfterQuietMs: 60_000, publishAfterMs: 60_000 } };

function move(vfs: Vfs, from: InodeNumber, oldName: string, to: InodeNumber, newName: string): Promise<void> {
  return vfs.rename({ parent: from, name: oldName }, { parent: to, name: newName }, 'replace');
}

/** Publishes of what `change` does, once everything has arrived. */
async function publishesOf(node: TestNode, change: () => Promise<unknown>): Promise<number> {
  // a publish is counted when its proof is on disk, a moment after the last change has gone
  const settled = async () => {
    await drained(node);
    await new Promise((resolve) => setTimeout(resolve, 100));
  };
  await settled();
  const before = node.vfs.status().publishes;
  await change();
  await settled();
  return node.vfs.status().publishes - before;
}

test('a file created and renamed is published once, under its last name', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, slow);
  const publishes = await publishesOf(node, async () => {
    await put(node.vfs, root, '.tmp', 'x');
    await move(node.vfs, root, '.tmp', root, 'a');
    await move(node.vfs, root, 'a', root, 'b');
  });
  t.is(publishes, 1);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/b': 'file x' });
});

test('a file created and removed costs nothing', async (t) => {
  const { grid, node, root } = await oneNode(t, { settings: { ...slow.settings, uploadAfterMs: 1000 } });
  const publishes = await publishesOf(node, async () => {
    await put(node.vfs, root, 'file', 'x'.repeat(1000));
    await node.vfs.unlink(root, 'file');
    await node.vfs.makeDirectory(root, 'd', newNode);
    await node.vfs.removeDirectory(root, 'd');
  });
  t.is(publishes, 0);
  t.is(grid.countOf('allocateShares'), 0);
  t.is(grid.keysTaken, 1);
});

test('a rename within a directory and an atomic save are one publish each', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, slow);
  await put(node.vfs, root, 'a', 'old');
  t.is(await publishesOf(node, () => move(node.vfs, root, 'a', root, 'b')), 1);
  const save = async () => {
    await put(node.vfs, root, 'b.tmp', 'new');
    await move(node.vfs, root, 'b.tmp', root, 'b');
  };
  t.is(await publishesOf(node, save), 1);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/b': 'file new' });
});

test('a file written many times is uploaded once', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { ...slow.settings, uploadAfterMs: 50 } });
  for (let i = 0; i < 20; i++) await put(node.vfs, root, 'file', `version ${i} ${'x'.repeat(100)}`);
  await drained(node);
  t.true(node.vfs.status().uploads <= 2, `${node.vfs.status().uploads}`);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/file': `file version 19 ${'x'.repeat(100)}` });
});

test('a thousand files in one directory are a handful of publishes', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterMs: 5000 } });
  const publishes = await publishesOf(node, async () => {
    for (let i = 0; i < 1000; i++) await put(node.vfs, root, `f${i}`, `${i}`);
  });
  t.true(publishes <= 20, `${publishes}`);
  const other = await grid.node();
  t.is((await listing(other.vfs, (await other.vfs.openRoot(rootCap)).inode)).length, 1000);
});

test('a new subtree shows from below: a directory is never seen without what was put into it', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const expected: Record<string, string> = {};
  let parent = root;
  let path = '';
  for (let depth = 0; depth < 3; depth++) {
    path += `/d${depth}`;
    expected[path] = 'directory';
    parent = (await node.vfs.makeDirectory(parent, `d${depth}`, newNode)).inode;
    for (let i = 0; i < 3; i++) {
      await put(node.vfs, parent, `f${i}`, `${depth} ${i}`);
      expected[`${path}/f${i}`] = `file ${depth} ${i}`;
    }
  }
  const other = await grid.node({ settings: { freshnessMs: 0 } });
  const there = (await other.vfs.openRoot(rootCap)).inode;
  await eventually(async () => {
    const seen = await snapshotTree(other.vfs, there);
    if (Object.keys(seen).length === 0) return false;
    t.deepEqual(seen, expected);
    return true;
  });
});

test('a moved file is seen by others in at least one place, wherever the node is killed', async (t) => {
  for (let killAt = 1; killAt <= 40; killAt++) {
    const { grid, node, root, rootCap } = await oneNode(t);
    const a = (await node.vfs.makeDirectory(root, 'a', newNode)).inode;
    const b = (await node.vfs.makeDirectory(root, 'b', newNode)).inode;
    await put(node.vfs, a, 'file', 'moved');
    await drained(node);
    let requests = 0;
    let isMoved = false;
    node.beforeRequest = (method) => {
      if (method === 'readTestWrite' && ++requests === killAt) node.kill();
    };
    const work = async () => {
      await move(node.vfs, a, 'file', b, 'file');
      isMoved = true;
      await drained(node);
    };
    let isOver = false;
    await Promise.race([work(), eventually(() => isOver || requests >= killAt, 60_000)]);
    isOver = true;
    const isKilled = requests >= killAt;
    const seen = await seenByAnother(grid, rootCap);
    t.true(
      seen['/a/file'] === 'file moved' || seen['/b/file'] === 'file moved',
      `killed at ${killAt}: ${JSON.stringify(seen)}`,
    );
    node.beforeRequest = () => {};
    if (!isKilled) {
      t.true(killAt > 8);
      return;
    }
    await node.start();
    await drained(node);
    const last = Object.keys(await seenByAnother(grid, rootCap));
    t.true(last.includes('/b/file') || !isMoved, `killed at ${killAt}`);
    t.is(last.length, 3);
    await node.stop();
  }
  t.fail('the move never ended');
});

test('a file moved on while its first move is under way is never lost from sight', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 5 } });
  const dirs: InodeNumber[] = [];
  for (const name of ['a', 'b', 'c']) dirs.push((await node.vfs.makeDirectory(root, name, newNode)).inode);
  await put(node.vfs, dirs[0]!, 'file', 'moved');
  await drained(node);
  const other = await grid.node({ settings: { freshnessMs: 0 } });
  const there = (await other.vfs.openRoot(rootCap)).inode;
  let isDone = false;
  const watch = async () => {
    let looks = 0;
    for (; !isDone; looks++) {
      await new Promise((resolve) => setImmediate(resolve));
      // from the end of the journey to its beginning, so that a file that moves between two looks is not missed
      const names = (await Promise.all(['a', 'b', 'c'].map((name) => other.vfs.lookup(there, name)))).map(
        ({ inode }) => inode,
      );
      const first = (await Promise.all(names.map((inode) => listing(other.vfs, inode)))).flat();
      if (first.length > 0) continue;
      const again = (await Promise.all(names.map((inode) => listing(other.vfs, inode)))).flat();
      if (again.length === 0) throw new Error('the file was nowhere');
    }
    return looks;
  };
  const watching = watch();
  for (let step = 0; step < 30; step++) {
    const [from, to] = [dirs[step % 3]!, dirs[(step + 1) % 3]!];
    if (step % 4 === 0) await move(node.vfs, from, 'file', from, 'file').catch(() => {});
    await move(node.vfs, from, 'file', to, 'file');
    await new Promise((resolve) => setTimeout(resolve, (step * 7) % 20));
  }
  await drained(node);
  isDone = true;
  t.true((await watching) > 5);
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/a': 'directory',
    '/a/file': 'file moved',
    '/b': 'directory',
    '/c': 'directory',
  });
});

test('two files that change places across directories arrive', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const a = (await node.vfs.makeDirectory(root, 'a', newNode)).inode;
  const b = (await node.vfs.makeDirectory(root, 'b', newNode)).inode;
  await put(node.vfs, a, 'x', 'first');
  await put(node.vfs, b, 'y', 'second');
  await drained(node);
  await move(node.vfs, a, 'x', root, 't');
  await move(node.vfs, b, 'y', a, 'x');
  await move(node.vfs, root, 't', b, 'y');
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {
    '/a': 'directory',
    '/a/x': 'file second',
    '/b': 'directory',
    '/b/y': 'file first',
  });
});

test('a file moved into a new directory stays where it was until others can reach the directory', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 1 } });
  const a = (await node.vfs.makeDirectory(root, 'a', newNode)).inode;
  const b = (await node.vfs.makeDirectory(root, 'b', newNode)).inode;
  await put(node.vfs, a, 'file', 'moved');
  await drained(node);
  const other = await grid.node({ settings: { freshnessMs: 0 } });
  const there = (await other.vfs.openRoot(rootCap)).inode;
  let isDone = false;
  const states = new Set<string>();
  const watch = async () => {
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      // the new place first: what is not there yet must still be in the old one
      const seen = { ...(await snapshotTree(other.vfs, there)) };
      states.add(Object.keys(seen).join(' '));
    }
  };
  const watching = watch();
  const c = (await node.vfs.makeDirectory(b, 'c', newNode)).inode;
  const d = (await node.vfs.makeDirectory(c, 'd', newNode)).inode;
  await move(node.vfs, a, 'file', d, 'file');
  const before = node.vfs.status().publishes;
  await drained(node);
  t.true(node.vfs.status().publishes - before <= 4);
  isDone = true;
  await watching;
  t.true(
    [...states].every((paths) => paths.includes('file')),
    [...states].join(' | '),
  );
  const tree = await seenByAnother(grid, rootCap);
  t.deepEqual(Object.keys(tree), ['/a', '/b', '/b/c', '/b/c/d', '/b/c/d/file']);
});

test('a file moved into a new directory beside it takes one publish of the directory that holds both', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, slow);
  await put(node.vfs, root, 'file', 'moved');
  const publishes = await publishesOf(node, async () => {
    const d = (await node.vfs.makeDirectory(root, 'd', newNode)).inode;
    await move(node.vfs, root, 'file', d, 'file');
  });
  t.is(publishes, 2);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/d': 'directory', '/d/file': 'file moved' });
});

test('names that change places within a directory are one publish', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, slow);
  await put(node.vfs, root, 'x', 'first');
  await put(node.vfs, root, 'y', 'second');
  const publishes = await publishesOf(node, () =>
    node.vfs.rename({ parent: root, name: 'x' }, { parent: root, name: 'y' }, 'exchange'),
  );
  t.is(publishes, 1);
  t.deepEqual(await seenByAnother(grid, rootCap), { '/x': 'file second', '/y': 'file first' });
});

test('a directory moved with everything in it keeps it, published or not', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  const a = (await node.vfs.makeDirectory(root, 'a', newNode)).inode;
  const d = (await node.vfs.makeDirectory(a, 'd', newNode)).inode;
  await put(node.vfs, d, 'old', '1');
  await drained(node);
  await put(node.vfs, d, 'new', '2');
  await move(node.vfs, a, 'd', root, 'e');
  await put(node.vfs, d, 'newer', '3');
  await drained(node);
  const expected = {
    '/a': 'directory',
    '/e': 'directory',
    '/e/new': 'file 2',
    '/e/newer': 'file 3',
    '/e/old': 'file 1',
  };
  t.deepEqual(await seenByAnother(grid, rootCap), expected);
  await node.killAndStart();
  t.deepEqual(await snapshotTree(node.vfs, (await node.vfs.openRoot(rootCap)).inode), expected);
});

test('a directory that another node filled is not removed', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t);
  await node.vfs.makeDirectory(root, 'd', newNode);
  await drained(node);
  const other = await grid.node();
  const there = (await other.vfs.openRoot(rootCap)).inode;
  await put(other.vfs, (await other.vfs.lookup(there, 'd')).inode, 'file', 'theirs');
  await drained(other);
  await t.throwsAsync(node.vfs.removeDirectory(root, 'd'), { message: /not empty/ });
  await t.throwsAsync(
    (async () => {
      await node.vfs.makeDirectory(root, 'e', newNode);
      await move(node.vfs, root, 'e', root, 'd');
    })(),
    { message: /not empty/ },
  );
});

test('a directory removed while it is published leaves nothing behind', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 1 } });
  for (let i = 0; i < 12; i++) {
    const d = (await node.vfs.makeDirectory(root, `d${i}`, newNode)).inode;
    await put(node.vfs, d, 'file', 'x');
    await new Promise((resolve) => setTimeout(resolve, i * 3));
    await node.vfs.unlink(d, 'file');
    await node.vfs.removeDirectory(root, `d${i}`);
  }
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), {});
  await node.killAndStart();
  await drained(node);
  t.is(node.vfs.status().directoriesPending, 0);
});

test('what was done while uploads and publishes ran is what arrives', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, { settings: { publishAfterQuietMs: 1, uploadAfterMs: 0 } });
  grid.plan(() => ({ delayMs: 3 }));
  const { handle } = await node.vfs.create(root, 'file', newNode, readWrite);
  for (let i = 0; i < 30; i++) {
    await handle.write(i * 100, bytes(`${i}`.padEnd(100, '.')));
    await handle.flush();
    await new Promise((resolve) => setTimeout(resolve, (i * 5) % 13));
  }
  await closeHandle(handle);
  grid.plan();
  const expected = await snapshotTree(node.vfs, root);
  await drained(node);
  t.deepEqual(await seenByAnother(grid, rootCap), expected);
});

test('times set while a directory is published and looked at again stay as they were set', async (t) => {
  const { grid, node, root, rootCap } = await oneNode(t, {
    settings: { freshnessMs: 0, publishAfterQuietMs: 1, publishAfterMs: 5 },
  });
  // late answers, so that old contents of the directory arrive after new ones were proven
  grid.plan(() => (Math.random() < 0.5 ? { delayMs: Math.random() * 30 } : undefined));
  const names = Array.from({ length: 8 }, (_, index) => `d${index}`);
  const inodes = new Map<string, InodeNumber>();
  for (const name of names) inodes.set(name, (await node.vfs.makeDirectory(root, name, newNode)).inode);
  const set = new Map<string, number>();
  const looking = (async () => {
    for (let round = 0; round < 60; round++) {
      for (const { name, attributes } of await node.vfs.readDirectory(root)) {
        const expected = set.get(name);
        if (expected !== undefined && attributes.modified.seconds < expected) t.fail(`${name} has a time of long ago`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();
  for (let round = 1; round <= 60; round++) {
    const name = names[round % names.length]!;
    await node.vfs.setAttributes(inodes.get(name)!, { modified: { seconds: round, nanoseconds: 0 } });
    set.set(name, round);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await looking;
  grid.plan();
  await drained(node);
  for (const [name, seconds] of set) t.is((await node.vfs.lookup(root, name)).modified.seconds, seconds, name);
  t.deepEqual(node.vfs.status().problems, []);
  t.is(Object.keys(await seenByAnother(grid, rootCap)).length, names.length);
});
