/** How many times a writer of a mutable file waits for servers, on a clock on which each answer takes a second. */
import test from 'ava';
import { FaultGrid } from '../support/fault-matrix.js';

const content = (word: string) => new Uint8Array(Buffer.from(word.repeat(50)));

for (const encoding of [
  { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 },
  { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 },
]) {
  const { sharesNeeded, sharesTotal } = encoding;
  test(`${sharesNeeded}-of-${sharesTotal}: a publish is a map, the first server, all others and a read-back, also beside servers that are behind`, async (t) => {
    const grid = new FaultGrid(encoding);
    let away: readonly number[] = [];
    grid.breakBy((server) => (away.includes(server) ? { kind: 'refuse' } : { kind: 'late-answer', delayMs: 1000 }));
    const { value: cap } = await grid.run(() => grid.client().createMutable(content('first')));
    const seconds = async (word: string) => {
      const { error, tookMs } = await grid.run(() => grid.client().overwriteMutable(cap!, content(word)));
      t.is(error, undefined);
      return tookMs / 1000;
    };
    t.is(await seconds('all are there'), 4);
    away = Array.from({ length: sharesTotal - encoding.sharesHappy }, (_, index) => index);
    t.is(await seconds('as few as can be are there'), 4);
    away = [];
    t.is(await seconds('some are behind'), 4);
    t.is(await seconds('all are there again'), 4);
  });
}

test('a publish goes on without the first server when its disk is full; the next ones begin elsewhere and lose no time', async (t) => {
  const grid = new FaultGrid({ sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 });
  const client = grid.client();
  const { value: cap } = await grid.run(() => client.createMutable(content('first')));
  const full = grid.inner.findIndex(({ slots }) => [...slots.values()].some(({ shares }) => shares.has(0)));
  grid.breakBy((server, { isWrite }) =>
    isWrite && server === full ? { kind: 'disk-full' } : { kind: 'late-answer', delayMs: 1000 },
  );
  for (const word of ['one', 'two', 'three']) {
    const { error, tookMs } = await grid.run(() => client.overwriteMutable(cap!, content(word)));
    t.is(error, undefined);
    // a full disk says so at once
    t.is(tookMs, 4000);
  }
  t.deepEqual((await grid.run(() => grid.client().readMutable(cap!))).value, content('three'));
});
