import test from 'ava';
import type { ServerId, TubId } from '../../../src/encoding/brands.js';
import { isTahoeError, TahoeError } from '../../../src/errors/tahoe-error.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { parseAnnouncement, parseServersYaml, serializeServersYaml } from '../../../src/storage-client/server-list.js';
import { ServerTracker } from '../../../src/storage-client/server-tracker.js';
import type { StorageServer } from '../../../src/storage-protocol/storage-server.js';
import { ManualClock } from '../../support/manual-clock.js';

const nurl = (port: number) => `pb://${'h'.repeat(43)}@127.0.0.1:${port}/swissnum#v=1`;
const furl = `pb://${'a'.repeat(32)}@/bogus`;

test('entries are read, and what is damaged is left out with a warning', (t) => {
  const warned: unknown[] = [];
  const log = {
    ...silentLogger,
    warn: (_message: string, fields?: Readonly<Record<string, unknown>>) => warned.push(fields?.server),
  };
  const text = `storage:
  v0-${'a'.repeat(52)}:
    ann: {nickname: one, anonymous-storage-FURL: "${furl}", anonymous-storage-NURLs: ["${nurl(1)}"]}
    connections: {}
  plain:
    ann: {anonymous-storage-FURL: "${furl}", anonymous-storage-NURLs: ["${nurl(2)}"], permutation-seed-base32: mfrgg}
  no-furl:
    ann: {anonymous-storage-NURLs: ["${nurl(3)}"]}
  bad-nurl:
    ann: {anonymous-storage-FURL: "${furl}", anonymous-storage-NURLs: ["pb://x"]}
  no-nurls:
    ann: {anonymous-storage-FURL: "${furl}"}
  nothing:
`;
  const servers = parseServersYaml(text, log);
  t.deepEqual(
    servers.map((server) => [server.id, server.nickname, server.nurls[0]?.port]),
    [
      [`v0-${'a'.repeat(52)}`, 'one', 1],
      ['plain', 'plain', 2],
    ] as never,
  );
  t.deepEqual(servers[0]?.permutationSeed, new Uint8Array(32));
  t.deepEqual(servers[1]?.permutationSeed, new Uint8Array([97, 98, 99]));
  t.deepEqual(warned, ['no-furl', 'bad-nurl', 'no-nurls', 'nothing']);
});

test('what is written is read again', (t) => {
  const servers = [1, 2].map((number) => ({
    id: `v0-server${number}` as ServerId,
    nickname: `nick: "${number}" # x`,
    permutationSeed: new Uint8Array([number, 2, 3]),
    tubId: new Uint8Array(20).fill(number) as TubId,
    nurls: [{ scheme: 'pb' as const, spkiHash: 'h'.repeat(43), host: '::1', port: number, swissnum: 's' }],
  }));
  t.deepEqual(parseServersYaml(serializeServersYaml(servers), silentLogger), servers);
  t.deepEqual(parseServersYaml('', silentLogger), []);
});

test('an address that is no text is no address', (t) => {
  const announcement = { 'anonymous-storage-FURL': furl, 'anonymous-storage-NURLs': [{ toString: 1 }] };
  const error = t.throws(() => parseAnnouncement('x' as ServerId, announcement));
  t.true(isTahoeError(error, 'invalid'));
});

test('a file that is no servers.yaml is kind invalid', (t) => {
  for (const text of ['- a\n- b\n', 'storage: 3', 'storage: [a]', '"', 'a: &x [*x, *x]\nb: *x']) {
    const error = t.throws(() => parseServersYaml(text, silentLogger), { instanceOf: TahoeError }, text);
    t.is(error?.kind, 'invalid');
  }
});

test('a server that fails is not reachable until it answers again', async (t) => {
  const clock = new ManualClock();
  let isUp = false;
  const server = {
    nickname: 'x',
    version: async () => {
      if (!isUp) throw new TahoeError('down', { kind: 'unreachable', op: 'test' });
      return { applicationVersion: 'v', availableSpace: 7, maximumImmutableShareSize: 7, maximumMutableShareSize: 7 };
    },
  } as unknown as StorageServer;
  const tracker = new ServerTracker({
    clock,
    log: silentLogger,
    entropy: { bytes: () => new Uint8Array(), fraction: () => 0 },
  });
  const probed = tracker.add(server);
  t.true(tracker.isReachable(server));
  await probed;
  t.false(tracker.isReachable(server));
  t.is(tracker.statuses()[0]?.failure, 'down');
  isUp = true;
  clock.advance(500);
  await new Promise(setImmediate);
  t.true(tracker.isReachable(server));
  const status = tracker.statuses()[0];
  t.is(status?.state, 'connected');
  t.is(status?.availableSpace, 7);
  t.is(status?.lastContactMs, clock.wallMs());
  tracker.remove(server);
  t.deepEqual(tracker.statuses(), []);
  tracker.stop();
});
