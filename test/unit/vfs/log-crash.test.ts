import test from 'ava';
import { describeError } from '../../../src/errors/tahoe-error.js';
import { CrashFileStore, type CrashKind } from '../../support/crash-file-store.js';
import { LogOwner, seededFraction, testLogOptions } from '../../support/log-owner.js';

const GENERATIONS = 6;

/** Random work until the disk has crashed, or for a while. */
async function work(owner: LogOwner, fraction: () => number): Promise<void> {
  const background: Promise<unknown>[] = [];
  for (let step = 0; step < 60; step++) {
    const choice = fraction();
    const ids = owner.ids;
    if (choice < 0.6) {
      if (!(await owner.add())) await owner.checkpoint();
    } else if (choice < 0.8 && ids.length > 0) {
      for (const id of ids.slice(0, 1 + Math.floor(fraction() * 8))) owner.remove(id);
    } else if (choice < 0.86) {
      background.push(Promise.allSettled([owner.sync()]));
    } else if (choice < 0.93) {
      await owner.sync();
    } else {
      await owner.checkpoint();
    }
    if (fraction() < 0.1) await owner.verify();
  }
  await Promise.all(background);
}

async function crashingRun(seed: number): Promise<{ crashes: number; states: number }> {
  const fraction = seededFraction(seed);
  let disk = new CrashFileStore();
  let allowed = [''];
  // A killed process may have left more in the page cache than is durable, until the next one has opened the log.
  let durable = [''];
  let nextId = 1;
  let crashes = 0;
  let states = 0;
  for (let generation = 0; generation < GENERATIONS; generation++) {
    disk.crashAt = disk.operations + 1 + Math.floor(fraction() * fraction() * 160);
    let owner: LogOwner | undefined;
    try {
      owner = await LogOwner.open(testLogOptions(disk, seed * 100 + generation), nextId);
      if (!allowed.includes(owner.state)) {
        throw new Error(
          `seed ${seed} generation ${generation}: state ${owner.state} is none of ${allowed.join(' | ')}`,
        );
      }
      await owner.verify();
      await work(owner, fraction);
      await owner.log.close();
    } catch (error) {
      if (!describeError(error).includes('crashed failed')) throw error;
      crashes += 1;
    }
    const kind: CrashKind = fraction() < 0.3 ? 'kill' : 'power';
    if (owner !== undefined) {
      states += owner.history.length;
      nextId = owner.nextId;
      const attempted = owner.attempted === undefined ? [] : [owner.attempted];
      durable = [...owner.history.slice(owner.promised), ...attempted];
      // A killed process loses nothing that it has appended.
      allowed = [...owner.history.slice(-1), ...attempted];
    }
    if (kind === 'power') allowed = durable;
    disk = disk.afterCrash(kind, fraction);
  }
  const last = await LogOwner.open(testLogOptions(disk, seed * 100 + 99), nextId);
  if (!allowed.includes(last.state))
    throw new Error(`seed ${seed}: last state ${last.state} is none of ${allowed.join(' | ')}`);
  await last.verify();
  await last.log.close();
  return { crashes, states };
}

test('whatever was synced is there after any crash, and nothing but a prefix of what was appended', async (t) => {
  let crashes = 0;
  let states = 0;
  for (let seed = 1; seed <= 60; seed++) {
    try {
      const result = await crashingRun(seed);
      crashes += result.crashes;
      states += result.states;
    } catch (error) {
      t.fail(`seed ${seed}: ${error instanceof Error ? error.stack : String(error)}`);
      return;
    }
  }
  t.log(`${crashes} crashes, ${states} states`);
  t.true(crashes > 200);
});
