/** What every StorageServer must do, whichever way it is reached: storage-http spec 10. */
import { randomBytes } from 'node:crypto';
import test, { type ExecutionContext } from 'ava';
import type {
  LeaseCancelSecret,
  LeaseRenewSecret,
  StorageIndex,
  UploadSecret,
  WriteEnabler,
} from '../../src/encoding/brands.js';
import { type ErrorKind, TahoeError } from '../../src/errors/tahoe-error.js';
import type { StorageServer, TestWrite } from '../../src/storage-protocol/storage-server.js';

export type StartServer = (t: ExecutionContext) => Promise<StorageServer>;

const leases = {
  renew: new Uint8Array(32).fill(0x52) as LeaseRenewSecret,
  cancel: new Uint8Array(32).fill(0x43) as LeaseCancelSecret,
};
const uploadSecret = new Uint8Array(20).fill(7) as UploadSecret;
const otherSecret = new Uint8Array(20).fill(8) as UploadSecret;
const writeEnabler = new Uint8Array(32).fill(9) as WriteEnabler;
const otherEnabler = new Uint8Array(32).fill(10) as WriteEnabler;

const newIndex = () => new Uint8Array(randomBytes(16)) as StorageIndex;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);
const sorted = (numbers: ReadonlySet<number>) => [...numbers].sort((a, b) => a - b);

async function kindOf(promise: Promise<unknown>): Promise<ErrorKind | 'none'> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (error instanceof TahoeError) return error.kind;
    throw error;
  }
}

function allocate(server: StorageServer, storageIndex: StorageIndex, numbers: number[], allocatedSize: number) {
  return server.allocateShares({ storageIndex, shareNumbers: new Set(numbers), allocatedSize, uploadSecret, leases });
}

function write(server: StorageServer, storageIndex: StorageIndex, shareNumber: number, offset: number, data: string) {
  return server.writeShare({ storageIndex, shareNumber, offset, parts: [bytes(data)], uploadSecret });
}

function edit(server: StorageServer, storageIndex: StorageIndex, shares: Record<number, Partial<TestWrite>>) {
  const full = Object.entries(shares).map(
    ([number, share]) => [Number(number), { tests: [], writes: [], newLength: null, ...share }] as const,
  );
  const readVector = [{ offset: 0, length: 100 }];
  return server.readTestWrite({ storageIndex, writeEnabler, leases, shares: new Map(full), readVector });
}

export function defineStorageServerSuite(name: string, start: StartServer): void {
  const check = (title: string, body: (t: ExecutionContext, server: StorageServer) => Promise<void>) =>
    test(`${name}: ${title}`, async (t) => body(t, await start(t)));

  check('says what it is and how much it takes', async (t, server) => {
    const version = await server.version();
    t.true(version.availableSpace > 0);
    t.is(version.maximumImmutableShareSize, version.availableSpace);
    t.true(version.maximumMutableShareSize > 2 ** 50);
    t.true(version.applicationVersion.length > 0);
  });

  check('a share becomes visible exactly when its last byte has arrived', async (t, server) => {
    const index = newIndex();
    const allocation = await allocate(server, index, [1, 7], 10);
    t.deepEqual(sorted(allocation.allocated), [1, 7]);
    t.is(allocation.alreadyHave.size, 0);
    t.false((await write(server, index, 1, 4, '456789')).complete);
    t.is((await server.listShares(index)).size, 0);
    t.is(
      await kindOf(server.readShare({ storageIndex: index, shareNumber: 1 }, { offset: 0, length: 5 })),
      'not-found',
    );
    t.true((await write(server, index, 1, 0, '0123')).complete);
    t.deepEqual(sorted(await server.listShares(index)), [1]);
    t.is(await kindOf(write(server, index, 1, 0, '0123')), 'not-found');
  });

  check('reads stop at the end of the share', async (t, server) => {
    const index = newIndex();
    await allocate(server, index, [0], 10);
    await write(server, index, 0, 0, '0123456789');
    const read = (offset: number, length: number) =>
      server.readShare({ storageIndex: index, shareNumber: 0 }, { offset, length });
    t.is(text(await read(0, 10)), '0123456789');
    t.is(text(await read(2, 3)), '234');
    t.is(text(await read(8, 1000)), '89');
    t.is((await read(10, 5)).length, 0);
    t.is((await read(2 ** 40, 5)).length, 0);
    t.is((await read(3, 0)).length, 0);
    t.is(
      await kindOf(server.readShare({ storageIndex: index, shareNumber: 1 }, { offset: 0, length: 1 })),
      'not-found',
    );
    t.is((await server.listSlotShares(index)).size, 0);
  });

  check('a second allocation names all it has and keeps its hands off uploads under way', async (t, server) => {
    const index = newIndex();
    await allocate(server, index, [0, 1], 4);
    await write(server, index, 0, 0, 'done');
    const again = await allocate(server, index, [1, 2], 4);
    t.deepEqual(sorted(again.alreadyHave), [0]);
    t.deepEqual(sorted(again.allocated), [2]);
  });

  check('refuses what is too large without an error', async (t, server) => {
    const allocation = await allocate(server, newIndex(), [0], 2 ** 52);
    t.is(allocation.allocated.size, 0);
    t.is(allocation.alreadyHave.size, 0);
  });

  check('the same bytes may be written twice, other bytes may not', async (t, server) => {
    const index = newIndex();
    await allocate(server, index, [0], 10);
    await write(server, index, 0, 2, '2345');
    await write(server, index, 0, 0, '012345');
    t.is(await kindOf(write(server, index, 0, 4, 'xy')), 'exists');
    t.true((await write(server, index, 0, 4, '456789')).complete);
  });

  check('writes need the upload secret and room', async (t, server) => {
    const index = newIndex();
    await allocate(server, index, [0], 4);
    const address = { storageIndex: index, shareNumber: 0 };
    const stolen = { ...address, offset: 0, parts: [bytes('aaaa')], uploadSecret: otherSecret };
    t.is(await kindOf(server.writeShare(stolen)), 'permission');
    t.is(await kindOf(server.abortShare({ ...address, uploadSecret: otherSecret })), 'permission');
    t.not(await kindOf(write(server, index, 0, 2, 'abc')), 'none');
    t.is(await kindOf(write(server, index, 3, 0, 'abc')), 'not-found');
    t.true((await write(server, index, 0, 0, 'good')).complete);
  });

  check('an aborted upload leaves nothing and can be begun again', async (t, server) => {
    const index = newIndex();
    await allocate(server, index, [0], 4);
    await write(server, index, 0, 0, 'ab');
    const request = { storageIndex: index, shareNumber: 0, uploadSecret };
    await server.abortShare(request);
    t.is(await kindOf(server.abortShare(request)), 'not-found');
    t.is(await kindOf(write(server, index, 0, 2, 'cd')), 'not-found');
    t.deepEqual(sorted((await allocate(server, index, [0], 4)).allocated), [0]);
    await write(server, index, 0, 0, 'wxyz');
    t.is(await kindOf(server.abortShare(request)), 'not-found');
    t.is(text(await server.readShare(request, { offset: 0, length: 9 })), 'wxyz');
  });

  check('a share of several megabytes in several parts comes back whole', async (t, server) => {
    const index = newIndex();
    const size = 3_300_001;
    const data = new Uint8Array(randomBytes(size));
    await allocate(server, index, [5], size);
    const address = { storageIndex: index, shareNumber: 5 };
    const parts = [data.subarray(0, 700_000), data.subarray(700_000, 2_000_000)];
    await server.writeShare({ ...address, offset: 0, parts, uploadSecret });
    const last = { ...address, offset: 2_000_000, parts: [data.subarray(2_000_000)], uploadSecret };
    t.true((await server.writeShare(last)).complete);
    t.is(Buffer.compare(await server.readShare(address, { offset: 0, length: size + 5 }), data), 0);
    const middle = await server.readShare(address, { offset: 1_048_570, length: 1_100_000 });
    t.is(Buffer.compare(middle, data.subarray(1_048_570, 2_148_570)), 0);
  });

  check('leases are for shares that exist', async (t, server) => {
    const index = newIndex();
    t.is(await kindOf(server.addLease(index, leases)), 'not-found');
    await allocate(server, index, [0], 1);
    await write(server, index, 0, 0, 'x');
    await server.addLease(index, leases);
    await server.addLease(index, { ...leases, renew: new Uint8Array(32).fill(1) as LeaseRenewSecret });
    t.is(text(await server.readShare({ storageIndex: index, shareNumber: 0 }, { offset: 0, length: 99 })), 'x');
  });

  check('reports of damage are for shares that exist', async (t, server) => {
    const index = newIndex();
    const address = { storageIndex: index, shareNumber: 0 };
    t.is(await kindOf(server.adviseCorrupt('immutable', address, 'rotten')), 'not-found');
    await allocate(server, index, [0], 1);
    await write(server, index, 0, 0, 'x');
    await server.adviseCorrupt('immutable', address, 'rotten');
    t.is(await kindOf(server.adviseCorrupt('mutable', address, 'rotten')), 'not-found');
  });

  check('an unknown slot is empty, and reading it changes nothing', async (t, server) => {
    const index = newIndex();
    t.is((await server.listSlotShares(index)).size, 0);
    const result = await edit(server, index, {});
    t.true(result.applied);
    t.is(result.reads.size, 0);
    t.is((await server.listSlotShares(index)).size, 0);
  });

  check('writes, fills holes with zeros, truncates, never extends, deletes', async (t, server) => {
    const index = newIndex();
    const address = { storageIndex: index, shareNumber: 3 };
    const read = () => server.readSlotShare(address, { offset: 0, length: 100 });
    await edit(server, index, { 3: { writes: [{ offset: 2, data: bytes('cd') }] } });
    t.is(text(await read()), '\0\0cd');
    await edit(server, index, {
      3: {
        writes: [
          { offset: 6, data: bytes('gh') },
          { offset: 0, data: bytes('ab') },
        ],
        newLength: 1000,
      },
    });
    t.is(text(await read()), 'abcd\0\0gh');
    await edit(server, index, { 3: { writes: [{ offset: 3, data: bytes('D') }], newLength: 4 } });
    t.is(text(await read()), 'abcD');
    await edit(server, index, { 3: { writes: [{ offset: 6, data: bytes('z') }] } });
    t.is(text(await read()), 'abcD\0\0z');
    const last = await edit(server, index, { 3: { writes: [{ offset: 0, data: bytes('q') }], newLength: 0 } });
    t.is(text(last.reads.get(3)?.[0]), 'abcD\0\0z');
    t.is((await server.listSlotShares(index)).size, 0);
    t.is(await kindOf(read()), 'not-found');
  });

  check('one failed test keeps every share as it is, and still answers the reads', async (t, server) => {
    const index = newIndex();
    await edit(server, index, { 0: { writes: [{ offset: 0, data: bytes('zero') }] }, 1: {} });
    const lost = await edit(server, index, {
      0: { tests: [{ offset: 0, size: 4, specimen: bytes('zero') }], writes: [{ offset: 0, data: bytes('new0') }] },
      1: { tests: [{ offset: 0, size: 1, specimen: bytes('x') }], writes: [{ offset: 0, data: bytes('new1') }] },
    });
    t.false(lost.applied);
    t.deepEqual(
      [...lost.reads].map(([number, data]) => [number, text(data[0])]),
      [
        [0, 'zero'],
        [1, ''],
      ],
    );
    t.is(text(await server.readSlotShare({ storageIndex: index, shareNumber: 0 }, { offset: 0, length: 9 })), 'zero');
    const won = await edit(server, index, {
      0: { tests: [{ offset: 1, size: 100, specimen: bytes('ero') }], writes: [{ offset: 0, data: bytes('new0') }] },
      1: { tests: [{ offset: 0, size: 1, specimen: bytes('') }], writes: [{ offset: 0, data: bytes('new1') }] },
      2: { tests: [{ offset: 0, size: 1, specimen: bytes('') }], writes: [{ offset: 0, data: bytes('new2') }] },
    });
    t.true(won.applied);
    t.deepEqual([...won.reads.keys()], [0, 1]);
    t.deepEqual(sorted(await server.listSlotShares(index)), [0, 1, 2]);
  });

  check('a wrong write enabler changes nothing', async (t, server) => {
    const index = newIndex();
    await edit(server, index, { 0: { writes: [{ offset: 0, data: bytes('mine') }] } });
    const shares = new Map([[1, { tests: [], writes: [{ offset: 0, data: bytes('theirs') }], newLength: null }]]);
    const request = { storageIndex: index, writeEnabler: otherEnabler, leases, shares, readVector: [] };
    t.is(await kindOf(server.readTestWrite(request)), 'permission');
    t.deepEqual(sorted(await server.listSlotShares(index)), [0]);
  });

  check('of many writers with the same test exactly one wins', async (t, server) => {
    const index = newIndex();
    const attempts = Array.from({ length: 12 }, (_, writer) =>
      edit(server, index, {
        0: {
          tests: [{ offset: 0, size: 1, specimen: bytes('') }],
          writes: [{ offset: 0, data: bytes(`writer ${writer}`) }],
        },
      }),
    );
    const results = await Promise.all(attempts);
    t.is(results.filter((result) => result.applied).length, 1);
  });

  check('the two kinds do not mix', async (t, server) => {
    const slot = newIndex();
    await edit(server, slot, { 0: { writes: [{ offset: 0, data: bytes('m') }] } });
    t.is((await server.listShares(slot)).size, 0);
    t.is(await kindOf(server.readShare({ storageIndex: slot, shareNumber: 0 }, { offset: 0, length: 1 })), 'not-found');
    t.not(await kindOf(allocate(server, slot, [1], 4)), 'none');
    const bucket = newIndex();
    await allocate(server, bucket, [0], 1);
    await write(server, bucket, 0, 0, 'x');
    t.not(await kindOf(edit(server, bucket, { 1: { writes: [{ offset: 0, data: bytes('m') }] } })), 'none');
  });

  check('slots of several megabytes survive partial writes', async (t, server) => {
    const index = newIndex();
    const model = new Uint8Array(randomBytes(2_500_000));
    await edit(server, index, { 0: { writes: [{ offset: 0, data: model.slice() }] } });
    const patch = new Uint8Array(randomBytes(1000));
    model.set(patch, 1_234_567);
    await edit(server, index, { 0: { writes: [{ offset: 1_234_567, data: patch }] } });
    const read = await server.readSlotShare({ storageIndex: index, shareNumber: 0 }, { offset: 0, length: 3_000_000 });
    t.is(Buffer.compare(read, model), 0);
  });

  check('an aborted signal is kind cancelled', async (t, server) => {
    const signal = AbortSignal.abort();
    const call = async () => server.listShares(newIndex(), { signal });
    t.is(await kindOf(call()), 'cancelled');
  });
}
