/** The files on disk are byte for byte those of the reference: immutable spec 6.2, mutable spec 6.2. */
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { bucketLeaseSecrets, clientLeaseSecrets, fileLeaseSecrets } from '../../../src/crypto/derivations.js';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import type {
  LeaseCancelSecret,
  LeaseRenewSecret,
  ServerId,
  StorageIndex,
  TubId,
  UploadSecret,
} from '../../../src/encoding/brands.js';
import { fromHex, toHex } from '../../../src/encoding/bytes.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { LEASE_DURATION_SECONDS } from '../../../src/storage-protocol/limits.js';
import { DiskBackend } from '../../../src/storage-server/disk-backend.js';
import { StorageService } from '../../../src/storage-server/service.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import { ManualClock } from '../../support/manual-clock.js';
import { type MutableVector, openMutableContainer } from '../../support/mutable-vectors.js';
import { temporaryDirectory } from '../../support/storage-servers.js';

interface Preset {
  readonly storageIndex: StorageIndex;
  readonly file: Uint8Array;
}

/** A service whose clock stands still; `preset` is share 0 of a storage index that is there already. */
async function startAt(t: ExecutionContext, nowSeconds: number, nodeId: TubId, preset?: Preset) {
  const directory = await temporaryDirectory(t);
  const shareName = (storageIndex: StorageIndex, shareNumber: number) => {
    const name = encodeBase32(storageIndex);
    return path.join(directory, 'shares', name.slice(0, 2), name, String(shareNumber));
  };
  if (preset !== undefined) {
    const name = shareName(preset.storageIndex, 0);
    await fs.mkdir(path.dirname(name), { recursive: true });
    await fs.writeFile(name, preset.file);
  }
  const service = new StorageService({
    id: 'v0-test' as ServerId,
    nickname: 'test',
    permutationSeed: new Uint8Array(0),
    tubId: nodeId,
    backend: new DiskBackend(new NodeFileStore(), directory, nodeId),
    clock: new ManualClock(nowSeconds * 1000 + 500),
    log: silentLogger,
    applicationVersion: 'test',
  });
  await service.start();
  const shareFile = (storageIndex: StorageIndex, shareNumber: number) =>
    fs.readFile(shareName(storageIndex, shareNumber));
  return { service, shareFile };
}

test('an immutable share with its lease', async (t) => {
  const { service, shareFile } = await startAt(t, 1_700_000_000, new Uint8Array(20) as TubId);
  const storageIndex = new Uint8Array(16).fill(1) as StorageIndex;
  const uploadSecret = new Uint8Array(20) as UploadSecret;
  const leases = {
    renew: new Uint8Array(32).fill(0x52) as LeaseRenewSecret,
    cancel: new Uint8Array(32).fill(0x43) as LeaseCancelSecret,
  };
  const data = Buffer.from('a'.repeat(60) + 'b'.repeat(40));
  const request = { storageIndex, uploadSecret, leases, shareNumbers: new Set([0, 1]), allocatedSize: 100 };
  await service.allocateShares(request);
  await service.writeShare({ storageIndex, shareNumber: 0, offset: 0, parts: [data], uploadSecret });
  for (const offset of [60, 0]) {
    const part = data.subarray(offset, offset + 60);
    await service.writeShare({ storageIndex, shareNumber: 1, offset, parts: [part], uploadSecret });
  }
  const lease =
    '000000000666d16d6f9960d32c9e59c59b33800be038644ece4cb3da310b258e6d852204' +
    'f23824449c1860ead7065f1539cca5ada8ddfdf84a5e4f7608634fed82c0eb24657ccf80';
  const expected = `000000020000006400000001${data.toString('hex')}${lease}`;
  t.is(toHex(await shareFile(storageIndex, 0)), expected);
  t.is(toHex(await shareFile(storageIndex, 1)), expected);
  await service.addLease(storageIndex, leases);
  t.is(toHex(await shareFile(storageIndex, 0)), expected);
  await service.addLease(storageIndex, { ...leases, renew: new Uint8Array(32) as LeaseRenewSecret });
  const two = await shareFile(storageIndex, 0);
  t.is(two.length, expected.length / 2 + 72);
  t.is(two.readUInt32BE(8), 2);
  t.is(two.readUInt32BE(expected.length / 2), 1);
  const read = await service.readShare({ storageIndex, shareNumber: 0 }, { offset: 0, length: 1000 });
  t.is(read.length, 100);
});

test('a lease that was appended but not yet counted when the machine died does not lengthen the share', async (t) => {
  const { service, shareFile } = await startAt(t, 1_700_000_000, new Uint8Array(20) as TubId);
  const storageIndex = new Uint8Array(16).fill(1) as StorageIndex;
  const uploadSecret = new Uint8Array(20) as UploadSecret;
  const leases = { renew: new Uint8Array(32) as LeaseRenewSecret, cancel: new Uint8Array(32) as LeaseCancelSecret };
  const request = { storageIndex, uploadSecret, leases, shareNumbers: new Set([0]), allocatedSize: 5 };
  await service.allocateShares(request);
  await service.writeShare({ storageIndex, shareNumber: 0, offset: 0, parts: [Buffer.from('12345')], uploadSecret });
  const other = { ...leases, renew: new Uint8Array(32).fill(1) as LeaseRenewSecret };
  await service.addLease(storageIndex, other);
  const whole = await shareFile(storageIndex, 0);
  const uncounted = Buffer.from(whole);
  uncounted.writeUInt32BE(1, 8);
  const preset = { storageIndex, file: uncounted };
  const second = await startAt(t, 1_700_000_000, new Uint8Array(20) as TubId, preset);
  const read = await second.service.readShare({ storageIndex, shareNumber: 0 }, { offset: 0, length: 1000 });
  t.is(Buffer.from(read).toString(), '12345');
  await second.service.addLease(storageIndex, other);
  t.deepEqual(await second.shareFile(storageIndex, 0), whole);
});

const vectors = readVectorJson<Record<string, MutableVector>>('mutable/shares.json');
for (const [name, vector] of Object.entries(vectors)) {
  test(`mutable shares of ${name}`, async (t) => {
    const storageIndex = fromHex(vector.derived.storage_index) as StorageIndex;
    const client = clientLeaseSecrets(fromHex(vector.client_lease_secret_hex));
    for (const share of vector.shares) {
      const expected = fromBase64(share.container_file_b64);
      const { container, data, leases } = openMutableContainer(expected);
      const expirySeconds = leases.get(0)?.expirationSeconds ?? 0;
      const { service, shareFile } = await startAt(t, expirySeconds - LEASE_DURATION_SECONDS, container.nodeId);
      await service.readTestWrite({
        storageIndex,
        writeEnabler: container.writeEnabler,
        leases: bucketLeaseSecrets(fileLeaseSecrets(client, storageIndex), container.nodeId),
        shares: new Map([[share.shnum, { tests: [], writes: [{ offset: 0, data }], newLength: null }]]),
        readVector: [],
      });
      t.is(toHex(await shareFile(storageIndex, share.shnum)), toHex(expected));
    }
  });
}
