/**
 * Upload, download, publish and retrieve over real HTTPS servers, the connections to some of which break at a byte or
 * hang: they succeed while enough servers are left, fail with a typed error when not, and succeed when all is well again.
 */
import { readFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, parseKnownCap, readCapOf, serializeCap } from '../../src/caps/cap.js';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { bytesEqual } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { GridClient } from '../../src/grid/grid-client.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { silentLogger } from '../../src/platform/logger.js';
import { HttpsStorageServer } from '../../src/storage-client/https-storage-server.js';
import { parseNurl } from '../../src/storage-protocol/nurl.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { bytesSource, memoryGridClock } from '../support/memory-grid.js';
import { startHttpsServer } from '../support/storage-servers.js';
import { type ProxyFault, TcpProxy } from '../support/tcp-proxy.js';

const FAULTS: Readonly<Record<string, ProxyFault>> = {
  'are refused': { kind: 'refuse' },
  hang: { kind: 'hang' },
  'stall after the handshake': { kind: 'stall', after: 0, in: 'answers' },
  'are reset in the handshake': { kind: 'reset', after: 300 },
  'are reset in the first answer': { kind: 'reset', after: 700, in: 'answers' },
  'are reset in a later answer': { kind: 'reset', after: 1300, in: 'answers' },
  'end in an answer': { kind: 'end', after: 1300, in: 'answers' },
  'have a bit turned in the handshake': { kind: 'flip-bit', after: 500 },
  'have a bit turned in an answer': { kind: 'flip-bit', after: 1300, in: 'answers' },
  'are slow': { kind: 'slow', delayMs: 20 },
};

const content = new Uint8Array(200_000).map((_, index) => (index * 167) % 251);
const SERVERS = 10;
const encoding = { sharesNeeded: 2, sharesHappy: 5, sharesTotal: SERVERS, maximumSegmentSize: 1 << 17 };

async function startGrid(t: ExecutionContext) {
  const started = await Promise.all(Array.from({ length: SERVERS }, () => startHttpsServer(t)));
  const proxies = await Promise.all(started.map(({ port }) => TcpProxy.start(t, port)));
  const clients = started.map(({ identity, nurl }, index) => {
    const client = new HttpsStorageServer({
      id: identity.serverId,
      nickname: `s${index}`,
      permutationSeed: identity.permutationSeed,
      tubId: identity.tubId,
      nurl: { ...parseNurl(nurl), host: '127.0.0.1', port: proxies[index]!.port },
      clock: memoryGridClock,
    });
    t.teardown(() => client.close());
    return client;
  });
  return { proxies, clients };
}

function gridOver(t: ExecutionContext, clients: readonly StorageServer[], requestLimitMs: number): GridClient {
  const servers = () => clients;
  const clientLeaseSecret = new Uint8Array(32).fill(7);
  const [clock, log] = [memoryGridClock, silentLogger];
  const uploader = new GridUploader({
    servers,
    clientLeaseSecret,
    clock,
    log,
    queryTimeoutMs: requestLimitMs,
    writeTimeoutMs: requestLimitMs,
  });
  t.teardown(() => uploader.close());
  const segmentCache = new LRUCache<string, Uint8Array>({ max: 10 });
  const timing = { lateAfterMs: 300, hedgeAfterMs: 300, timeoutMs: requestLimitMs };
  return new GridClient({
    uploader,
    downloader: new GridDownloader({ servers, segmentCache, clock, log, timing }),
    slots: {
      servers,
      leaseSecrets: clientLeaseSecrets(clientLeaseSecret),
      clock,
      entropy: new NodeEntropy(),
      log,
      requestTimeoutMs: requestLimitMs,
    },
    keys: { take: async () => keyPair },
    encoding,
    convergenceSecret: new Uint8Array(32),
    servers: () => [],
  });
}

const [made] = JSON.parse(readFileSync('test/vectors/keys/rsa-2048.json', 'utf8')) as [
  { private: string; public: string },
];
const keyPair = {
  privateKeyDer: new Uint8Array(Buffer.from(made.private, 'base64')),
  publicKeyDer: new Uint8Array(Buffer.from(made.public, 'base64')),
};
/** Of one request: short where something waits for it, long where a busy machine only must not reach it. */
const SHORT_LIMIT_MS = 2500;
const LONG_LIMIT_MS = 20_000;
/** Several rounds of several requests, each with its limit, on a machine with other things to do. */
const LIMIT_MS = 30_000;
const REFUSALS = ['unhappy', 'unrecoverable', 'unreachable', 'uncoordinated-write', 'stale'] as const;

// one after the other: ten grids at once would be slow enough to seem broken
for (const [name, fault] of Object.entries(FAULTS)) {
  test.serial(`connections to servers ${name}`, async (t) => {
    const { proxies, clients } = await startGrid(t);
    const grid = gridOver(t, clients, LONG_LIMIT_MS);
    const { cap } = await grid.upload(bytesSource(content));
    const writeCap = await grid.createMutable(content.subarray(0, 30_000));
    const readCap = serializeCap(readCapOf(parseKnownCap(writeCap))!);
    const requestLimitMs = fault.kind === 'hang' || fault.kind === 'stall' ? SHORT_LIMIT_MS : LONG_LIMIT_MS;
    const isDeaf = fault.kind === 'refuse' || fault.kind === 'hang';
    for (const count of isDeaf ? [4, 9, 0] : [4, 0]) {
      for (const [index, proxy] of proxies.entries()) {
        proxy.fault = index < count ? fault : undefined;
        if (index < count) proxy.breakConnections();
      }
      // knows nothing yet
      const client = gridOver(t, clients, requestLimitMs);
      const file = client.open(cap as ChkReadCap);
      const next = content.subarray(count, 20_000);
      const other = content.map((byte) => byte ^ count);
      const outcomes = await Promise.all([
        outcomeOf(async () => bytesEqual(await file.read(0, content.length), content)),
        outcomeOf(async () => {
          const { cap: otherCap, placement } = await client.upload(bytesSource(other));
          // whose connection breaks in a write keeps no share
          if (placement.size < SERVERS - count) return false;
          return bytesEqual(await client.open(otherCap as ChkReadCap).read(0, other.length), other);
        }),
        outcomeOf(async () => {
          await client.overwriteMutable(writeCap, next);
          return bytesEqual(await client.readMutable(readCap), next);
        }),
      ]);
      for (const { result, error, tookMs } of outcomes) {
        const isRight = result === true || (count === 9 && isTahoeError(error, ...REFUSALS));
        t.true(isRight, `${count} of ${SERVERS}: ${result} ${String(error)}`);
        t.true(tookMs < LIMIT_MS, `${tookMs} ms`);
      }
    }
    t.true(proxies.some(({ faults }) => faults > 0));
  });
}

async function outcomeOf(operation: () => Promise<boolean>) {
  const startedMs = performance.now();
  try {
    return { result: await operation(), error: undefined, tookMs: performance.now() - startedMs };
  } catch (error) {
    return { result: undefined, error, tookMs: performance.now() - startedMs };
  }
}
