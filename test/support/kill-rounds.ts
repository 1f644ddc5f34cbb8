/** `node kill-rounds.js --rounds N --through fuse|sshfs --work rsync|git|fsync [--seed S]`: see test/mount/kill-rounds. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Door, KillHarness } from './kill-harness.js';
import type { WorkName } from './kill-work.js';
import { seededFraction } from './log-owner.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    through: { type: 'string', default: 'fuse,sshfs' },
    work: { type: 'string', default: 'rsync,git,fsync' },
    seed: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const random = seededFraction(seed);
const directory = await mkdtemp(join(tmpdir(), 'tahoe-kill-'));
const harness = await KillHarness.start(directory);
const say = (line: string) => process.stdout.write(`${line}\n`);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void harness.close().then(() => process.exit(1)));
let current = '';
try {
  for (const door of values.through.split(',') as Door[]) {
    for (const work of values.work.split(',') as WorkName[]) {
      let acknowledged = 0;
      let pending = 0;
      let seconds = 0;
      let idle = 0;
      for (let done = 0; done < rounds; ) {
        current = `${work} through ${door}, round ${done + 1}`;
        const report = await harness.round(door, work, random);
        if (report === undefined) {
          idle++;
          if (idle > rounds / 2 + 3) throw new Error('nothing was pending at most of the kills: this shows nothing');
          continue;
        }
        done++;
        acknowledged += report.acknowledged;
        pending += report.pending;
        seconds += report.seconds;
        if (values.verbose) say(JSON.stringify(report));
      }
      say(
        `${work} through ${door}: ${rounds} kills, ${acknowledged} acknowledged, 0 lost, ` +
          `${(pending / rounds).toFixed(1)} pending at a kill, ${(seconds / rounds).toFixed(1)} s a round` +
          `${idle === 0 ? '' : `, ${idle} more with nothing pending`}`,
      );
    }
  }
} catch (error) {
  await harness.close();
  say(`FAILED in ${current} (seed ${seed}): ${error instanceof Error ? error.message : String(error)}`);
  say(`everything is left in ${directory}`);
  process.exit(1);
}
await harness.close();
await rm(directory, { recursive: true, force: true });
process.exit(0);
