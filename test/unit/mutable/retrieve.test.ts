import test from 'ava';
import { isMutableFile, parseKnownCap } from '../../../src/caps/cap.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { mapSlot } from '../../../src/mutable/map-slot.js';
import { retrieveRange } from '../../../src/mutable/retrieve.js';
import { slotKeysOf } from '../../../src/mutable/slot-keys.js';
import { createMutableGrid } from '../../support/mutable-grid.js';

test('of a version with segments of a terabyte not one byte is asked for', async (t) => {
  const grid = createMutableGrid(t);
  const cap = parseKnownCap(await grid.client().createMutable(new Uint8Array(3000), 'sdmf'));
  if (!isMutableFile(cap)) return t.fail();
  const keys = slotKeysOf(cap);
  const map = await mapSlot(grid.slots, keys, grid.servers);
  const [version] = map.versions.values();
  const prefix = { ...version!.prefix, dataLength: 2 ** 40, segmentSize: 2 ** 40 };
  const reads = () => grid.servers.reduce((sum, server) => sum + server.countOf('readSlotShare'), 0);
  const before = reads();
  const error = await t.throwsAsync(
    retrieveRange(grid.slots, keys, { ...version!, prefix }, { offset: 0, length: 10 }),
  );
  t.true(isTahoeError(error, 'too-large'));
  t.is(reads(), before);
});
