import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import type { ServerId, StorageIndex, TubId } from '../../../src/encoding/brands.js';
import { type ErrorKind, TahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import type { Clock } from '../../../src/platform/clock.js';
import { HttpsStorageServer } from '../../../src/storage-client/https-storage-server.js';
import { encodeShareNumbers } from '../../../src/storage-protocol/messages.js';
import { makeCertificate, spkiHashOf } from '../../../src/transport/certificate.js';
import { ManualClock } from '../../support/manual-clock.js';

const clock = new NodeClock();
const index = new Uint8Array(16) as StorageIndex;
const pair = makeCertificate(new NodeEntropy(), Date.UTC(2026, 0, 1));
const spkiHash = spkiHashOf(new X509Certificate(pair.certificate));

interface ClientChoices {
  readonly pinned?: string;
  readonly connections?: number;
  readonly clock?: Clock;
}

function clientFor(t: ExecutionContext, port: number, choices: ClientChoices = {}): HttpsStorageServer {
  const client = new HttpsStorageServer({
    id: 'v0-x' as ServerId,
    nickname: 'x',
    permutationSeed: new Uint8Array(0),
    tubId: new Uint8Array(20) as TubId,
    nurl: { scheme: 'pb', spkiHash: choices.pinned ?? spkiHash, host: '127.0.0.1', port, swissnum: 'secretswissnum' },
    clock: choices.clock ?? clock,
    connections: choices.connections ?? 2,
  });
  t.teardown(() => client.close());
  return client;
}

/** An HTTPS server that does what the test says. */
async function startFake(
  t: ExecutionContext,
  onRequest: http.RequestListener | undefined,
): Promise<https.Server & { port: number }> {
  const server = https.createServer({ cert: pair.certificate, key: pair.privateKey }, onRequest);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return Object.assign(server, { port: (server.address() as net.AddressInfo).port });
}

async function kindOf(promise: Promise<unknown>): Promise<ErrorKind | 'none'> {
  try {
    await promise;
    return 'none';
  } catch (error) {
    if (error instanceof TahoeError) return error.kind;
    throw error;
  }
}

test('a server with another key gets not one byte of a request, on any connection', async (t) => {
  let received = 0;
  const server = tls.createServer({ cert: pair.certificate, key: pair.privateKey }, (socket) => {
    socket.on('data', (chunk) => {
      received += chunk.length;
    });
    socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const client = clientFor(t, (server.address() as net.AddressInfo).port, { pinned: 'A'.repeat(43) });
  const kinds = await Promise.all(
    Array.from({ length: 20 }, () => kindOf(client.listShares(index, { timeoutMs: 20_000 }))),
  );
  t.deepEqual(new Set(kinds), new Set(['unreachable']));
  t.is(await kindOf(client.version()), 'unreachable');
  t.is(received, 0);
});

test('a request on a connection that the server closed while idle is sent again, if that does no harm', async (t) => {
  let requests = 0;
  const server = await startFake(t, (request, response) => {
    requests += 1;
    request.resume();
    // Every second request finds the connection dead, as when a server's idle limit strikes at that moment.
    if (requests % 2 === 0) {
      request.socket.destroy();
      return;
    }
    const body = encodeShareNumbers(new Set([requests]));
    response.writeHead(200, { 'Content-Type': 'application/cbor', 'Content-Length': body.length }).end(body);
  });
  const client = clientFor(t, server.port);
  t.deepEqual([...(await client.listShares(index))], [1]);
  t.deepEqual([...(await client.listShares(index))], [3]);
  const write = { storageIndex: index, shareNumber: 0, offset: 0, parts: [new Uint8Array(1)] };
  t.is(await kindOf(client.writeShare({ ...write, uploadSecret: new Uint8Array(20) as never })), 'unreachable');
  t.is(requests, 4);
});

test('a server that does not answer is kind timeout, at the time asked for', async (t) => {
  const server = await startFake(t, () => undefined);
  const client = clientFor(t, server.port);
  const begin = clock.monotonicMs();
  t.is(await kindOf(client.listShares(index, { timeoutMs: 150 })), 'timeout');
  t.true(clock.monotonicMs() - begin < 3000);
});

test('a server that stops in the middle of an answer is kind timeout', async (t) => {
  const server = await startFake(t, (_request, response) => {
    response.writeHead(206, {
      'Content-Type': 'application/octet-stream',
      'Content-Range': 'bytes 0-9/*',
      'Content-Length': 10,
    });
    response.write('01234');
  });
  const address = { storageIndex: index, shareNumber: 0 };
  const call = clientFor(t, server.port).readShare(address, { offset: 0, length: 10 }, { timeoutMs: 200 });
  t.is(await kindOf(call), 'timeout');
});

test('a call can be cancelled while it waits', async (t) => {
  const server = await startFake(t, () => undefined);
  const controller = new AbortController();
  const call = kindOf(clientFor(t, server.port).listShares(index, { signal: controller.signal }));
  controller.abort();
  t.is(await call, 'cancelled');
});

test('nobody listening is kind unreachable', async (t) => {
  const server = net.createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  t.is(await kindOf(clientFor(t, port).version()), 'unreachable');
});

const bytesType = 'application/octet-stream';
const lies: [string, number, Record<string, string>, string, ErrorKind][] = [
  ['the whole share', 200, { 'Content-Type': bytesType }, '0123456789', 'protocol'],
  ['another range', 206, { 'Content-Type': bytesType, 'Content-Range': 'bytes 1-4/*' }, '1234', 'protocol'],
  ['more than asked for', 206, { 'Content-Type': bytesType, 'Content-Range': 'bytes 0-9/*' }, '0123456789', 'protocol'],
  ['less than it declares', 206, { 'Content-Type': bytesType, 'Content-Range': 'bytes 0-3/*' }, '012', 'protocol'],
  ['no range at all', 206, { 'Content-Type': bytesType }, '0123', 'protocol'],
  ['a page', 206, { 'Content-Type': 'text/html', 'Content-Range': 'bytes 0-3/*' }, '0123', 'protocol'],
  ['an internal error', 500, {}, 'Processing Failed', 'protocol'],
  ['a missing share', 404, {}, '', 'not-found'],
  ['a wrong swissnum', 401, {}, 'Wrong Authorization header', 'permission'],
];
for (const [what, status, headers, body, kind] of lies) {
  test(`a read answered with ${what} is kind ${kind}`, async (t) => {
    const server = await startFake(t, (_request, response) => {
      response.writeHead(status, headers).end(body);
    });
    const address = { storageIndex: index, shareNumber: 0 };
    t.is(await kindOf(clientFor(t, server.port).readShare(address, { offset: 0, length: 4 })), kind);
  });
}

test('an endless answer is cut off at its limit', async (t) => {
  let sent = 0;
  const server = await startFake(t, (_request, response) => {
    response.writeHead(206, { 'Content-Type': bytesType, 'Content-Range': 'bytes 0-3/*' });
    const more = () => {
      while (!response.destroyed && sent < 50_000_000) {
        sent += 65536;
        if (!response.write(new Uint8Array(65536))) return;
      }
    };
    response.on('drain', more);
    more();
  });
  const address = { storageIndex: index, shareNumber: 0 };
  t.is(await kindOf(clientFor(t, server.port).readShare(address, { offset: 0, length: 4 })), 'protocol');
  t.true(sent < 50_000_000);
});

const largeParts = [1, 300_000, 0, 700_001, 5].map((length, index) => new Uint8Array(length).fill(index + 1));
const largeWrite = {
  storageIndex: index,
  shareNumber: 0,
  offset: 7,
  parts: largeParts,
  uploadSecret: new Uint8Array(20) as never,
};
const complete = Uint8Array.of(0xa1, 0x68, ...Buffer.from('required'), 0x80);

test('a large write of many parts arrives as one body of declared length, in order', async (t) => {
  const received: Buffer[] = [];
  const server = await startFake(t, (request, response) => {
    t.is(request.headers['content-length'], '1000007');
    t.is(request.headers['transfer-encoding'], undefined);
    t.is(request.headers['content-range'], 'bytes 7-1000013/*');
    request.on('data', (chunk: Buffer) => received.push(chunk));
    request.on('end', () => response.writeHead(201, { 'Content-Type': 'application/cbor' }).end(complete));
  });
  t.deepEqual(await clientFor(t, server.port).writeShare(largeWrite), { complete: true });
  t.is(Buffer.compare(Buffer.concat(received), Buffer.concat(largeParts)), 0);
});

test('a large write that is refused before it is read tells why, and the next one goes through', async (t) => {
  let requests = 0;
  const server = await startFake(t, (request, response) => {
    requests += 1;
    if (requests === 1) {
      response.writeHead(507, { 'Content-Length': 4 }).end('full');
      return;
    }
    request.resume();
    request.on('end', () => response.writeHead(201, { 'Content-Type': 'application/cbor' }).end(complete));
  });
  const client = clientFor(t, server.port);
  t.is(await kindOf(client.writeShare(largeWrite)), 'no-space');
  t.deepEqual(await client.writeShare(largeWrite), { complete: true });
});

test('a large write whose connection breaks in the middle is kind unreachable and is not sent again', async (t) => {
  let requests = 0;
  const server = await startFake(t, (request) => {
    requests += 1;
    request.once('data', () => request.socket.destroy());
  });
  t.is(await kindOf(clientFor(t, server.port).writeShare(largeWrite)), 'unreachable');
  t.is(requests, 1);
});

test('a large write can be cancelled while the server does not read', async (t) => {
  const controller = new AbortController();
  const server = await startFake(t, () => controller.abort());
  const parts = Array.from({ length: 40 }, () => new Uint8Array(1 << 20));
  const client = clientFor(t, server.port);
  t.is(await kindOf(client.writeShare({ ...largeWrite, parts }, { signal: controller.signal })), 'cancelled');
});

const address = { storageIndex: index, shareNumber: 0 };

test('a read is put where the caller wants it, if it has the length that was asked for', async (t) => {
  const server = await startFake(t, (request, response) => {
    const isWhole = request.headers.range === 'bytes=0-3';
    const body = isWhole ? 'abcd' : 'xy';
    const range = isWhole ? 'bytes 0-3/*' : 'bytes 4-5/*';
    response.writeHead(206, { 'Content-Type': bytesType, 'Content-Range': range, 'Content-Length': body.length });
    response.end(body);
  });
  const client = clientFor(t, server.port);
  const into = new Uint8Array(8).subarray(2, 6);
  const bytes = await client.readShare(address, { offset: 0, length: 4 }, { into });
  t.is(bytes.buffer, into.buffer);
  t.is(Buffer.from(bytes).toString(), 'abcd');
  t.is(Buffer.from(into.buffer).toString('latin1'), '\0\0abcd\0\0');
  const short = await client.readShare(address, { offset: 4, length: 4 }, { into });
  t.is(Buffer.from(short).toString(), 'xy');
  t.not(short.buffer, into.buffer);
});

test('a read that was cancelled does not touch the buffer lent to it any more', async (t) => {
  const server = await startFake(t, (_request, response) => {
    response.writeHead(206, {
      'Content-Type': bytesType,
      'Content-Range': 'bytes 0-199999/*',
      'Content-Length': 200_000,
    });
    response.write(Buffer.alloc(100_000, 1));
    setTimeout(() => response.end(Buffer.alloc(100_000, 1)), 100);
  });
  const controller = new AbortController();
  const into = new Uint8Array(200_000);
  const call = kindOf(
    clientFor(t, server.port).readShare(address, { offset: 0, length: 200_000 }, { into, signal: controller.signal }),
  );
  while (into[0] === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  into.fill(9);
  t.is(await call, 'cancelled');
  await new Promise((resolve) => setTimeout(resolve, 200));
  t.true(into.every((byte) => byte === 9));
});

test('requests are counted, those for the version are not', async (t) => {
  const server = await startFake(t, (request, response) => {
    const body = encodeShareNumbers(new Set());
    response.writeHead(200, { 'Content-Type': 'application/cbor', 'Content-Length': body.length }).end(body);
    request.resume();
  });
  const client = clientFor(t, server.port);
  await client.listShares(index);
  await client.listSlotShares(index);
  t.is(await kindOf(client.version()), 'protocol');
  t.is(client.requests, 2);
});

test('a cancelled request keeps its connection if the rest of its answer is short and comes soon', async (t) => {
  let connections = 0;
  const arrived: http.ServerResponse[] = [];
  const server = await startFake(t, (_request, response) => {
    arrived.push(response);
    server.emit('arrived');
  });
  server.on('secureConnection', (socket: tls.TLSSocket) => {
    connections += 1;
    socket.on('error', () => socket.destroy());
  });
  const manual = new ManualClock();
  const client = clientFor(t, server.port, { clock: manual, connections: 1 });
  const list = async (signal?: AbortSignal) => {
    const isThere = once(server, 'arrived');
    const call = client.listShares(index, { signal });
    await isThere;
    return { call, response: arrived.pop()! };
  };
  const cancel = async () => {
    const controller = new AbortController();
    const { call, response } = await list(controller.signal);
    controller.abort();
    t.is(await kindOf(call), 'cancelled');
    return response;
  };
  const answer = (response: http.ServerResponse) => {
    const body = encodeShareNumbers(new Set([1]));
    response.writeHead(200, { 'Content-Type': 'application/cbor', 'Content-Length': body.length }).end(body);
  };
  const isAnswered = async () => {
    const { call, response } = await list();
    answer(response);
    t.deepEqual(await call, new Set([1]));
  };

  await isAnswered();
  answer(await cancel());
  await isAnswered();
  t.is(connections, 1);
  await cancel();
  manual.advance(1000);
  await isAnswered();
  t.is(connections, 2);
});
