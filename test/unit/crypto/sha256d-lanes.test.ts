import test from 'ava';
import fc from 'fast-check';
import { sha256d, taggedHash } from '../../../src/crypto/hashes.js';
import { laneHasher, plainLaneHasher } from '../../../src/crypto/sha256d-lanes.js';
import { encodeBase32 } from '../../../src/encoding/base32.js';

function sampleBytes(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed + i * 167 + ((i * i) >>> 5)) & 255);
}

test('the kernel runs on this engine', (t) => {
  t.not(laneHasher(), plainLaneHasher);
});

test('messages of every length around the block size hash as sha256d', (t) => {
  for (let length = 1; length <= 200; length++) {
    const messages = sampleBytes(length * 5, length);
    const hashes = laneHasher().hashMessages(messages, length);
    for (let i = 0; i < 5; i++) {
      t.deepEqual(hashes.subarray(i * 32, i * 32 + 32), sha256d(messages.subarray(i * length, (i + 1) * length)));
    }
  }
});

test('batches of any size hash like their plain twin', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 0, max: 300 }), (length, count) => {
      const messages = sampleBytes(length * count, count);
      const expected = plainLaneHasher.hashMessages(messages, length);
      t.deepEqual(laneHasher().hashMessages(messages, length), expected);
    }),
    { numRuns: 30 },
  );
});

test('the parent of the first two padding leaves is the known one', (t) => {
  const nodes = new Uint8Array(96);
  nodes.set(taggedHash('Merkle tree empty leaf', Uint8Array.of(0x30)), 32);
  nodes.set(taggedHash('Merkle tree empty leaf', Uint8Array.of(0x31)), 64);
  laneHasher().fillTree(nodes);
  t.is(encodeBase32(nodes.subarray(0, 32)), 'a67k5hbsjk72e5vth3psjpdb4muhzwntu6dh7oxbzpdu37bihsqa');
});

for (const leaves of [1, 2, 4, 8, 16, 512, 2048, 8192]) {
  test(`a tree of ${leaves} leaves is filled like its plain twin`, (t) => {
    const nodes = sampleBytes((2 * leaves - 1) * 32, leaves);
    const expected = nodes.slice();
    laneHasher().fillTree(nodes);
    plainLaneHasher.fillTree(expected);
    t.deepEqual(nodes, expected);
  });
}
