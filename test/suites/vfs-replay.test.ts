import test from 'ava';
import type { CrashFileStore } from '../support/crash-file-store.js';
import { seededFraction } from '../support/log-owner.js';
import {
  bytes,
  closeHandle,
  drained,
  newNode,
  oneNode,
  put,
  readWrite,
  seenByAnother,
  snapshotTree,
  type TestNode,
} from '../support/vfs-grid.js';

type Tree = Record<string, string>;

/** Every state that the view goes through, one operation after the other. */
async function script(node: TestNode, rootCap: string, states: Tree[]): Promise<void> {
  const root = (await node.vfs.openRoot(rootCap)).inode;
  const step = async (change: () => Promise<unknown>) => {
    await change();
    states.push(await snapshotTree(node.vfs, root));
  };
  await step(async () => {});
  await step(() => put(node.vfs, root, 'a', 'first'));
  await step(() => node.vfs.makeDirectory(root, 'd', newNode));
  const d = (await node.vfs.lookup(root, 'd')).inode;
  await step(() => put(node.vfs, d, 'inner', 'x'.repeat(300)));
  await step(() => node.vfs.rename({ parent: root, name: 'a' }, { parent: d, name: 'moved' }, 'replace'));
  await step(() => node.vfs.makeSymlink(root, 'link', 'd/moved', newNode));
  await step(() => node.vfs.fsyncDirectory(root));
  await step(() => node.vfs.unlink(root, 'link'));
  const moved = await node.vfs.open((await node.vfs.lookup(d, 'moved')).inode, readWrite);
  await moved.write(0, bytes('FIRST and more'));
  await step(() => closeHandle(moved));
  await step(() => node.vfs.rename({ parent: d, name: 'moved' }, { parent: d, name: 'inner' }, 'replace'));
  await step(() => drained(node));
  await step(() => node.vfs.unlink(d, 'inner'));
  await step(() => node.vfs.removeDirectory(root, 'd'));
}

for (const how of ['kill', 'power'] as const) {
  test(`after a ${how} at any operation of the disk the journal gives a state that there was, and it arrives`, async (t) => {
    let isOver = false;
    for (let crashAfter = 1; !isOver; crashAfter += how === 'kill' ? 3 : 11) {
      const { grid, node, rootCap } = await oneNode(t);
      const states: Tree[] = [];
      const disk: CrashFileStore = node.disk;
      disk.crashAt = disk.operations + crashAfter;
      const running = script(node, rootCap, states).then(
        () => {
          isOver = true;
        },
        () => {},
      );
      // a crash in the background leaves an operation waiting for ever
      await Promise.race([running, untilCrashed(disk, () => isOver)]);
      const reached = states.length;
      await node.killAndStart(how, seededFraction(crashAfter));
      const root = (await node.vfs.openRoot(rootCap)).inode;
      const found = withoutRecovered(await snapshotTree(node.vfs, root));
      const isLegal = (await legalStates(t)).some((state) => JSON.stringify(state) === JSON.stringify(found));
      t.true(isLegal, `crash after ${crashAfter}, ${reached} steps: ${JSON.stringify(found)}`);
      await drained(node);
      t.deepEqual(withoutRecovered(await seenByAnother(grid, rootCap)), found, `crash after ${crashAfter}`);
      t.deepEqual(node.vfs.status().problems, []);
      await node.stop();
    }
  });
}

async function untilCrashed(disk: CrashFileStore, isOver: () => boolean): Promise<void> {
  while (disk.operations < disk.crashAt && !isOver()) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, 20));
}

function withoutRecovered(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).filter(([path]) => !path.includes('.recovered-')));
}

let legal: Promise<Tree[]> | undefined;

/** The states of a run without a crash, and those between creating a file and closing it. */
function legalStates(t: Parameters<typeof oneNode>[0]): Promise<Tree[]> {
  legal ??= (async () => {
    const { node, rootCap } = await oneNode(t);
    const states: Tree[] = [];
    await script(node, rootCap, states);
    const created = (index: number, path: string) => sorted({ ...states[index], [path]: 'file ' });
    return [...states, created(0, '/a'), created(2, '/d/inner')];
  })();
  return legal;
}

function sorted(tree: Tree): Tree {
  return Object.fromEntries(Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1)));
}
