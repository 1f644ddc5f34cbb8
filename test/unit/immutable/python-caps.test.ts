import { createHash } from 'node:crypto';
import test from 'ava';
import { serializeCap } from '../../../src/caps/cap.js';
import { bytesSource, createMemoryGrid } from '../../support/memory-grid.js';
import type { MemoryStorageServer } from '../../support/memory-storage-server.js';
import { loadPythonCaps, type PythonCap, pythonCapsContent } from '../../support/python-caps.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** SHA-256 of the SHA-256s of all shares in order of their numbers; undefined if there are none. */
function digestOfShares(servers: readonly MemoryStorageServer[]): string | undefined {
  const shares = new Map(servers.flatMap(({ buckets }) => [...buckets.values()].flatMap((bucket) => [...bucket])));
  if (shares.size === 0) return undefined;
  const digests = [...shares].sort(([a], [b]) => a - b).map(([, share]) => sha256(share));
  return sha256(Buffer.concat(digests)).toString('hex');
}

const { convergenceSecret, files } = loadPythonCaps();
const content = pythonCapsContent(Math.max(...files.map(({ size }) => size)));
const nameOf = ({ needed, total, maximumSegmentSize }: PythonCap) =>
  `${needed}-of-${total}, segments of ${maximumSegmentSize}`;

for (const name of new Set(files.map(nameOf))) {
  test(`the same secret and content give the capability and shares of the Python implementation: ${name}`, async (t) => {
    const { servers, uploader } = createMemoryGrid(t);
    for (const file of files.filter((candidate) => nameOf(candidate) === name)) {
      const { needed, total, maximumSegmentSize, size, cap, sharesSha256 } = file;
      const encoding = { sharesNeeded: needed, sharesHappy: 1, sharesTotal: total, maximumSegmentSize };
      const uploaded = await uploader.upload(bytesSource(content.subarray(0, size)), { encoding, convergenceSecret });
      t.is(serializeCap(uploaded.cap), cap, `${size} bytes`);
      t.is(digestOfShares(servers), sharesSha256, `${size} bytes`);
      for (const { buckets } of servers) buckets.clear();
    }
  });
}
