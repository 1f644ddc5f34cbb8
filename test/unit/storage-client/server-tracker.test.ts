import test from 'ava';
import { silentLogger } from '../../../src/platform/logger.js';
import { ServerTracker } from '../../../src/storage-client/server-tracker.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

const MINUTE_MS = 60_000;

function tracked(count: number) {
  const clock = new ManualClock();
  const entropy = { bytes: (length: number) => new Uint8Array(length), fraction: () => 0.999 };
  const tracker = new ServerTracker({ clock, entropy, log: silentLogger });
  const servers = Array.from({ length: count }, (_, index) => new MemoryStorageServer(`s${index}`));
  for (const server of servers) void tracker.add(server);
  let returns = 0;
  tracker.onReturn(() => {
    returns++;
  });
  const pass = (ms: number) => clock.runUntil(() => false, ms);
  const away = (indices: readonly number[]) =>
    servers.forEach((server, index) => {
      server.plan = () => (indices.includes(index) ? 'fail' : undefined);
    });
  const reachable = () => servers.filter((server) => tracker.isReachable(server)).length;
  return { tracker, servers, pass, away, reachable, returns: () => returns };
}

test('after an outage of all servers all are there again within 5 seconds, however long it was, and whoever listens is told', async (t) => {
  const { pass, away, reachable, returns } = tracked(10);
  await pass(MINUTE_MS);
  t.is(reachable(), 10);
  const before = returns();
  away([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await pass(60 * MINUTE_MS);
  t.is(reachable(), 0);
  t.is(returns(), before);
  away([]);
  await pass(5000);
  t.is(reachable(), 10);
  t.is(returns(), before + 10);
});

test('when one answers after none did the others are asked at once', async (t) => {
  const { servers, pass, away, reachable } = tracked(4);
  away([0, 1, 2, 3]);
  await pass(10 * MINUTE_MS);
  away([]);
  await servers[2]!.version();
  while (reachable() === 0) await pass(1);
  await pass(1);
  t.is(reachable(), 4);
});

test('one server of many that is away for long is asked once a minute, many of them at most each 5 seconds', async (t) => {
  const { servers, pass, away, returns } = tracked(10);
  away([0]);
  await pass(20 * MINUTE_MS);
  const asked = (index: number) => servers[index]!.countOf('version');
  const one = asked(0);
  await pass(20 * MINUTE_MS);
  t.true(asked(0) - one <= 21, `${asked(0) - one}`);
  away([0, 1, 2, 3]);
  await pass(20 * MINUTE_MS);
  const many = asked(1);
  await pass(MINUTE_MS);
  t.true(asked(1) - many >= 11 && asked(1) - many <= 13, `${asked(1) - many}`);
  const before = returns();
  away([0]);
  await pass(5000);
  t.is(returns(), before + 3);
});

test('a listener that has ended is told no more, nor is anybody when the tracker has stopped', async (t) => {
  const { tracker, pass, away } = tracked(1);
  let told = 0;
  const end = tracker.onReturn(() => {
    told++;
  });
  away([0]);
  await pass(MINUTE_MS);
  const before = told;
  end();
  away([]);
  await pass(MINUTE_MS);
  t.is(told, before);
  tracker.stop();
  await pass(MINUTE_MS);
  t.is(told, before);
});
