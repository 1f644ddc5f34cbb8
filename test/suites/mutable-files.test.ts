/** Mutable files as the grid has them: SDMF and MDMF, whole and in ranges, with damage and with other writers. */
import test from 'ava';
import { parseKnownCap, readCapOf, serializeCap, verifyCapOf } from '../../src/caps/cap.js';
import { bytesEqual } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { parseMdmfHead } from '../../src/share-layout/mdmf-share.js';
import { createMutableGrid } from '../support/mutable-grid.js';
import { randomSource } from '../support/mutations.js';

const SEGMENT = 131_073;

function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167 + 13 * seed) % 251);
}

function readCap(cap: string): string {
  return serializeCap(readCapOf(parseKnownCap(cap))!);
}

for (const format of ['sdmf', 'mdmf'] as const) {
  for (const size of [0, 1, 5, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT]) {
    test(`${format}: ${size} bytes are read with both capabilities, whole and in ranges, and replaced`, async (t) => {
      const grid = createMutableGrid(t);
      const client = grid.client();
      const content = pattern(size);
      const cap = await client.createMutable(content, format);
      t.true(cap.startsWith(format === 'sdmf' ? 'URI:SSK:' : 'URI:MDMF:'));
      t.is(grid.shares(cap).size, 10);
      for (const each of [cap, readCap(cap)]) {
        t.deepEqual(await client.readMutable(each), content);
        const file = await grid.client().openMutable(each);
        t.is(file.sizeBytes, size);
        for (const [offset, length] of [
          [0, size],
          [0, 1],
          [size - 1, 10],
          [SEGMENT - 3, 7],
          [size, 5],
          [size + 100, 5],
        ] as const) {
          if (offset < 0) continue;
          t.deepEqual(await file.read(offset, length), content.slice(offset, offset + length), `${offset} ${length}`);
        }
      }
      const next = pattern(Math.floor(size / 2) + 3, 5);
      await client.overwriteMutable(cap, next);
      t.deepEqual(await grid.client().readMutable(readCap(cap)), next);
      const error = await t.throwsAsync(client.overwriteMutable(readCap(cap), next));
      t.true(isTahoeError(error, 'read-only'));
      const verify = serializeCap(verifyCapOf(parseKnownCap(cap))!);
      t.true(isTahoeError(await t.throwsAsync(client.readMutable(verify)), 'bad-cap'));
    });
  }
}

test('the MDMF form holds also for what was written in the other one', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const sdmf = await client.createMutable(pattern(1000), 'sdmf');
  const mdmf = sdmf.replace('URI:SSK:', 'URI:MDMF:');
  t.deepEqual(await client.readMutable(mdmf), pattern(1000));
  await client.overwriteMutable(mdmf, pattern(2000));
  t.true([...grid.shares(sdmf).values()].every((share) => share[0] === 1));
  t.deepEqual(await client.readMutable(readCap(sdmf)), pattern(2000));
});

for (const format of ['sdmf', 'mdmf'] as const) {
  test(`${format}: random changes and ranges give what a byte array gives`, async (t) => {
    const grid = createMutableGrid(t, { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 });
    const random = randomSource(format === 'sdmf' ? 77 : 78);
    const [writer, reader] = [grid.client(), grid.client()];
    const segment = 131_072;
    let model = pattern(random.below(3 * segment));
    const cap = await writer.createMutable(model, format);
    const near = () => {
      const edges = [0, segment, 2 * segment, model.length, random.below(model.length + 1)];
      return Math.min(model.length, Math.max(0, edges[random.below(edges.length)]! + random.below(5) - 2));
    };
    for (let round = 0; round < 40; round++) {
      const offset = near();
      const length = random.below(4) === 0 ? random.below(2 * segment) : random.below(200);
      if (random.below(8) === 0) {
        model = pattern(length, round);
        await writer.overwriteMutable(cap, model);
      } else {
        const grown = new Uint8Array(Math.max(model.length, offset + length));
        grown.set(model);
        grown.set(pattern(length, round), offset);
        model = grown;
        await writer.updateMutable(cap, offset, pattern(length, round));
      }
      const file = await reader.openMutable(readCap(cap));
      t.is(file.sizeBytes, model.length);
      const [from, size] = [near(), random.below(segment * 2)];
      t.true(bytesEqual(await file.read(from, size), model.subarray(from, from + size)), `round ${round}`);
      if (round % 8 === 0) t.true(bytesEqual(await reader.readMutable(cap), model), `round ${round}`);
    }
    t.true(bytesEqual(await reader.readMutable(cap), model));
  });
}

test('two updates that extend the file, one after the other, leave it readable', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const cap = await client.createMutable(pattern(SEGMENT - 10), 'mdmf');
  await client.updateMutable(cap, SEGMENT - 10, pattern(20, 2));
  await client.updateMutable(cap, SEGMENT + 10, pattern(20, 3));
  const read = await grid.client().readMutable(cap);
  t.deepEqual(read.subarray(SEGMENT - 10), new Uint8Array([...pattern(20, 2), ...pattern(20, 3)]));
});

test('appending at a segment boundary and to an empty file works in place', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const cap = await client.createMutable(new Uint8Array(0), 'mdmf');
  await client.updateMutable(cap, 0, pattern(SEGMENT));
  await client.updateMutable(cap, SEGMENT, pattern(7, 2));
  const read = await grid.client().readMutable(cap);
  t.true(bytesEqual(read, new Uint8Array([...pattern(SEGMENT), ...pattern(7, 2)])));
});

test('an update sends the segments that it changes, the hashes and the signature, and no more', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const content = pattern(8 * SEGMENT);
  const cap = await client.createMutable(content, 'mdmf');
  const before = grid.shares(cap);
  await client.updateMutable(cap, 3 * SEGMENT + 5, pattern(10, 9));
  const block = 16 + SEGMENT / 3;
  for (const [number, share] of grid.shares(cap)) {
    const old = before.get(number)!;
    const { offsets } = parseMdmfHead(share);
    const same = (start: number, end: number) => bytesEqual(share.subarray(start, end), old.subarray(start, end));
    t.is(share.length, old.length);
    t.true(same(offsets.encryptedPrivateKey, offsets.shareHashChain));
    t.true(same(offsets.publicKey, offsets.shareData + 3 * block), 'the segments before');
    t.false(same(offsets.shareData + 3 * block, offsets.shareData + 3 * block + 16), 'a new salt');
    t.true(same(offsets.shareData + 4 * block, offsets.blockHashTree), 'the segments behind');
  }
  content.set(pattern(10, 9), 3 * SEGMENT + 5);
  t.true(bytesEqual(await grid.client().readMutable(cap), content));
});

test('an update while a server is away, or with a share missing, writes everything anew where it may', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const content = pattern(2 * SEGMENT);
  const cap = await client.createMutable(content, 'mdmf');
  grid.servers[4]!.plan = () => 'fail';
  await client.updateMutable(cap, 5, pattern(10, 2));
  content.set(pattern(10, 2), 5);
  grid.plan();
  t.true(bytesEqual(await grid.client().readMutable(cap), content));
  // the server is back with the version before: it must not keep the others from being written, and follows
  await client.updateMutable(cap, SEGMENT, pattern(10, 3));
  content.set(pattern(10, 3), SEGMENT);
  t.true(bytesEqual(await grid.client().readMutable(cap), content));
  t.true([...grid.shares(cap).values()].every((share) => share[8] === 3));
  for (const server of grid.servers) for (const { shares } of server.slots.values()) shares.delete(2);
  await client.updateMutable(cap, 2 * SEGMENT, pattern(1, 4));
  t.is(grid.shares(cap).size, 10);
  t.true(bytesEqual((await grid.client().readMutable(cap)).subarray(2 * SEGMENT), pattern(1, 4)));
});

test('an update behind the end is refused and changes nothing', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  for (const format of ['sdmf', 'mdmf'] as const) {
    const cap = await client.createMutable(pattern(10), format);
    t.true(isTahoeError(await t.throwsAsync(client.updateMutable(cap, 11, pattern(1))), 'invalid'));
    t.deepEqual(await client.readMutable(cap), pattern(10));
  }
});

test('writes of one node to one file go one after the other, whichever capability names it', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const cap = await client.createMutable(pattern(SEGMENT), 'mdmf');
  const writes = Array.from({ length: 10 }, (_, index) =>
    client.updateMutable(index % 2 === 0 ? cap : `${cap}:3:131073`, index * 10, new Uint8Array(10).fill(index)),
  );
  await Promise.all(writes);
  const read = await client.readMutable(cap);
  t.deepEqual(
    read.subarray(0, 100),
    Uint8Array.from({ length: 100 }, (_, index) => Math.floor(index / 10)),
  );
});

test('two nodes that write at once: one is told of the other, or both stand', async (t) => {
  const grid = createMutableGrid(t);
  const [a, b] = [grid.client(), grid.client()];
  const cap = await a.createMutable(pattern(2 * SEGMENT), 'mdmf');
  for (let round = 0; round < 10; round++) {
    const before = await a.readMutable(cap);
    const changes = [new Uint8Array(10).fill(2 * round + 1), new Uint8Array(10).fill(2 * round + 2)];
    const results = await Promise.allSettled([
      a.updateMutable(cap, 0, changes[0]!),
      b.updateMutable(cap, SEGMENT, changes[1]!),
    ]);
    const after = await grid.client().readMutable(cap);
    for (const [index, offset] of [0, SEGMENT].entries()) {
      const result = results[index]!;
      const stands = bytesEqual(after.subarray(offset, offset + 10), changes[index]!);
      const isBefore = bytesEqual(after.subarray(offset, offset + 10), before.subarray(offset, offset + 10));
      if (result.status === 'fulfilled') t.true(stands, `round ${round}: what was acknowledged stands`);
      else {
        t.true(isTahoeError(result.reason, 'uncoordinated-write', 'unhappy'), String(result.reason));
        t.true(stands || isBefore, `round ${round}: nothing else than the old or the new`);
      }
    }
  }
});

test('a version that is overwritten while it is read is stale, and a new look finds the new one', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const cap = await client.createMutable(pattern(4 * SEGMENT), 'mdmf');
  const file = await grid.client().openMutable(cap);
  t.deepEqual(await file.read(0, 10), pattern(10));
  await client.overwriteMutable(cap, pattern(4 * SEGMENT, 2));
  t.true(isTahoeError(await t.throwsAsync(file.read(2 * SEGMENT, 10)), 'stale'));
  t.is(
    grid.servers.reduce((sum, server) => sum + server.advisories.length, 0),
    0,
    'no server is blamed for it',
  );
  const again = await grid.client().openMutable(cap);
  t.not(again.contentNumber, file.contentNumber);
  t.deepEqual(await again.read(0, 10), pattern(10, 2));
});

test('damaged shares are replaced by others and reported; with too few good ones there is no answer, never a wrong one', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const content = pattern(3 * SEGMENT);
  const cap = await client.createMutable(content, 'mdmf');
  const random = randomSource(99);
  const damage = (numbers: readonly number[]) => {
    for (const server of grid.servers) {
      for (const { shares } of server.slots.values()) {
        for (const [number, share] of shares) {
          if (!numbers.includes(number)) continue;
          const { offsets } = parseMdmfHead(share);
          const damaged = share.slice();
          // in the salts, blocks and block hashes: the header is checked by the map already
          for (let index = 0; index < 3; index++) damaged[offsets.shareData + index * (16 + SEGMENT / 3) + 100]! ^= 1;
          damaged[offsets.blockHashTree + 40 + random.below(90)]! ^= 0x80;
          shares.set(number, damaged);
        }
      }
    }
  };
  damage([0, 1, 2, 5]);
  t.true(bytesEqual(await grid.client().readMutable(readCap(cap)), content));
  t.true(grid.servers.some((server) => server.advisories.length > 0));
  damage([3, 4, 6, 7]);
  t.true(isTahoeError(await t.throwsAsync(grid.client().readMutable(readCap(cap))), 'unrecoverable'));
  const file = await grid.client().openMutable(cap);
  t.true(isTahoeError(await t.throwsAsync(file.read(SEGMENT, 10)), 'unrecoverable'));
});

test('servers that show the shares of another file are not believed', async (t) => {
  const grid = createMutableGrid(t);
  const client = grid.client();
  const [cap, other] = [
    await client.createMutable(pattern(10), 'mdmf'),
    await client.createMutable(pattern(20), 'mdmf'),
  ];
  const theirs = grid.shares(other);
  for (const server of grid.servers) {
    for (const { shares } of server.slots.values()) {
      for (const number of shares.keys()) if (number < 8) shares.set(number, theirs.get(number)!);
    }
  }
  t.true(isTahoeError(await t.throwsAsync(grid.client().readMutable(cap)), 'unrecoverable'));
  t.deepEqual(await grid.client().readMutable(other), pattern(20));
});

test('servers that show the right header first and another one with the share are not believed', async (t) => {
  const grid = createMutableGrid(t);
  const content = pattern(100_000);
  const cap = await grid.client().createMutable(content, 'sdmf');
  const lie = (count: number) => {
    for (const server of grid.servers.slice(0, count)) {
      const honest = server.readSlotShare.bind(server);
      server.readSlotShare = async (...args) => {
        const bytes = await honest(...args);
        // the IV, which no hash covers
        if (args[1].offset === 0 && bytes.length > 100) bytes[45]! ^= 1;
        return bytes;
      };
    }
  };
  lie(5);
  t.true(bytesEqual(await grid.client().readMutable(readCap(cap)), content));
  lie(10);
  // the first five lie twice now, which is the truth again
  t.true(bytesEqual(await grid.client().readMutable(readCap(cap)), content));
  lie(5);
  t.true(isTahoeError(await t.throwsAsync(grid.client().readMutable(readCap(cap))), 'unrecoverable'));
});

test('new mutable files have the format that the node was set to', async (t) => {
  const grid = createMutableGrid(t);
  t.regex(await grid.client({ mutableFormat: 'mdmf' }).createMutable(pattern(3)), /^URI:MDMF:/);
  t.regex(await grid.client({ mutableFormat: 'mdmf' }).createMutable(pattern(3), 'sdmf'), /^URI:SSK:/);
  t.regex(await grid.client().createMutable(pattern(3)), /^URI:SSK:/);
});
