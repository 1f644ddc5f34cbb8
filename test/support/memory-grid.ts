/** Ten servers in memory (or as many as asked), with an uploader and the usual encoding. */
import type { ExecutionContext } from 'ava';
import type { Encoding, UploadSource } from '../../src/immutable/immutable.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import type { Clock } from '../../src/platform/clock.js';
import { silentLogger } from '../../src/platform/logger.js';
import { MemoryStorageServer } from './memory-storage-server.js';

/** Real time, but timers keep the process alive: servers in memory have no sockets that would. */
export const memoryGridClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

export interface MemoryGrid {
  readonly servers: MemoryStorageServer[];
  readonly uploader: GridUploader;
}

export const usualEncoding: Encoding = {
  sharesNeeded: 3,
  sharesHappy: 7,
  sharesTotal: 10,
  maximumSegmentSize: 1 << 20,
};

export function createMemoryGrid(
  t: ExecutionContext<unknown>,
  {
    serverCount = 10,
    queryTimeoutMs,
    writeTimeoutMs,
  }: { serverCount?: number; queryTimeoutMs?: number; writeTimeoutMs?: number } = {},
): MemoryGrid {
  const servers = Array.from({ length: serverCount }, (_, i) => new MemoryStorageServer(`s${i}`));
  const uploader = new GridUploader({
    servers: () => servers,
    clientLeaseSecret: new Uint8Array(32).fill(7),
    clock: memoryGridClock,
    entropy: new NodeEntropy(),
    log: silentLogger,
    queryTimeoutMs,
    writeTimeoutMs,
  });
  t.teardown(() => uploader.close());
  return { servers, uploader };
}

export function bytesSource(bytes: Uint8Array): UploadSource {
  return {
    sizeBytes: bytes.length,
    read: async (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}
