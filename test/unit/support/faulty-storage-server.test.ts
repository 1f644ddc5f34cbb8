import test from 'ava';
import type { LeaseCancelSecret, LeaseRenewSecret, StorageIndex, WriteEnabler } from '../../../src/encoding/brands.js';
import type { ReadTestWriteRequest } from '../../../src/storage-protocol/storage-server.js';
import { FaultyStorageServer, type ServerFault } from '../../support/faulty-storage-server.js';
import { ManualClock } from '../../support/manual-clock.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

const storageIndex = new Uint8Array(16).fill(1) as StorageIndex;
const leases = {
  renew: new Uint8Array(32) as LeaseRenewSecret,
  cancel: new Uint8Array(32) as LeaseCancelSecret,
};

function faulty(fault?: ServerFault) {
  const clock = new ManualClock();
  const inner = new MemoryStorageServer('s');
  const server = new FaultyStorageServer(inner, { clock, fault: () => fault });
  return { clock, inner, server };
}

/** Writes `text` to share 0, whatever stands there. */
function writing(text: string): ReadTestWriteRequest {
  const data = new TextEncoder().encode(text);
  return {
    storageIndex,
    writeEnabler: new Uint8Array(32) as WriteEnabler,
    leases,
    shares: new Map([[0, { tests: [], writes: [{ offset: 0, data }], newLength: data.length }]]),
    readVector: [],
  };
}

async function shown(inner: MemoryStorageServer): Promise<string> {
  const bytes = await inner.readSlotShare({ storageIndex, shareNumber: 0 }, { offset: 0, length: 100 });
  return new TextDecoder().decode(bytes);
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a refused request has no effect, one whose answer is lost has', async (t) => {
  const refused = faulty({ kind: 'refuse' });
  await t.throwsAsync(refused.server.readTestWrite(writing('a')), { message: /connection lost/ });
  t.is(refused.inner.slots.size, 0);
  const lost = faulty({ kind: 'lose-answer' });
  await t.throwsAsync(lost.server.readTestWrite(writing('a')), { message: /connection lost/ });
  t.is(await shown(lost.inner), 'a');
});

test('a request without an answer ends with the time limit of its caller or its signal, on the given clock', async (t) => {
  const { clock, server } = faulty({ kind: 'hang' });
  const limited = t.throwsAsync(server.version({ timeoutMs: 1000 }), { message: /no answer in time/ });
  const abort = new AbortController();
  const aborted = t.throwsAsync(server.version({ signal: abort.signal }), { message: /given up/ });
  clock.advance(999);
  abort.abort();
  await aborted;
  clock.advance(1);
  await limited;
});

test('a late request takes effect after its caller has given up, with the bytes as they were', async (t) => {
  const { clock, inner, server } = faulty({ kind: 'late-request', delayMs: 5000 });
  const request = writing('as it was');
  const answer = t.throwsAsync(server.readTestWrite(request, { timeoutMs: 1000 }), { message: /no answer in time/ });
  clock.advance(1000);
  await answer;
  request.shares.get(0)!.writes[0]!.data.fill(0);
  t.is(inner.slots.size, 0);
  clock.advance(4000);
  await turn();
  t.is(await shown(inner), 'as it was');
});

test('a duplicate takes effect again, over what was written in between', async (t) => {
  const { clock, inner, server } = faulty({ kind: 'duplicate', delayMs: 10 });
  t.like(await server.readTestWrite(writing('first')), { applied: true });
  await inner.readTestWrite(writing('between'));
  t.is(await shown(inner), 'between');
  clock.advance(10);
  await turn();
  t.is(await shown(inner), 'first');
});

test('a server may say that it did what it did not do, or that its disk is full', async (t) => {
  const forgetful = faulty({ kind: 'forget' });
  t.like(await forgetful.server.readTestWrite(writing('a')), { applied: true });
  t.is(forgetful.inner.slots.size, 0);
  const full = faulty({ kind: 'disk-full' });
  await t.throwsAsync(full.server.readTestWrite(writing('a')), { message: /no space/ });
  t.deepEqual(await full.server.listSlotShares(storageIndex), new Set());
});

test('bytes that are read come cut, turned, or from another share', async (t) => {
  const address = { storageIndex, shareNumber: 0 };
  const range = { offset: 0, length: 100 };
  const read = async (fault: ServerFault): Promise<string> => {
    const { inner, server } = faulty(fault);
    await inner.readTestWrite(writing('abcd'));
    const [share] = writing('other').shares.values();
    await inner.readTestWrite({ ...writing(''), shares: new Map([[1, share!]]) });
    return new TextDecoder().decode(await server.readSlotShare(address, range));
  };
  t.is(await read({ kind: 'truncate' }), 'ab');
  t.is(await read({ kind: 'flip-bit', fraction: 0 }), '`bcd');
  t.is(await read({ kind: 'wrong-share' }), 'other');
});

test('a rolled back server shows its slots as they were some writes ago', async (t) => {
  const { inner } = faulty();
  inner.keepsHistory = true;
  for (const text of ['1', '2', '3']) await inner.readTestWrite(writing(text));
  inner.rollBack(1);
  t.is(await shown(inner), '2');
  inner.rollBack(2);
  t.is(inner.slots.size, 0);
});
