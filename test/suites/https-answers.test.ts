/** What a client makes of servers that answer nonsense. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { ServerId, StorageIndex, TubId } from '../../src/encoding/brands.js';
import {
  asLeaseCancelSecret,
  asLeaseRenewSecret,
  asUploadSecret,
  asWriteEnabler,
} from '../../src/encoding/checked-bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { HttpsStorageServer } from '../../src/storage-client/https-storage-server.js';
import type { CallOptions, StorageServer } from '../../src/storage-protocol/storage-server.js';
import { makeCertificate, spkiHashOf } from '../../src/transport/certificate.js';
import { memoryGridClock } from '../support/memory-grid.js';
import { peakOf } from '../support/peak.js';

const storageIndex = new Uint8Array(16).fill(1) as StorageIndex;
const uploadSecret = asUploadSecret(new Uint8Array(20));
const leases = { renew: asLeaseRenewSecret(new Uint8Array(32)), cancel: asLeaseCancelSecret(new Uint8Array(32)) };
const address = { storageIndex, shareNumber: 3 };
/** Long enough on a busy machine for servers that do answer. */
const patient = { timeoutMs: 60_000 };
const impatient = { timeoutMs: 500 };
/** More than the limit of a call, less than what a person would call hanging. */
const LIMIT_MS = 5_000;

const calls: Readonly<Record<string, (server: StorageServer, limit: CallOptions) => Promise<unknown>>> = {
  version: (server, limit) => server.version(limit),
  allocateShares: (server, limit) =>
    server.allocateShares({ storageIndex, shareNumbers: new Set([1]), allocatedSize: 10, uploadSecret, leases }, limit),
  writeShare: (server, limit) =>
    server.writeShare({ ...address, offset: 0, parts: [new Uint8Array(100_000)], uploadSecret }, limit),
  abortShare: (server, limit) => server.abortShare({ ...address, uploadSecret }, limit),
  listShares: (server, limit) => server.listShares(storageIndex, limit),
  readShare: (server, limit) => server.readShare(address, { offset: 0, length: 100 }, limit),
  listSlotShares: (server, limit) => server.listSlotShares(storageIndex, limit),
  readSlotShare: (server, limit) => server.readSlotShare(address, { offset: 0, length: 2 ** 40 }, limit),
  readTestWrite: (server, limit) =>
    server.readTestWrite(
      {
        storageIndex,
        writeEnabler: asWriteEnabler(new Uint8Array(32)),
        leases,
        shares: new Map(),
        readVector: [{ offset: 0, length: 10 }],
      },
      limit,
    ),
  addLease: (server, limit) => server.addLease(storageIndex, leases, limit),
  adviseCorrupt: (server, limit) => server.adviseCorrupt('immutable', address, 'a reason', limit),
};

const head = (status: string, ...lines: readonly string[]) => `HTTP/1.1 ${status}\r\n${lines.join('\r\n')}\r\n\r\n`;
const cbor = 'Content-Type: application/cbor';
const octets = 'Content-Type: application/octet-stream';
const length = (count: number | string) => `Content-Length: ${count}`;

/** What is sent as soon as anything has been received. Undefined: nothing. `end`: the connection ends after it. */
const answers: Readonly<Record<string, { readonly bytes: string | Uint8Array; readonly end?: boolean }>> = {
  'nothing at all': { bytes: '' },
  'the end': { bytes: '', end: true },
  'no HTTP': { bytes: 'SSH-2.0-OpenSSH_9.2\r\n' },
  'random bytes': { bytes: new Uint8Array(Array.from({ length: 5000 }, (_, index) => (index * 167) % 251)) },
  'half a head': { bytes: 'HTTP/1.1 200 OK\r\nContent-Le', end: true },
  'a head without end': { bytes: `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(50_000)}` },
  'status 500': { bytes: `${head('500 Oops', length(4))}oops` },
  'status 503 without end': {
    bytes: `${head('503 Busy', 'Transfer-Encoding: chunked')}${'5\r\nabcde\r\n'.repeat(10_000)}`,
  },
  'a redirect': { bytes: head('301 Moved', 'Location: https://example.org/', length(0)) },
  'status 999': { bytes: head('999 What', length(0)) },
  '1,000 times 100 Continue': { bytes: head('100 Continue').repeat(1000) },
  'another protocol': { bytes: head('101 Switching Protocols', 'Upgrade: x', 'Connection: upgrade') },
  'a text': { bytes: `${head('200 OK', 'Content-Type: text/html', length(5))}hello` },
  'CBOR without type': { bytes: `${head('200 OK', length(1))}\u00a0` },
  'CBOR that is cut off': { bytes: `${head('200 OK', cbor, length(2))}\u0002\u0003` },
  'other CBOR': { bytes: `${head('200 OK', cbor, length(1))}\u0000` },
  'an empty body': { bytes: head('200 OK', cbor, length(0)) },
  'less than its length': {
    bytes: `${head('206 Partial', octets, 'Content-Range: bytes 0-99/*', length(100))}abc`,
    end: true,
  },
  'another range': { bytes: `${head('206 Partial', octets, 'Content-Range: bytes 5-7/*', length(3))}abc` },
  'more than was asked for': {
    bytes: `${head('206 Partial', octets, 'Content-Range: bytes 0-199/*', length(200))}${'x'.repeat(200)}`,
  },
  'a length of a terabyte': {
    bytes: `${head('206 Partial', octets, `Content-Range: bytes 0-${2 ** 40 - 1}/*`, length(2 ** 40))}abc`,
  },
  'a length beyond numbers': { bytes: `${head('206 Partial', octets, length('9'.repeat(30)))}abc` },
  'a negative length': { bytes: `${head('206 Partial', octets, length(-5))}abc` },
  'two lengths': { bytes: `${head('206 Partial', octets, length(3), length(4))}abcd` },
  'a bad chunk': { bytes: `${head('206 Partial', octets, 'Transfer-Encoding: chunked')}zz\r\nabc` },
};

const REFUSALS = ['unreachable', 'timeout', 'protocol'] as const;
const pair = makeCertificate(new NodeEntropy(), Date.UTC(2026, 0, 1));
const spkiHash = spkiHashOf(new X509Certificate(pair.certificate));

async function startAnswering(t: ExecutionContext, answer: { bytes: string | Uint8Array; end?: boolean }) {
  const sockets = new Set<tls.TLSSocket>();
  const server = tls.createServer({ cert: pair.certificate, key: pair.privateKey }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write(typeof answer.bytes === 'string' ? Buffer.from(answer.bytes, 'latin1') : answer.bytes);
      if (answer.end === true) socket.end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

for (const [name, answer] of Object.entries(answers)) {
  test(`a server that answers every request with ${name} is a typed error within the time limit`, async (t) => {
    const port = await startAnswering(t, answer);
    for (const [method, call] of Object.entries(calls)) {
      const client = clientOf(t, port);
      const startedMs = performance.now();
      const error = await errorOf(() => call(client, impatient));
      t.true(performance.now() - startedMs < LIMIT_MS, method);
      const isTyped = isTahoeError(error, ...REFUSALS);
      t.true(isTyped || (error === undefined && isSound(method, answer.bytes)), `${method}: ${String(error)}`);
    }
  });
}

/** The status is all that these two are answered with, and the last one asked for a terabyte and got what there is. */
function isSound(method: string, bytes: string | Uint8Array): boolean {
  if (method === 'adviseCorrupt' || method === 'abortShare') return String(bytes).startsWith('HTTP/1.1 200');
  return method === 'readSlotShare' && String(bytes).endsWith('xxx');
}

async function errorOf(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (error) {
    return error;
  }
}

for (const [name, share] of [
  ['fewer answers than questions', '80'],
  ['more answers than questions', '824161 4162'],
  ['longer answers than were asked for', '814b6161616161616161616161'],
] as const) {
  test(`a read vector with ${name} is kind protocol`, async (t) => {
    // {"success": true, "data": {3: ...}}
    const text = `a2 6773756363657373 f5 6464617461 a103${share}`.replaceAll(' ', '');
    const body = Buffer.from(text, 'hex').toString('latin1');
    const client = clientOf(t, await startAnswering(t, { bytes: head('200 OK', cbor, length(body.length)) + body }));
    const error = await t.throwsAsync(calls.readTestWrite!(client, patient));
    t.true(isTahoeError(error, 'protocol'), String(error));
  });
}

/** Long enough for the heads of ten answers. */
const waiting = { timeoutMs: 3_000 };

test('an announced length takes no memory before its bytes come', async (t) => {
  const port = await startAnswering(t, { bytes: `${head('200 OK', cbor, length(30_000_000))}abc` });
  const before = process.memoryUsage().arrayBuffers;
  const peak = await peakOf(
    () => process.memoryUsage().arrayBuffers,
    () => Promise.all(Array.from({ length: 10 }, () => errorOf(() => calls.listShares!(clientOf(t, port), waiting)))),
  );
  t.true(peak - before < 100_000_000, `${peak - before} bytes`);
});

test('an answer in pieces of one byte takes little more memory than one in large pieces', async (t) => {
  const pieces = '1\r\na\r\n'.repeat(2_000_000);
  const bytes = Buffer.from(`${head('200 OK', cbor, 'Transfer-Encoding: chunked')}${pieces}0\r\n\r\n`);
  const port = await startAnswering(t, { bytes });
  const before = process.memoryUsage().heapUsed;
  let error: unknown;
  const peak = await peakOf(
    () => process.memoryUsage().heapUsed,
    async () => {
      error = await errorOf(() => calls.listShares!(clientOf(t, port), patient));
    },
  );
  t.true(isTahoeError(error, 'protocol'), String(error));
  t.true(peak - before < 100_000_000, `${peak - before} bytes`);
});

function clientOf(t: ExecutionContext, port: number): HttpsStorageServer {
  const client = new HttpsStorageServer({
    id: 'v0-x' as ServerId,
    nickname: 'x',
    permutationSeed: new Uint8Array(0),
    tubId: new Uint8Array(20) as TubId,
    nurl: { scheme: 'pb', spkiHash, host: '127.0.0.1', port, swissnum: 's' },
    clock: memoryGridClock,
  });
  t.teardown(() => client.close());
  return client;
}
