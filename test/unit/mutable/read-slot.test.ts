import test from 'ava';
import { isMutableFile, parseKnownCap } from '../../../src/caps/cap.js';
import { bytesEqual, encodeUtf8 } from '../../../src/encoding/bytes.js';
import { slotServers } from '../../../src/mutable/map-slot.js';
import { slotKeysOf } from '../../../src/mutable/slot-keys.js';
import { createMutableGrid, type MutableGrid } from '../../support/mutable-grid.js';

const before = encodeUtf8('what three servers have kept');
const after = encodeUtf8('what a quorum has taken');
const encoding = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10, serverCount: 20 };

/** The servers in the order in which the slot of this file uses them. */
function permuted(grid: MutableGrid, capText: string) {
  const cap = parseKnownCap(capText);
  if (!isMutableFile(cap)) throw new Error(capText);
  return slotServers(grid.slots, slotKeysOf(cap), encoding.serverCount);
}

test('a version on a quorum beyond the first servers of the list is read, though those can give an older one', async (t) => {
  // every grid takes the same keys, and so has the same list
  const same = createMutableGrid(t, encoding);
  const list = permuted(same, await same.client().createMutable(before)).map(({ id }) => id);
  const grid = createMutableGrid(t, encoding);
  const among = (ids: readonly string[]) => grid.servers.filter(({ id }) => ids.includes(id));
  for (const server of among(list.slice(3, 10))) grid.away.add(server);
  const cap = await grid.client().createMutable(before);
  grid.away.clear();
  for (const server of among(list.slice(0, 3))) server.plan = () => 'fail';
  await grid.client().overwriteMutable(cap, after);
  grid.plan();
  t.true(bytesEqual(await grid.client().readMutable(cap), after));
});
