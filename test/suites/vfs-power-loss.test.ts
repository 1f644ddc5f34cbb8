import test from 'ava';
import type { CrashFileStore } from '../support/crash-file-store.js';
import { seededFraction } from '../support/log-owner.js';
import {
  bytes,
  closeHandle,
  newNode,
  oneNode,
  put,
  readWrite,
  snapshotTree,
  type TestNode,
} from '../support/vfs-grid.js';

type Tree = Record<string, string>;

interface Loss {
  readonly disk: CrashFileStore;
  /** How many states the run had gone through, and the last of them that a close had acknowledged. */
  readonly reached: number;
  readonly acknowledged: number;
}

const long = (word: string) => word.repeat(60);
/** What of the unsynced sectors and names is there after the loss: none of it, or some, torn differently. */
const VARIANTS = 3;
/** Nothing leaves this computer: what is looked at is the journal alone. */
const settings = { publishAfterQuietMs: 60_000, publishAfterMs: 60_000 };

/** Every state of the view, one operation after the other; what is acknowledged by a close is durable. */
async function script(node: TestNode, rootCap: string, states: Tree[], acknowledge: () => void): Promise<void> {
  const root = (await node.vfs.openRoot(rootCap)).inode;
  const step = async (change: () => Promise<unknown>, isDurable = false) => {
    await change();
    states.push(await snapshotTree(node.vfs, root));
    if (isDurable) acknowledge();
  };
  await step(async () => {});
  await step(() => put(node.vfs, root, 'a', long('first ')), true);
  await step(() => node.vfs.makeDirectory(root, 'd', newNode));
  const d = (await node.vfs.lookup(root, 'd')).inode;
  await step(() => put(node.vfs, d, 'inner', long('inner ')), true);
  await step(() => node.vfs.rename({ parent: root, name: 'a' }, { parent: d, name: 'moved' }, 'replace'));
  const moved = await node.vfs.open((await node.vfs.lookup(d, 'moved')).inode, readWrite);
  await moved.write(0, bytes(long('SECOND ')));
  await step(() => closeHandle(moved), true);
  await step(() => node.vfs.rename({ parent: d, name: 'moved' }, { parent: d, name: 'inner' }, 'replace'));
  await step(() => put(node.vfs, root, 'b', long('b ')), true);
  await step(() => node.vfs.unlink(d, 'inner'));
  await step(() => node.vfs.removeDirectory(root, 'd'));
  await step(() => put(node.vfs, root, 'c', long('c ')), true);
}

test('every prefix of the writes of the journal, with what was not synced lost or torn, replays to a legal state', async (t) => {
  t.timeout(300_000);
  const { grid, node, rootCap } = await oneNode(t, { settings });
  grid.plan((method) => (method === 'allocateShares' ? 'fail' : undefined));
  const states: Tree[] = [];
  const losses: Loss[] = [];
  let acknowledged = 0;
  node.disk.beforeOperation = () => {
    for (let variant = 0; variant < VARIANTS; variant++) {
      const fraction = variant === 0 ? () => 0 : seededFraction(losses.length);
      losses.push({ disk: node.disk.afterPowerLoss(fraction), reached: states.length, acknowledged });
    }
  };
  await script(node, rootCap, states, () => {
    acknowledged = states.length;
  });
  node.disk.beforeOperation = () => {};
  await node.stop();
  t.true(losses.length > 100);

  // between creating a file and closing it: it is there and empty, or beside its name only
  const legal = states.flatMap((state, index) => {
    const next = Object.keys(states[index + 1] ?? {}).find((path) => !(path in state));
    return [state, ...(next === undefined ? [] : [{ ...state, [next]: 'file ' }])].map((tree) => ({ index, tree }));
  });
  for (const [number, loss] of losses.entries()) {
    const other = await grid.node({ disk: loss.disk, settings });
    const root = (await other.vfs.openRoot(rootCap)).inode;
    const found = JSON.stringify(sorted(await snapshotTree(other.vfs, root)));
    const isLegal = legal.some(
      ({ index, tree }) =>
        index + 1 >= loss.acknowledged && index <= loss.reached && JSON.stringify(sorted(tree)) === found,
    );
    t.true(isLegal, `loss ${number} of ${losses.length}, after ${loss.reached} states: ${found}`);
    await other.stop();
  }
  t.log(`${losses.length / VARIANTS} prefixes, ${VARIANTS} losses of power at each`);
});

/** Without what stands beside the names of files that were open. */
function sorted(tree: Tree): [string, string][] {
  return Object.entries(tree)
    .filter(([path]) => !path.includes('.recovered-'))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
