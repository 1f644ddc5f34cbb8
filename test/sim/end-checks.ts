/** When all faults have ended: pending work ends, nothing has vanished, and everybody sees the same. */
import type { Found } from './own-model.js';
import { difference } from './own-model.js';
import type { Seat, Simulation } from './simulation.js';
import { toldFirst, walk } from './vfs-calls.js';

/** Time for all work to end: longer than servers keep a dead upload, and than any back-off. */
const QUIET_MS = 40 * 60_000;
/** A node that has stopped with one thing may need this long for the others. */
const STOPPED_MS = 5 * 60_000;
/** Longer than a view may be old. */
const FRESH_MS = 7000;

export async function checkEnd(simulation: Simulation): Promise<void> {
  const { seats, time } = simulation;
  await time.runUntil(() => seats.every(({ waiting }) => waiting === 0), QUIET_MS);
  if (seats.some(({ waiting }) => waiting > 0)) return simulation.violate('typed errors', 'operations have no end');
  simulation.endFaults();
  for (const seat of seats) if (!(await broughtUp(simulation, seat))) return;
  for (const seat of seats) await simulation.finished(seat.own.closeAll());
  const isQuiet = await time.runUntil(() => seats.every((seat) => isDone(seat)), QUIET_MS);
  if (!isQuiet) {
    const waiting = seats.filter((seat) => !isDone(seat)).map(describe);
    return simulation.violate('pending work ends', waiting.join('; '));
  }
  // what does not wait for somebody to decide goes on beside it
  if (seats.some(hasPending)) await time.pass(STOPPED_MS);
  await time.pass(FRESH_MS);
  if (simulation.violation === undefined) await checkTrees(simulation);
}

async function broughtUp(simulation: Simulation, seat: Seat): Promise<boolean> {
  const { time } = simulation;
  for (let attempt = 0; attempt < 40; attempt++) {
    if (seat.upAtMs !== undefined) await time.pass(Math.max(0, seat.upAtMs - time.nowMs));
    if (await simulation.finished(simulation.settle(seat))) return true;
    await time.pass(30_000);
  }
  simulation.violate('pending work ends', `${seat.node.name} cannot read its own directory`);
  return false;
}

async function checkTrees(simulation: Simulation): Promise<void> {
  const { oracle, seats } = simulation;
  const newcomer = await simulation.newcomer();
  const grid = await treeSeenBy(simulation, newcomer.vfs, 'a new node');
  if (grid === undefined) return;
  const contents = new Set<string>();
  addContents(contents, grid);
  for (const seat of seats) {
    const view = await treeSeenBy(simulation, seat.node.vfs, seat.node.name);
    if (view === undefined) return;
    const stopped = stoppedAt(seat);
    const isKept = (path: string) => stopped.some((directory) => isBelow(path, directory));
    addContents(contents, only(view, isKept));
    const isPublished = (path: string) => !isKept(path);
    const { home, isOver, model } = seat.own;
    const own = below(only(grid, isPublished), home);
    const expected = only(model.now, (path) => isPublished(home + path));
    const wrong = isOver ? undefined : difference(expected, own);
    if (wrong !== undefined) return simulation.violate('nothing vanishes', `on the grid ${seat.node.name} ${wrong}`);
    // versions that a lost node left half published, or a server brought back, may be seen or not
    const apart = simulation.isSettled
      ? differenceOfViews(only(view, isPublished), only(grid, isPublished))
      : undefined;
    if (apart !== undefined) return simulation.violate('views agree', `${seat.node.name} ${apart}`);
  }
  for (const [path, each] of grid) {
    if (each.kind === 'file' && !oracle.isLegal(each.content, path))
      return simulation.violate('whole files only', `${path} ${JSON.stringify(each.content.slice(0, 60))}`);
  }
  const [missing] = oracle.missing(contents);
  if (missing !== undefined) {
    const { path, node, isSynced, content } = missing;
    simulation.violate('nothing vanishes', `n${node} ${path}${isSynced ? ', synced' : ''}: ${content.slice(0, 40)}`);
  }
}

async function treeSeenBy(simulation: Simulation, vfs: Seat['node']['vfs'], who: string) {
  try {
    const root = await simulation.finished(vfs.openRoot(simulation.rootCap));
    return await simulation.finished(toldFirst(() => walk(vfs, root.inode)));
  } catch (error) {
    simulation.violate('nothing vanishes', `${who} cannot read the tree: ${String(error)}`);
    return undefined;
  }
}

/** What waits is what it says it cannot publish, and nothing else. */
function isDone(seat: Seat): boolean {
  const stopped = stoppedAt(seat).length;
  return !hasPending(seat) || (stopped > 0 && stopped === seat.node.vfs.status().directoriesPending);
}

function hasPending({ node }: Seat): boolean {
  const { filesPending, directoriesPending } = node.vfs.status();
  return filesPending + directoriesPending > 0;
}

/** The directories of which it says so. All that waits is a name in one that waits, or the content of such a name. */
function stoppedAt({ node }: Seat): string[] {
  return node.vfs
    .status()
    .problems.filter(({ state }) => state.state === 'failed')
    .map(({ path }) => path);
}

function describe({ node }: Seat): string {
  return `${node.name} ${JSON.stringify(node.vfs.status())}`;
}

function addContents(contents: Set<string>, tree: ReadonlyMap<string, Found>): void {
  for (const each of tree.values()) if (each.kind === 'file') contents.add(each.content);
}

function isBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

function only<Value>(tree: ReadonlyMap<string, Value>, isMeant: (path: string) => boolean): Map<string, Value> {
  return new Map([...tree].filter(([path]) => isMeant(path)));
}

function below(tree: ReadonlyMap<string, Found>, directory: string): Map<string, Found> {
  const part = only(tree, (path) => isBelow(path, directory));
  return new Map([...part].map(([path, each]) => [path.slice(directory.length), each]));
}

/** Which link of a ring leads back depends on the one that a node has looked at first. */
function differenceOfViews(view: ReadonlyMap<string, Found>, grid: ReadonlyMap<string, Found>): string | undefined {
  const rings = [...view, ...grid].filter(([, each]) => each.kind === 'file' && each.isRing).map(([path]) => path);
  for (const path of new Set([...view.keys(), ...grid.keys()])) {
    if (rings.some((ring) => isBelow(path, ring))) continue;
    const [here, there] = [view.get(path), grid.get(path)].map((each) => JSON.stringify(each)?.slice(0, 80));
    if (here !== there) return `has ${path} as ${here}, a new node as ${there}`;
  }
  return undefined;
}
