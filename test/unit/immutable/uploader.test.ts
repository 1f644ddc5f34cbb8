import { createHash } from 'node:crypto';
import test from 'ava';
import { serializeCap } from '../../../src/caps/cap.js';
import { isTahoeError, TahoeError } from '../../../src/errors/tahoe-error.js';
import type { UploadSource } from '../../../src/immutable/immutable.js';
import { GridUploader } from '../../../src/immutable/uploader.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { fillGolden, goldenPlaintext, loadGoldenFiles } from '../../support/golden-files.js';
import { bytesSource, createMemoryGrid, memoryGridClock, usualEncoding } from '../../support/memory-grid.js';
import type { MemoryStorageServer } from '../../support/memory-storage-server.js';

const golden = loadGoldenFiles();
const convergenceSecret = golden.convergenceSecret;
const options = { encoding: usualEncoding, convergenceSecret };
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

function sharesOf(servers: readonly MemoryStorageServer[]): Map<number, Uint8Array[]> {
  const shares = new Map<number, Uint8Array[]>();
  for (const server of servers) {
    for (const bucket of server.buckets.values()) {
      for (const [share, bytes] of bucket) shares.set(share, [...(shares.get(share) ?? []), bytes]);
    }
  }
  return shares;
}

const pendingCount = (servers: readonly MemoryStorageServer[]) =>
  servers.reduce((sum, { pending }) => sum + [...pending.values()].reduce((n, shares) => n + shares.size, 0), 0);

for (const file of golden.files) {
  test(`uploading ${file.sizeBytes} bytes gives the reference's capability and shares`, async (t) => {
    const { servers, uploader } = createMemoryGrid(t);
    const progress: number[] = [];
    const onProgress = (done: number) => progress.push(done);
    const { cap, placement } = await uploader.upload(bytesSource(goldenPlaintext(file.sizeBytes)), {
      ...options,
      onProgress,
    });
    t.is(serializeCap(cap), file.cap);
    t.is(progress.at(-1), file.sizeBytes);
    t.is(placement.size, file.sizeBytes > 55 ? 10 : 0);
    const shares = sharesOf(servers);
    for (const [share, digest] of Object.entries(file.shareSha256 ?? {})) {
      t.is(sha256(shares.get(Number(share))![0]!), digest);
    }
    t.is(pendingCount(servers), 0);
  });
}

test('a fresh file costs one allocation and one write per server', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  await uploader.upload(bytesSource(goldenPlaintext(1000)), options);
  for (const server of servers)
    t.deepEqual(
      server.calls.map(({ method }) => method),
      ['allocateShares', 'writeShare'],
    );
});

test('a second upload writes nothing, renews leases, and reports the same placement', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  const first = await uploader.upload(bytesSource(goldenPlaintext(1000)), options);
  const second = await uploader.upload(bytesSource(goldenPlaintext(1000)), options);
  t.deepEqual(second, first);
  for (const server of servers) {
    t.is(server.countOf('writeShare'), 1);
    t.deepEqual([...[...server.leases.values()][0]!.values()], [2]);
  }
});

test('shares on servers beyond the first n are found and their leases renewed', async (t) => {
  const { servers, uploader } = createMemoryGrid(t, { serverCount: 20 });
  const small = { ...options, encoding: { ...usualEncoding, sharesTotal: 10 } };
  await uploader.upload(bytesSource(goldenPlaintext(1000)), small);
  const holders = servers.filter(({ buckets }) => buckets.size > 0);
  const empty = servers.filter(({ buckets }) => buckets.size === 0);
  t.is(holders.length, 10);
  // move one share to a server that the optimistic round does not ask
  const from = holders[0]!;
  const [index, bucket] = [...from.buckets][0]!;
  empty[0]!.buckets.set(index, bucket);
  from.buckets.clear();
  const { placement } = await uploader.upload(bytesSource(goldenPlaintext(1000)), small);
  t.is(placement.size, 10);
  t.is([...placement.values()].filter((where) => where.has(empty[0]!.id)).length, 1);
  t.is([...empty[0]!.leases.values()][0]!.size, 1);
  t.is(pendingCount(servers), 0);
});

test('two uploads of one file at once share their work', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  const upload = () => uploader.upload(bytesSource(goldenPlaintext(1000)), options);
  const [a, b] = await Promise.all([upload(), upload()]);
  t.deepEqual(a, b);
  for (const server of servers) t.is(server.countOf('writeShare'), 1);
});

test('fewer servers than shares hold several each', async (t) => {
  const { servers, uploader } = createMemoryGrid(t, { serverCount: 7 });
  const { placement } = await uploader.upload(bytesSource(goldenPlaintext(1000)), options);
  t.is(placement.size, 10);
  t.deepEqual(servers.map(({ buckets }) => [...buckets.values()][0]!.size).sort(), [1, 1, 1, 1, 2, 2, 2]);
});

for (const [what, size] of [
  ['small', 5000],
  ['large', 3_000_000],
] as const) {
  test(`a ${what} upload survives failing, refusing and hanging servers`, async (t) => {
    const { servers, uploader } = createMemoryGrid(t, { queryTimeoutMs: 300, writeTimeoutMs: 300 });
    servers[0]!.plan = () => 'fail';
    servers[1]!.plan = (method) => (method === 'allocateShares' ? 'refuse' : undefined);
    servers[2]!.plan = () => 'hang';
    const { placement } = await uploader.upload(bytesSource(goldenPlaintext(size)), options);
    t.is(placement.size, 10);
    t.is(new Set([...placement.values()].flatMap((where) => [...where])).size, 7);
    t.is(sharesOf(servers).size, 10);
  });

  test(`a ${what} upload survives servers lost while it writes`, async (t) => {
    const { servers, uploader } = createMemoryGrid(t, { queryTimeoutMs: 300, writeTimeoutMs: 300 });
    servers[0]!.plan = (method) => (method === 'writeShare' ? 'fail' : undefined);
    servers[1]!.plan = (method) => (method === 'writeShare' ? 'hang' : undefined);
    servers[2]!.plan = (method) => (method === 'writeShare' ? 'lose-answer' : undefined);
    const { placement } = await uploader.upload(bytesSource(goldenPlaintext(size)), options);
    t.is(placement.size, 7);
  });

  test(`a ${what} upload is unhappy when too many servers are lost, and gives up its shares`, async (t) => {
    const { servers, uploader } = createMemoryGrid(t, { queryTimeoutMs: 300, writeTimeoutMs: 300 });
    for (const server of servers.slice(0, 4)) server.plan = (method) => (method === 'writeShare' ? 'fail' : undefined);
    const error = await t.throwsAsync(uploader.upload(bytesSource(goldenPlaintext(size)), options));
    t.true(isTahoeError(error, 'unhappy'));
    t.regex(error!.message, /spread over 6 servers, fewer than 7.*s[0-3] failed: connection refused/);
    t.is(pendingCount(servers.slice(4)), 0);
  });
}

test('the three variants of unhappiness name what was found', async (t) => {
  const { servers, uploader } = createMemoryGrid(t, { serverCount: 2 });
  const upload = (encoding: object) =>
    t.throwsAsync<TahoeError>(
      uploader.upload(bytesSource(goldenPlaintext(1000)), { ...options, encoding: { ...usualEncoding, ...encoding } }),
    );
  const few = await upload({});
  t.is(few?.kind, 'unhappy');
  t.regex(few!.message, /only 2 of 2 servers hold or accept shares, fewer than 3/);
  const spread = await upload({ sharesNeeded: 2 });
  t.regex(spread!.message, /shares can be spread over 2 servers, fewer than 7/);
  servers.length = 0;
  t.regex((await upload({}))!.message, /no storage server is connected/);
});

test('cancelling stops a large upload and gives up its shares', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  const controller = new AbortController();
  for (const server of servers) server.plan = (method) => (method === 'writeShare' ? { delayMs: 20 } : undefined);
  const error = await t.throwsAsync(
    uploader.upload(bytesSource(goldenPlaintext(20_000_000)), {
      ...options,
      signal: controller.signal,
      onProgress: (done) => done > 3_000_000 && controller.abort(),
    }),
  );
  t.true(isTahoeError(error, 'cancelled'));
  t.is(pendingCount(servers), 0);
  t.is(sharesOf(servers).size, 0);
});

test('an error of the source is thrown as it is', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  for (const failingPass of [1, 2]) {
    let passes = 0;
    const broken = new TahoeError('disk gone', { kind: 'internal', op: 'test' });
    const source: UploadSource = {
      sizeBytes: 5_000_000,
      read: async (offset, target) => {
        if (offset === 0) passes++;
        if (passes === failingPass && offset > 2_000_000) throw broken;
        fillGolden(target, offset);
      },
    };
    t.is(await t.throwsAsync(uploader.upload(source, options)), broken);
    t.is(pendingCount(servers), 0);
  }
});

test('a server that hung is asked last for a while', async (t) => {
  const { servers, uploader } = createMemoryGrid(t, { serverCount: 11, queryTimeoutMs: 200 });
  servers[0]!.plan = () => 'hang';
  const upload = (size: number) => uploader.upload(bytesSource(goldenPlaintext(size)), options);
  // one of the first few has it among the ten that are asked first
  for (const size of [1000, 1001, 1002]) await upload(size);
  const asked = servers[0]!.calls.length;
  t.true(asked > 0);
  for (const size of [1003, 1004, 1005, 1006]) await upload(size);
  t.is(servers[0]!.calls.length, asked);
});

test('a server that never calls its share complete does not count', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  for (const server of servers.slice(0, 4)) {
    const write = server.writeShare.bind(server);
    server.writeShare = async (request, callOptions) => {
      await write(request, callOptions);
      return { complete: false };
    };
  }
  const error = await t.throwsAsync(uploader.upload(bytesSource(goldenPlaintext(1000)), options));
  t.true(isTahoeError(error, 'unhappy'));
});

test('an upload that a killed client had begun is given up and made again by the same client', async (t) => {
  const { servers, uploader } = createMemoryGrid(t);
  const content = goldenPlaintext(300_000);
  const stop = new AbortController();
  let passes = 0;
  const stuck: UploadSource = {
    sizeBytes: content.length,
    async read(offset, target) {
      if (offset === 0) passes++;
      // the second pass encrypts: by then the shares are allocated
      if (passes > 1) await new Promise(() => {});
      target.set(content.subarray(offset, offset + target.length));
    },
  };
  const killed = uploader.upload(stuck, { ...options, signal: stop.signal });
  killed.catch(() => undefined);
  while (pendingCount(servers) < 10) await new Promise((resolve) => setTimeout(resolve, 5));

  const restarted = new GridUploader({
    servers: () => servers,
    clientLeaseSecret: new Uint8Array(32).fill(7),
    clock: memoryGridClock,
    log: silentLogger,
  });
  t.teardown(() => restarted.close());
  const { placement } = await restarted.upload(bytesSource(content), options);
  t.is(placement.size, 10);
  t.is(pendingCount(servers), 0);

  const stranger = new GridUploader({
    servers: () => servers,
    clientLeaseSecret: new Uint8Array(32).fill(8),
    clock: memoryGridClock,
    log: silentLogger,
  });
  t.teardown(() => stranger.close());
  const other = goldenPlaintext(200_000);
  passes = 0;
  const again = uploader.upload({ ...stuck, sizeBytes: other.length }, { ...options, signal: stop.signal });
  again.catch(() => undefined);
  while (pendingCount(servers) < 10) await new Promise((resolve) => setTimeout(resolve, 5));
  const error = await t.throwsAsync(stranger.upload(bytesSource(other), options));
  t.true(isTahoeError(error, 'unhappy'));
  t.is(pendingCount(servers), 10, 'what another client is uploading is left alone');
});
