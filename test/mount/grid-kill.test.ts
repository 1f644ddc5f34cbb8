import test from 'ava';
import type { Door } from '../support/kill-client.js';
import { encodings, KillHarness } from '../support/kill-harness.js';
import type { WorkName } from '../support/kill-work.js';
import { temporaryDirectory } from '../support/running-tahoe.js';

/** Two kills of each; `test/mount/kill-rounds --rounds N` does more. */
const ROUNDS = 2;

for (const door of ['fuse', 'sshfs'] as const satisfies readonly Door[]) {
  test(`what a program was told before kill -9 of the node under ${door} is kept here, and reaches the grid`, async (t) => {
    t.timeout(300_000);
    const harness = await KillHarness.start(await temporaryDirectory(t), encodings[0]);
    t.teardown(() => harness.close());
    for (const work of ['rsync', 'git', 'fsync'] as const satisfies readonly WorkName[]) {
      let shown = 0;
      for (let round = 0; round < 5 * ROUNDS && shown < ROUNDS; round++) {
        const report = await harness.round(door, work, Math.random);
        if (report === undefined) continue;
        shown++;
        t.log(JSON.stringify(report));
      }
      t.is(shown, ROUNDS, `${work}: something was pending at the kills`);
    }
  });
}
