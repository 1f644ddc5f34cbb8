import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import type { ServerId, StorageIndex } from '../../../src/encoding/brands.js';
import { encodeAscii } from '../../../src/encoding/bytes.js';
import { type Holdings, placementOf, planPlacement, serversOfHappiness } from '../../../src/immutable/placement.js';
import { permuteServers } from '../../../src/storage-protocol/permutation.js';

const id = (name: string | number) => `${name}` as ServerId;
const placement = (shares: Record<number, string[]>) =>
  new Map(Object.entries(shares).map(([share, servers]) => [Number(share), new Set(servers.map(id))]));
const holdings = (servers: Record<string, number[]>): Holdings =>
  new Map(Object.entries(servers).map(([server, shares]) => [id(server), new Set(shares)]));

test('happiness of the known examples', (t) => {
  t.is(serversOfHappiness(new Map()), 0);
  t.is(serversOfHappiness(placement({ 1: ['A'], 2: ['A', 'E'], 3: ['A', 'C'], 4: ['A', 'D'], 6: ['B'] })), 5);
  t.is(serversOfHappiness(placement({ 0: ['a', 'b', 'c'] })), 1);
  t.is(serversOfHappiness(placement({ 0: ['a'], 1: ['a'] })), 1);
  const ten = Object.fromEntries(Array.from({ length: 10 }, (_, share) => [share, ['a', 'b', 'c']]));
  t.is(serversOfHappiness(placement(ten)), 3);
});

test('an empty grid of three takes ten shares evenly', (t) => {
  const plan = planPlacement({
    writeable: ['a', 'b', 'c'].map(id),
    readOnly: [],
    sharesTotal: 10,
    held: new Map(),
    granted: new Map(),
  });
  const counts = ['a', 'b', 'c'].map((server) => [...plan.values()].filter((where) => where === id(server)).length);
  t.deepEqual(counts.sort(), [3, 3, 4]);
});

test('ten holders among fourteen servers keep their shares', (t) => {
  const servers = Array.from({ length: 14 }, (_, i) => id(i));
  const held = new Map(servers.slice(4).map((server, share) => [server, new Set([share])]));
  const plan = planPlacement({ writeable: servers, readOnly: [], sharesTotal: 10, held, granted: new Map() });
  t.deepEqual(
    [...plan].sort((a, b) => a[0] - b[0]),
    servers.slice(4).map((server, share) => [share, server]),
  );
});

test('a complete share is preferred to one that is only promised', (t) => {
  const plan = planPlacement({
    writeable: ['a', 'b'].map(id),
    readOnly: [],
    sharesTotal: 1,
    held: holdings({ b: [0] }),
    granted: holdings({ a: [0] }),
  });
  t.deepEqual([...plan], [[0, id('b')]]);
});

/** Tries every way to give servers shares. */
function bestHappiness(writeable: readonly ServerId[], readOnly: readonly ServerId[], held: Holdings, total: number) {
  const all = Array.from({ length: total }, (_, share) => share);
  const options = [
    ...writeable.map(() => all),
    ...readOnly.map((server) => [...(held.get(server) ?? [])].filter((share) => share < total)),
  ];
  const best = (index: number, used: ReadonlySet<number>): number => {
    if (index === options.length) return 0;
    const taken = options[index]!.filter((share) => !used.has(share));
    return Math.max(best(index + 1, used), ...taken.map((share) => 1 + best(index + 1, new Set([...used, share]))));
  };
  return best(0, new Set());
}

test('plans reach the best possible happiness, give every share a home, and ask nothing of read-only servers', (t) => {
  const shares = fc.uniqueArray(fc.integer({ min: 0, max: 4 }), { maxLength: 3 });
  const problem = fc.record({
    writeable: fc.array(shares, { maxLength: 4 }),
    readOnly: fc.array(shares, { maxLength: 3 }),
    total: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(problem, ({ writeable, readOnly, total }) => {
      const writeableIds = writeable.map((_, i) => id(`w${i}`));
      const readOnlyIds = readOnly.map((_, i) => id(`r${i}`));
      const held = new Map<ServerId, Set<number>>();
      for (const [i, list] of writeable.entries()) held.set(writeableIds[i]!, new Set(list));
      for (const [i, list] of readOnly.entries()) held.set(readOnlyIds[i]!, new Set(list));
      const granted = new Map<ServerId, Set<number>>();
      const plan = planPlacement({ writeable: writeableIds, readOnly: readOnlyIds, sharesTotal: total, held, granted });
      for (const [share, server] of plan) {
        t.true(share < total && (writeableIds.includes(server) || held.get(server)!.has(share)));
      }
      if (writeable.length > 0) t.is(plan.size, total);
      const planned = new Map<ServerId, Set<number>>();
      for (const [share, server] of plan) planned.set(server, (planned.get(server) ?? new Set()).add(share));
      const within = new Map([...held].map(([server, list]) => [server, new Set([...list].filter((s) => s < total))]));
      const reached = serversOfHappiness(placementOf([within, planned]));
      t.is(reached, bestHappiness(writeableIds, readOnlyIds, held, total));
    }),
    { numRuns: 200 },
  );
});

test('servers are permuted as in the known example', (t) => {
  const servers = Array.from({ length: 5 }, (_, i) => ({
    i,
    permutationSeed:
      i === 2 ? encodeAscii('seedseedseedseedseed') : new Uint8Array(createHash('sha256').update(`${i}`).digest()),
  }));
  const storageIndex = Uint8Array.from({ length: 16 }, (_, i) => i) as StorageIndex;
  t.deepEqual(
    permuteServers(servers, storageIndex).map(({ i }) => i),
    [2, 4, 1, 3, 0],
  );
});
