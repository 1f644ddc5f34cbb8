/**
 * CPU milliseconds per MB (10^6 bytes) of an upload without network: key, encryption, erasure code, hashes, shares handed
 * to servers that discard them. Seven tenths of it is SHA-256, so the speed of that is printed beside it.
 *
 * node dist/scripts/bench/encode.js [megabytes]
 */
import { createHash } from 'node:crypto';
import type { ServerId, TubId } from '../../src/encoding/brands.js';
import type { UploadSource } from '../../src/immutable/immutable.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';

const MEGABYTE = 1e6;
const encoding = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10, maximumSegmentSize: 1 << 20 };

/** Accepts everything and keeps nothing. */
function discardingServer(name: string): StorageServer {
  const hash = new Uint8Array(createHash('sha256').update(name).digest());
  const remaining = new Map<string, number>();
  const key = (request: { readonly storageIndex: Uint8Array; readonly shareNumber: number }) =>
    `${Buffer.from(request.storageIndex).toString('hex')}/${request.shareNumber}`;
  const server: Partial<StorageServer> = {
    id: `v0-${name}` as ServerId,
    nickname: name,
    permutationSeed: hash,
    tubId: hash.subarray(0, 20) as TubId,
    async allocateShares({ storageIndex, shareNumbers, allocatedSize }) {
      for (const shareNumber of shareNumbers) remaining.set(key({ storageIndex, shareNumber }), allocatedSize);
      return { alreadyHave: new Set(), allocated: shareNumbers };
    },
    async writeShare(request) {
      const left = remaining.get(key(request))! - request.parts.reduce((sum, part) => sum + part.length, 0);
      remaining.set(key(request), left);
      return { complete: left === 0 };
    },
  };
  return server as StorageServer;
}

const pattern = new Uint8Array((1 << 20) + 4096);
for (let i = 0, x = 1; i < pattern.length; i++) {
  x = (Math.imul(x, 1103515245) + 12345) | 0;
  pattern[i] = x >>> 16;
}

function patternSource(sizeBytes: number): UploadSource {
  return {
    sizeBytes,
    read: async (offset, target) => target.set(pattern.subarray(offset & 4095, (offset & 4095) + target.length)),
  };
}

function cpuMs(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function sha256MegabytesPerSecond(): number {
  const block = new Uint8Array(1 << 20);
  const hasher = createHash('sha256');
  const before = process.cpuUsage();
  for (let i = 0; i < 200; i++) hasher.update(block);
  return (200 * block.length) / MEGABYTE / (cpuMs(before) / 1000);
}

async function measure(uploader: GridUploader, sizeBytes: number, count: number, seed: number): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) {
    const convergenceSecret = new Uint8Array([i & 255, i >> 8, seed]);
    await uploader.upload(patternSource(sizeBytes), { encoding, convergenceSecret });
  }
  return cpuMs(before);
}

const megabytes = Number(process.argv[2] ?? 100);
const servers = Array.from({ length: 10 }, (_, i) => discardingServer(`server-${i}`));
const uploader = new GridUploader({
  servers: () => servers,
  clientLeaseSecret: new Uint8Array(32),
  clock: new NodeClock(),
  log: silentLogger,
});
await measure(uploader, 5 * MEGABYTE, 2, 1);
await measure(uploader, 1024, 300, 2);
const large = await measure(uploader, megabytes * MEGABYTE, 1, 3);
const small = await measure(uploader, 1024, 1000, 4);
process.stdout.write(
  `${[
    `upload of ${megabytes} MB at 3 of 10: ${(large / megabytes).toFixed(2)} CPU ms/MB`,
    `upload of 1 KiB at 3 of 10: ${((small / 1000) * 1000).toFixed(0)} CPU us/file`,
    `sha256 here: ${sha256MegabytesPerSecond().toFixed(0)} MB/s; peak memory: ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`,
  ].join('\n')}\n`,
);
await uploader.close();
