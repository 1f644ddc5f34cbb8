import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { concatBytes, encodeAscii } from '../../../src/encoding/bytes.js';
import { isTahoeError, TahoeError } from '../../../src/errors/tahoe-error.js';
import type { PbValue, RemoteReference } from '../../../src/foolscap/pb-value.js';
import type { Tub } from '../../../src/foolscap/tub.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { makeCertificate } from '../../../src/transport/certificate.js';
import { newTub, objectOf, serve } from '../../support/foolscap.js';
import { ManualClock } from '../../support/manual-clock.js';

const echo = objectOf((_method, { positional }) => positional[0] ?? null, 'RIEcho');

/** A tub with a greater, or lower, id than `than`. */
function tubOf(t: ExecutionContext, order: 'greater' | 'lower', than: Tub): Tub {
  for (;;) {
    const tub = newTub(t);
    if (tub.tubId > than.tubId === (order === 'greater')) return tub;
  }
}

for (const order of ['greater', 'lower'] as const) {
  test(`a client with the ${order} id calls, gets answers and errors, and is called back`, async (t) => {
    const server = newTub(t);
    const calledBack: PbValue[] = [];
    const { furl } = await serve(
      server,
      objectOf(async (method, { positional }) => {
        if (method === 'refuse') throw new TahoeError('not like this', { kind: 'invalid', op: 'test' });
        if (method === 'fail') throw new Error('a secret of the server');
        calledBack.push(await (positional[0] as RemoteReference).call('ping', { positional: ['hello'] }));
        return 'done';
      }),
    );
    const { reference, connection } = await tubOf(t, order, server).connect(furl);
    const subscriber = objectOf((method, args) => `${method} ${args.positional[0]}`);
    t.is(await reference.call('with', { positional: [subscriber] }), 'done');
    t.deepEqual(calledBack, ['ping hello']);
    await t.throwsAsync(reference.call('refuse'), { message: /builtins.ValueError: not like this/ });
    const failure = await t.throwsAsync(reference.call('fail'));
    t.false(failure?.message.includes('secret'));
    t.true(isTahoeError(await t.throwsAsync(connection.referenceByName('wrong')), 'not-found'));
    t.is(connection.peer.tubId, server.tubId);
  });
}

test('two references to one tub share a connection, also while it is made', async (t) => {
  const server = newTub(t);
  const { furl } = await serve(server, echo);
  const client = newTub(t);
  const [first, second] = await Promise.all([client.connect(furl), client.connect(furl)]);
  t.is(first.connection, second.connection);
  t.is((await client.connect(furl)).connection, first.connection);
});

test('a client that lost its connection, or was started anew, takes its place', async (t) => {
  const server = newTub(t);
  const { furl } = await serve(server, echo);
  const certificate = makeCertificate(new NodeEntropy(), 0);
  const first = await newTub(t, { certificate }).connect(furl);
  const anew = newTub(t, { certificate });
  const second = await anew.connect(furl);
  const { ended } = first.connection.peer;
  if (!ended.aborted) await once(ended, 'abort');
  second.connection.close('lost');
  const third = await anew.connect(furl);
  t.is(await third.reference.call('echo', { positional: ['x'] }), 'x');
});

test('calls under way fail with kind closed when the connection ends', async (t) => {
  const server = newTub(t);
  const { furl } = await serve(
    server,
    objectOf(() => new Promise<PbValue>(() => undefined)),
  );
  const { reference, connection } = await newTub(t).connect(furl);
  const call = reference.call('hang');
  connection.close('enough');
  t.true(isTahoeError(await t.throwsAsync(call), 'closed'));
  t.true(isTahoeError(await t.throwsAsync(reference.call('more')), 'closed'));
  t.notThrows(() => reference.send('more', { positional: [] }));
});

test('a client does not speak to a tub with another certificate, nor to itself, nor to a tub without address', async (t) => {
  const server = newTub(t);
  const { furl, port } = await serve(server, echo);
  const client = newTub(t);
  const wrongTub = { ...furl, tubId: newTub(t).tubId };
  await t.throwsAsync(client.connect(wrongTub), { message: /500 Internal Server Error: unknown TubID/ });
  t.true(isTahoeError(await t.throwsAsync(server.connect(furl)), 'invalid'));
  t.true(isTahoeError(await t.throwsAsync(client.connect({ ...furl, hints: ['tor:x.onion:1'] })), 'unsupported'));

  // Whoever listens at the address says yes to every tub id, but cannot show its certificate.
  const impostor = createServer((socket) => {
    const upstream = connect(port, '127.0.0.1');
    socket.once('data', (request) => {
      upstream.write(String(request).replace(wrongTub.tubId, server.tubId));
      socket.pipe(upstream).pipe(socket);
    });
    for (const end of [socket, upstream]) end.on('error', () => undefined);
  });
  impostor.listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  t.teardown(() => impostor.close());
  const { port: impostorPort } = impostor.address() as { port: number };
  const error = await t.throwsAsync(client.connect({ ...wrongTub, hints: [`tcp:127.0.0.1:${impostorPort}`] }));
  t.true(isTahoeError(error, 'unreachable'));
  t.regex(error?.message ?? '', /another tub/);
});

test('the second address is tried when nobody answers at the first', async (t) => {
  const server = newTub(t);
  const { furl } = await serve(server, echo);
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as { port: number };
  await new Promise((resolve) => free.close(resolve));
  const hints = [`tcp:127.0.0.1:${port}`, ...furl.hints];
  t.is(await (await newTub(t).connect({ ...furl, hints })).reference.call('echo', { positional: [1] }), 1);
  t.true(isTahoeError(await t.throwsAsync(newTub(t).connect({ ...furl, hints: [hints[0]!] })), 'unreachable'));
});

/** However it ends. */
async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

async function rawConnection(t: ExecutionContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

const GARBAGE: readonly (readonly [string, (tubId: string) => Uint8Array])[] = [
  ['random bytes', () => new NodeEntropy().bytes(5000)],
  ['an endless header', () => encodeAscii('x'.repeat(5000))],
  ['another method', (tubId) => encodeAscii(`POST /id/${tubId} HTTP/1.1\r\nUpgrade: TLS/1.0\r\n\r\n`)],
  ['no wish for TLS', (tubId) => encodeAscii(`GET /id/${tubId} HTTP/1.1\r\n\r\n`)],
  [
    'no TLS after all',
    (tubId) => encodeAscii(`GET /id/${tubId} HTTP/1.1\r\nUpgrade: TLS/1.0\r\n\r\n${'y'.repeat(3000)}`),
  ],
];

for (const [what, bytes] of GARBAGE) {
  test(`a listening tub closes the connection of whoever sends ${what}`, async (t) => {
    const server = newTub(t);
    const { furl, port } = await serve(server, echo);
    const socket = await rawConnection(t, port);
    socket.resume();
    socket.write(bytes(server.tubId));
    await closed(socket);
    t.is(await (await newTub(t).connect(furl)).reference.call('echo', { positional: [1] }), 1);
  });
}

async function upgraded(t: ExecutionContext, tub: Tub, port: number): Promise<Socket> {
  const socket = await rawConnection(t, port);
  socket.write(`GET /id/${tub.tubId} HTTP/1.1\r\nUpgrade: TLS/1.0\r\n\r\n`);
  await once(socket, 'data');
  socket.pause();
  return socket;
}

test('a client without a certificate is sent away', async (t) => {
  const server = newTub(t);
  const { port } = await serve(server, echo);
  const socket = connectTls({ socket: await upgraded(t, server, port), rejectUnauthorized: false });
  socket.on('error', () => undefined);
  socket.resume();
  await closed(socket);
  t.true(socket.destroyed);
});

/** Negotiated as a tub would, then free to send anything. */
async function negotiated(t: ExecutionContext, server: Tub, port: number) {
  let pair = makeCertificate(new NodeEntropy(), 0);
  let tub = newTub(t, { certificate: pair });
  while (tub.tubId > server.tubId) {
    pair = makeCertificate(new NodeEntropy(), 0);
    tub = newTub(t, { certificate: pair });
  }
  const { certificate: cert, privateKey: key } = pair;
  const socket = connectTls({ socket: await upgraded(t, server, port), rejectUnauthorized: false, cert, key });
  socket.on('error', () => undefined);
  let received = '';
  const decided = new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      if (received.length < 10_000) received += String(data);
      if (received.includes('current-connection')) resolve();
    });
  });
  socket.write(
    `banana-negotiation-range: 3 3\r\ninitial-vocab-table-range: 0 1\r\nmy-incarnation: 00\r\nmy-tub-id: ${tub.tubId}\r\n\r\n`,
  );
  await decided;
  return socket;
}

test('who says to be another tub than its certificate is refused', async (t) => {
  const server = newTub(t);
  const { port } = await serve(server, echo);
  const { certificate: cert, privateKey: key } = makeCertificate(new NodeEntropy(), 0);
  const socket = connectTls({ socket: await upgraded(t, server, port), rejectUnauthorized: false, cert, key });
  let received = '';
  socket
    .on('error', () => undefined)
    .on('data', (data) => {
      received += String(data);
    });
  socket.write(
    `banana-negotiation-range: 3 3\r\ninitial-vocab-table-range: 0 1\r\nmy-tub-id: ${'a'.repeat(32)}\r\n\r\n`,
  );
  await closed(socket);
  t.regex(received, /error: /);
});

test('whoever negotiated and then sends nonsense, or a message without end, is closed', async (t) => {
  const server = newTub(t);
  const { furl, port } = await serve(server, echo);
  const nonsense = await negotiated(t, server, port);
  nonsense.write(Uint8Array.of(0x00, 0x80));
  await closed(nonsense);
  const endless = await negotiated(t, server, port);
  endless.write(Uint8Array.of(0x00, 0x88, 0x04, 0x87));
  const writes = setInterval(() => endless.write(new Uint8Array(1_000_000).fill(0x81)), 1);
  await closed(endless);
  clearInterval(writes);
  t.is(await (await newTub(t).connect(furl)).reference.call('echo', { positional: [1] }), 1);
});

test('whoever asks and does not take the answers is read no more, at little cost in memory', async (t) => {
  const server = newTub(t);
  const { port } = await serve(server, echo);
  const flooding = await negotiated(t, server, port);
  flooding.pause();
  const ping = new Uint8Array(65).fill(1);
  ping[64] = 0x8e;
  const pings = concatBytes(Array.from({ length: 1000 }, () => ping));
  const memory = () => process.memoryUsage().heapUsed + process.memoryUsage().external;
  const before = memory();
  for (let count = 0; count < 1000 && flooding.writableLength < 20_000_000; count++) {
    flooding.write(pings);
    await delay(0);
  }
  t.true(flooding.writableLength > 10_000_000, 'most of it was never read');
  t.true(memory() - before < 200_000_000);
});

test('a peer that is silent is asked, and given up when it stays silent', async (t) => {
  const clock = new ManualClock();
  const server = newTub(t);
  const { furl } = await serve(server, echo);
  const client = newTub(t, { clock, keepaliveMs: 10_000 });
  const { connection } = await client.connect(furl);
  clock.advance(10_000);
  await delay(100);
  clock.advance(9_000);
  t.false(connection.peer.ended.aborted, 'it answered the PING');
  clock.advance(10_000);
  clock.advance(10_000);
  t.true(connection.peer.ended.aborted, 'it had no time to answer');
});

test('a connection that does not come about in time is given up', async (t) => {
  const clock = new ManualClock();
  const silent = createServer((socket) => socket.on('error', () => undefined));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const client = newTub(t, { clock });
  t.teardown(() => silent.close());
  const { port } = silent.address() as { port: number };
  const connecting = client.connect({ tubId: newTub(t).tubId, hints: [`tcp:127.0.0.1:${port}`], name: 'x' });
  await once(silent, 'connection');
  clock.advance(30_000);
  t.true(isTahoeError(await t.throwsAsync(connecting), 'timeout'));

  const serverClock = new ManualClock();
  const server = newTub(t, { clock: serverClock });
  const { port: serverPort } = await serve(server, echo);
  const slow = await rawConnection(t, serverPort);
  slow.resume();
  slow.write('GET /id/');
  await delay(50);
  serverClock.advance(120_000);
  await closed(slow);
});

test('no more connections come in than the limit', async (t) => {
  const server = newTub(t, { maxConnections: 3 });
  const { port } = await serve(server, echo);
  const held = [await rawConnection(t, port), await rawConnection(t, port), await rawConnection(t, port)];
  const refused = connect(port, '127.0.0.1');
  refused.on('error', () => undefined).resume();
  await closed(refused);
  t.true(held.every((socket) => !socket.destroyed));
});
