/** Servers, and clients of servers, that break a rule of publishing (vfs blueprint 13). */
import { toHex } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { publishTimeMs } from '../../src/mutable/publish.js';
import type {
  CallOptions,
  ReadTestWriteRequest,
  ReadTestWriteResult,
  StorageServer,
  TestWrite,
} from '../../src/storage-protocol/storage-server.js';
import { overriding } from '../support/overriding.js';
import type { Defect } from './defects.js';
import type { SeamContext, Seams } from './seams.js';

type Call = (request: ReadTestWriteRequest, options?: CallOptions) => Promise<ReadTestWriteResult>;

/** Servers of which the read-test-write is another one. `memory` is of one life of the node. */
function withSlotCalls(
  change: (call: Call, server: StorageServer, all: Map<string, unknown>, context: SeamContext) => Call,
): Seams {
  return {
    servers: (inner, context) => {
      const memory = new Map<string, unknown>();
      const changed = inner.map((server) => {
        const call: Call = (request, options) => server.readTestWrite(request, options);
        return overriding(server, { readTestWrite: change(call, server, memory, context) });
      });
      return () => changed;
    },
  };
}

function isWrite({ shares }: ReadTestWriteRequest): boolean {
  return [...shares.values()].some(({ writes }) => writes.length > 0);
}

/** The same writes, whatever stands there. */
function untested(request: ReadTestWriteRequest): ReadTestWriteRequest {
  const shares = new Map<number, TestWrite>();
  for (const [number, share] of request.shares)
    if (share.writes.length > 0) shares.set(number, { ...share, tests: [] });
  return { ...request, shares };
}

/** What a read of the slot would show if the writes had been made. */
function shownBy({ shares }: ReadTestWriteRequest): Map<number, Uint8Array> {
  return new Map(
    [...shares].flatMap(([number, { writes }]) => writes.map(({ data }) => [number, data.slice()] as const)),
  );
}

function readsOf(shares: ReadonlyMap<number, Uint8Array>, { readVector }: ReadTestWriteRequest): ReadTestWriteResult {
  const reads = [...shares].map(
    ([number, bytes]) =>
      [number, readVector.map(({ offset, length }) => bytes.slice(offset, offset + length))] as const,
  );
  return { applied: true, reads: new Map(reads) };
}

/** Remembers writes that were not made or of which it is not known, and shows them when it is asked. */
class Ghosts {
  readonly #shown = new Map<string, ReadonlyMap<number, Uint8Array>>();

  keep(server: StorageServer, request: ReadTestWriteRequest): ReadTestWriteResult {
    this.#shown.set(`${server.nickname} ${toHex(request.storageIndex)}`, shownBy(request));
    return { applied: true, reads: new Map() };
  }

  take(server: StorageServer, request: ReadTestWriteRequest): ReadTestWriteResult | undefined {
    const key = `${server.nickname} ${toHex(request.storageIndex)}`;
    const shown = this.#shown.get(key);
    this.#shown.delete(key);
    return shown === undefined ? undefined : readsOf(shown, request);
  }
}

function ghostsOf(memory: Map<string, unknown>): Ghosts {
  const ghosts = (memory.get('ghosts') as Ghosts | undefined) ?? new Ghosts();
  memory.set('ghosts', ghosts);
  return ghosts;
}

/** Sequence number and root hash of the version that a write carries: the same for all servers of one attempt. */
function attemptOf(request: ReadTestWriteRequest): string {
  const [data] = [...request.shares.values()].flatMap(({ writes }) => writes.map((write) => write.data));
  return data === undefined ? '' : toHex(data.subarray(0, 41));
}

/** Until then the tree is made that a run begins with. */
const PREPARED_MS = 2000;

function quorumOf(needed: (context: SeamContext) => number): Seams {
  return withSlotCalls((call, server, memory, context) => async (request, options) => {
    const ghosts = ghostsOf(memory);
    if (!isWrite(request)) return ghosts.take(server, request) ?? call(request, options);
    const attempt = attemptOf(request);
    const made = (memory.get(attempt) as number | undefined) ?? 0;
    const isPrepared = context.time.nowMs > PREPARED_MS;
    if (isPrepared && made >= needed(context)) return ghosts.keep(server, request);
    memory.set(attempt, made + 1);
    return call(request, options);
  });
}

const unknownIsSuccess = withSlotCalls((call, server, memory) => async (request, options) => {
  const ghosts = ghostsOf(memory);
  if (isWrite(request)) return call(request, options).catch(() => ghosts.keep(server, request));
  return ghosts.take(server, request) ?? call(request, options);
});

/** Every server seems to hold the highest version that any of them showed. */
const highestIsBase = withSlotCalls((call, _server, memory) => async (request, options) => {
  if (isWrite(request)) return call(untested(request), options);
  const { applied, reads } = await call(request, options);
  const key = `highest ${toHex(request.storageIndex)} ${request.readVector[0]?.length}`;
  let highest = memory.get(key) as Uint8Array | undefined;
  for (const [head] of reads.values()) {
    if (
      head !== undefined &&
      (highest === undefined || Buffer.compare(head.subarray(0, 41), highest.subarray(0, 41)) > 0)
    )
      highest = head;
  }
  memory.set(key, highest);
  return { applied, reads: new Map([...reads].map(([number]) => [number, [highest!]])) };
});

/** A server that does not answer is not thought to be there, and others get its shares. */
const rehoming: Seams = {
  servers: (inner, { time }) => {
    const silentUntilMs = new Map<StorageServer, number>();
    const changed = inner.map((server): StorageServer => {
      const own: StorageServer = overriding(server, {
        readTestWrite: (request, options) =>
          server.readTestWrite(request, options).catch((error: unknown) => {
            if (isTahoeError(error, 'unreachable', 'timeout')) silentUntilMs.set(own, time.nowMs + 60_000);
            throw error;
          }),
      });
      return own;
    });
    return () => changed.filter((server) => (silentUntilMs.get(server) ?? 0) < time.nowMs);
  },
};

export const slotDefects: readonly Defect[] = [
  {
    name: 'no-test-vectors',
    what: 'a version is written whatever stands there',
    seeds: 15,
    seams: withSlotCalls((call) => (request, options) => call(isWrite(request) ? untested(request) : request, options)),
  },
  {
    name: 'highest-seq-is-base',
    what: 'the next version is built on the highest sequence number seen, and all others are overwritten',
    config: '1-of-3',
    seeds: 4,
    seams: highestIsBase,
  },
  {
    name: 'success-at-k-shares',
    what: 'a version on k shares counts as published',
    seeds: 1,
    seams: quorumOf(({ config }) => config.sharesNeeded),
  },
  {
    name: 'success-at-half-the-shares',
    what: 'a version on half of the shares counts as published: the write quorum is too small',
    seeds: 2,
    seams: quorumOf(({ config }) => Math.floor(config.sharesTotal / 2)),
  },
  {
    name: 'unknown-is-success',
    what: 'a write without an answer counts as made, and is not read back',
    seeds: 18,
    seams: unknownIsSuccess,
  },
  {
    // the request that writes over a share that seems dead comes late: its writer was alive and has proven his version.
    // That stands on one share less then, and whoever misses one more of them takes the rest for dead too
    name: 'no-time-to-settle',
    what: 'what nobody can read and what two writers made at once is written over without waiting for its writer',
    script: 'test/sim/defects/no-time-to-settle.json',
    seams: { slots: (inner) => ({ ...inner, settleMarginMs: -(publishTimeMs(inner) - 100) }) },
  },
  {
    name: 'shares-of-silent-servers-moved',
    what: 'a share of a server that does not answer is placed on another one',
    config: '2-of-4-wide',
    seeds: 1,
    seams: rehoming,
  },
  {
    name: 'writes-forgotten',
    what: 'servers forget half of what they say they have written, and it is not read back',
    seeds: 1,
    seams: withSlotCalls((call, server, memory) => async (request, options) => {
      const turn = ((memory.get(server.nickname) as number | undefined) ?? 0) + 1;
      if (isWrite(request)) memory.set(server.nickname, turn);
      if (isWrite(request) && turn % 2 === 0) return ghostsOf(memory).keep(server, request);
      return isWrite(request)
        ? call(request, options)
        : (ghostsOf(memory).take(server, request) ?? call(request, options));
    }),
  },
];
