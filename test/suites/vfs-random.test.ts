import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { InodeNumber, Vfs } from '../../src/vfs/vfs.js';
import { closeHandle, drained, newNode, oneNode, seenByAnother, snapshotTree } from '../support/vfs-grid.js';

/** A tree in memory: what the file system must be after each accepted operation. */
type Model = Map<string, Uint8Array | 'directory'>;

type Step =
  | { readonly op: 'write'; readonly path: string; readonly at: number; readonly size: number; readonly seed: number }
  | { readonly op: 'truncate'; readonly path: string; readonly size: number }
  | { readonly op: 'mkdir'; readonly path: string }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'rename'; readonly path: string; readonly to: string }
  | { readonly op: 'fsync' | 'drain' | 'restart' | 'kill' | 'pause' };

const names = ['a', 'b', 'c'];
const path = fc
  .oneof(
    { weight: 3, arbitrary: fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...names), { minLength: 2, maxLength: 3 }) },
  )
  .map((parts) => `/${parts.join('/')}`);
const size = fc.oneof(fc.nat(40), fc.nat(3000), fc.nat(200_000));

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('write' as const), path, at: size, size, seed: fc.nat(255) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), path, size }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('mkdir' as const), path }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('remove' as const), path }) },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('rename' as const), path, to: path }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('fsync' as const, 'drain' as const, 'restart' as const, 'kill' as const, 'pause' as const),
    }),
  },
);

/** With CI=true the runs are always the same, so that a change is judged by itself; by hand each time is another. */
const CI_SEED = process.env.CI === 'true' ? '20261122' : undefined;

test('any operations, restarts and kills leave what an ordinary file system would, here and on the grid', async (t) => {
  let possible = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
      possible += await run(t, steps);
    }),
    {
      numRuns: Number(process.env.VFS_RUNS ?? 20),
      endOnFailure: process.env.VFS_SHRINK === undefined,
      includeErrorInReport: true,
      ...seedOf(process.env.VFS_SEED ?? CI_SEED),
    },
  );
  if (process.env.VFS_RUNS) t.log(possible);
  t.true(possible > 50, `${possible} operations`);
});

function seedOf(seed: string | undefined): { seed?: number } {
  return seed === undefined ? {} : { seed: Number(seed) };
}

async function run(t: ExecutionContext<unknown>, steps: readonly Step[]): Promise<number> {
  let possible = 0;
  const { grid, node, rootCap } = await oneNode(t);
  const model: Model = new Map();
  let root = (await node.vfs.openRoot(rootCap)).inode;
  for (const each of steps) {
    switch (each.op) {
      case 'drain':
        await drained(node);
        break;
      case 'fsync':
        await node.vfs.fsyncDirectory(root);
        break;
      case 'pause':
        await new Promise((resolve) => setTimeout(resolve, 30));
        break;
      case 'restart':
        await node.restart();
        root = (await node.vfs.openRoot(rootCap)).inode;
        break;
      case 'kill':
        await node.killAndStart();
        root = (await node.vfs.openRoot(rootCap)).inode;
        break;
      default:
        if (await applied(node.vfs, root, model, each)) possible++;
    }
    same(await snapshotTree(node.vfs, root), model, `after ${JSON.stringify(each)}`);
  }
  await drained(node);
  same(await seenByAnother(grid, rootCap), model, 'on the grid');
  const { problems, filesPending, directoriesPending } = node.vfs.status();
  if (problems.length + filesPending + directoriesPending > 0) throw new Error(JSON.stringify(node.vfs.status()));
  await node.stop();
  return possible;
}

/** Does the same to both; what the model says is impossible must fail. */
async function applied(vfs: Vfs, root: InodeNumber, model: Model, each: Step): Promise<boolean> {
  const isPossible = applyToModel(model, each);
  try {
    await applyToVfs(vfs, root, each);
  } catch (error) {
    if (isPossible) throw error;
    return false;
  }
  if (!isPossible) throw new Error(`it should have failed: ${JSON.stringify(each)}`);
  return true;
}

async function applyToVfs(vfs: Vfs, root: InodeNumber, each: Step): Promise<void> {
  if (!('path' in each)) return;
  const { parent, name } = await locate(vfs, root, each.path);
  if (each.op === 'write') {
    const { handle } = await vfs.create(parent, name, newNode, { read: false, write: true });
    await handle.write(each.at, new Uint8Array(each.size).fill(each.seed));
    await closeHandle(handle);
  } else if (each.op === 'truncate') {
    await vfs.setAttributes((await vfs.lookup(parent, name)).inode, { sizeBytes: each.size });
  } else if (each.op === 'mkdir') {
    await vfs.makeDirectory(parent, name, newNode);
  } else if (each.op === 'remove') {
    const { kind } = await vfs.lookup(parent, name);
    await (kind === 'directory' ? vfs.removeDirectory(parent, name) : vfs.unlink(parent, name));
  } else {
    await vfs.rename({ parent, name }, await locate(vfs, root, each.to), 'replace');
  }
}

async function locate(vfs: Vfs, root: InodeNumber, full: string): Promise<{ parent: InodeNumber; name: string }> {
  const parts = full.split('/').slice(1);
  const name = parts.pop()!;
  let parent = root;
  for (const part of parts) parent = (await vfs.lookup(parent, part)).inode;
  return { parent, name };
}

function isDirectory(model: Model, full: string): boolean {
  return full === '' || model.get(full) === 'directory';
}

function parentOf(full: string): string {
  return full.slice(0, full.lastIndexOf('/'));
}

function isEmpty(model: Model, full: string): boolean {
  return ![...model.keys()].some((key) => key.startsWith(`${full}/`));
}

function applyToModel(model: Model, each: Step): boolean {
  if (!('path' in each) || !isDirectory(model, parentOf(each.path))) return false;
  const standing = model.get(each.path);
  if (each.op === 'write') {
    if (standing === 'directory') return false;
    // a write of nothing does not extend the file
    const end = each.size === 0 ? 0 : each.at + each.size;
    const data = resized(standing ?? new Uint8Array(0), Math.max(standing?.length ?? 0, end));
    data.fill(each.seed, each.at, each.at + each.size);
    model.set(each.path, data);
    return true;
  }
  if (each.op === 'truncate') {
    if (standing === undefined || standing === 'directory') return false;
    model.set(each.path, resized(standing, each.size));
    return true;
  }
  if (each.op === 'mkdir') {
    if (standing !== undefined) return false;
    model.set(each.path, 'directory');
    return true;
  }
  if (each.op === 'remove') {
    if (standing === undefined || !isEmpty(model, each.path)) return false;
    return model.delete(each.path);
  }
  return renameInModel(model, each.path, each.to);
}

function renameInModel(model: Model, from: string, to: string): boolean {
  const moved = model.get(from);
  const standing = model.get(to);
  if (moved === undefined || !isDirectory(model, parentOf(to))) return false;
  if (from === to) return true;
  if (to.startsWith(`${from}/`)) return false;
  if (standing !== undefined && (standing === 'directory') !== (moved === 'directory')) return false;
  if (standing === 'directory' && !isEmpty(model, to)) return false;
  model.delete(from);
  model.set(to, moved);
  for (const [key, value] of [...model]) {
    if (!key.startsWith(`${from}/`)) continue;
    model.delete(key);
    model.set(to + key.slice(from.length), value);
  }
  return true;
}

function resized(data: Uint8Array, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(sizeBytes);
  result.set(data.subarray(0, sizeBytes));
  return result;
}

function same(found: Record<string, string>, model: Model, when: string): void {
  const expected = Object.fromEntries(
    [...model].map(([full, value]) => [
      full,
      value === 'directory' ? 'directory' : `file ${Buffer.from(value).toString('latin1')}`,
    ]),
  );
  const paths = new Set([...Object.keys(found), ...Object.keys(expected)]);
  const wrong = [...paths].filter((full) => found[full] !== expected[full]);
  if (wrong.length === 0) return;
  const describe = (value: string | undefined) =>
    value === undefined ? 'missing' : value.length > 40 ? `${value.length} bytes ${value.slice(0, 20)}` : value;
  const details = wrong.map((full) => `${full}: ${describe(found[full])}, not ${describe(expected[full])}`);
  throw new Error(`${when}: ${details.join('; ')}`);
}
