import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request as rawRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { serializeCap } from '../../../src/caps/cap.js';
import { asFingerprint, asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import type { NodeControl, NodeStatus } from '../../../src/web/node-control.js';
import { startWebServer } from '../../../src/web/web-server.js';
import { LiteralGrid } from '../../support/literal-grid.js';
import { MemoryVfs } from '../../support/memory-vfs.js';

const TOKEN = 'the-token';
const ROOT = serializeCap({
  type: 'directory',
  inner: {
    type: 'sdmf-write',
    writeKey: asWriteKey(new Uint8Array(16).fill(1)),
    fingerprint: asFingerprint(new Uint8Array(32).fill(2)),
  },
});

interface Fixture {
  readonly url: string;
  readonly vfs: MemoryVfs;
  readonly grid: LiteralGrid;
  readonly spoolDirectory: string;
  /** `fetch` below the root directory. */
  at(path: string, init?: RequestInit): Promise<Response>;
}

async function start(t: ExecutionContext, control: Partial<NodeControl> = {}): Promise<Fixture> {
  const spoolDirectory = await mkdtemp(join(tmpdir(), 'tahoe-web-'));
  const vfs = new MemoryVfs();
  const grid = new LiteralGrid();
  const unexpected = () => {
    throw new Error('not expected');
  };
  const web = await startWebServer(
    {
      vfs,
      grid,
      control: {
        status: unexpected,
        introducers: () => [],
        mount: unexpected,
        unmount: unexpected,
        locate: unexpected,
        stop: unexpected,
        ...control,
      },
      platform: { clock: new NodeClock(), entropy: new NodeEntropy(), files: new NodeFileStore(), log: silentLogger },
      spoolDirectory,
      apiToken: TOKEN,
      newDirectory: { mode: 0o755, uid: 0, gid: 0 },
    },
    { port: 0, host: '127.0.0.1' },
  );
  t.teardown(async () => {
    await web.close();
    await rm(spoolDirectory, { recursive: true });
  });
  const at = (path: string, init?: RequestInit) =>
    fetch(`${web.url}uri/${encodeURIComponent(ROOT)}${path}`, { redirect: 'manual', ...init });
  return { url: web.url, vfs, grid, spoolDirectory, at };
}

async function put(fixture: Fixture, path: string, body: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const answer = await fixture.at(`${path}?wait=journal`, { method: 'PUT', body });
  if (answer.status !== 202) throw new Error(`PUT ${path}: ${answer.status} ${await answer.text()}`);
}

test('a file put into a directory is read back, in whole and in ranges', async (t) => {
  const fixture = await start(t);
  const content = randomBytes(5_000_000);
  await put(fixture, '/a/b/big.bin', content);
  const whole = await fixture.at('/a/b/big.bin');
  t.is(whole.status, 200);
  t.is(whole.headers.get('content-length'), '5000000');
  t.true(content.equals(new Uint8Array(await whole.arrayBuffer())));
  const part = await fixture.at('/a/b/big.bin', { headers: { range: 'bytes=1048570-3000000' } });
  t.is(part.status, 206);
  t.is(part.headers.get('content-range'), 'bytes 1048570-3000000/5000000');
  t.true(content.subarray(1_048_570, 3_000_001).equals(new Uint8Array(await part.arrayBuffer())));
  t.is(fixture.vfs.openHandleCount(), 0);
  t.is(fixture.vfs.rememberedCount(), 0);
});

test('PUT /uri gives the capability alone, and GET gives the contents back', async (t) => {
  const { url } = await start(t);
  const answer = await fetch(`${url}uri`, { method: 'PUT', body: 'hello' });
  t.is(answer.status, 200);
  const cap = await answer.text();
  t.is(cap, 'URI:LIT:nbswy3dp');
  t.is(await (await fetch(`${url}uri/${cap}`)).text(), 'hello');
  t.is(await (await fetch(`${url}cap/${encodeURIComponent(cap)}`)).text(), 'hello');
});

test('a large body waits in a file without a name, and nothing of it stays', async (t) => {
  const { url, grid, spoolDirectory } = await start(t);
  const body = randomBytes(3_000_000);
  await fetch(`${url}uri`, { method: 'PUT', body });
  t.true(body.equals(grid.uploads[0] ?? new Uint8Array()));
  t.deepEqual(await readdir(spoolDirectory), []);
});

test('every answer forbids frames and referrers', async (t) => {
  const { url } = await start(t);
  for (const path of ['', 'nope', 'uri', 'private/status']) {
    const answer = await fetch(url + path, { redirect: 'manual' });
    t.is(answer.headers.get('x-frame-options'), 'DENY', path);
    t.is(answer.headers.get('referrer-policy'), 'no-referrer', path);
  }
});

test('a missing child is 404 with the words of the reference', async (t) => {
  const { at } = await start(t);
  const answer = await at('/nope?t=json');
  t.is(answer.status, 404);
  t.is(answer.headers.get('x-tahoe-error-kind'), 'not-found');
  t.is(await answer.text(), 'No such child: nope');
});

test('errors have the statuses and the names of the reference', async (t) => {
  const fixture = await start(t);
  await put(fixture, '/file', 'x');
  const { url, at } = fixture;
  const rows: [Promise<Response>, number, RegExp][] = [
    [at('/a//b'), 400, /does not allow empty pathname components/],
    [at('/file?replace=maybe', { method: 'PUT', body: 'y' }), 400, /invalid replace= argument: maybe/],
    [at('/file?replace=false', { method: 'PUT', body: 'y' }), 409, /^There was already a child by that name/],
    [at('/new?format=xyz', { method: 'PUT', body: 'y' }), 400, /Unknown format: xyz, I know CHK, SDMF, MDMF/],
    [at('', { method: 'PUT', body: 'y' }), 400, /PUT to a directory/],
    [at('/file/below'), 400, /Files have no children named/],
    [at('/file?t=nonsense'), 400, /bad t=nonsense/],
    [at('/nope', { method: 'DELETE' }), 404, /No such child: nope/],
    [at('/file', { method: 'PATCH' }), 501, /PATCH/],
    [at('?t=nonsense', { method: 'POST' }), 400, /POST to a directory with bad t=nonsense/],
    [fetch(`${url}uri?t=nonsense`, { method: 'POST' }), 400, /accepts only PUT, PUT\?t=mkdir/],
    [fetch(`${url}uri?format=sdmf`, { method: 'PUT', body: 'y' }), 500, /UploadUnhappinessError.*2 of 7/],
    [fetch(`${url}uri/garbage`), 400, /./],
    [fetch(`${url}uri/%ff`), 400, /percent-encoded UTF-8/],
  ];
  for (const [answer, status, text] of rows) {
    const { status: got, url: address } = await answer;
    const body = await (await answer).text();
    t.is(got, status, `${address}: ${body}`);
    t.regex(body, text, address);
  }
});

test('a download that fails before its first byte is an error, and one that fails half-way is cut', async (t) => {
  const { url } = await start(t);
  const chk = (size: number) => `${url}uri/URI:CHK:${'a'.repeat(26)}:${'a'.repeat(52)}:3:10:${size}`;
  const refused = await fetch(chk(1000));
  t.is(refused.status, 410);
  t.is(refused.headers.get('X-Tahoe-Error-Kind'), 'unrecoverable');
  t.regex(await refused.text(), /^NotEnoughSharesError: found 2 of 3 shares/);
  const outcome = await new Promise<string>((resolve) => {
    rawRequest(chk(3_000_000), (answer) => {
      const parts: Buffer[] = [];
      const finish = (how: string) => {
        const received = Buffer.concat(parts);
        resolve(
          `${how} after ${received.length} of ${answer.headers['content-length']}, ${received.every((b) => b === 0)}`,
        );
      };
      answer.on('data', (data: Buffer) => parts.push(data));
      answer.on('error', () => finish('cut'));
      answer.on('end', () => finish('complete'));
    }).end();
  });
  t.is(outcome, `cut after ${2 ** 20} of 3000000, true`);
});

test('rename and unlink change the directory once, and keep everything else', async (t) => {
  const fixture = await start(t);
  const { at } = fixture;
  await put(fixture, '/from/file', 'content');
  await put(fixture, '/to/other', 'other');
  const moved = await at('/from?t=relink&from_name=file&to_name=new%20name&to_dir=', { method: 'POST' });
  t.is(await moved.text(), 'thing moved');
  const toDir = encodeURIComponent(`${ROOT}/to`);
  t.is((await at(`/from?t=relink&from_name=new%20name&to_dir=${toDir}`, { method: 'POST' })).status, 200);
  t.is(await (await at('/to/new%20name')).text(), 'content');
  t.is(await (await at('/from')).text(), '');
  t.is((await at('/to?t=rename&from_name=a&to_name=b', { method: 'POST' })).status, 404);
  t.is((await at('/to/other', { method: 'DELETE' })).status, 200);
  t.is(await (await at('/to')).text(), 'new name\n');
});

test('t=json of a directory describes its children, whatever their names', async (t) => {
  const fixture = await start(t);
  await put(fixture, '/__proto__', 'x');
  await put(fixture, `/${encodeURIComponent('ümläut 🗂')}`, 'yz');
  const [kind, { children, mutable }] = JSON.parse(await (await fixture.at('?t=json')).text());
  t.is(kind, 'dirnode');
  t.true(mutable);
  t.deepEqual(Object.keys(children).sort(), ['__proto__', 'ümläut 🗂']);
  t.like(children['ümläut 🗂'], { 0: 'filenode' });
  t.is(children['ümläut 🗂'][1].size, 2);
});

test('/private/ opens to the token alone', async (t) => {
  const status = { nickname: 'me' } as NodeStatus;
  const { url } = await start(t, { status: () => status });
  for (const authorization of [undefined, 'tahoe-lafs wrong', TOKEN, `tahoe-lafs ${TOKEN}x`]) {
    const answer = await fetch(`${url}private/status`, authorization ? { headers: { authorization } } : {});
    t.is(answer.status, 401);
    t.is(answer.headers.get('www-authenticate'), 'tahoe-lafs realm="tahoe-lafs"');
  }
  const opened = await fetch(`${url}private/status`, { headers: { authorization: `tahoe-lafs ${TOKEN}` } });
  t.deepEqual(await opened.json(), status);
});

test('mount requests are checked before the node sees them', async (t) => {
  const mounts: unknown[] = [];
  const { url } = await start(t, {
    mount: async (request) => {
      mounts.push(request);
      return { mountpoint: request.mountpoint, options: request.options };
    },
  });
  const post = (body: string) =>
    fetch(`${url}private/mounts`, { method: 'POST', body, headers: { authorization: `tahoe-lafs ${TOKEN}` } });
  for (const body of [
    '',
    '[',
    'null',
    '{}',
    '{"cap":"x","mountpoint":"relative"}',
    '{"cap":"x","mountpoint":"/m","path":[1]}',
  ]) {
    t.is((await post(body)).status, 400, body);
  }
  t.deepEqual(await (await post(`{"cap":"${ROOT}","mountpoint":"/m","options":["ro"]}`)).json(), {
    mountpoint: '/m',
    options: ['ro'],
  });
  t.deepEqual(mounts, [{ cap: ROOT, mountpoint: '/m', path: [], options: ['ro'] }]);
});

test('sync reports progress and ends with done', async (t) => {
  const fixture = await start(t);
  await put(fixture, '/file', 'x');
  const headers = { authorization: `tahoe-lafs ${TOKEN}` };
  const answer = await fetch(`${fixture.url}private/sync`, { method: 'POST', headers });
  const lines = (await answer.text()).trim().split('\n');
  const last = JSON.parse(lines.at(-1) ?? '') as { done: boolean; pending: { filesPending: number } };
  t.true(last.done);
  t.is(last.pending.filesPending, 0);
});

test('the next request is answered after one whose body was refused', async (t) => {
  const { url } = await start(t);
  const body = 'x'.repeat(5_000_000);
  const refused = await fetch(`${url}uri?t=mkdir`, { method: 'POST', body });
  t.is(refused.status, 413);
  t.is((await fetch(`${url}?t=json`)).status, 200);
});

test('hostile addresses get an answer below 500, and the server lives on', async (t) => {
  const { url } = await start(t);
  const { port } = new URL(url);
  const send = (path: string, method: string) =>
    new Promise<number>((resolve, reject) => {
      const sent = rawRequest({ port, host: '127.0.0.1', path, method }, (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode ?? 0));
      });
      sent.on('error', reject);
      sent.end();
    });
  const segment = fc.oneof(
    fc.stringMatching(/^[!-~]{0,12}$/).filter((text) => !text.includes('#')),
    fc.constantFrom(
      '..',
      '%00',
      '%2f',
      '%',
      '',
      'uri',
      'cap',
      'private',
      encodeURIComponent(ROOT),
      'URI:DIR2:',
      'URI:',
    ),
  );
  const method = fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD');
  await fc.assert(
    fc.asyncProperty(fc.array(segment, { maxLength: 5 }), fc.string(), method, async (segments, query, verb) => {
      const status = await send(`/${segments.join('/')}?t=${encodeURIComponent(query)}`, verb);
      t.true(status < 500 || status === 501, `${status}`);
    }),
    { numRuns: 300 },
  );
  t.is((await fetch(`${url}?t=json`)).status, 200);
});

test('metrics are OpenMetrics text: each family once, with type and help, counters and histograms named as they must be', async (t) => {
  const vfs = new MemoryVfs();
  const status = { pending: vfs.status(), servers: [], alarm: undefined } as unknown as NodeStatus;
  const fixture = await start(t, { status: () => status });
  const answer = await fetch(`${fixture.url}metrics`);
  t.is(answer.headers.get('content-type'), 'application/openmetrics-text; version=1.0.0; charset=utf-8');
  const text = await answer.text();
  t.true(text.endsWith('\n# EOF\n'));
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)\n# HELP \1 \S.*$/gm)].map(([, name, type]) => [name!, type!]),
  );
  t.is(types.size, [...text.matchAll(/^# TYPE /gm)].length);
  for (const line of text.split('\n').filter((each) => each !== '' && !each.startsWith('#'))) {
    const [, name = '', value] = /^(\w+)(?:\{le="[^"]+"\})? (\S+)$/.exec(line) ?? [];
    const family = name.replace(/_(total|bucket|sum|count)$/, '');
    const suffix = name.slice(family.length);
    const allowed = { counter: ['_total'], histogram: ['_bucket', '_sum', '_count'], gauge: [''] }[
      types.get(family) ?? ''
    ];
    t.true(allowed?.includes(suffix) === true && Number.isFinite(Number(value)), line);
  }
  t.is((await fetch(`${fixture.url}metrics`, { method: 'POST' })).status, 501);
});
