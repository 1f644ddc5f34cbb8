/** Introducers of either make, with servers and clients of either: everybody finds everybody, and they store for each other. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { parse } from 'yaml';
import type { NodeStatus } from '../../src/web/node-control.js';
import { runTahoe } from '../support/running-tahoe.js';
import { type OurClient, startOurClient } from './support/our-client.js';
import { startOurIntroducer } from './support/our-introducer.js';
import { startOurServers } from './support/our-servers.js';
import {
  runPythonIntroducer,
  startPythonClient,
  startPythonIntroducer,
  startPythonServer,
  startPythonServers,
} from './support/python-grid.js';
import { ask, request, type WebApi } from './support/web-api.js';

/** A share on each of four servers, any two of which rebuild the file. */
const encoding = { needed: 2, happy: 4, total: 4 };
const single = { needed: 1, happy: 1, total: 1 };

async function statusOf(client: OurClient): Promise<NodeStatus> {
  return JSON.parse(await client.output('status', '--json')) as NodeStatus;
}

async function connectedServers(client: OurClient): Promise<string[]> {
  return (await statusOf(client)).servers.filter(({ state }) => state === 'connected').map(({ id }) => id);
}

/** Waits; a test that waits in vain runs into its timeout. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(200);
}

async function exchange(t: { deepEqual(a: unknown, b: unknown, what?: string): void }, nodes: readonly WebApi[]) {
  for (const writer of nodes) {
    const content = new Uint8Array(randomBytes(300_000));
    const cap = await ask(writer, 'PUT', 'uri', content);
    for (const reader of nodes) t.deepEqual(await request(reader, 'GET', `uri/${cap}`), content);
  }
}

test('through a Python introducer Python servers and ours serve a Python client and ours', async (t) => {
  t.timeout(240_000);
  const { furl, node } = await startPythonIntroducer(t);
  const servers = [...(await startPythonServers(t, 2, furl)), ...(await startOurServers(t, 1, furl))];
  const ours = await startOurClient(t, { introducer: furl, encoding });
  const ids = servers.map(({ serverId }) => serverId);
  await until(async () => (await connectedServers(ours)).length === 3);
  t.deepEqual((await connectedServers(ours)).sort(), ids.toSorted());

  const [last] = await startOurServers(t, 1, furl);
  const lastId = last?.serverId ?? '';
  await until(async () => (await connectedServers(ours)).includes(lastId));
  const python = await startPythonClient(t, { introducer: furl, servers: 4, encoding });
  await exchange(t, [ours, python]);

  const status = await statusOf(ours);
  t.like(status.introducers[0], { petname: 'default', state: 'connected', announcements: 4 });
  const cache = parse(await readFile(join(ours.directory, 'private/introducer_default_cache.yaml'), 'utf8')) as {
    key_s: string;
  }[];
  t.deepEqual(cache.map(({ key_s: key }) => key).sort(), [...ids, lastId].sort());
  const [welcome] = ((await (await ours.fetch('?t=json')).json()) as { introducers: { statuses: string[] } })
    .introducers.statuses;
  t.regex(welcome ?? '', /^Connected to 127\.0\.0\.1:\d+$/);

  await node.stop();
  await until(async () => (await statusOf(ours)).introducers[0]?.state === 'failed');
  await exchange(t, [ours, python]);
});

test('our introducer serves Python servers, a Python client and ours, also after it was started anew', async (t) => {
  t.timeout(240_000);
  const introducer = await startOurIntroducer(t);
  const { furl } = introducer;
  const [pythonServer] = await startPythonServers(t, 2, furl);
  await startOurServers(t, 2, furl);
  const [ours, python] = await Promise.all([
    startOurClient(t, { introducer: furl, encoding }),
    startPythonClient(t, { introducer: furl, servers: 4, encoding }),
  ]);
  await until(async () => (await connectedServers(ours)).length === 4);
  await exchange(t, [ours, python]);

  await introducer.running.stop();
  await until(async () => (await statusOf(ours)).introducers[0]?.state === 'failed');
  await runTahoe(t, introducer.directory);
  await until(async () => (await statusOf(ours)).introducers[0]?.state === 'connected');
  const late = await startPythonServer(t, { introducer: furl, nickname: 'late' });
  await python.connectedTo(5);
  await until(async () => (await connectedServers(ours)).includes(late.serverId));

  // An introducer forgets everything: a client that comes now learns of the others only if they announce themselves anew.
  const second = await startOurClient(t, { introducer: furl, encoding });
  await until(async () => (await connectedServers(second)).length === 5);
  t.true((await connectedServers(second)).includes(pythonServer?.serverId ?? ''));
  await exchange(t, [second, python]);
});

test('the directory of an introducer runs with either program and keeps its FURL', async (t) => {
  t.timeout(120_000);
  const python = await startPythonIntroducer(t);
  await python.node.stop();
  const running = await runTahoe(t, python.node.directory);
  const [server] = await startOurServers(t, 1, python.furl);
  const client = await startPythonClient(t, { introducer: python.furl, servers: 1, encoding: single });
  t.is((await client.servers())[0]?.nodeid, server?.serverId);
  t.is((await readFile(join(python.node.directory, 'private/introducer.furl'), 'utf8')).trim(), python.furl);
  await running.stop();

  const ours = await startOurIntroducer(t);
  await ours.running.stop();
  const { node, furl } = await runPythonIntroducer(t, ours.directory);
  t.is(furl, ours.furl);
  const [another] = await startPythonServers(t, 1, furl);
  const ourClient = await startOurClient(t, { introducer: furl, encoding: single });
  await until(async () => (await connectedServers(ourClient)).includes(another?.serverId ?? ''));
  await exchange(t, [ourClient]);
  await node.stop();
});
