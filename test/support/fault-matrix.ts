/**
 * One operation of a client against ten servers of which some misbehave, on a clock that nobody waits for: what comes out
 * of it, how long it took, and whether all is well again afterwards.
 */
import { readFileSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, parseKnownCap, readCapOf, serializeCap } from '../../src/caps/cap.js';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { bytesEqual } from '../../src/encoding/bytes.js';
import { assert, type ErrorKind } from '../../src/errors/tahoe-error.js';
import { GridClient } from '../../src/grid/grid-client.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { FaultyStorageServer, type ServerCall, type ServerFault } from './faulty-storage-server.js';
import { seededFraction } from './log-owner.js';
import { ManualClock } from './manual-clock.js';
import { bytesSource } from './memory-grid.js';
import { MemoryStorageServer, type Method } from './memory-storage-server.js';

export const SERVERS = 10;
/** Happy 5 makes a write quorum of 6, and 6 answers are enough for a writer: 4 of 10 servers may be lost. */
const encoding = { sharesNeeded: 2, sharesHappy: 5, sharesTotal: SERVERS, maximumSegmentSize: 400 };
/** However long a server makes an operation wait, it is over by then. */
const GIVEN_UP_MS = 3_600_000;

const keyPairs: readonly { readonly private: string; readonly public: string }[] = JSON.parse(
  readFileSync('test/vectors/keys/rsa-2048.json', 'utf8'),
);

export class FaultGrid {
  readonly clock = new ManualClock();
  readonly inner: readonly MemoryStorageServer[];
  /** Methods that were called since this was last cleared. */
  readonly called = new Set<Method>();
  readonly #servers: readonly StorageServer[];
  readonly #encoding: typeof encoding;
  #fault: (server: number, call: ServerCall) => ServerFault | undefined = () => undefined;

  /** One server for each share. */
  constructor(changes: Partial<typeof encoding> = {}) {
    this.#encoding = { ...encoding, ...changes };
    const { sharesTotal } = this.#encoding;
    this.inner = Array.from({ length: sharesTotal }, (_, index) => new MemoryStorageServer(`s${index}`));
    for (const server of this.inner) server.keepsHistory = true;
    this.#servers = this.inner.map(
      (server, index) =>
        new FaultyStorageServer(server, {
          clock: this.clock,
          neighbour: this.inner[(index + 1) % sharesTotal]!,
          fault: (call) => {
            this.called.add(call.method);
            return this.#fault(index, call);
          },
        }),
    );
  }

  /** From now on the first `count` servers answer calls of this method like this. */
  break(method: Method, fault: ServerFault, count: number): void {
    this.breakBy((server, call) => (call.method === method && server < count ? fault : undefined));
  }

  /** From now on this is asked before each call what goes wrong with it. */
  breakBy(fault: (server: number, call: ServerCall) => ServerFault | undefined): void {
    this.#fault = fault;
  }

  repair(): void {
    this.#fault = () => undefined;
  }

  /** A client that remembers nothing of what others did. */
  client(): GridClient {
    const { clock } = this;
    const servers = () => this.#servers;
    const clientLeaseSecret = new Uint8Array(32).fill(7);
    const fraction = seededFraction(1);
    const segmentCache = new LRUCache<string, Uint8Array>({ max: 100 });
    const log = silentLogger;
    return new GridClient({
      uploader: new GridUploader({ servers, clientLeaseSecret, clock, log }),
      downloader: new GridDownloader({ servers, segmentCache, clock, log }),
      slots: {
        servers,
        leaseSecrets: clientLeaseSecrets(clientLeaseSecret),
        clock,
        entropy: { bytes: (length) => Uint8Array.from({ length }, () => fraction() * 256), fraction },
        log,
        requestTimeoutMs: 10_000,
      },
      keys: { take: async () => keyPair(0) },
      encoding: this.#encoding,
      convergenceSecret: new Uint8Array(32),
      servers: () => [],
    });
  }

  /** What comes of an operation, on this grid's clock. */
  async run<Value>(operation: () => Promise<Value>): Promise<Outcome<Value>> {
    const startedMs = this.clock.monotonicMs();
    let outcome: Outcome<Value> | undefined;
    const tookMs = () => this.clock.monotonicMs() - startedMs;
    operation().then(
      (value) => {
        outcome = { value, tookMs: tookMs() };
      },
      (error: unknown) => {
        outcome = { error, tookMs: tookMs() };
      },
    );
    await this.clock.runUntil(() => outcome !== undefined, GIVEN_UP_MS);
    return outcome ?? { error: new Error('it never ends'), tookMs: GIVEN_UP_MS };
  }
}

export interface Outcome<Value> {
  readonly value?: Value;
  readonly error?: unknown;
  readonly tookMs: number;
}

function keyPair(index: number) {
  const pair = keyPairs[index]!;
  return {
    privateKeyDer: new Uint8Array(Buffer.from(pair.private, 'base64')),
    publicKeyDer: new Uint8Array(Buffer.from(pair.public, 'base64')),
  };
}

/** An operation, prepared on a grid without faults. */
export interface Scenario {
  readonly name: string;
  /** What it needs of the ten servers to succeed. */
  readonly serversNeeded: number;
  /** Kinds with which it may fail when more than the others misbehave. */
  readonly refusals: readonly ErrorKind[];
  readonly prepare: (grid: FaultGrid) => Promise<Prepared>;
}

export interface Prepared {
  /** The operation under test. */
  readonly operate: () => Promise<unknown>;
  /** Whether what it gave, when it succeeded, is right. */
  readonly isRight: (value: unknown) => boolean;
  /** What another client reads afterwards, given what the operation gave; undefined if there is nothing to read. */
  readonly readAgain: (value: unknown) => Promise<Uint8Array | undefined>;
  /** What may be read then if the operation has failed; if it has succeeded it is `written`. */
  readonly written: Uint8Array;
  readonly afterFailure: readonly Uint8Array[];
}

const text = (content: string) => new Uint8Array(Buffer.from(content.repeat(100)));
const before = text('what was there. ');
const after = text('what is written now. ');

export function isBytes(value: unknown, bytes: Uint8Array): boolean {
  return value instanceof Uint8Array && bytesEqual(value, bytes);
}

async function readChk(grid: FaultGrid, cap: ChkReadCap): Promise<Uint8Array> {
  const file = grid.client().open(cap);
  return file.read(0, file.sizeBytes);
}

/** What succeeds on a grid without faults. */
async function expected<Value>(grid: FaultGrid, operation: () => Promise<Value>): Promise<Value> {
  const { value, error } = await grid.run(operation);
  if (error !== undefined) throw error;
  assert(value !== undefined, 'an operation without faults gives a value');
  return value;
}

async function uploaded(grid: FaultGrid): Promise<ChkReadCap> {
  const { cap } = await expected(grid, () => grid.client().upload(bytesSource(before)));
  return cap as ChkReadCap;
}

const writers = { serversNeeded: 6, refusals: ['unhappy', 'unrecoverable', 'uncoordinated-write', 'stale'] as const };
const readers = { serversNeeded: 2, refusals: ['unrecoverable', 'unreachable', 'stale'] as const };

export const scenarios: readonly Scenario[] = [
  { name: 'upload', ...writers, prepare: async (grid) => uploading(grid) },
  {
    name: 'upload of which one server loses its share',
    ...writers,
    // of the six that are needed this is one
    serversNeeded: 7,
    async prepare(grid) {
      grid.inner[SERVERS - 1]!.plan = (method) => (method === 'writeShare' ? 'fail' : undefined);
      return uploading(grid);
    },
  },
  {
    name: 'download',
    ...readers,
    async prepare(grid) {
      const cap = await uploaded(grid);
      return reading(() => readChk(grid, cap));
    },
  },
  {
    name: 'download with damaged shares',
    ...readers,
    serversNeeded: 5,
    async prepare(grid) {
      const cap = await uploaded(grid);
      for (const server of grid.inner) for (const shares of server.buckets.values()) damage(shares);
      return reading(() => readChk(grid, cap));
    },
  },
  {
    name: 'create',
    ...writers,
    async prepare(grid) {
      return {
        operate: () => grid.client().createMutable(after),
        isRight: (value) => typeof value === 'string',
        readAgain: async (value) => (value === undefined ? undefined : grid.client().readMutable(value as string)),
        written: after,
        afterFailure: [],
      };
    },
  },
  {
    name: 'publish',
    ...writers,
    async prepare(grid) {
      return overwriting(grid, await expected(grid, () => grid.client().createMutable(before)));
    },
  },
  {
    name: 'retrieve',
    ...readers,
    async prepare(grid) {
      const cap = readOnly(await expected(grid, () => grid.client().createMutable(before)));
      return reading(() => grid.client().readMutable(cap));
    },
  },
  {
    name: 'retrieve with the write capability',
    ...readers,
    async prepare(grid) {
      const cap = await expected(grid, () => grid.client().createMutable(before));
      return reading(() => grid.client().readMutable(cap));
    },
  },
  {
    name: 'retrieve with damaged shares',
    ...readers,
    serversNeeded: 5,
    async prepare(grid) {
      const cap = readOnly(await expected(grid, () => grid.client().createMutable(before)));
      for (const server of grid.inner) for (const { shares } of server.slots.values()) damage(shares);
      return reading(() => grid.client().readMutable(cap));
    },
  },
];

/** Three segments. */
const longBefore = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 167 + 13) % 251);
const patch = { offset: 131_000, data: text('in the middle. ') };
const longAfter = longBefore.slice();
longAfter.set(patch.data, patch.offset);

export const mdmfScenarios: readonly Scenario[] = [
  {
    name: 'publish MDMF',
    ...writers,
    async prepare(grid) {
      return overwriting(grid, await expected(grid, () => grid.client().createMutable(before, 'mdmf')));
    },
  },
  {
    name: 'update MDMF in place',
    ...writers,
    async prepare(grid) {
      const cap = await expected(grid, () => grid.client().createMutable(longBefore, 'mdmf'));
      return {
        operate: () => grid.client().updateMutable(cap, patch.offset, patch.data),
        isRight: () => true,
        readAgain: () => grid.client().readMutable(cap),
        written: longAfter,
        afterFailure: [longBefore, longAfter],
      };
    },
  },
  {
    name: 'retrieve a range of MDMF',
    ...readers,
    async prepare(grid) {
      const cap = readOnly(await expected(grid, () => grid.client().createMutable(longBefore, 'mdmf')));
      const range = longBefore.slice(130_000, 140_000);
      const read = async () => (await grid.client().openMutable(cap)).read(130_000, range.length);
      return {
        operate: read,
        isRight: (value) => isBytes(value, range),
        readAgain: read,
        written: range,
        afterFailure: [range],
      };
    },
  },
];

function uploading(grid: FaultGrid): Prepared {
  return {
    operate: () => grid.client().upload(bytesSource(after)),
    isRight: () => true,
    readAgain: async (value) =>
      value === undefined ? undefined : readChk(grid, (value as { readonly cap: ChkReadCap }).cap),
    written: after,
    afterFailure: [],
  };
}

function overwriting(grid: FaultGrid, cap: string): Prepared {
  return {
    operate: () => grid.client().overwriteMutable(cap, after),
    isRight: () => true,
    readAgain: () => grid.client().readMutable(cap),
    written: after,
    afterFailure: [before, after],
  };
}

function reading(read: () => Promise<Uint8Array>): Prepared {
  return {
    operate: read,
    isRight: (value) => isBytes(value, before),
    readAgain: read,
    written: before,
    afterFailure: [before],
  };
}

function readOnly(cap: string): string {
  return serializeCap(readCapOf(parseKnownCap(cap))!);
}

/** A bit is turned in each block of the shares that readers try first. They notice, and say so to the servers. */
function damage(shares: Map<number, Uint8Array>): void {
  for (const [number, share] of shares) {
    if (number > 2) continue;
    const bad = share.slice();
    // in the blocks of a CHK share, and in the block of an SDMF share, which stands before the private key
    for (const at of [50, bad.length - 1300]) bad[at]! ^= 1;
    shares.set(number, bad);
  }
}
