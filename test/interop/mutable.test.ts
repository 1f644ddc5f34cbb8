/**
 * Mutable files and directories of both formats, written by one implementation and read and changed by the other. Five
 * Python servers, so that each holds two of the ten shares.
 */
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { CleanupStack } from '../support/cleanup.js';
import { temporaryDirectory } from '../support/running-tahoe.js';
import { startOurClient } from './support/our-client.js';
import { startPythonGrid } from './support/python-grid.js';
import { ask, request, type WebApi } from './support/web-api.js';

const encoding = { needed: 3, happy: 1, total: 10 };
const SEGMENT = 131_073;

const scope = new CleanupStack();
test.after.always(() => scope.close());

async function startClients() {
  const grid = await startPythonGrid(scope, { servers: 5, encoding });
  const ours = await startOurClient(scope, { serversYaml: await grid.client.serversYaml(), encoding });
  return { Python: grid.client, ours };
}

const clients = startClients();

function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167 + 13 * seed) % 251);
}

async function readRange(client: WebApi, cap: string, first: number, last: number): Promise<Uint8Array> {
  const response = await client.fetch(`uri/${cap}`, { headers: { Range: `bytes=${first}-${last}` } });
  if (response.status !== 206) throw new Error(`range ${first}-${last}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function readCap(client: WebApi, cap: string): Promise<string> {
  return ask(client, 'GET', `uri/${cap}?t=readonly-uri`);
}

/** Our listings may be five seconds old. */
async function eventually(t: ExecutionContext, check: (t: ExecutionContext) => Promise<void>): Promise<void> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const attempt = await t.try(check);
    if (attempt.passed || Date.now() > deadline) return attempt.commit();
    attempt.discard();
    await setTimeout(250);
  }
}

interface Health {
  readonly results: { readonly healthy: boolean };
  readonly summary: string;
}

for (const [writer, reader] of [
  ['Python', 'ours'],
  ['ours', 'Python'],
] as const) {
  for (const format of ['SDMF', 'MDMF'] as const) {
    for (const size of [0, 1, 5, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 77]) {
      test(`${format}, ${size} bytes: written by ${writer}, read and replaced by ${reader}, read again`, async (t) => {
        const { [writer]: first, [reader]: second, Python } = await clients;
        const content = pattern(size);
        const cap = await ask(first, 'PUT', `uri?format=${format}`, content);
        const toRead = await readCap(second, cap);
        t.is(toRead, await readCap(first, cap));
        for (const each of [cap, toRead]) t.deepEqual(await request(second, 'GET', `uri/${each}`), content);
        for (const [from, to] of [
          [0, 0],
          [SEGMENT - 2, SEGMENT + 1],
          [size - 1, size - 1],
        ] as const) {
          if (from < 0 || to >= size) continue;
          t.deepEqual(await readRange(second, toRead, from, to), content.slice(from, to + 1));
        }
        const [, info] = JSON.parse(await ask(second, 'GET', `uri/${cap}?t=json`)) as [string, Record<string, unknown>];
        t.like(info, { format, mutable: true, size });
        for (const next of [pattern(size + 1000, 2), pattern(Math.floor(size / 3), 3)]) {
          t.is(await ask(second, 'PUT', `uri/${cap}`, next), cap);
          t.deepEqual(await request(first, 'GET', `uri/${toRead}`), next);
        }
        const health = JSON.parse(await ask(Python, 'POST', `uri/${cap}?t=check&verify=true&output=JSON`)) as Health;
        t.true(health.results.healthy, health.summary);
      });
    }
  }

  for (const format of ['SDMF', 'MDMF'] as const) {
    test(`${format}: parts of a file of ${writer} changed in place by ${reader}, and by ${writer} again`, async (t) => {
      const { [writer]: first, [reader]: second, Python } = await clients;
      let content = pattern(3 * SEGMENT - 100);
      const cap = await ask(first, 'PUT', `uri?format=${format}`, content);
      const changes: readonly (readonly [WebApi, number, Uint8Array])[] = [
        [second, 0, pattern(1, 5)],
        [second, SEGMENT - 3, pattern(10, 6)],
        [first, SEGMENT + 2, pattern(SEGMENT, 7)],
        [second, 3 * SEGMENT - 100, pattern(50, 8)],
        [first, 3 * SEGMENT - 60, pattern(40, 9)],
        [second, 3 * SEGMENT - 50, pattern(SEGMENT, 10)],
      ];
      for (const [client, offset, data] of changes) {
        const grown = new Uint8Array(Math.max(content.length, offset + data.length));
        grown.set(content);
        grown.set(data, offset);
        content = grown;
        t.is(await ask(client, 'PUT', `uri/${cap}?offset=${offset}`, data), cap);
        for (const each of [first, second]) t.deepEqual(await request(each, 'GET', `uri/${cap}`), content, `${offset}`);
      }
      const health = JSON.parse(await ask(Python, 'POST', `uri/${cap}?t=check&verify=true&output=JSON`)) as Health;
      t.true(health.results.healthy, health.summary);
    });

    test(`a directory in ${format} made by ${writer} is listed, added to and taken from by ${reader}, and back`, async (t) => {
      const { [writer]: first, [reader]: second } = await clients;
      const directory = await ask(first, 'POST', `uri?t=mkdir&format=${format}`);
      t.true(directory.startsWith(format === 'MDMF' ? 'URI:DIR2-MDMF:' : 'URI:DIR2:'));
      const names = async (client: WebApi, cap: string) => {
        const [, { children }] = JSON.parse(await ask(client, 'GET', `uri/${cap}?t=json`)) as [
          string,
          { children: Record<string, [string, Record<string, string>]> },
        ];
        return children;
      };
      t.deepEqual(await names(second, directory), {});
      await ask(first, 'PUT', `uri/${directory}/one`, 'one');
      await ask(second, 'PUT', `uri/${directory}/zwei%20%C3%A4`, 'two');
      const inner = await ask(second, 'POST', `uri/${directory}/inner?t=mkdir&format=${format}`);
      const file = await ask(second, 'PUT', `uri/${directory}/inner/mutable?format=${format}`, pattern(500));
      const toRead = await readCap(second, directory);
      for (const client of [first, second]) {
        for (const cap of [toRead, directory]) {
          await eventually(t, async (tt) => {
            tt.deepEqual(Object.keys(await names(client, cap)).sort(), ['inner', 'one', 'zwei ä']);
          });
        }
        const children = await names(client, toRead);
        t.is(children.inner![1].ro_uri, await readCap(second, inner));
        t.is(children.inner![1].rw_uri, undefined);
        t.is((await names(client, directory)).inner![1].rw_uri, inner);
        t.deepEqual(await request(client, 'GET', `uri/${directory}/inner/mutable`), pattern(500));
        t.is(new TextDecoder().decode(await request(client, 'GET', `uri/${toRead}/zwei%20%C3%A4`)), 'two');
      }
      // an existing mutable file keeps its capability when it is written through a name
      t.is(await ask(first, 'PUT', `uri/${directory}/inner/mutable`, pattern(600, 2)), file);
      t.deepEqual(await request(second, 'GET', `uri/${file}`), pattern(600, 2));
      await ask(second, 'DELETE', `uri/${directory}/one`);
      await eventually(t, async (tt) => {
        tt.deepEqual(Object.keys(await names(first, directory)).sort(), ['inner', 'zwei ä']);
      });
      for (const client of [first, second]) {
        t.false((await client.fetch(`uri/${toRead}/three`, { method: 'PUT', body: 'three' })).ok, 'read only');
      }
    });
  }
}

for (const format of ['SDMF', 'MDMF'] as const) {
  test(`${format}: a file of Python in a directory of Python, changed by programs in our mount, is read back by Python`, async (t) => {
    const { Python, ours } = await clients;
    const directory = await ask(Python, 'POST', `uri?t=mkdir&format=${format}`);
    const content = pattern(3 * SEGMENT - 100);
    const cap = await ask(Python, 'PUT', `uri/${directory}/file?format=${format}`, content);
    const mountpoint = await temporaryDirectory(scope);
    await ours.output('mount', directory, mountpoint);
    scope.teardown(async () => {
      await ours.tahoe('unmount', mountpoint);
    });
    const file = await open(join(mountpoint, 'file'), 'r+');
    await file.write(pattern(10, 2), 0, 10, SEGMENT - 3);
    await file.write(pattern(500, 3), 0, 500, content.length);
    await file.sync();
    await file.close();
    const changed = new Uint8Array(content.length + 500);
    changed.set(content);
    changed.set(pattern(10, 2), SEGMENT - 3);
    changed.set(pattern(500, 3), content.length);
    t.deepEqual(await request(Python, 'GET', `uri/${directory}/file`), changed);
    t.is(await ask(Python, 'GET', `uri/${directory}/file?t=uri`), cap);
    const health = JSON.parse(await ask(Python, 'POST', `uri/${cap}?t=check&verify=true&output=JSON`)) as Health;
    t.true(health.results.healthy, health.summary);
    await request(Python, 'PUT', `uri/${directory}/file`, 'by Python');
    t.is(await readFile(join(mountpoint, 'file'), 'utf8'), 'by Python');
  });
}
