import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import test from 'ava';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import type {
  LeaseCancelSecret,
  LeaseRenewSecret,
  StorageIndex,
  UploadSecret,
  WriteEnabler,
} from '../../../src/encoding/brands.js';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import type { OpenedFile, OpenMode } from '../../../src/platform/file-store.js';
import type { StorageServer } from '../../../src/storage-protocol/storage-server.js';
import { ManualClock } from '../../support/manual-clock.js';
import { startService, temporaryDirectory } from '../../support/storage-servers.js';

const index = new Uint8Array(16).fill(1) as StorageIndex;
const indexText = encodeBase32(index);
const uploadSecret = new Uint8Array(20).fill(2) as UploadSecret;
const leases = {
  renew: new Uint8Array(32).fill(0x52) as LeaseRenewSecret,
  cancel: new Uint8Array(32).fill(0x43) as LeaseCancelSecret,
};
const writeEnabler = new Uint8Array(32).fill(3) as WriteEnabler;
const bytes = (text: string) => new TextEncoder().encode(text);

const allocate = (server: StorageServer, shareNumber: number, allocatedSize: number) =>
  server.allocateShares({
    storageIndex: index,
    shareNumbers: new Set([shareNumber]),
    allocatedSize,
    uploadSecret,
    leases,
  });
const write = (server: StorageServer, shareNumber: number, offset: number, text: string) =>
  server.writeShare({ storageIndex: index, shareNumber, offset, parts: [bytes(text)], uploadSecret });
const slotWrite = (server: StorageServer, shareNumber: number, text: string, newLength: number | null = null) =>
  server.readTestWrite({
    storageIndex: index,
    writeEnabler,
    leases,
    shares: new Map([[shareNumber, { tests: [], writes: [{ offset: 0, data: bytes(text) }], newLength }]]),
    readVector: [],
  });

/** A disk on which, when told so, nothing becomes durable any more. */
class FullAtSync extends NodeFileStore {
  isFull = false;

  override async open(name: string, mode: OpenMode): Promise<OpenedFile> {
    const file = await super.open(name, mode);
    const sync = file.sync.bind(file);
    file.sync = async () => {
      if (this.isFull) throw new TahoeError('disk full', { kind: 'no-space', op: 'sync' });
      await sync();
    };
    return file;
  }
}

async function filesUnder(directory: string): Promise<string[]> {
  const entries = await fs.readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();
}

test('what an upload left unfinished is gone after a restart, and can be uploaded again', async (t) => {
  const { service, directory } = await startService(t);
  await allocate(service, 0, 8);
  await write(service, 0, 0, 'half');
  await allocate(service, 1, 4);
  await write(service, 1, 0, 'full');
  const shares = path.join(directory, 'storage', 'shares');
  const place = `${indexText.slice(0, 2)}/${indexText}`;
  t.deepEqual(await filesUnder(shares), [`${place}/1`, `incoming/${indexText}.0`]);
  const restarted = await startService(t, { directory });
  t.deepEqual(await filesUnder(shares), [`${place}/1`]);
  t.deepEqual([...(await restarted.service.listShares(index))], [1]);
  const again = await allocate(restarted.service, 0, 4);
  t.deepEqual([...again.allocated], [0]);
  t.true((await write(restarted.service, 0, 0, 'new!')).complete);
});

test('an upload ends after 30 idle minutes, and each write starts them anew', async (t) => {
  const clock = new ManualClock();
  const { service, directory } = await startService(t, { clock });
  await allocate(service, 0, 8);
  clock.advance(29 * 60_000);
  await write(service, 0, 0, 'half');
  clock.advance(29 * 60_000);
  await write(service, 0, 4, 'ha');
  clock.advance(30 * 60_000);
  await t.throwsAsync(write(service, 0, 6, 'lf'), { message: /no such upload/ });
  t.deepEqual(await filesUnder(path.join(directory, 'storage', 'shares')), []);
});

test('shares that would not fit beside those under way are not allocated', async (t) => {
  const { service } = await startService(t);
  const { availableSpace } = await service.version();
  const size = Math.floor(availableSpace * 0.6);
  t.is((await allocate(service, 0, size)).allocated.size, 1);
  t.is((await allocate(service, 1, size)).allocated.size, 0);
  await service.abortShare({ storageIndex: index, shareNumber: 0, uploadSecret });
  t.is((await allocate(service, 1, size)).allocated.size, 1);
});

test('a read-only server takes no shares and says so, but lets slots be written', async (t) => {
  const { service } = await startService(t, { readonly: true });
  t.is((await service.version()).availableSpace, 0);
  t.is((await allocate(service, 0, 1)).allocated.size, 0);
  t.true((await slotWrite(service, 0, 'directory')).applied);
});

test('reserved space is never offered', async (t) => {
  const { service } = await startService(t, { reservedBytes: Number.MAX_SAFE_INTEGER });
  t.is((await service.version()).availableSpace, 0);
});

test('a write that would blow a slot up beyond the disk is refused before anything changes', async (t) => {
  const { service } = await startService(t);
  await slotWrite(service, 0, 'small');
  const far = { tests: [], writes: [{ offset: 2 ** 50, data: bytes('x') }], newLength: null };
  const request = { storageIndex: index, writeEnabler, leases, shares: new Map([[0, far]]), readVector: [] };
  await t.throwsAsync(service.readTestWrite(request), { message: /no space/ });
  const read = await service.readSlotShare({ storageIndex: index, shareNumber: 0 }, { offset: 0, length: 99 });
  t.deepEqual(read, bytes('small'));
});

test('deleting the last share of a slot removes its directory', async (t) => {
  const { service, directory } = await startService(t);
  await slotWrite(service, 0, 'a');
  await slotWrite(service, 1, 'b');
  await slotWrite(service, 0, '', 0);
  const prefix = path.join(directory, 'storage', 'shares', indexText.slice(0, 2));
  t.deepEqual(await fs.readdir(prefix), [indexText]);
  await slotWrite(service, 1, '', 0);
  t.deepEqual(await fs.readdir(prefix), []);
});

test('an advisory is the file that the reference writes', async (t) => {
  const clock = new ManualClock(Date.UTC(2026, 10, 21, 19, 45, 41, 527));
  const { service, directory } = await startService(t, { clock });
  await allocate(service, 0, 1);
  await write(service, 0, 0, 'x');
  await service.adviseCorrupt('immutable', { storageIndex: index, shareNumber: 0 }, 'bad block 3');
  const advisories = path.join(directory, 'storage', 'corruption-advisories');
  const name = `2026-11-21T194541.527000--${indexText}-0`;
  t.deepEqual(await fs.readdir(advisories), [name]);
  const expected = `report: Share Corruption\ntype: immutable\nstorage_index: ${indexText}\nshare_number: 0\n\nbad block 3\n\n`;
  t.is(await fs.readFile(path.join(advisories, name), 'utf8'), expected);
});

test('a disk that fills up leaves the old slot and no trace of a new share', async (t) => {
  const files = new FullAtSync();
  const { service, directory } = await startService(t, { files });
  await slotWrite(service, 0, 'old');
  files.isFull = true;
  await t.throwsAsync(slotWrite(service, 0, 'new'), { message: /disk full/ });
  const other = new Uint8Array(16).fill(9) as StorageIndex;
  const upload = { storageIndex: other, shareNumber: 0, uploadSecret };
  await service.allocateShares({ ...upload, shareNumbers: new Set([0]), allocatedSize: 4, leases });
  await t.throwsAsync(service.writeShare({ ...upload, offset: 0, parts: [bytes('data')] }), { message: /disk full/ });
  t.is((await service.listShares(other)).size, 0);
  const shares = path.join(directory, 'storage', 'shares');
  t.deepEqual(await filesUnder(shares), [`${indexText.slice(0, 2)}/${indexText}/0`]);
  files.isFull = false;
  const read = await service.readSlotShare({ storageIndex: index, shareNumber: 0 }, { offset: 0, length: 99 });
  t.deepEqual(read, bytes('old'));
  const again = await service.allocateShares({ ...upload, shareNumbers: new Set([0]), allocatedSize: 4, leases });
  t.is(again.allocated.size, 1);
  t.true((await service.writeShare({ ...upload, offset: 0, parts: [bytes('data')] })).complete);
});

test('a damaged file beside sound shares hides none of them', async (t) => {
  const { service, directory } = await startService(t);
  await allocate(service, 3, 1);
  await write(service, 3, 0, 'x');
  const bucket = path.join(directory, 'storage', 'shares', indexText.slice(0, 2), indexText);
  await fs.writeFile(path.join(bucket, '0'), 'junk that is no container at all, but long enough to be read');
  await fs.writeFile(path.join(bucket, 'notes.txt'), 'no share');
  t.deepEqual([...(await service.listShares(index))], [0, 3]);
  await service.addLease(index, leases);
  const read = (shareNumber: number) =>
    service.readShare({ storageIndex: index, shareNumber }, { offset: 0, length: 10 });
  t.deepEqual(await read(3), bytes('x'));
  await t.throwsAsync(read(0), { message: /damaged share container/ });
});

test('2,000 small shares at once are all there and durable within seconds', async (t) => {
  const directory = await temporaryDirectory(t);
  const { service } = await startService(t, { directory });
  const one = async (number: number) => {
    const storageIndex = new Uint8Array(16).fill(number & 255) as StorageIndex;
    storageIndex[1] = number >> 8;
    const request = { storageIndex, shareNumber: 0, uploadSecret };
    await service.allocateShares({ ...request, shareNumbers: new Set([0]), allocatedSize: 4200, leases });
    return service.writeShare({ ...request, offset: 0, parts: [new Uint8Array(4200).fill(number)] });
  };
  const results = await Promise.all(Array.from({ length: 2000 }, (_, number) => one(number)));
  t.true(results.every((result) => result.complete));
  const stored = await filesUnder(path.join(directory, 'storage', 'shares'));
  t.is(stored.length, 2000);
});
