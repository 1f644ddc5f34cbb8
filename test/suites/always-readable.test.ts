/**
 * Writers of one mutable file that fail one after the other, each without anything that the one before it knew: at no
 * moment is there less for others to read than was acknowledged. The time is virtual.
 */
import test from 'ava';
import { toHex } from '../../src/encoding/bytes.js';
import { FaultGrid, isBytes } from '../support/fault-matrix.js';
import type { ServerFault } from '../support/faulty-storage-server.js';
import { seededFraction } from '../support/log-owner.js';

const SEEDS = 12;
const WRITERS = 6;
const NEEDED = 3;
/** W is 5 = 2 k - 1: two servers may be away. */
const encoding = { sharesNeeded: NEEDED, sharesHappy: 5, sharesTotal: 7 };
const writeFaults: readonly ServerFault[] = [
  { kind: 'disk-full' },
  { kind: 'disk-full' },
  { kind: 'refuse' },
  { kind: 'lose-answer' },
];

/** The highest sequence number that others can read, from all servers. */
function readable(grid: FaultGrid): number {
  const counts = new Map<string, number>();
  let highest = 0;
  for (const { slots } of grid.inner) {
    for (const { shares } of slots.values()) {
      for (const share of shares.values()) {
        // format, sequence number, root hash
        const version = toHex(share.subarray(0, 41));
        const count = (counts.get(version) ?? 0) + 1;
        counts.set(version, count);
        if (count >= NEEDED) highest = Math.max(highest, share[8]!);
      }
    }
  }
  return highest;
}

for (const format of ['sdmf', 'mdmf'] as const) {
  for (const away of [[], [2, 4]]) {
    const where = away.length === 0 ? 'all servers answer' : 'two of seven servers are away';
    test(`${format}: writers that fail half-way one after the other never leave less than was acknowledged; ${where}`, async (t) => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const fraction = seededFraction(seed);
        const grid = new FaultGrid(encoding);
        const content = (word: string) => new Uint8Array(Buffer.from(word.repeat(50)));
        const { value: cap } = await grid.run(() => grid.client().createMutable(content('first'), format));
        // so that they are behind already
        grid.breakBy((server) => (away.includes(server) ? { kind: 'refuse' } : undefined));
        t.is((await grid.run(() => grid.client().overwriteMutable(cap!, content('second')))).error, undefined);
        let acknowledged = readable(grid);
        let lowest = 0;
        grid.breakBy((server, { isWrite }) => {
          lowest = Math.min(lowest, readable(grid) - acknowledged);
          if (away.includes(server)) return { kind: 'refuse' };
          return isWrite && fraction() < 0.3 ? writeFaults[Math.floor(fraction() * writeFaults.length)] : undefined;
        });
        for (let writer = 0; writer < WRITERS; writer++) {
          const { error } = await grid.run(() => grid.client().overwriteMutable(cap!, content(`writer ${writer} `)));
          if (error === undefined) acknowledged = readable(grid);
        }
        t.true(Math.min(lowest, readable(grid) - acknowledged) >= 0, `seed ${seed}`);
        grid.repair();
        const last = await grid.run(() => grid.client().overwriteMutable(cap!, content('last')));
        t.is(last.error, undefined, `seed ${seed}`);
        const read = await grid.run(() => grid.client().readMutable(cap!));
        t.true(isBytes(read.value, content('last')));
      }
    });
  }
}
