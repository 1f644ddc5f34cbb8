import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import type { Conflict, ConflictChoice } from '../../src/vfs/vfs.js';
import { type Outcome, runTahoe, tahoe, tahoeOutput, temporaryDirectory } from '../support/running-tahoe.js';

/** After so long a node looks at a directory again when it is asked for it. */
const FRESHNESS_MS = 5_500;
const ATTEMPTS_MAX = 10;
const CHOICES: readonly ConflictChoice[] = ['ours', 'theirs', 'both'];

/** Four storage servers behind HTTPS and two clients with the same root directory, in processes of their own. */
async function twoClients(t: ExecutionContext): Promise<{ work: string; nodes: [string, string] }> {
  const work = await temporaryDirectory(t);
  const grid = join(work, 'grid');
  await tahoeOutput(
    ...['create-grid', grid, '--servers', '4'],
    ...['--shares-needed', '2', '--shares-happy', '3', '--shares-total', '4'],
  );
  await runTahoe(t, grid);
  const furl = (await readFile(join(grid, 'introducer/private/introducer.furl'), 'utf8')).trim();
  const root = (await readFile(join(grid, 'client/private/root_dir.cap'), 'utf8')).trim();
  const second = join(work, 'second');
  await tahoeOutput(
    ...['create-client', second, '--introducer', furl, '--root', root],
    ...['--shares-needed', '2', '--shares-happy', '3', '--shares-total', '4'],
  );
  await runTahoe(t, second);
  return { work, nodes: [grid, second] };
}

async function conflictsOf(node: string): Promise<readonly Conflict[]> {
  return JSON.parse(await tahoeOutput('-d', node, 'conflicts', 'list', '--json')) as readonly Conflict[];
}

/** Both make the name at the same time. Returns the place of the node that has the copy, and its conflict. */
async function makeConflict(
  t: ExecutionContext,
  work: string,
  nodes: readonly string[],
  name: string,
): Promise<{ readonly loser: number; readonly conflict: Conflict }> {
  const put = async (node: string, index: number): Promise<Outcome> => {
    const path = join(work, `${name} of ${index}`);
    await writeFile(path, contentOf(index));
    return tahoe('-d', node, 'put', path, `tahoe:${name}`);
  };
  let outcomes: Outcome[] = [];
  let all: (readonly Conflict[])[] = [];
  let loser = -1;
  for (let attempt = 0; loser < 0; attempt++) {
    if (attempt > 0) {
      // on a busy machine one may be done before the other begins, and then it has seen what it replaces
      t.true(attempt < ATTEMPTS_MAX && outcomes.every(({ code }) => code === 0), 'they have not met');
      await tahoeOutput('-d', nodes[0]!, 'rm', `tahoe:${name}`);
      await tahoeOutput('-d', nodes[0]!, 'sync');
      await delay(FRESHNESS_MS);
    }
    // from now on for some seconds neither looks again
    await Promise.all(nodes.map((node) => tahoeOutput('-d', node, 'ls')));
    outcomes = await Promise.all(nodes.map(put));
    all = await Promise.all(nodes.map(conflictsOf));
    loser = all.findIndex((conflicts) => conflicts.some(({ path }) => path === `/${name}`));
  }
  t.deepEqual(all[1 - loser], [], 'the other one has nothing to decide');
  t.is(outcomes[1 - loser]!.code, 0, outcomes[1 - loser]!.stderr);
  t.is(outcomes[loser]!.code, 6);
  t.regex(
    outcomes[loser]!.stderr,
    /UncoordinatedWriteError: "file for \w+\.txt" was changed by another writer as well/,
  );
  return { loser, conflict: all[loser]!.find(({ path }) => path === `/${name}`)! };
}

const contentOf = (index: number) => `content of ${index}`;

/** What the commands say of it, word for word. */
async function checkWords(t: ExecutionContext, node: string, { id, conflictPath }: Conflict, name: string) {
  const copyName = conflictPath!.slice(1);
  t.regex(copyName, /^file for \w+\.conflict-client-\d{8}T\d{6}Z\.txt$/);
  t.is(await tahoeOutput('-d', node, 'conflicts'), `${id}  /${name}  ours is /${copyName}`);
  const shown = await tahoeOutput('-d', node, 'conflicts', 'show', String(id));
  t.regex(shown, new RegExp(`^conflict ${id}: /${name} \\(both made the name\\), found \\d{4}-`));
  t.regex(shown, /^ours: {3}file of 12 bytes/m);
  t.regex(shown, /^theirs: file of 12 bytes/m);
  t.regex(await tahoeOutput('-d', node, 'status'), /^conflicts: 1 \(see: tahoe conflicts\)$/m);
  t.regex(await tahoeOutput('-d', node, 'status', `tahoe:${copyName}`), /conflict/);
}

test('two nodes that make the same name have one conflict, listed, shown and settled by the command line, and both see what was chosen', async (t) => {
  t.timeout(240_000);
  const { work, nodes } = await twoClients(t);
  const expected: Record<string, string> = {};
  for (const choice of CHOICES) {
    const name = `file for ${choice}.txt`;
    const { loser, conflict } = await makeConflict(t, work, nodes, name);
    const node = nodes[loser]!;
    const { id, conflictPath } = conflict;
    const copyName = conflictPath!.slice(1);
    if (choice === CHOICES[0]) await checkWords(t, node, conflict, name);
    t.is(await tahoeOutput('-d', node, 'get', `tahoe:${name}`), contentOf(1 - loser));
    t.is(await tahoeOutput('-d', node, 'get', `tahoe:${copyName}`), contentOf(loser));

    t.is((await tahoe('-d', node, 'conflicts', 'resolve', String(id), choice)).code, 0);
    t.deepEqual(await conflictsOf(node), []);
    await tahoeOutput('-d', node, 'sync');
    expected[name] = contentOf(choice === 'ours' ? loser : 1 - loser);
    if (choice === 'both') expected[copyName] = contentOf(loser);
    await delay(FRESHNESS_MS);
  }
  for (const node of nodes) {
    const names = (await tahoeOutput('-d', node, 'ls')).split('\n');
    const seen = await Promise.all(
      names.map(async (name) => [name, await tahoeOutput('-d', node, 'get', `tahoe:${name}`)] as const),
    );
    t.deepEqual(Object.fromEntries(seen), expected);
    t.notRegex(await tahoeOutput('-d', node, 'status'), /conflicts:/);
  }
});
