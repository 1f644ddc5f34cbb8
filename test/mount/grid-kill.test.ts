import test from 'ava';
import { compareByReader, killRound, type RoundReport } from '../support/kill-rounds.js';
import { startGrid } from '../support/real-grid.js';

const rounds = Number(process.env.KILL_ROUNDS ?? '3');

test(`kill -9 of the node during an rsync, ${rounds} rounds: everything acknowledged is there and reaches the grid`, async (t) => {
  t.timeout(rounds * 60_000 + 120_000);
  const grid = await startGrid(t);
  const reports: RoundReport[] = [];
  for (let round = 1; round <= rounds; round++) {
    const report = await killRound(t, grid, round, 20 + ((round * 53) % 250));
    reports.push(report);
    t.log(JSON.stringify(report));
  }
  await compareByReader(t, grid, reports);
  t.is(reports.length, rounds);
});
