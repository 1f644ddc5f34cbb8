/** Mutable files through the commands and the web API of a node with ten HTTPS servers. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { bytesEqual } from '../../src/encoding/bytes.js';
import { startGrid } from '../support/real-grid.js';
import { tahoe, tahoeOutput } from '../support/running-tahoe.js';

const SEGMENT = 131_073;

function pattern(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 167 + 13 * seed) % 251));
}

async function startNode(t: ExecutionContext) {
  const { work, directory } = await startGrid(t);
  const url = (await readFile(join(directory, 'client/node.url'), 'utf8')).trim();
  const call = (path: string, init: RequestInit = {}) => fetch(`${url}${path}`, init);
  const run = (...args: string[]) => tahoeOutput('-d', directory, ...args);
  return { work, directory, call, run };
}

test.serial(
  'commands make mutable files of either format, replace them by capability and by name, and read them',
  async (t) => {
    const { work, directory, run } = await startNode(t);
    const [file, next] = [join(work, 'file'), join(work, 'next')];
    await writeFile(file, pattern(SEGMENT + 10));
    await writeFile(next, pattern(5, 2));
    for (const [options, prefix] of [
      [['--mutable'], 'URI:SSK:'],
      [['--format=SDMF'], 'URI:SSK:'],
      [['--format=mdmf'], 'URI:MDMF:'],
      [['-m', '--format=MDMF'], 'URI:MDMF:'],
    ] as const) {
      const cap = await run('put', ...options, file);
      t.true(cap.startsWith(prefix), cap);
      await run('get', cap, join(work, 'copy'));
      t.deepEqual(await readFile(join(work, 'copy')), pattern(SEGMENT + 10));
      t.is(await run('put', next, cap), cap);
      await run('get', cap, join(work, 'copy'));
      t.deepEqual(await readFile(join(work, 'copy')), pattern(5, 2));
    }
    t.true((await run('put', '--format=CHK', file)).startsWith('URI:CHK:'));
    const unknown = await tahoe('-d', directory, 'put', '--format=XYZ', file);
    t.is(unknown.code, 1);
    t.regex(unknown.stderr, /I know CHK, SDMF, MDMF/);

    t.true((await run('mkdir', '--format=MDMF')).startsWith('URI:DIR2-MDMF:'));
    t.true((await run('mkdir', '--format=SDMF', 'tahoe:sdmf')).startsWith('URI:DIR2:'));
    const directoryCap = await run('mkdir', '--format=MDMF', 'tahoe:a/mdmf');
    t.true(directoryCap.startsWith('URI:DIR2-MDMF:'));
    const linked = await run('put', '--format=MDMF', file, 'tahoe:a/mdmf/file');
    t.is(await run('put', next, 'tahoe:a/mdmf/file'), linked);
    await run('get', `${directoryCap}/file`, join(work, 'copy'));
    t.deepEqual(await readFile(join(work, 'copy')), pattern(5, 2));
    const { code, stderr } = await tahoe('-d', directory, 'mkdir', '--format=CHK', 'tahoe:b');
    t.not(code, 0);
    t.regex(stderr, /SDMF or MDMF/);
  },
);

test.serial(
  'the web API reads and writes parts of mutable files, and a read capability gives no more than reading',
  async (t) => {
    const { call } = await startNode(t);
    const text = async (path: string, init?: RequestInit) => {
      const answer = await call(path, init);
      t.true(answer.ok, `${path} ${answer.status}`);
      return answer.text();
    };
    for (const format of ['sdmf', 'mdmf']) {
      const cap = await text(`uri?format=${format}`, { method: 'PUT', body: pattern(2 * SEGMENT) });
      const content = pattern(2 * SEGMENT + 5);
      content.set(pattern(10, 3), SEGMENT - 5);
      content.set(pattern(8, 4), 2 * SEGMENT - 3);
      await text(`uri/${cap}?offset=${SEGMENT - 5}`, { method: 'PUT', body: pattern(10, 3) });
      await text(`uri/${cap}?offset=${2 * SEGMENT - 3}`, { method: 'PUT', body: pattern(8, 4) });
      t.true(bytesEqual(new Uint8Array(await (await call(`uri/${cap}`)).arrayBuffer()), content));
      const part = await call(`uri/${cap}`, { headers: { Range: `bytes=${SEGMENT - 10}-${SEGMENT + 9}` } });
      t.is(part.status, 206);
      t.is(part.headers.get('content-range'), `bytes ${SEGMENT - 10}-${SEGMENT + 9}/${content.length}`);
      t.deepEqual(Buffer.from(await part.arrayBuffer()), content.subarray(SEGMENT - 10, SEGMENT + 10));
      const [kind, info] = JSON.parse(await text(`uri/${cap}?t=json`));
      t.is(kind, 'filenode');
      t.like(info, { mutable: true, format: format.toUpperCase(), size: content.length, rw_uri: cap });
      const readCap = await text(`uri/${cap}?t=readonly-uri`);
      for (const [path, status] of [
        [`uri/${cap}?offset=-1`, 400],
        [`uri/${cap}?offset=x`, 400],
        [`uri/${cap}?offset=${content.length + 1}`, 400],
        [`uri/${readCap}`, 400],
        [`uri/${readCap}?offset=0`, 400],
      ] as const) {
        t.is((await call(path, { method: 'PUT', body: 'x' })).status, status, path);
      }
      t.true(bytesEqual(new Uint8Array(await (await call(`uri/${readCap}`)).arrayBuffer()), content));

      const directory = await text(`uri?t=mkdir&format=${format}`, { method: 'POST' });
      await text(`uri/${directory}/f`, { method: 'PUT', body: 'immutable' });
      t.is((await call(`uri/${directory}/f?offset=3`, { method: 'PUT', body: 'x' })).status, 400);
      const inner = await text(`uri/${directory}/d?t=mkdir&format=${format}`, { method: 'POST' });
      const readDirectory = await text(`uri/${directory}?t=readonly-uri`);
      const listing = await text(`uri/${readDirectory}?t=json`);
      t.false(listing.includes(directory) || listing.includes(inner));
      t.true(listing.includes('"f"') && listing.includes('"d"'));
      for (const [method, path] of [
        ['PUT', 'new'],
        ['PUT', 'd/new'],
        ['DELETE', 'f'],
        ['POST', 'd2?t=mkdir'],
      ] as const) {
        const body = method === 'PUT' ? 'x' : null;
        t.regex(await (await call(`uri/${readDirectory}/${path}`, { method, body })).text(), /NotWriteableError/);
      }
      t.is(await text(`uri/${readDirectory}/f`), 'immutable');
    }
  },
);
