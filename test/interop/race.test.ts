import test, { type ExecutionContext } from 'ava';
import { MatrixGrids } from './support/matrix-grid.js';
import {
  describeRace,
  type PythonRaceOptions,
  type PythonRaceReport,
  raceForDirectory,
} from './support/python-race.js';

const ADDITIONS = 100;

const grids = new MatrixGrids();
test.after.always(() => grids.close());

async function race(t: ExecutionContext, options: PythonRaceOptions): Promise<PythonRaceReport> {
  const grid = await grids.open({ servers: 'five servers of each', introducer: 'a Python introducer' });
  const report = await raceForDirectory(grid, options);
  t.deepEqual(report.seenByUs, report.seenByPython, 'both read the same');
  for (const [what, python, ours] of describeRace(report)) t.log(`${what}: Python ${python}, ours ${ours}`);
  t.deepEqual(report.ours.lost, [], 'acknowledged by ours, not there, and not said');
  return report;
}

for (const format of ['sdmf', 'mdmf']) {
  test.serial(
    `200 additions to one ${format.toUpperCase()} directory by a Python client and ours: what ours acknowledged is there`,
    async (t) => {
      t.timeout(240_000);
      const { ours, names } = await race(t, { format, additions: ADDITIONS, isEmpty: false });
      t.deepEqual(ours.listed, []);
      t.true(names.has('first'));
      t.true(ours.acknowledged > ADDITIONS / 2, 'somebody gets on');
    },
  );
}

test.serial(
  'additions to one directory that is empty at first, by a Python client and ours: what ours acknowledged is there or among the conflicts',
  async (t) => {
    t.timeout(240_000);
    const { ours } = await race(t, { format: 'sdmf', additions: 20, isEmpty: true });
    t.true(ours.acknowledged > 10, 'somebody gets on');
  },
);
