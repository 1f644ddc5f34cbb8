/** Ten servers in memory (or as many as asked), with an uploader and the usual encoding. */
import type { ExecutionContext } from 'ava';
import { LRUCache } from 'lru-cache';
import { GridDownloader } from '../../src/immutable/downloader.js';
import type { Encoding, UploadSource } from '../../src/immutable/immutable.js';
import type { DownloadTiming } from '../../src/immutable/share-set.js';
import { GridUploader } from '../../src/immutable/uploader.js';
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
  readonly downloader: GridDownloader;
  readonly segmentCache: LRUCache<string, Uint8Array>;
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
    cacheBytes = 32 << 20,
    timing = {},
  }: {
    serverCount?: number;
    queryTimeoutMs?: number;
    writeTimeoutMs?: number;
    cacheBytes?: number;
    timing?: Partial<DownloadTiming>;
  } = {},
): MemoryGrid {
  const servers = Array.from({ length: serverCount }, (_, i) => new MemoryStorageServer(`s${i}`));
  const uploader = new GridUploader({
    servers: () => servers,
    clientLeaseSecret: new Uint8Array(32).fill(7),
    clock: memoryGridClock,
    log: silentLogger,
    queryTimeoutMs,
    writeTimeoutMs,
  });
  t.teardown(() => uploader.close());
  const segmentCache = new LRUCache<string, Uint8Array>({
    maxSize: cacheBytes,
    sizeCalculation: (bytes) => Math.max(1, bytes.length),
  });
  const downloader = new GridDownloader({
    servers: () => servers,
    segmentCache,
    clock: memoryGridClock,
    log: silentLogger,
    timing,
  });
  return { servers, uploader, downloader, segmentCache };
}

export function bytesSource(bytes: Uint8Array): UploadSource {
  return {
    sizeBytes: bytes.length,
    read: async (offset, target) => target.set(bytes.subarray(offset, offset + target.length)),
  };
}
