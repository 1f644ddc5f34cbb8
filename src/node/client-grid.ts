/** The grid of a client node: its servers, who answers, and what turns capabilities into contents. */
import { LRUCache } from 'lru-cache';
import { clientLeaseSecrets } from '../crypto/derivations.js';
import type { Grid, ServerStatus } from '../grid/grid.js';
import { GridClient } from '../grid/grid-client.js';
import { GridDownloader } from '../immutable/downloader.js';
import { GridUploader } from '../immutable/uploader.js';
import { STORAGE_SERVICE } from '../introducer/introducer.js';
import type { SlotContext } from '../mutable/slot-context.js';
import type { Platform } from '../platform/platform.js';
import { type GridServerStatus, GridServers } from '../storage-client/grid-servers.js';
import { parseServersYaml } from '../storage-client/server-list.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { KeyPool, type KeySource } from '../vfs/key-pool.js';
import type { NodeDirectory } from './node-directory.js';
import type { NodeIntroducers } from './node-introducers.js';
import { StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';

const SEGMENT_CACHE_BYTES = 128 * 1024 * 1024;
const SLOT_REQUEST_TIMEOUT_MS = 5_000;
const AWAKE_INTERVAL_MS = 60_000;
/** How long a start waits for introducers; servers that come later are taken then. */
const ANNOUNCEMENTS_LIMIT_MS = 10_000;

export interface ClientGrid {
  readonly grid: Grid;
  readonly slots: SlotContext;
  /** Key pairs for new directories and mutable files. */
  readonly keys: KeySource;
  close(): Promise<void>;
}

/**
 * Connects to the servers of `private/servers.yaml` and those that the introducers announce, now and later, and asks
 * each once. Kind `invalid` if that file is not understood.
 */
export async function openClientGrid(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  introducers: NodeIntroducers,
  keys: KeySource = filledPool(),
): Promise<ClientGrid> {
  const { clock, entropy, log } = platform;
  const stops = new StopStack();
  const servers = new GridServers(platform);
  stops.push(() => servers.close());
  const yaml = (await directory.read('private', 'servers.yaml')) ?? '';
  for (const address of parseServersYaml(yaml, log)) servers.addStatic(address);
  introducers.subscribe(STORAGE_SERVICE, (announcement) => servers.announced(announcement));
  introducers.start();
  await keepAwake(introducers.firstAttempt(ANNOUNCEMENTS_LIMIT_MS).then(() => servers.firstProbes()));
  const clientLeaseSecret = await directory.secret('secret', entropy);
  const isReachable = (server: StorageServer) => servers.isReachable(server);
  const reachable = () => servers.all().filter(isReachable);
  const uploader = new GridUploader({ servers: reachable, clientLeaseSecret, clock, log });
  stops.push(() => uploader.close());
  const segmentCache = new LRUCache<string, Uint8Array>({
    maxSize: SEGMENT_CACHE_BYTES,
    sizeCalculation: (segment) => Math.max(segment.length, 1),
  });
  const slots: SlotContext = {
    servers: () => servers.all(),
    isReachable,
    onReturn: (listener) => servers.onReturn(listener),
    leaseSecrets: clientLeaseSecrets(clientLeaseSecret),
    clock,
    entropy,
    log,
    requestTimeoutMs: SLOT_REQUEST_TIMEOUT_MS,
  };
  stops.push(() => keys.close());
  const grid = new GridClient({
    uploader,
    downloader: new GridDownloader({ servers: reachable, segmentCache, clock, log }),
    slots,
    keys,
    encoding: config.encoding,
    mutableFormat: config.mutableFormat,
    convergenceSecret: await directory.secret('convergence', entropy),
    servers: () => servers.statuses().map(describeServer),
  });
  return { grid, slots, keys, close: () => stops.unwind() };
}

function filledPool(): KeyPool {
  const keys = new KeyPool();
  keys.fill();
  return keys;
}

/** Timers of the platform's clock do not keep the process alive, and at the start nothing else may. */
async function keepAwake<Result>(work: Promise<Result>): Promise<Result> {
  const awake = setInterval(() => {}, AWAKE_INTERVAL_MS);
  try {
    return await work;
  } finally {
    clearInterval(awake);
  }
}

function describeServer(status: GridServerStatus): ServerStatus {
  const { server, state, failure, availableSpace, lastContactMs, requests } = status;
  return { id: server.id, nickname: server.nickname, state, reason: failure, availableSpace, lastContactMs, requests };
}
