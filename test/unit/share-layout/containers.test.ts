import test from 'ava';
import fc from 'fast-check';
import {
  bucketLeaseSecrets,
  clientLeaseSecrets,
  fileLeaseSecrets,
  writeEnablerOf,
} from '../../../src/crypto/derivations.js';
import { concatBytes, encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { asStorageIndex, asTubId, asWriteEnabler, asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import {
  containerKindOf,
  emptyMutableContainer,
  mutableDataOffset,
  mutableHeaderLength,
  mutableLeaseOffset,
  parseImmutableHeader,
  parseMutableHeader,
  parseMutableLeases,
  serializeImmutableHeader,
  serializeMutableHeader,
} from '../../../src/share-layout/containers.js';
import {
  leaseSecretMatches,
  parseImmutableLease,
  parseMutableLease,
  serializeImmutableLease,
  serializeMutableLease,
  storedLeaseSecret,
} from '../../../src/share-layout/lease.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import type { MutableVector } from '../../support/mutable-vectors.js';
import { openMutableContainer } from '../../support/mutable-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const renew = encodeAscii('R'.repeat(32));
const cancel = encodeAscii('C'.repeat(32));
const expirationSeconds = 1_700_000_000 + 31 * 86_400;

function exampleContainer(version: 1 | 2): Uint8Array {
  const data = encodeAscii('a'.repeat(60) + 'b'.repeat(40));
  const lease = {
    ownerNumber: 0,
    renewSecret: storedLeaseSecret(version, renew),
    cancelSecret: storedLeaseSecret(version, cancel),
    expirationSeconds,
  };
  return concatBytes([serializeImmutableHeader(version, data.length, 1), data, serializeImmutableLease(lease)]);
}

test('an immutable container has the layout of the specification and BLAKE2b hashes of its secrets', (t) => {
  const container = exampleContainer(2);
  const [header, leases] = [container.subarray(0, 12), container.subarray(112)];
  t.is(toHex(header), '000000020000006400000001');
  t.is(
    toHex(leases),
    '00000000' +
      '0666d16d6f9960d32c9e59c59b33800be038644ece4cb3da310b258e6d852204' +
      'f23824449c1860ead7065f1539cca5ada8ddfdf84a5e4f7608634fed82c0eb24' +
      '657ccf80',
  );
  t.is(container.length, 184);
  t.is(containerKindOf(container), 'immutable');
  t.deepEqual(parseImmutableHeader(header, container.length), {
    version: 2,
    leaseCount: 1,
    dataLength: 100,
    leasesOffset: 112,
  });
});

for (const version of [1, 2] as const) {
  test(`a lease in a container of version ${version} knows its secrets`, (t) => {
    const lease = parseImmutableLease(exampleContainer(version), 112);
    t.is(lease.expirationSeconds, expirationSeconds);
    t.true(leaseSecretMatches(version, lease.renewSecret, renew));
    t.true(leaseSecretMatches(version, lease.cancelSecret, cancel));
    t.false(leaseSecretMatches(version, lease.renewSecret, cancel));
    t.is(toHex(lease.renewSecret) === toHex(renew), version === 1);
  });
}

test('an immutable container of more leases than bytes, or of an unknown version, is corrupt', (t) => {
  t.throws(() => parseImmutableHeader(serializeImmutableHeader(2, 0, 2), 12 + 72));
  t.throws(() => parseImmutableHeader(fromHex('000000030000000000000000'), 12));
  t.throws(() => parseImmutableHeader(fromHex('0000000200000000'), 12));
  t.throws(() => containerKindOf(fromHex('00000003')));
  t.throws(() => containerKindOf(new Uint8Array(0)));
});

test('the size field of a share above 4 GiB is cut, its true size comes from the file', (t) => {
  const header = serializeImmutableHeader(2, 2 ** 33, 1);
  t.is(toHex(header), '00000002ffffffff00000001');
  t.is(parseImmutableHeader(header, 12 + 2 ** 33 + 72).dataLength, 2 ** 33);
});

const vectors = readVectorJson<Record<string, MutableVector>>('mutable/shares.json');

for (const [name, vector] of Object.entries(vectors)) {
  test(`containers of the Python implementation are read and written alike: ${name}`, (t) => {
    const writeKey = asWriteKey(fromHex(vector.derived.writekey));
    const client = clientLeaseSecrets(fromHex(vector.client_lease_secret_hex));
    const file = fileLeaseSecrets(client, asStorageIndex(fromHex(vector.derived.storage_index)));
    for (const share of vector.shares) {
      const bytes = fromBase64(share.container_file_b64);
      const nodeId = asTubId(fromHex(share.server_nodeid));
      const container = parseMutableHeader(bytes, bytes.length);
      t.is(containerKindOf(bytes), 'mutable');
      t.is(container.version, 2);
      t.deepEqual(container.nodeId, nodeId);
      t.deepEqual(container.writeEnabler, writeEnablerOf(writeKey, nodeId));
      t.deepEqual(serializeMutableHeader(container), bytes.subarray(0, mutableHeaderLength));

      const { extraCount, leases } = openMutableContainer(bytes);
      t.is(extraCount, 0);
      t.is(leases.size, 1);
      const [slot, lease] = [...leases][0]!;
      const secrets = bucketLeaseSecrets(file, nodeId);
      t.true(leaseSecretMatches(2, lease.renewSecret, secrets.renew));
      t.true(leaseSecretMatches(2, lease.cancelSecret, secrets.cancel));
      t.deepEqual(lease.nodeId, nodeId);
      const offset = mutableLeaseOffset(container, slot);
      t.deepEqual(serializeMutableLease(lease), bytes.subarray(offset, offset + 92));
    }
  });
}

test('an empty mutable container has 472 bytes and no leases', (t) => {
  const nodeId = asTubId(new Uint8Array(20).fill(1));
  const writeEnabler = asWriteEnabler(new Uint8Array(32).fill(2));
  const bytes = emptyMutableContainer(nodeId, writeEnabler);
  t.is(bytes.length, 472);
  const container = parseMutableHeader(bytes, bytes.length);
  t.deepEqual(container, { version: 2, nodeId, writeEnabler, dataLength: 0, extraLeasesOffset: mutableDataOffset });
  t.is(openMutableContainer(bytes).leases.size, 0);
});

test('version 1 of the mutable container has its own magic', (t) => {
  const nodeId = asTubId(new Uint8Array(20));
  const writeEnabler = asWriteEnabler(new Uint8Array(32));
  const header = serializeMutableHeader({ version: 1, nodeId, writeEnabler, dataLength: 7, extraLeasesOffset: 475 });
  t.is(toHex(header.subarray(0, 32)), '5461686f65206d757461626c6520636f6e7461696e65722076310a750944038e');
  t.is(parseMutableHeader(header, 479).version, 1);
  t.is(containerKindOf(header), 'mutable');
});

test('leases beyond the four slots stand behind the data', (t) => {
  const nodeId = asTubId(new Uint8Array(20).fill(9));
  const lease = (ownerNumber: number) => ({
    ownerNumber,
    expirationSeconds: 5,
    renewSecret: renew,
    cancelSecret: cancel,
    nodeId,
  });
  const slots = concatBytes([serializeMutableLease(lease(1)), new Uint8Array(3 * 92)]);
  const extra = concatBytes([fromHex('00000002'), serializeMutableLease(lease(6)), serializeMutableLease(lease(7))]);
  const { extraCount, leases } = parseMutableLeases(slots, extra);
  t.is(extraCount, 2);
  t.deepEqual(
    [...leases].map(([index, { ownerNumber }]) => [index, ownerNumber]),
    [
      [0, 1],
      [4, 6],
      [5, 7],
    ],
  );
  t.true(
    isTahoeError(
      t.throws(() => parseMutableLeases(slots, extra.subarray(0, -1))),
      'corrupt',
    ),
  );
  const container = {
    version: 2,
    nodeId,
    writeEnabler: asWriteEnabler(renew),
    dataLength: 10,
    extraLeasesOffset: 478,
  } as const;
  t.deepEqual(
    [0, 3, 4, 5].map((index) => mutableLeaseOffset(container, index)),
    [100, 376, 482, 574],
  );
});

test('any lease comes back', (t) => {
  const u32 = fc.nat(0xffff_ffff);
  const secret = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 0xffff_ffff }),
      u32,
      secret,
      secret,
      (ownerNumber, seconds, renewSecret, cancelSecret) => {
        const lease = { ownerNumber, expirationSeconds: seconds, renewSecret, cancelSecret };
        t.deepEqual(parseImmutableLease(serializeImmutableLease(lease)), lease);
        const mutable = { ...lease, nodeId: asTubId(renewSecret.slice(0, 20)) };
        t.deepEqual(parseMutableLease(serializeMutableLease(mutable)), mutable);
      },
    ),
  );
});

test('10,000 damaged containers give typed errors or numbers that fit the file', (t) => {
  const random = randomSource(99);
  const mutable = fromBase64(Object.values(vectors)[0]!.shares[0]!.container_file_b64).subarray(0, 800);
  // the end of the data is cut off above: move the leases to where the file ends
  const shortened = concatBytes([
    serializeMutableHeader({ ...parseMutableHeader(mutable, 1e6), dataLength: 300, extraLeasesOffset: 768 }),
    mutable.subarray(100, 768),
    new Uint8Array(4),
  ]);
  const refused = { immutable: 0, mutable: 0 };
  for (let round = 0; round < 5000; round++) {
    const immutableBytes = mutate(exampleContainer(2), random);
    try {
      const { dataLength, leasesOffset, leaseCount } = parseImmutableHeader(immutableBytes, immutableBytes.length);
      t.true(dataLength >= 0 && leasesOffset + 72 * leaseCount === immutableBytes.length);
      for (let index = 0; index < leaseCount; index++) parseImmutableLease(immutableBytes, leasesOffset + 72 * index);
    } catch (error) {
      t.true(isTahoeError(error, 'corrupt'));
      refused.immutable++;
    }
    const mutableBytes = mutate(shortened, random);
    try {
      const { data } = openMutableContainer(mutableBytes);
      t.true(mutableDataOffset + data.length <= mutableBytes.length);
    } catch (error) {
      t.true(isTahoeError(error, 'corrupt'));
      refused.mutable++;
    }
  }
  t.true(refused.immutable > 500 && refused.mutable > 500);
});
