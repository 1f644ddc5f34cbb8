/**
 * With the same secrets both implementations are the same client: they write the same bytes on servers of either make,
 * renew each other's leases and overwrite what the other wrote. Two servers with one identity, so that their files can
 * be compared: a Python node, and a copy of its directory that we run.
 */
import { generateKeyPairSync } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { freePorts } from '../../src/node/endpoint.js';
import { CleanupStack } from '../support/cleanup.js';
import { pythonCapsContent } from '../support/python-caps.js';
import { runTahoe, temporaryDirectory } from '../support/running-tahoe.js';
import { type OurClient, startOurClient } from './support/our-client.js';
import { type PythonClient, startPythonClient, startPythonGrid } from './support/python-grid.js';
import { containerOnly, leasesOf, readShares, removeShares, setExpiry, timeless } from './support/share-files.js';
import { ask, request, type WebApi } from './support/web-api.js';

/** All ten shares on the one server. */
const encoding = { needed: 3, happy: 1, total: 10, maximumSegmentSize: 131_072 };
const secrets = { convergence: new Uint8Array(32).fill(5), leaseSecret: new Uint8Array(32).fill(6) };
const LEASE_SECONDS = 31 * 24 * 60 * 60;
const LONG_AGO = 1_000_000_000;

interface Side {
  readonly shares: string;
  readonly python: PythonClient;
  readonly ours: OurClient;
}

const scope = new CleanupStack();
test.after.always(() => scope.close());

async function startSides(): Promise<Record<'Python' | 'our', Side>> {
  const grid = await startPythonGrid(scope, { servers: 1, encoding, ...secrets });
  const { node, sharesDirectory } = grid.servers[0]!;
  const directory = join(await temporaryDirectory(scope), 'server');
  await cp(node.directory, directory, { recursive: true });
  // Two servers with one identity must not both announce themselves.
  await rm(join(directory, 'private', 'introducers.yaml'));
  const [port = 0] = await freePorts(1);
  const before = Number(/127\.0\.0\.1:(\d+)/.exec((await node.file('private', 'storage.furl')) ?? '')?.[1]);
  const config = await readFile(join(directory, 'tahoe.cfg'), 'utf8');
  await writeFile(join(directory, 'tahoe.cfg'), config.replaceAll(`:${before}`, `:${port}`));
  await runTahoe(scope, directory);
  const yaml = await grid.client.serversYaml();
  const ourYaml = yaml.replaceAll(`:${before}/`, `:${port}/`);
  const [python, oursOnPython, oursOnOurs] = await Promise.all([
    startPythonClient(scope, { introducer: undefined, servers: 1, serversYaml: ourYaml, encoding, ...secrets }),
    startOurClient(scope, { serversYaml: yaml, encoding, ...secrets }),
    startOurClient(scope, { serversYaml: ourYaml, encoding, ...secrets }),
  ]);
  return {
    Python: { shares: sharesDirectory, python: grid.client, ours: oursOnPython },
    our: { shares: join(directory, 'storage', 'shares'), python, ours: oursOnOurs },
  };
}

const sides = startSides();

/** What lies on the server after `client` alone has uploaded. */
async function written(side: Side, client: WebApi, content: Uint8Array) {
  await removeShares(side.shares);
  await ask(client, 'PUT', 'uri', content);
  return new Map([...(await readShares(side.shares))].map(([name, file]) => [name, timeless(file)]));
}

for (const size of [56, 100_000, 131_072, 400_001]) {
  test.serial(`the shares of ${size} bytes are the same files, whoever writes them on whosever server`, async (t) => {
    const { Python, our } = await sides;
    const content = pythonCapsContent(size);
    const expected = await written(Python, Python.python, content);
    t.is(expected.size, 10);
    t.deepEqual(await written(Python, Python.ours, content), expected, 'ours on the Python server');
    t.deepEqual(await written(our, our.python, content), expected, 'Python on our server');
    t.deepEqual(await written(our, our.ours, content), expected, 'ours on our server');
  });
}

const FORMATS = ['SDMF', 'MDMF'] as const;
type Format = (typeof FORMATS)[number];

/** What the server adds to the shares of a file with this key: new, grown, shrunk. */
async function containersOf(t: ExecutionContext, { shares, python }: Side, format: Format, pem: string) {
  await removeShares(shares);
  const local = join(await temporaryDirectory(t), 'content');
  await writeFile(local, 'mutable content');
  const cap = (
    await python.output('put', '--mutable', `--format=${format}`, `--private-key-path=${pem}`, local)
  ).trim();
  const versions = [await readShares(shares)];
  for (const size of [30_000, 10]) {
    await request(python, 'PUT', `uri/${cap}`, pythonCapsContent(size));
    versions.push(await readShares(shares));
  }
  const counts = versions.map(({ size }) => size);
  t.deepEqual(counts, [10, 10, 10]);
  return versions.map((files) => new Map([...files].map(([name, file]) => [name, containerOnly(file)])));
}

for (const format of FORMATS) {
  test.serial(`an ${format} file of one key lies in the same containers on servers of both makes`, async (t) => {
    const { Python, our } = await sides;
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = join(await temporaryDirectory(t), 'key.pem');
    await writeFile(pem, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const expected = await containersOf(t, Python, format, pem);
    t.deepEqual(await containersOf(t, our, format, pem), expected);
  });
}

async function overwrites(t: ExecutionContext, side: Side, writer: WebApi, other: WebApi, format: Format) {
  await removeShares(side.shares);
  const cap = await ask(writer, 'PUT', `uri?format=${format}`, 'written first');
  const before = await readShares(side.shares);
  t.is(before.size, 10);
  await setExpiry(side.shares, LONG_AGO);
  await request(other, 'PUT', `uri/${cap}`, 'then written by the other, and longer');
  t.is(await ask(writer, 'GET', `uri/${cap}`), 'then written by the other, and longer');
  const after = await readShares(side.shares);
  t.deepEqual([...after.keys()], [...before.keys()]);
  const secretsIn = (file: Uint8Array) => leasesOf(file).map(({ renewSecret }) => renewSecret);
  for (const [name, file] of after) {
    t.deepEqual(file.subarray(0, 84), before.get(name)?.subarray(0, 84), 'write enabler');
    t.deepEqual(secretsIn(file), secretsIn(before.get(name)!));
    t.true(renewed(file), 'its lease is renewed by the write');
  }
}

async function renews(t: ExecutionContext, side: Side, first: Client, second: Client) {
  const content = pythonCapsContent(200_000);
  const before = await written(side, side[first], content);
  t.is(before.size, 10);
  await setExpiry(side.shares, LONG_AGO);
  const cap = await ask(side[second], 'PUT', 'uri', content);
  const uploaded = await readShares(side.shares);
  await setExpiry(side.shares, LONG_AGO);
  await side.python.output('check', '--add-lease', cap);
  for (const files of [uploaded, await readShares(side.shares)]) {
    t.deepEqual(new Map([...files].map(([name, file]) => [name, timeless(file)])), before, 'only the time has changed');
    t.true([...files.values()].every(renewed));
  }
}

type Client = 'python' | 'ours';

for (const which of ['Python', 'our'] as const) {
  for (const [first, second] of [
    ['python', 'ours'],
    ['ours', 'python'],
  ] as const) {
    for (const format of FORMATS) {
      test.serial(
        `on ${which} server, an ${format} file by ${first} is overwritten by ${second}, with one lease`,
        async (t) => {
          const side = (await sides)[which];
          await overwrites(t, side, side[first], side[second], format);
        },
      );
    }
    test.serial(
      `on ${which} server, ${second} and check --add-lease renew the leases of a file by ${first}`,
      async (t) => {
        await renews(t, (await sides)[which], first, second);
      },
    );
  }
}

test.serial('the lease of a client with another secret stands beside ours on our server', async (t) => {
  const { our } = await sides;
  await removeShares(our.shares);
  const stranger = await startPythonClient(t, {
    introducer: undefined,
    servers: 1,
    serversYaml: await readFile(join(our.ours.directory, 'private', 'servers.yaml'), 'utf8'),
  });
  for (const cap of [
    await ask(our.ours, 'PUT', 'uri', pythonCapsContent(1000)),
    await ask(our.ours, 'PUT', 'uri?format=sdmf', 'mutable'),
  ]) {
    await stranger.output('check', '--add-lease', cap);
  }
  const files = [...(await readShares(our.shares)).values()];
  t.is(files.length, 20);
  t.deepEqual(new Set(files.map((file) => leasesOf(file).length)), new Set([2]));
});

/** Its leases are those of the last minutes. */
function renewed(file: Uint8Array): boolean {
  const leases = leasesOf(file);
  const expected = Date.now() / 1000 + LEASE_SECONDS;
  return leases.length === 1 && leases.every(({ expirationSeconds }) => Math.abs(expirationSeconds - expected) < 300);
}
