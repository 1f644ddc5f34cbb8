import test, { type ExecutionContext } from 'ava';
import type { ChkReadCap } from '../../../src/caps/cap.js';
import { chkStorageIndex } from '../../../src/crypto/derivations.js';
import { bytesEqual, toHex } from '../../../src/encoding/bytes.js';
import { asChkKey } from '../../../src/encoding/checked-bytes.js';
import { isTahoeError, type TahoeError } from '../../../src/errors/tahoe-error.js';
import { SmallFileEncoder } from '../../../src/immutable/small-file-encoder.js';
import { uploadGeometry } from '../../../src/share-layout/chk-geometry.js';
import { parseChkHeader } from '../../../src/share-layout/chk-share.js';
import { goldenPlaintext } from '../../support/golden-files.js';
import { bytesSource, createMemoryGrid, type MemoryGrid, usualEncoding } from '../../support/memory-grid.js';
import type { Fault } from '../../support/memory-storage-server.js';

const quick = { lateAfterMs: 150, hedgeAfterMs: 150, timeoutMs: 600 };
/** Nobody is asked because another one is slow: for those who count. */
const patient = { lateAfterMs: 30_000, hedgeAfterMs: 30_000, timeoutMs: 60_000 };

async function uploaded(
  t: ExecutionContext,
  sizeBytes: number,
  options: Parameters<typeof createMemoryGrid>[1] & { maximumSegmentSize?: number } = {},
) {
  const grid = createMemoryGrid(t, { timing: quick, ...options });
  const encoding = { ...usualEncoding, maximumSegmentSize: options.maximumSegmentSize ?? 1 << 20 };
  const plaintext = goldenPlaintext(sizeBytes);
  const { cap } = await grid.uploader.upload(bytesSource(plaintext), {
    encoding,
    convergenceSecret: new Uint8Array(32),
  });
  return { ...grid, plaintext, cap };
}

const sameBytes = (t: ExecutionContext, actual: Uint8Array, expected: Uint8Array) =>
  t.true(bytesEqual(actual, expected), `${actual.length} bytes read, ${expected.length} expected, or not the same`);

/** Changes one share where it lies. */
function damage(grid: MemoryGrid, cap: ChkReadCap, share: number, change: (bytes: Uint8Array) => void): void {
  for (const server of grid.servers) {
    const bytes = server.buckets.get(toHex(chkStorageIndex(cap.key)))?.get(share);
    if (bytes !== undefined) change(bytes);
  }
}

for (const size of [0, 1, 55, 56, 57, 1000, 131073, 3145735]) {
  test(`what was uploaded is read back: ${size} bytes`, async (t) => {
    const { downloader, cap, plaintext } = await uploaded(t, size);
    const file = downloader.open(cap as ChkReadCap);
    t.is(file.sizeBytes, size);
    sameBytes(t, await file.read(0, size), plaintext);
    sameBytes(t, await file.read(0, size + 100), plaintext);
    t.is((await file.read(size, 10)).length, 0);
    sameBytes(t, await file.read(Math.floor(size / 3), 20), plaintext.subarray(Math.floor(size / 3)).subarray(0, 20));
  });
}

test('a capability that says to be of a terabyte takes no memory for it', async (t) => {
  const { downloader, cap } = await uploaded(t, 1000);
  const file = downloader.open({ ...(cap as ChkReadCap), sizeBytes: 2 ** 40 });
  t.true(isTahoeError(await t.throwsAsync(file.read(0, file.sizeBytes)), 'too-large'));
});

test('files of many small segments, of odd sizes, read at any offset', async (t) => {
  const { downloader, cap, plaintext } = await uploaded(t, 200_003, { maximumSegmentSize: 40, cacheBytes: 1000 });
  const file = downloader.open(cap as ChkReadCap);
  for (const [offset, length] of [
    [100_000, 300],
    [0, 1],
    [199_999, 100],
    [42, 0],
    [41, 85],
    [150_001, 4000],
    [50_000, 1],
  ]) {
    sameBytes(t, await file.read(offset!, length!), plaintext.subarray(offset!, offset! + length!));
  }
  sameBytes(t, await downloader.open(cap as ChkReadCap).read(0, 200_003), plaintext);
});

test('a small file costs one question and one read per share used', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 1000, { timing: patient });
  for (const server of servers) server.calls.length = 0;
  sameBytes(t, await downloader.open(cap as ChkReadCap).read(0, 1000), plaintext);
  const reads = servers.reduce((sum, server) => sum + server.countOf('readShare'), 0);
  t.is(reads, 3);
});

test('the header is read once per file, and what is cached costs nothing', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 3_000_000, { timing: patient });
  const file = downloader.open(cap as ChkReadCap);
  await file.read(2_500_000, 1000);
  const reads = () => servers.reduce((sum, server) => sum + server.countOf('readShare'), 0);
  t.is(reads(), 9);
  await file.read(100, 1000);
  t.is(reads(), 12);
  const calls = () => servers.reduce((sum, server) => sum + server.calls.length, 0);
  const before = calls();
  sameBytes(t, await downloader.open(cap as ChkReadCap).read(200_000, 65536), plaintext.subarray(200_000, 265_536));
  t.is(calls(), before);
});

test('reads of the same segment at once share one fetch', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 1_000_000, { timing: patient });
  const file = downloader.open(cap as ChkReadCap);
  const parts = await Promise.all([0, 1, 2, 3, 4].map((i) => file.read(i * 200_000, 200_000)));
  for (const [i, part] of parts.entries()) sameBytes(t, part, plaintext.subarray(i * 200_000, (i + 1) * 200_000));
  t.true(servers.reduce((sum, server) => sum + server.countOf('readShare'), 0) <= 9);
});

test('a sequential reader has the next segments fetched ahead', async (t) => {
  const { segmentCache, downloader, cap } = await uploaded(t, 8_000_000);
  const file = downloader.open(cap as ChkReadCap);
  for (let offset = 0; offset < 300_000; offset += 100_000) await file.read(offset, 100_000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.is(segmentCache.size, 3);
});

for (const [what, fault] of [
  ['fail', 'fail'],
  ['hang', 'hang'],
  ['lie', 'corrupt'],
] as const) {
  for (const size of [1000, 2_500_000]) {
    test(`seven of ten servers that ${what} do no harm to ${size} bytes`, async (t) => {
      const { servers, downloader, cap, plaintext } = await uploaded(t, size);
      for (const server of servers.slice(0, 7)) server.plan = () => fault as Fault;
      sameBytes(t, await downloader.open(cap as ChkReadCap).read(0, size), plaintext);
    });

    test(`eight of ten servers that ${what} are too many for ${size} bytes, and are named`, async (t) => {
      const { servers, downloader, cap } = await uploaded(t, size);
      for (const server of servers.slice(0, 8)) server.plan = () => fault as Fault;
      const startMs = performance.now();
      const error = await t.throwsAsync<TahoeError>(downloader.open(cap as ChkReadCap).read(0, size));
      t.is(error?.kind, 'unrecoverable');
      t.regex(error!.message, /^3 shares are needed, 2 usable \(\d, \d\); found on 10 servers: .*; s\d: /);
      t.true(performance.now() - startMs < 20_000);
    });
  }
}

test('servers that hang only when blocks are read are raced', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 2_500_000);
  for (const server of servers.slice(0, 7)) server.plan = (method) => (method === 'readShare' ? 'hang' : undefined);
  sameBytes(t, await downloader.open(cap as ChkReadCap).read(0, 2_500_000), plaintext);
});

test('after servers come back the same file reads again', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 1000);
  const file = downloader.open(cap as ChkReadCap);
  for (const server of servers) server.plan = () => 'fail';
  t.true(isTahoeError(await t.throwsAsync(file.read(0, 10)), 'unrecoverable'));
  for (const server of servers) server.plan = () => undefined;
  sameBytes(t, await file.read(0, 10), plaintext.subarray(0, 10));
});

for (const area of ['data', 'crypttextTree', 'blockTree', 'shareHashes', 'uriExtension'] as const) {
  for (const [size, maximumSegmentSize] of [
    [5000, 1 << 20],
    [100_000, 100],
  ] as const) {
    test(`damage in ${area} of seven shares is noticed and reported: segments of ${maximumSegmentSize}`, async (t) => {
      const grid = await uploaded(t, size, { maximumSegmentSize });
      const cap = grid.cap as ChkReadCap;
      for (let share = 0; share < 7; share++) {
        damage(grid, cap, share, (bytes) => {
          // not the length field of the URI extension block: that makes a share malformed, which is not reported;
          // not the roots of trees: nobody reads those
          const inArea = { data: 8, crypttextTree: 40, blockTree: 40, shareHashes: 8, uriExtension: 20 }[area];
          bytes[parseChkHeader(bytes).offsets[area] + inArea]! ^= 0x10;
        });
      }
      sameBytes(t, await grid.downloader.open(cap).read(0, size), grid.plaintext);
      const advisories = grid.servers.flatMap((server) => server.advisories);
      t.true(advisories.every(({ shareNumber }) => shareNumber < 7));
      // only one share is asked for the tree of the ciphertext, and it may be a good one
      if (area !== 'crypttextTree') t.true(advisories.length > 0);
      damage(grid, cap, 7, (bytes) => bytes.fill(0));
      damage(grid, cap, 8, (bytes) => bytes.fill(0));
      grid.segmentCache.clear();
      if (area === 'data') {
        t.true(isTahoeError(await t.throwsAsync(grid.downloader.open(cap).read(0, 10)), 'unrecoverable'));
      }
    });
  }
}

test('truncated shares and shares of nonsense are passed over', async (t) => {
  const grid = await uploaded(t, 50_000);
  const cap = grid.cap as ChkReadCap;
  const key = toHex(chkStorageIndex(cap.key));
  const replace = [
    () => new Uint8Array(),
    (bytes: Uint8Array) => bytes.slice(0, 20),
    (bytes: Uint8Array) => bytes.slice(0, -40),
    (bytes: Uint8Array) => bytes.slice(0, 1000),
    () => new Uint8Array(5000).fill(0xff),
    () => new Uint8Array(5000),
    (bytes: Uint8Array) => bytes.with(3, 9),
  ];
  for (const server of grid.servers) {
    for (const [share, bytes] of server.buckets.get(key) ?? []) {
      const change = replace[share];
      if (change !== undefined) server.buckets.get(key)!.set(share, change(bytes));
    }
  }
  sameBytes(t, await grid.downloader.open(cap).read(0, 50_000), grid.plaintext);
});

test('both share layouts are read, and segments larger or smaller than guessed', async (t) => {
  const { servers, downloader } = createMemoryGrid(t, { timing: quick });
  const plaintext = goldenPlaintext(100_000);
  const key = asChkKey(new Uint8Array(16).fill(5));
  for (const [version, maximum] of [
    [2, 1 << 20],
    [2, 1000],
    [1, 999],
  ] as const) {
    const geometry = uploadGeometry({ sizeBytes: plaintext.length, sharesNeeded: 3, sharesTotal: 10 }, maximum);
    const { cap, shares } = new SmallFileEncoder().encode(plaintext, geometry, key, version);
    for (const [share, bytes] of shares.entries()) {
      servers[share]!.buckets.set(toHex(chkStorageIndex(key)), new Map([[share, bytes]]));
    }
    sameBytes(t, await downloader.open(cap).read(70_000, 20_000), plaintext.subarray(70_000, 90_000));
    sameBytes(t, await downloader.open(cap).read(0, 100_000), plaintext);
  }
});

test('shares that agree about a ciphertext with a wrong hash are kind corrupt', async (t) => {
  const { servers, downloader } = createMemoryGrid(t, { timing: quick });
  const geometry = uploadGeometry({ sizeBytes: 1000, sharesNeeded: 1, sharesTotal: 2 }, 1 << 20);
  const key = asChkKey(new Uint8Array(16).fill(6));
  const honest = new SmallFileEncoder().encode(goldenPlaintext(1000), geometry, key);
  const impossible = { ...honest.cap, sharesNeeded: 3 };
  t.true(
    isTahoeError(
      t.throws(() => downloader.open(impossible)),
      'bad-cap',
    ),
  );
  // a capability that claims another size: its UEB hash is right, its numbers are not
  for (const [share, bytes] of honest.shares.entries()) {
    servers[share]!.buckets.set(toHex(chkStorageIndex(key)), new Map([[share, bytes]]));
  }
  const error = await t.throwsAsync<TahoeError>(downloader.open({ ...honest.cap, sizeBytes: 990 }).read(0, 10));
  t.true(isTahoeError(error, 'corrupt', 'unrecoverable'));
});

test('a cancelled read ends at once and does not disturb the others', async (t) => {
  const { servers, downloader, cap, plaintext } = await uploaded(t, 1_000_000);
  for (const server of servers) server.plan = () => ({ delayMs: 50 });
  const file = downloader.open(cap as ChkReadCap);
  const controller = new AbortController();
  const cancelled = file.read(0, 1_000_000, { signal: controller.signal });
  const kept = file.read(500_000, 1000);
  controller.abort();
  t.true(isTahoeError(await t.throwsAsync(cancelled), 'cancelled'));
  sameBytes(t, await kept, plaintext.subarray(500_000, 501_000));
  t.true(isTahoeError(await t.throwsAsync(file.read(0, 1, { signal: controller.signal })), 'cancelled'));
  file.close();
  sameBytes(t, await file.read(0, 5), plaintext.subarray(0, 5));
});
