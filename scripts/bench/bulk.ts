/**
 * Large files end to end: ten storage servers with TLS and disk in one process, a client in this one. Uploads a random
 * file, reads it front to back, then reads 64 KiB at random places: knowing only the capability, with the file's hashes
 * known but the segment not in the cache, and with it there.
 *
 * node dist/scripts/bench/bulk.js [--json] [megabytes] [directory]
 */
import { createHash, randomFillSync } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { LRUCache } from 'lru-cache';
import type { ChkReadCap, LitCap } from '../../src/caps/cap.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import type { UploadSource } from '../../src/immutable/immutable.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { type BenchGrid, startBenchGrid } from './grid-process.js';

const MEGABYTE = 1e6;
const READ_BYTES = 1 << 20;
const RANGE_BYTES = 1 << 16;
const RANGES = 60;
const CACHE_BYTES = 64 << 20;
const WARM_UP_MEGABYTES = 20;
const encoding = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10, maximumSegmentSize: 1 << 20 };
const platform = { clock: new NodeClock(), entropy: new NodeEntropy(), log: silentLogger };

type FileCap = ChkReadCap | LitCap;

export interface Cost {
  readonly wallMs: number;
  readonly clientMs: number;
  readonly serversMs: number;
}

export interface RangeCost {
  readonly medianMs: number;
  readonly bytesMoved: number;
}

export interface BulkResults {
  readonly megabytes: number;
  readonly upload: Cost;
  readonly download: Cost;
  readonly cold: RangeCost;
  readonly warm: RangeCost;
  readonly cached: RangeCost;
  readonly sha256MegabytesPerSecond: number;
  readonly peakMib: number;
}

function clientCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function costOf<Result>(grid: BenchGrid, run: () => Promise<Result>): Promise<Cost & { result: Result }> {
  const serversBefore = await grid.cpuMs();
  const clientBefore = clientCpuMs();
  const startedMs = performance.now();
  const result = await run();
  const wallMs = performance.now() - startedMs;
  const clientMs = clientCpuMs() - clientBefore;
  return { result, wallMs, clientMs, serversMs: (await grid.cpuMs()) - serversBefore };
}

/** A server that counts the bytes of shares read from it. */
function counted(server: StorageServer, counter: { bytes: number }): StorageServer {
  return new Proxy(server, {
    get(target, name) {
      if (name === 'readShare') {
        return async (...call: Parameters<StorageServer['readShare']>) => {
          const bytes = await target.readShare(...call);
          counter.bytes += bytes.length;
          return bytes;
        };
      }
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function sourceOf(file: FileHandle, sizeBytes: number): UploadSource {
  return {
    sizeBytes,
    read: async (offset, target) => {
      await file.read(target, 0, target.length, offset);
    },
  };
}

async function randomFile(path: string, sizeBytes: number): Promise<FileHandle> {
  const file = await open(path, 'w+');
  const piece = new Uint8Array(MEGABYTE);
  for (let at = 0; at < sizeBytes; at += piece.length) await file.write(randomFillSync(piece), 0, undefined, at);
  return file;
}

class BulkBench {
  readonly #grid: BenchGrid;
  readonly #uploader: GridUploader;
  readonly #moved = { bytes: 0 };

  constructor(grid: BenchGrid) {
    this.#grid = grid;
    const servers = () => grid.servers;
    this.#uploader = new GridUploader({ ...platform, servers, clientLeaseSecret: new Uint8Array(32) });
  }

  close(): Promise<void> {
    return this.#uploader.close();
  }

  async upload(file: FileHandle, sizeBytes: number): Promise<Cost & { result: FileCap }> {
    const convergenceSecret = new Uint8Array(32);
    return costOf(this.#grid, async () => {
      const { cap } = await this.#uploader.upload(sourceOf(file, sizeBytes), { encoding, convergenceSecret });
      return cap as FileCap;
    });
  }

  /** Front to back; throws if anything differs from the file. */
  async download(cap: FileCap, file: FileHandle, sizeBytes: number): Promise<Cost> {
    const reader = this.#downloader().open(cap);
    const expected = new Uint8Array(READ_BYTES);
    const { result: _, ...cost } = await costOf(this.#grid, async () => {
      for (let at = 0; at < sizeBytes; at += READ_BYTES) {
        const bytes = await reader.read(at, READ_BYTES);
        await file.read(expected, 0, READ_BYTES, at);
        if (Buffer.compare(bytes, expected.subarray(0, bytes.length)) !== 0) throw new Error(`different at ${at}`);
      }
    });
    return cost;
  }

  /** Of reads at random places; the mean of the bytes moved. */
  async ranges(cap: FileCap, sizeBytes: number, kind: 'cold' | 'warm' | 'cached'): Promise<RangeCost> {
    const segments = Math.floor(sizeBytes / encoding.maximumSegmentSize);
    const known = this.#downloader();
    if (kind === 'warm') for (const at of [0, sizeBytes - 1]) await known.open(cap).read(at, 1);
    const warmReader = known.open(cap);
    await warmReader.read(0, 1);
    const tookMs: number[] = [];
    const before = this.#moved.bytes;
    for (let round = 0; round < RANGES; round++) {
      // each segment once, in no order, so that none is in the cache by chance
      const segment = kind === 'cached' ? 0 : 1 + ((round * 37) % (segments - 1));
      const offset =
        segment * encoding.maximumSegmentSize + ((round * 12_345) % (encoding.maximumSegmentSize - RANGE_BYTES));
      const reader = kind === 'cold' ? this.#downloader().open(cap) : warmReader;
      const startedMs = performance.now();
      await reader.read(offset, RANGE_BYTES);
      tookMs.push(performance.now() - startedMs);
    }
    const medianMs = tookMs.sort((left, right) => left - right)[RANGES >> 1] ?? Number.NaN;
    return { medianMs, bytesMoved: (this.#moved.bytes - before) / RANGES };
  }

  /** One that knows nothing of any file. */
  #downloader(): GridDownloader {
    const servers = this.#grid.servers.map((server) => counted(server, this.#moved));
    const segmentCache = new LRUCache<string, Uint8Array>({
      maxSize: CACHE_BYTES,
      sizeCalculation: ({ length }) => length,
    });
    return new GridDownloader({ ...platform, servers: () => servers, segmentCache });
  }
}

function print(results: BulkResults): void {
  const { megabytes, cold, warm, cached, peakMib } = results;
  const cost = (what: string, { wallMs, clientMs, serversMs }: Cost) => {
    const perMegabyte = [clientMs, serversMs].map((ms) => (ms / megabytes).toFixed(1)).join(' + ');
    const speed = (megabytes / (wallMs / 1000)).toFixed(1);
    return `${what} of ${megabytes} MB: ${speed} MB/s, CPU ${perMegabyte} ms/MB (client + servers)`;
  };
  const range = (what: string, { medianMs, bytesMoved }: RangeCost) =>
    `64 KiB ${what}: median ${medianMs.toFixed(2)} ms, ${(bytesMoved / 1000).toFixed(0)} kB moved`;
  process.stdout.write(
    `${[
      cost('upload', results.upload),
      cost('download', results.download),
      range('knowing only the capability', cold),
      range('of a file read before', warm),
      range('of a segment in the cache', cached),
      `sha256 here: ${results.sha256MegabytesPerSecond.toFixed(0)} MB/s; peak memory of the client: ${peakMib.toFixed(0)} MiB`,
    ].join('\n')}\n`,
  );
}

function sha256MegabytesPerSecond(): number {
  const block = new Uint8Array(1 << 20);
  const hasher = createHash('sha256');
  const before = clientCpuMs();
  for (let i = 0; i < 200; i++) hasher.update(block);
  return (200 * block.length) / MEGABYTE / ((clientCpuMs() - before) / 1000);
}

async function measure(megabytes: number, parent: string): Promise<BulkResults> {
  const directory = await mkdtemp(join(parent, 'tahoe-bench-file-'));
  const grid = await startBenchGrid(platform.clock, parent);
  const bench = new BulkBench(grid);
  try {
    const warmUp = await randomFile(join(directory, 'warm-up'), WARM_UP_MEGABYTES * MEGABYTE);
    const { result: warmUpCap } = await bench.upload(warmUp, WARM_UP_MEGABYTES * MEGABYTE);
    await bench.download(warmUpCap, warmUp, WARM_UP_MEGABYTES * MEGABYTE);
    await warmUp.close();

    const sizeBytes = megabytes * MEGABYTE;
    const file = await randomFile(join(directory, 'file'), sizeBytes);
    const { result: cap, ...upload } = await bench.upload(file, sizeBytes);
    const download = await bench.download(cap, file, sizeBytes);
    await file.close();
    const cold = await bench.ranges(cap, sizeBytes, 'cold');
    const warm = await bench.ranges(cap, sizeBytes, 'warm');
    const cached = await bench.ranges(cap, sizeBytes, 'cached');
    const peakMib = process.resourceUsage().maxRSS / 1024;
    const hashSpeed = { sha256MegabytesPerSecond: sha256MegabytesPerSecond() };
    return { megabytes, upload, download, cold, warm, cached, ...hashSpeed, peakMib };
  } finally {
    await bench.close();
    await grid.stop();
    await rm(directory, { recursive: true });
  }
}

// as the command line sets it for a node
setFlagsFromString('--heap-growing-percent=300');
const json = process.argv[2] === '--json';
const [megabytes = '100', parent = tmpdir()] = process.argv.slice(json ? 3 : 2);
const results = await measure(Number(megabytes), parent);
if (json) process.stdout.write(JSON.stringify(results));
else print(results);
