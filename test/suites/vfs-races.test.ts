import test, { type ExecutionContext } from 'ava';
import { Race } from '../support/race.js';
import { startHttpsServer } from '../support/storage-servers.js';
import type { VfsGridOptions } from '../support/vfs-grid.js';

interface RaceOptions {
  readonly users: number;
  /** Operations of each user. */
  readonly steps: number;
  /** One fault in so many requests. */
  readonly faultOneIn: number;
  readonly grid?: VfsGridOptions;
}

/** Returns the conflicts that were found. */
async function race(t: ExecutionContext<unknown>, seed: number, options: RaceOptions): Promise<number> {
  const run = new Race(t, seed, options.grid ?? {});
  await run.start(options.users);
  run.faults(options.faultOneIn);
  await Promise.all(
    run.users.map(async (user) => {
      for (let step = 0; step < options.steps; step++) await user.act(['a', 'b.txt', 'c']);
    }),
  );
  const { lost, problems, conflicts } = await run.end();
  t.deepEqual(lost, [], lost.length > 0 ? run.story.join('\n') : undefined);
  t.deepEqual(problems, []);
  for (const { node } of run.users) await node.stop();
  return conflicts;
}

/** By hand more of them: VFS_RACES seeds from VFS_RACE_SEED on, VFS_RACE_STEPS operations of each node; `npm run races`. */
const seeds = Number(process.env.VFS_RACES ?? 1);
const first = Number(process.env.VFS_RACE_SEED ?? 1);
const steps = Number(process.env.VFS_RACE_STEPS ?? 30);

for (const users of [2, 3]) {
  test(`${users} nodes at the same names of the same directories, cut off and killed, lose nothing`, async (t) => {
    let conflicts = 0;
    for (let seed = first; seed < first + seeds; seed++)
      conflicts += await race(t, seed * 10 + users, { users, steps, faultOneIn: 25 });
    t.log(`${conflicts} conflicts`);
  });
}

test('two nodes at the same names over servers behind HTTPS lose nothing', async (t) => {
  const remote = await Promise.all(Array.from({ length: 4 }, async () => (await startHttpsServer(t)).client));
  let conflicts = 0;
  for (let seed = first; seed < first + seeds; seed++)
    conflicts += await race(t, seed, { users: 2, steps, faultOneIn: 0, grid: { remote } });
  t.log(`${conflicts} conflicts`);
});
