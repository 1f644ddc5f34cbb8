/** Statuses and headers on the wire: storage-http spec 8 and 10. */
import { once } from 'node:events';
import * as https from 'node:https';
import * as net from 'node:net';
import * as tls from 'node:tls';
import test, { type ExecutionContext } from 'ava';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { serializeAuthorization } from '../../../src/storage-protocol/http-headers.js';
import { encodeAllocateRequest, encodeCorruptionReport } from '../../../src/storage-protocol/messages.js';
import { peakOf } from '../../support/peak.js';
import { startHttpsServer, type TestHttpsServer } from '../../support/storage-servers.js';

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

interface Request {
  readonly method: string;
  readonly path: string;
  readonly headers?: readonly string[];
  readonly body?: Uint8Array;
  readonly withoutAuthorization?: boolean;
}

const SI = encodeBase32(new Uint8Array(16).fill(1));
const base64 = (text: string) => Buffer.from(text).toString('base64');
const LEASES = [
  'X-Tahoe-Authorization',
  `lease-renew-secret ${base64('r'.repeat(32))}`,
  'X-Tahoe-Authorization',
  `lease-cancel-secret ${base64('c'.repeat(32))}`,
];
const UPLOAD = ['X-Tahoe-Authorization', `upload-secret ${base64('u')}`];
const ENABLER = ['X-Tahoe-Authorization', `write-enabler ${base64('w'.repeat(32))}`];
const CBOR = ['Content-Type', 'application/cbor'];

function send(server: TestHttpsServer, request: Request): Promise<Answer> {
  const { method, path, body } = request;
  const authorization = ['Authorization', serializeAuthorization(server.identity.swissnum)];
  const headers = [
    'Host',
    'localhost',
    ...(request.withoutAuthorization ? [] : authorization),
    ...(request.headers ?? []),
    ...(body === undefined ? [] : ['Content-Length', String(body.length)]),
  ];
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: server.port, method, path, headers, rejectUnauthorized: false };
    const outgoing = https.request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('latin1');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const allocateBody = (numbers: number[], allocatedSize: number) =>
  encodeAllocateRequest({ shareNumbers: new Set(numbers), allocatedSize });

async function uploadShare(server: TestHttpsServer, data: string): Promise<void> {
  const headers = [...LEASES, ...UPLOAD, ...CBOR];
  const body = allocateBody([1], data.length);
  await send(server, { method: 'POST', path: `/storage/v1/immutable/${SI}`, headers, body });
  const range = ['Content-Range', `bytes 0-${data.length - 1}/*`];
  const path = `/storage/v1/immutable/${SI}/1`;
  await send(server, { method: 'PATCH', path, headers: [...UPLOAD, ...range], body: Buffer.from(data) });
}

async function statuses(t: ExecutionContext, server: TestHttpsServer, cases: [number, Request][]): Promise<void> {
  for (const [status, request] of cases) {
    const answer = await send(server, request);
    t.is(answer.status, status, `${request.method} ${request.path} ${request.headers?.join(' ')}`);
    if (status !== 204) t.not(answer.headers['content-length'], undefined);
    t.is(answer.headers['transfer-encoding'], undefined);
    t.is(answer.headers.date, undefined);
  }
}

test('routes, methods, authorization and negotiation', async (t) => {
  const server = await startHttpsServer(t);
  const version = '/storage/v1/version';
  const immutable = `/storage/v1/immutable/${SI}`;
  const get = (path: string, headers?: string[]): Request => ({ method: 'GET', path, ...(headers ? { headers } : {}) });
  await statuses(t, server, [
    [200, get(version)],
    [200, { method: 'HEAD', path: version }],
    [200, get(version, ['Accept', 'application/cbor'])],
    [406, get(version, ['Accept', '*/*'])],
    [401, { ...get(version), withoutAuthorization: true }],
    [401, { ...get(version, ['Authorization', 'tahoe-lafs x']), withoutAuthorization: true }],
    [400, get(version, UPLOAD)],
    [404, { ...get('/'), withoutAuthorization: true }],
    [404, get('/storage/v1/other')],
    [404, get('/storage/v1/immutable/:si/shares')],
    [404, get(`/storage/v1/immutable/${SI.toUpperCase()}/shares`)],
    [404, get(`/storage/v1/immutable/${SI.slice(1)}/shares`)],
    [404, get(`/storage/v1/immutable/${'a'.repeat(25)}b/shares`)],
    [404, get(`${immutable}/-1`)],
    [404, get(`${immutable}/99999999999999999999`)],
    [404, get('/storage/v1/constructor')],
    [405, { method: 'DELETE', path: version, withoutAuthorization: true }],
    [405, get(immutable)],
    [200, get(`${immutable}/shares`)],
  ]);
  t.is((await send(server, { method: 'POST', path: version })).headers.allow, 'GET, HEAD');
});

test('allocation', async (t) => {
  const server = await startHttpsServer(t);
  const path = `/storage/v1/immutable/${SI}`;
  const body = allocateBody([1], 10);
  const post = (headers: string[], content: Uint8Array = body): Request => ({
    method: 'POST',
    path,
    headers,
    body: content,
  });
  const secrets = [...LEASES, ...UPLOAD];
  await statuses(t, server, [
    [400, post([...LEASES, ...CBOR])],
    [400, post([...secrets, ...ENABLER, ...CBOR])],
    [415, post([...secrets, 'Content-Type', 'application/json'])],
    [400, post([...secrets, ...CBOR], Buffer.from('no cbor'))],
    [413, post([...secrets, ...CBOR], new Uint8Array(8193))],
    [200, post([...secrets, 'Content-Type', 'application/cbor; x=y'])],
    [200, post(secrets)],
  ]);
});

test('writing and aborting', async (t) => {
  const server = await startHttpsServer(t);
  const bucket = `/storage/v1/immutable/${SI}`;
  const allocation = { method: 'POST', path: bucket, headers: [...LEASES, ...UPLOAD], body: allocateBody([1, 2], 10) };
  const patch = (range: string, text: string, headers = UPLOAD): Request => ({
    method: 'PATCH',
    path: `${bucket}/1`,
    headers: [...headers, 'Content-Range', range],
    body: Buffer.from(text),
  });
  const other = ['X-Tahoe-Authorization', `upload-secret ${base64('v')}`];
  const abort = (number: number, headers = UPLOAD): Request => ({
    method: 'PUT',
    path: `${bucket}/${number}/abort`,
    headers,
  });
  await statuses(t, server, [
    [404, patch('bytes 0-3/*', 'abcd')],
    [404, abort(1)],
    [200, allocation],
    [401, patch('bytes 0-3/*', 'abcd', other)],
    [416, patch('bytes 0-/*', 'abcd')],
    [416, patch('items 0-3/*', 'abcd')],
    [200, patch('bytes 0-3/10', 'abcd and more than the range')],
    [409, patch('bytes 2-3/*', 'xy')],
    [400, patch('bytes 4-9/*', 'abc')],
    [400, patch('bytes 8-13/*', 'abcdef')],
    [401, abort(1, other)],
    [200, abort(2)],
  ]);
  const last = await send(server, patch('bytes 4-9/*', 'abcghi'));
  t.is(last.status, 201);
  t.is(Buffer.from(last.body, 'latin1').toString('hex'), 'a168726571756972656480');
  await statuses(t, server, [
    [404, patch('bytes 0-3/*', 'abcd')],
    [405, abort(1)],
  ]);
});

test('reading ranges', async (t) => {
  const server = await startHttpsServer(t);
  await uploadShare(server, '0123456789');
  const path = `/storage/v1/immutable/${SI}/1`;
  const get = (range?: string): Request => ({
    method: 'GET',
    path,
    headers: range === undefined ? [] : ['Range', range],
  });
  const part = await send(server, get('bytes=2-5'));
  t.is(part.status, 206);
  t.is(part.body, '2345');
  t.is(part.headers['content-range'], 'bytes 2-5/*');
  t.is(part.headers['content-type'], 'application/octet-stream');
  const end = await send(server, get('bytes=8-1000000'));
  t.is(end.body, '89');
  t.is(end.headers['content-range'], 'bytes 8-9/*');
  const whole = await send(server, get());
  t.is(whole.status, 200);
  t.is(whole.body, '0123456789');
  const head = await send(server, { ...get('bytes=0-3'), method: 'HEAD' });
  t.is(head.status, 206);
  t.is(head.headers['content-length'], '4');
  t.is(head.body, '');
  t.is((await send(server, { method: 'GET', path: `${path.slice(0, -1)}007` })).status, 404);
  t.is((await send(server, { method: 'GET', path: `${path.slice(0, -1)}01` })).status, 200);
  await statuses(t, server, [
    [204, get('bytes=10-20')],
    [416, get('bytes=2-')],
    [416, get('bytes=-2')],
    [416, get('bytes=0-1,3-4')],
    [416, get('bytes=5-2')],
    [404, { method: 'GET', path: `/storage/v1/mutable/${SI}/1` }],
  ]);
});

test('leases, reports and mutable slots', async (t) => {
  const server = await startHttpsServer(t);
  const corrupt = (reason: string): Request => ({
    method: 'POST',
    path: `/storage/v1/immutable/${SI}/1/corrupt`,
    headers: CBOR,
    body: encodeCorruptionReport(reason),
  });
  const lease = { method: 'PUT', path: `/storage/v1/lease/${SI}`, headers: LEASES };
  const slot = (body: Uint8Array, headers = [...ENABLER, ...LEASES]): Request => ({
    method: 'POST',
    path: `/storage/v1/mutable/${SI}/read-test-write`,
    headers,
    body,
  });
  await statuses(t, server, [
    [404, corrupt('rotten')],
    [404, lease],
    [400, slot(Buffer.from('nonsense'))],
    [400, slot(new Uint8Array(0))],
    [400, slot(new Uint8Array(0), LEASES)],
  ]);
  await uploadShare(server, 'x');
  await statuses(t, server, [
    [200, corrupt('rotten')],
    [400, corrupt('')],
    [413, corrupt('x'.repeat(40_000))],
    [204, lease],
  ]);
});

test('connections that are cut or speak nonsense leave the server well', async (t) => {
  const server = await startHttpsServer(t);
  const bodies = Array.from({ length: 5 }, (_, index) => ({
    method: 'PATCH',
    path: `/storage/v1/immutable/${SI}/${index}`,
  }));
  await send(server, {
    method: 'POST',
    path: `/storage/v1/immutable/${SI}`,
    headers: [...LEASES, ...UPLOAD],
    body: allocateBody([0, 1, 2, 3, 4], 1_000_000),
  });
  for (const { method, path } of bodies) {
    const headers = [
      ...['Host', 'x', 'Authorization', serializeAuthorization(server.identity.swissnum), ...UPLOAD],
      ...['Content-Range', 'bytes 0-999999/*', 'Content-Length', '1000000'],
    ];
    const request = https.request({
      host: '127.0.0.1',
      port: server.port,
      method,
      path,
      headers,
      rejectUnauthorized: false,
    });
    const closed = new Promise((resolve) => request.on('close', resolve));
    request.on('error', () => request.destroy());
    request.write(new Uint8Array(100_000), () => request.destroy());
    await closed;
  }
  const plain = net.connect(server.port, '127.0.0.1');
  const ended = new Promise((resolve) => plain.on('close', resolve));
  plain.on('error', () => plain.destroy());
  plain.end('GET / HTTP/1.1\r\n\r\n');
  await ended;
  t.is((await server.client.version()).applicationVersion, 'tahoe-ts/test');
});

test('bodies in pieces of one byte take little more memory than in large ones', async (t) => {
  const server = await startHttpsServer(t);
  const body = allocateBody([1], 1_000_000);
  const path = `/storage/v1/immutable/${SI}`;
  await send(server, { method: 'POST', path, headers: [...LEASES, ...UPLOAD], body });
  const answerTo = async (method: string, path: string, headers: readonly string[], bytes: number) => {
    const socket = tls.connect({ host: '127.0.0.1', port: server.port, rejectUnauthorized: false });
    t.teardown(() => socket.destroy());
    const lines = headers.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${headers[index + 1]}\r\n`] : []));
    socket.write(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n${'1\r\na\r\n'.repeat(bytes)}0\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    return String(answer).slice(9, 12);
  };
  const common = ['Host', 'x', 'Authorization', serializeAuthorization(server.identity.swissnum)];
  const chunked = [...common, 'Transfer-Encoding', 'chunked'];
  const heapUsed = () => process.memoryUsage().heapUsed;
  const before = heapUsed();
  const peak = await peakOf(heapUsed, async () => {
    const range = ['Content-Range', 'bytes 0-999999/*'];
    t.is(await answerTo('PATCH', `${path}/1`, [...chunked, ...UPLOAD, ...range], 1_000_000), '201');
    const slot = `/storage/v1/mutable/${SI}/read-test-write`;
    t.is(await answerTo('POST', slot, [...chunked, ...ENABLER, ...LEASES], 1_000_000), '400');
  });
  t.true(peak - before < 60_000_000, `${peak - before} bytes`);
});

test('it closes although clients keep idle connections', async (t) => {
  const server = await startHttpsServer(t);
  await server.client.version();
  await server.https.close();
  await t.throwsAsync(server.client.version(), { message: /no connection/ });
});
