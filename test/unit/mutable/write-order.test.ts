import test from 'ava';
import fc from 'fast-check';
import type { VersionKey } from '../../../src/mutable/lineage.js';
import { quorumsOf, type SeenShare, type SeenVersion, type SlotMap } from '../../../src/mutable/slot-map.js';
import { WriteOrder, type WritePlan } from '../../../src/mutable/write-order.js';
import type { SdmfPrefix } from '../../../src/share-layout/sdmf-share.js';
import type { StorageServer } from '../../../src/storage-protocol/storage-server.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

const kept = 'kept' as VersionKey;
const other = 'other' as VersionKey;
const fourServers = { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 };
const tenServers = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 };

interface Slot {
  readonly encoding: typeof fourServers;
  /** Of server 0, 1, ...: does it hold the version that is kept, or another one. */
  readonly held: readonly ('kept' | 'other' | 'away')[];
  readonly doubtful?: readonly number[];
}

function orderOf({ encoding, held, doubtful = [] }: Slot): { order: WriteOrder; plans: WritePlan[] } {
  const servers = held.map((_, index) => new MemoryStorageServer(`s${index}`));
  const shares = new Map<number, SeenShare[]>();
  const plans: WritePlan[] = [];
  held.forEach((each, shareNumber) => {
    if (each === 'away') return;
    const server = servers[shareNumber]!;
    const seen = { server, shareNumber, head: new Uint8Array(0), version: each === 'kept' ? kept : other };
    if (each === 'kept') shares.set(shareNumber, [seen]);
    plans.push({ server, held: new Map([[shareNumber, seen]]), written: [shareNumber] });
  });
  plans.sort((a, b) => Number(shares.has(a.written[0]!)) - Number(shares.has(b.written[0]!)));
  const map = { versions: new Map([[kept, { key: kept, prefix: {} as SdmfPrefix, shares } satisfies SeenVersion]]) };
  const failed = new Set<StorageServer>(doubtful.map((index) => servers[index]!));
  const ground = { map: map as unknown as SlotMap, quorums: quorumsOf(encoding), kept, doubtful: failed };
  return { order: new WriteOrder(plans, ground), plans };
}

/** What is sent at once, as numbers of servers, if these fail. */
function rounds(slot: Slot, failing: readonly number[] = []): number[][] {
  const { order } = orderOf(slot);
  const sent: number[][] = [];
  for (let next = order.next(); next.length > 0; next = order.next()) {
    sent.push(next.map(({ written }) => written[0]!));
    for (const plan of next) if (!failing.includes(plan.written[0]!)) order.applied(plan);
  }
  return sent;
}

test('one server decides, all others follow at once; one that is behind is the first', (t) => {
  t.deepEqual(rounds({ encoding: fourServers, held: ['kept', 'kept', 'kept', 'kept'] }), [[0], [1, 2, 3]]);
  t.deepEqual(rounds({ encoding: fourServers, held: ['kept', 'kept', 'kept', 'away'] }), [[0], [1, 2]]);
  t.deepEqual(rounds({ encoding: fourServers, held: ['kept', 'kept', 'kept', 'other'] }), [[3], [0, 1, 2]]);
  t.deepEqual(rounds({ encoding: fourServers, held: ['kept', 'kept', 'other', 'away'] }), [[2], [0, 1]]);
  const seven = [...Array(7).fill('kept'), 'other', 'other', 'other'];
  t.deepEqual(rounds({ encoding: tenServers, held: seven }), [[7], [8, 9, 0, 1, 2, 3, 4, 5, 6]]);
});

test('what three servers hold is replaced when enough of the others have taken the attempt', (t) => {
  const held = [...Array(3).fill('kept'), ...Array(4).fill('other'), ...Array(3).fill('away')];
  t.deepEqual(rounds({ encoding: tenServers, held }), [[3], [4, 5, 6], [0, 1, 2]]);
  t.deepEqual(rounds({ encoding: tenServers, held }, [5]), [[3], [4, 5, 6]]);
});

test('a server that fails first is passed over while there is a quorum without it', (t) => {
  const held = ['kept', 'kept', 'kept', 'other'] as const;
  t.deepEqual(rounds({ encoding: fourServers, held }, [3]), [[3], [0], [1, 2]]);
  t.deepEqual(rounds({ encoding: fourServers, held }, [3, 0]), [[3], [0]]);
});

test('a server that failed the last time comes last, or first and alone if there is no quorum without it', (t) => {
  const all = ['kept', 'kept', 'kept', 'kept'] as const;
  t.deepEqual(rounds({ encoding: fourServers, held: all, doubtful: [0] }), [[1], [2, 3, 0]]);
  t.deepEqual(rounds({ encoding: fourServers, held: all, doubtful: [0, 2] }), [[0], [1, 3, 2]]);
  t.deepEqual(rounds({ encoding: fourServers, held: all, doubtful: [0, 2] }, [0]), [[0], [2], [1, 3]]);
  t.deepEqual(rounds({ encoding: fourServers, held: all, doubtful: [0, 2] }, [0, 2]), [[0], [2]]);
  // and never before it is safe
  const thin = ['kept', 'kept', 'other', 'away'] as const;
  t.deepEqual(rounds({ encoding: fourServers, held: thin, doubtful: [1] }), [[2], [1], [0]]);
  t.deepEqual(rounds({ encoding: fourServers, held: thin, doubtful: [1, 2] }, [2]), [[2]]);
});

test('whatever arrives, in whatever order, either the kept version or the attempt can be read', (t) => {
  const slots = fc.constantFrom(fourServers, tenServers).chain((encoding) => {
    const { sharesNeeded, sharesTotal } = encoding;
    const { write } = quorumsOf(encoding);
    return fc.record({
      encoding: fc.constant(encoding),
      held: fc
        .array(fc.constantFrom<Slot['held'][number]>('kept', 'other', 'away'), {
          minLength: sharesTotal,
          maxLength: sharesTotal,
        })
        .filter((held) => held.filter((each) => each === 'kept').length >= sharesNeeded)
        .filter((held) => held.filter((each) => each !== 'away').length >= write),
      doubtful: fc.subarray(Array.from({ length: sharesTotal }, (_, index) => index)),
      outcomes: fc.array(fc.constantFrom('applied', 'unknown', 'lost'), {
        minLength: sharesTotal,
        maxLength: sharesTotal,
      }),
      places: fc.array(fc.nat(), { minLength: sharesTotal, maxLength: sharesTotal }),
    });
  });
  fc.assert(
    fc.property(slots, ({ outcomes, places, ...slot }) => {
      const { sharesNeeded } = slot.encoding;
      const { order } = orderOf(slot);
      const holding = slot.held.map(String);
      const count = (what: string) => holding.filter((each) => each === what).length;
      for (let next = order.next(); next.length > 0; next = order.next()) {
        const arriving = [...next].sort((a, b) => places[a.written[0]!]! - places[b.written[0]!]!);
        for (const { written } of arriving) {
          if (outcomes[written[0]!] !== 'lost') holding[written[0]!] = 'attempt';
          t.true(count('kept') >= sharesNeeded || count('attempt') >= sharesNeeded);
        }
        for (const plan of next) if (outcomes[plan.written[0]!] === 'applied') order.applied(plan);
      }
      // nobody stops while there is a quorum to be had
      const took = slot.held.filter((each, index) => each !== 'away' && outcomes[index] === 'applied').length;
      if (took >= quorumsOf(slot.encoding).write) t.is(order.written.size, took);
    }),
    { numRuns: 3000 },
  );
});
