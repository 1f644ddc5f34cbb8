import test, { type ExecutionContext } from 'ava';
import type { ServerId, StorageIndex } from '../../../src/encoding/brands.js';
import type { Announcement } from '../../../src/introducer/introducer.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { GridServers } from '../../../src/storage-client/grid-servers.js';
import { parseAnnouncement } from '../../../src/storage-client/server-list.js';
import { startHttpsServer } from '../../support/storage-servers.js';

const TUB = 'fhipdelcm4izjtvm4os7hzcz5hkxdwws';
const HASH = 'a'.repeat(43);
/** Nobody listens there. */
const NURL = `pb://${HASH}@127.0.0.1:1/swissnum#v=1`;

function newServers(t: ExecutionContext): GridServers {
  const servers = new GridServers({ clock: new NodeClock(), entropy: new NodeEntropy(), log: silentLogger });
  t.teardown(() => servers.close());
  return servers;
}

function announced(server: string, fields: Record<string, unknown>): Announcement {
  const common = { 'anonymous-storage-FURL': `pb://${TUB}@/x`, 'anonymous-storage-NURLs': [NURL] };
  return { serverId: server as ServerId, serviceName: 'storage', fields: { ...common, ...fields } };
}

const nicknames = (servers: GridServers) => servers.statuses().map(({ server }) => server.nickname);

test('a server that is announced while the client runs is asked and used, until it is announced elsewhere', async (t) => {
  const { nurl, identity } = await startHttpsServer(t);
  const servers = newServers(t);
  t.deepEqual(servers.all(), []);
  const here = { 'anonymous-storage-NURLs': [nurl], nickname: 'here', seqnum: 1 };
  servers.announced(announced(identity.serverId, here));
  t.deepEqual(
    servers.all().map((server) => servers.isReachable(server)),
    [true],
    'it may be tried before it has answered',
  );
  await servers.firstProbes();
  t.like(servers.statuses()[0], { state: 'connected', requests: 0 });
  const [before] = servers.all();
  servers.announced(announced(identity.serverId, { nickname: 'gone', seqnum: 2 }));
  await servers.firstProbes();
  t.like(servers.statuses()[0], { state: 'failed' });
  t.deepEqual(
    servers.all().map((server) => servers.isReachable(server)),
    [false],
  );
  servers.announced(announced(identity.serverId, { ...here, seqnum: 3 }));
  await servers.firstProbes();
  t.deepEqual(
    servers.all().map((server) => servers.isReachable(server)),
    [true],
  );
  t.not(servers.all()[0], before);
});

test('of several addresses the one that answers is used', async (t) => {
  const { nurl, identity } = await startHttpsServer(t);
  const servers = newServers(t);
  servers.announced(announced(identity.serverId, { 'anonymous-storage-NURLs': [NURL, nurl], seqnum: 1 }));
  await servers.firstProbes();
  t.like(servers.statuses()[0], { state: 'connected' });
  const [server] = servers.all();
  t.deepEqual(await server?.listShares(new Uint8Array(16) as StorageIndex), new Set<number>());
  t.regex((await server?.version())?.applicationVersion ?? '', /^tahoe-ts/);
});

test('the same server from two introducers is one, and an older announcement changes nothing', (t) => {
  const servers = newServers(t);
  servers.announced(announced('v0-a', { nickname: 'one', seqnum: 4 }));
  const [first] = servers.all();
  servers.announced(announced('v0-a', { nickname: 'one', seqnum: 5, nonce: 'other' }));
  t.is(servers.all()[0], first);
  servers.announced(announced('v0-a', { nickname: 'old', seqnum: 4 }));
  t.deepEqual(nicknames(servers), ['one']);
  servers.announced(announced('v0-a', { nickname: 'new', seqnum: 6 }));
  t.deepEqual(nicknames(servers), ['new']);
});

test('a static server stays, whatever is announced under its id', (t) => {
  const servers = newServers(t);
  servers.addStatic(parseAnnouncement('v0-a' as ServerId, announced('v0-a', { nickname: 'static' }).fields));
  servers.announced(announced('v0-a', { nickname: 'announced', seqnum: 9 }));
  servers.announced(announced('v0-b', { nickname: 'other', seqnum: 1 }));
  t.deepEqual(nicknames(servers), ['static', 'other']);
});

test('what cannot be used is left out, and the others stay', (t) => {
  const servers = newServers(t);
  servers.announced(announced('v0-a', { nickname: 'good' }));
  servers.announced(announced('v0-b', { 'anonymous-storage-NURLs': [] }));
  servers.announced(announced('v0-c', { 'anonymous-storage-FURL': 5 }));
  servers.announced(announced('v0-d', { 'anonymous-storage-NURLs': [`pb+tor://${HASH}@x.onion:1/swissnum#v=1`] }));
  servers.announced(announced('v0-e', { 'permutation-seed-base32': 'not base32!' }));
  t.deepEqual(nicknames(servers), ['good']);
});

test('an introducer cannot make a client call any number of servers', async (t) => {
  const servers = newServers(t);
  for (let number = 0; number < 1010; number++) servers.announced(announced(`v0-${number}`, { seqnum: 1 }));
  t.is(servers.statuses().length, 1000);
  await servers.close();
  servers.announced(announced('v0-late', {}));
  t.is(servers.statuses().length, 0);
});
