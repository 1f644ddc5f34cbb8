/** One node of the simulation: its disk, and one process after the other that runs the real program on it. */
import { LRUCache } from 'lru-cache';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import type { Grid } from '../../src/grid/grid.js';
import { GridClient } from '../../src/grid/grid-client.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { sleep } from '../../src/platform/clock.js';
import type { LogFields, Logger } from '../../src/platform/logger.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { createVfs } from '../../src/vfs/create-vfs.js';
import { openLog } from '../../src/vfs/journal/log-engine.js';
import type { KeySource } from '../../src/vfs/key-pool.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import type { NodeVfs } from '../../src/vfs/vfs-engine.js';
import { CrashFileStore, type CrashKind } from '../support/crash-file-store.js';
import type { SimConfig } from './config.js';
import type { Network } from './network.js';
import { type Random, seededEntropy } from './random.js';
import type { SeamContext, Seams } from './seams.js';
import { ProcessClock, type VirtualTime } from './virtual-time.js';

const SEGMENT_BYTES = 128 * 1024;
/** Several segments for a file of a few kilobytes. */
const MAXIMUM_SEGMENT_SIZE = 1024;

export interface NodeSurroundings {
  readonly config: SimConfig;
  readonly time: VirtualTime;
  readonly network: Network;
  readonly keys: KeySource;
  readonly seams: Seams;
  /** Sees each upload before it begins. */
  readonly watchGrid: (inner: Grid) => Grid;
  readonly note: (line: string) => void;
}

/** Thrown into what was going on in a process that died. */
export const processDied = Symbol('the process died');

class Process {
  readonly clock: ProcessClock;
  /** Rejects when the process dies. */
  readonly death: Promise<never>;
  die!: () => void;
  vfs: NodeVfs | undefined;
  user: Vfs | undefined;

  constructor(time: VirtualTime, skewMs: number) {
    this.clock = new ProcessClock(time, skewMs);
    this.death = new Promise((_, reject) => {
      this.die = () => {
        this.clock.isAlive = false;
        reject(processDied);
      };
    });
    // somebody may wait for it or not
    this.death.catch(() => undefined);
  }
}

export class SimNode {
  readonly index: number;
  readonly name: string;
  /** Warnings and errors of all its lives. */
  readonly lines: string[] = [];
  readonly #around: NodeSurroundings;
  readonly #random: Random;
  #context: SeamContext;
  #disk = new CrashFileStore();
  #lives = 0;
  #process: Process | undefined;

  constructor(index: number, around: NodeSurroundings, random: Random) {
    this.index = index;
    this.name = `n${index}`;
    this.#around = around;
    this.#random = random;
    this.#context = this.#newContext();
  }

  get isRunning(): boolean {
    return this.#process?.user !== undefined;
  }

  /** What its user works with. */
  get vfs(): Vfs {
    if (this.#process?.user === undefined) throw new Error(`${this.name} does not run`);
    return this.#process.user;
  }

  get engine(): NodeVfs {
    if (this.#process?.vfs === undefined) throw new Error(`${this.name} does not run`);
    return this.#process.vfs;
  }

  /** Settles as `work` does, or rejects with `processDied` when this process dies first. */
  whileAlive<Value>(work: Promise<Value>): Promise<Value> {
    const process = this.#process;
    if (process === undefined) return Promise.reject(processDied);
    return Promise.race([work, process.death]);
  }

  async start(): Promise<void> {
    const { time, config, seams } = this.#around;
    const random = this.#random.fork(`life ${this.#lives++}`);
    const process = new Process(time, random.pick([0, 0, -3_600_000, 86_400_000]));
    this.#process = process;
    this.#disk.whileSyncing = () => sleep(time, random.between(1, 8));
    const context = this.#context;
    const log = this.#logger();
    const { clock } = process;
    const entropy = seededEntropy(random);
    const disk = seams.disk?.(this.#disk, context) ?? this.#disk;
    const keys = seams.keys?.(this.#around.keys, context) ?? this.#around.keys;
    const { grid, slots } = this.#grid(process, keys, log, entropy);
    const journal = { openJournal: seams.journal?.(openLog, context) ?? openLog };
    const vfs = await Promise.race([
      createVfs({
        platform: { clock, entropy, files: disk, log },
        grid,
        slots,
        keys,
        encoding: config,
        directory: '/node',
        keyPath: '/node/private/journal.key',
        journalBytesMax: 32 * SEGMENT_BYTES,
        journalReserveBytes: 4 * SEGMENT_BYTES,
        journalSegmentBytes: SEGMENT_BYTES,
        settings: { ...seams.settings },
        ...journal,
      }),
      process.death,
    ]);
    process.vfs = vfs;
    process.user = seams.vfs?.(vfs, context) ?? vfs;
  }

  /** Ends in order; what is pending stays in the journal. */
  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    process.user = undefined;
    await Promise.race([process.vfs?.close(), process.death]);
    process.die();
    if (this.#process === process) this.#process = undefined;
  }

  kill(how: CrashKind): void {
    this.#process?.die();
    this.#process = undefined;
    this.#around.network.expireUploads();
    this.#disk = this.#disk.afterCrash(how, () => this.#random.fraction());
  }

  /** The disk is gone with everything on it; whoever starts next is a new node. */
  loseDisk(): void {
    this.kill('kill');
    this.#disk = new CrashFileStore();
    this.#context = this.#newContext();
  }

  #newContext(): SeamContext {
    const { config, time } = this.#around;
    return { node: this.index, config, time, memory: new Map() };
  }

  #grid(process: Process, keys: KeySource, log: Logger, entropy: ReturnType<typeof seededEntropy>) {
    const { config, network, seams, watchGrid } = this.#around;
    const { clock } = process;
    const reached = network.reach(this.index, () => clock.isAlive);
    const servers = seams.servers?.(reached, this.#context) ?? (() => reached);
    const clientLeaseSecret = new Uint8Array(32).fill(this.index);
    const isReachable = ({ id }: StorageServer) => network.seemsReachable(this.index, id);
    const reachable = () => servers().filter(isReachable);
    const ownSlots: SlotContext = {
      servers,
      isReachable,
      leaseSecrets: clientLeaseSecrets(clientLeaseSecret),
      clock,
      entropy,
      log,
      requestTimeoutMs: 5000,
    };
    const slots = seams.slots?.(ownSlots, this.#context) ?? ownSlots;
    const segmentCache = new LRUCache<string, Uint8Array>({
      maxSize: 1 << 20,
      sizeCalculation: ({ length }) => length || 1,
    });
    const cache = seams.segmentCache?.(segmentCache, this.#context) ?? segmentCache;
    const client = new GridClient({
      uploader: new GridUploader({ servers: reachable, clientLeaseSecret, clock, log }),
      downloader: new GridDownloader({ servers: reachable, segmentCache: cache, clock, log }),
      slots,
      keys,
      encoding: { ...config, maximumSegmentSize: MAXIMUM_SEGMENT_SIZE },
      convergenceSecret: new Uint8Array(32).fill(3),
      servers: () => reached.map(({ id, nickname }) => ({ id, nickname, state: 'connected' })),
    });
    const watched = watchGrid(client);
    return { grid: seams.grid?.(watched, this.#context) ?? watched, slots };
  }

  #logger(): Logger {
    const record = (message: string, fields: LogFields = {}) => {
      this.lines.push(message);
      this.#around.note(`${this.name} log ${message} ${JSON.stringify(fields)}`);
    };
    const logger: Logger = { debug() {}, info() {}, warn: record, error: record, child: () => logger };
    return logger;
  }
}
