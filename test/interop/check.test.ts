/** The Python implementation finds healthy what we wrote, and repairs it; five servers of each make. */
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { CleanupStack } from '../support/cleanup.js';
import { startOurClient } from './support/our-client.js';
import { serversYamlWith, startOurServers } from './support/our-servers.js';
import { startPythonClient, startPythonIntroducer, startPythonServers } from './support/python-grid.js';
import { leasesOf, readShares, setExpiry } from './support/share-files.js';
import { ask, request } from './support/web-api.js';

const scope = new CleanupStack();
test.after.always(() => scope.close());

async function startMixedGrid() {
  const introducer = await startPythonIntroducer(scope);
  const [theirs, own] = await Promise.all([startPythonServers(scope, 5, introducer.furl), startOurServers(scope, 5)]);
  const python = await startPythonClient(scope, {
    introducer: introducer.furl,
    servers: 10,
    serversYaml: serversYamlWith(own),
  });
  const serversYaml = serversYamlWith(own, await python.serversYaml());
  const ours = await startOurClient(scope, { serversYaml });
  await ours.connectedTo(10);
  const shares = [...theirs, ...own].map(({ sharesDirectory }) => sharesDirectory);
  return { python, ours, serversYaml, shares, ourShares: own.map(({ sharesDirectory }) => sharesDirectory) };
}

const grid = startMixedGrid();

interface CheckResult {
  readonly summary: string;
  readonly 'storage-index': string;
  readonly results: { readonly healthy: boolean; readonly 'count-good-share-hosts'?: number };
}

async function pythonCheck(cap: string): Promise<CheckResult> {
  const { python } = await grid;
  return JSON.parse(await ask(python, 'POST', `uri/${cap}?t=check&verify=true&output=JSON`)) as CheckResult;
}

const kinds: readonly [string, string, string, Uint8Array | undefined][] = [
  ['a literal', 'PUT', 'uri', randomBytes(55)],
  ['the smallest file with shares', 'PUT', 'uri', randomBytes(56)],
  ['a file of four segments', 'PUT', 'uri', randomBytes(3_500_000)],
  ['an empty mutable file', 'PUT', 'uri?format=sdmf', new Uint8Array()],
  ['a mutable file', 'PUT', 'uri?format=sdmf', randomBytes(100_000)],
  ['an MDMF file of many segments', 'PUT', 'uri?format=mdmf', randomBytes(300_000)],
  ['a directory', 'POST', 'uri?t=mkdir', undefined],
  ['an MDMF directory', 'POST', 'uri?t=mkdir&format=mdmf', undefined],
];

for (const [name, method, path, content] of kinds) {
  test(`Python verifies and reads what we wrote: ${name}`, async (t) => {
    const { python, ours } = await grid;
    const cap = await ask(ours, method, path, content);
    const { results, summary } = await pythonCheck(cap);
    t.true(results.healthy, summary);
    if (content === undefined) {
      t.is(await python.output('ls', cap), '');
    } else {
      t.deepEqual(await request(python, 'GET', `uri/${cap}`), new Uint8Array(content));
      if (content.length > 55) t.is(results['count-good-share-hosts'], 10);
    }
  });
}

/** A tree by our client with each kind of thing that it makes. */
async function makeTree(t: ExecutionContext): Promise<{ readonly cap: string; readonly objects: number }> {
  const { ours } = await grid;
  const cap = await ask(ours, 'POST', 'uri?t=mkdir');
  const deep = encodeURIComponent('Ünïcödé — 日本語');
  await ask(ours, 'POST', `uri/${cap}/${deep}/deeper?t=mkdir`);
  await ask(ours, 'PUT', `uri/${cap}/literal`, 'small');
  await ask(ours, 'PUT', `uri/${cap}/${deep}/file`, randomBytes(10_000));
  await ask(ours, 'PUT', `uri/${cap}/${deep}/deeper/large`, randomBytes(1_500_000));
  const mutable = await ask(ours, 'PUT', 'uri?format=sdmf', 'mutable');
  await ask(ours, 'PUT', `uri/${cap}/${deep}/mutable?t=uri`, mutable);
  await ask(ours, 'POST', `uri/${cap}/${deep}/mdmf?t=mkdir&format=mdmf`);
  await ask(ours, 'PUT', `uri/${cap}/${deep}/mdmf/file`, randomBytes(10_000));
  t.is(await ask(ours, 'GET', `uri/${cap}/${deep}/mutable`), 'mutable');
  return { cap, objects: 9 };
}

test('a deep check by Python finds a whole tree of ours healthy and renews the leases on our servers', async (t) => {
  const { python, ourShares } = await grid;
  const { cap, objects } = await makeTree(t);
  const longAgo = 1_000_000_000;
  for (const directory of ourShares) await setExpiry(directory, longAgo);
  const report = await python.output('deep-check', '--verify', '--add-lease', cap);
  t.is(report, `done: ${objects} objects checked, ${objects} healthy, 0 unhealthy\n`);
  const verified = new Set<string>();
  for (const line of (await python.output('manifest', '--storage-index', cap)).split('\n')) verified.add(line.trim());
  let renewed = 0;
  for (const directory of ourShares) {
    for (const [name, file] of await readShares(directory)) {
      if (!verified.has(name.split('/')[1] ?? '')) continue;
      renewed++;
      const latest = Math.max(...leasesOf(file).map(({ expirationSeconds }) => expirationSeconds));
      t.true(latest > Date.now() / 1000 + 30 * 24 * 60 * 60, name);
    }
  }
  t.is(renewed, (objects - 1) * 5, 'a share of each object but the literal on each of our servers');
});

const repairable: readonly [string, string, Uint8Array][] = [
  ['an immutable file', 'uri', randomBytes(2_500_000)],
  ['a mutable file', 'uri?format=sdmf', randomBytes(20_000)],
  ['an MDMF file', 'uri?format=mdmf', randomBytes(300_000)],
];

for (const [name, path, content] of repairable) {
  test(`Python repairs what is left of ${name} of ours, and we read what it made`, async (t) => {
    const { python, ours, shares, serversYaml } = await grid;
    const cap = await ask(ours, 'PUT', path, content);
    const { 'storage-index': storageIndex } = await pythonCheck(cap);
    const folders = shares.map((directory) => join(directory, storageIndex.slice(0, 2), storageIndex));
    // Three are enough to rebuild it.
    for (const folder of folders.slice(0, 7)) await rm(folder, { recursive: true });
    t.false((await pythonCheck(cap)).results.healthy);
    t.regex(await python.output('check', '--repair', cap), /repair successful/);
    t.true((await pythonCheck(cap)).results.healthy);
    for (const folder of folders.slice(7)) await rm(folder, { recursive: true, force: true });
    const fresh = await startOurClient(t, { serversYaml });
    t.deepEqual(await request(fresh, 'GET', `uri/${cap}`), new Uint8Array(content));
  });
}
