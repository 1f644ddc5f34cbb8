import test from 'ava';
import { tryInTurn } from '../../../src/mutable/try-in-turn.js';
import { ManualClock } from '../../support/manual-clock.js';

/** Each candidate succeeds or fails after so long. */
async function tries(enough: number, candidates: readonly (readonly [delayMs: number, isGood: boolean])[]) {
  const clock = new ManualClock();
  const begun: number[] = [];
  let isDone = false;
  const done = tryInTurn(clock, [...candidates.keys()], enough, (index) => {
    begun.push(index);
    const [delayMs, isGood] = candidates[index]!;
    return new Promise((resolve) => clock.setTimer(delayMs, () => resolve(isGood)));
  }).then(() => {
    isDone = true;
  });
  const startMs = clock.monotonicMs();
  await clock.runUntil(() => isDone, 1_000_000);
  await done;
  return { begun, tookMs: clock.monotonicMs() - startMs };
}

test('as many are tried as are needed, and another for each that fails', async (t) => {
  t.deepEqual(
    await tries(2, [
      [10, true],
      [10, true],
      [10, true],
    ]),
    { begun: [0, 1], tookMs: 10 },
  );
  t.deepEqual(
    await tries(2, [
      [10, false],
      [10, true],
      [10, true],
    ]),
    { begun: [0, 1, 2], tookMs: 20 },
  );
  t.deepEqual(
    await tries(2, [
      [10, false],
      [10, true],
    ]),
    { begun: [0, 1], tookMs: 10 },
  );
  t.deepEqual(await tries(1, []), { begun: [], tookMs: 0 });
});

test('one that is late is joined by the next, and counts if it comes first', async (t) => {
  const joined = await tries(1, [
    [60_000, true],
    [60_000, true],
    [10, true],
  ]);
  t.deepEqual(joined, { begun: [0, 1, 2], tookMs: 4010 });
  const first = await tries(1, [
    [2500, true],
    [60_000, true],
  ]);
  t.deepEqual(first, { begun: [0, 1], tookMs: 2500 });
});

test('when all have ended it is over, also if that is not enough', async (t) => {
  t.deepEqual(
    await tries(2, [
      [5000, false],
      [9000, false],
      [10, true],
    ]),
    { begun: [0, 1, 2], tookMs: 9000 },
  );
});

test('what an attempt throws is passed on', async (t) => {
  const failing = tryInTurn(new ManualClock(), [1], 1, () => Promise.reject(new Error('a bug')));
  await t.throwsAsync(failing, { message: 'a bug' });
});
