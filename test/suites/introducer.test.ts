/** Our introducer and our clients of it, over real connections on loopback. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { encodeAscii } from '../../src/encoding/bytes.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { Furl } from '../../src/foolscap/furl.js';
import type { PbValue, Referenceable, RemoteReference } from '../../src/foolscap/pb-value.js';
import { announcementToPb, type SignedAnnouncement, signAnnouncement } from '../../src/introducer/announcement.js';
import { AnnouncementSequencer } from '../../src/introducer/announcement-sequencer.js';
import type { Announcement, GridIntroducer } from '../../src/introducer/introducer.js';
import { createIntroducerClient } from '../../src/introducer/introducer-client.js';
import { bytesDict, INTRODUCER_LIMITS, SUBSCRIBER_INTERFACE } from '../../src/introducer/introducer-protocol.js';
import { IntroducerService } from '../../src/introducer/introducer-service.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { nodePlatform } from '../../src/node/node-platform.js';
import { silentLogger } from '../../src/platform/logger.js';
import { TextFiles } from '../../src/platform/text-files.js';
import { type CertificatePair, makeCertificate } from '../../src/transport/certificate.js';
import { newTub, objectOf, serve } from '../support/foolscap.js';

const platform = nodePlatform(silentLogger);
const seedOf = (number: number) => new Uint8Array(32).fill(number);

interface RunningIntroducer {
  readonly service: IntroducerService;
  readonly furl: Furl;
  readonly port: number;
  readonly certificate: CertificatePair;
  stop(): Promise<void>;
}

async function startIntroducer(
  t: ExecutionContext,
  again?: Pick<RunningIntroducer, 'certificate' | 'port'>,
): Promise<RunningIntroducer> {
  const certificate = again?.certificate ?? makeCertificate(new NodeEntropy(), 0);
  const tub = newTub(t, { certificate, limits: INTRODUCER_LIMITS });
  const service = new IntroducerService({ version: 'test/1', clock: new NodeClock(), log: silentLogger });
  const { furl, port } = await serve(tub, service, again?.port);
  return { service, furl, port, certificate, stop: () => tub.close() };
}

interface TestClient {
  readonly introducer: GridIntroducer;
  readonly directory: string;
  readonly heard: Announcement[];
}

/** A client that has subscribed to `storage` and is not started yet. */
async function newClient(t: ExecutionContext, furl: Furl, directory?: string): Promise<TestClient> {
  const path = directory ?? (await mkdtemp(join(tmpdir(), 'tahoe-introduced-')));
  await mkdir(join(path, 'private'), { recursive: true });
  t.teardown(() => rm(path, { recursive: true, force: true }));
  const introducer = createIntroducerClient({
    address: { petname: 'test', furl },
    tub: newTub(t),
    nodeDirectory: path,
    nickname: 'nické',
    version: 'test/2',
    sequencer: new AnnouncementSequencer(new TextFiles(platform.files, path), platform.entropy),
    platform,
  });
  t.teardown(() => introducer.close());
  const heard: Announcement[] = [];
  introducer.subscribe('storage', (announcement) => heard.push(announcement));
  return { introducer, directory: path, heard };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(10);
}

const nicknames = (heard: readonly Announcement[]) => heard.map(({ fields }) => fields.nickname);

test('whoever subscribes hears what was published before and after, also the publisher itself', async (t) => {
  const { service, furl } = await startIntroducer(t);
  const [server, client] = [await newClient(t, furl), await newClient(t, furl)];
  await server.introducer.publish('storage', { 'anonymous-storage-FURL': 'pb://x' }, seedOf(1));
  server.introducer.start();
  await server.introducer.firstAttempt(10_000);
  client.introducer.start();
  await client.introducer.firstAttempt(10_000);
  await until(() => server.heard.length === 1);
  t.like(client.heard[0]?.fields, {
    version: 0,
    nickname: 'nické',
    'app-versions': [],
    'my-version': 'test/2',
    'oldest-supported': '1.0.0',
    'service-name': 'storage',
    seqnum: 1,
    'anonymous-storage-FURL': 'pb://x',
  });
  await server.introducer.publish('storage', { 'anonymous-storage-FURL': 'pb://y' }, seedOf(1));
  await until(() => client.heard.length === 2 && server.heard.length === 2);
  t.like(client.heard[1]?.fields, { seqnum: 2, 'anonymous-storage-FURL': 'pb://y' });
  t.is(client.introducer.status().announcements, 1);
  t.like(service.servers(), [{ serviceName: 'storage', nickname: 'nické', version: 'test/2' }]);
  t.is(service.subscribers().length, 2);
  await client.introducer.close();
  await until(() => service.subscribers().length === 1);
});

test('a client connects again when the introducer comes back, publishes anew, and says what it is about', async (t) => {
  const first = await startIntroducer(t);
  const server = await newClient(t, first.furl);
  await server.introducer.publish('storage', {}, seedOf(1));
  t.is(server.introducer.status().state, 'connecting');
  server.introducer.start();
  await until(() => server.introducer.status().state === 'connected' && server.heard.length === 1);
  t.regex(server.introducer.status().address ?? '', /^127\.0\.0\.1:\d+$/);
  await first.stop();
  await until(() => server.introducer.status().state === 'failed');
  t.truthy(server.introducer.status().reason);
  const second = await startIntroducer(t, first);
  await until(() => second.service.servers().length === 1);
  await until(() => server.introducer.status().state === 'connected');
  t.is(server.heard.length, 1, 'it has heard that already');
});

test('without its introducer a client has the servers that it had kept', async (t) => {
  const introducer = await startIntroducer(t);
  const server = await newClient(t, introducer.furl);
  await server.introducer.publish('storage', {}, seedOf(1));
  server.introducer.start();
  await until(() => server.heard.length === 1);
  const client = await newClient(t, introducer.furl);
  client.introducer.start();
  await until(() => client.heard.length === 1);
  await client.introducer.close();
  await introducer.stop();
  const again = await newClient(t, introducer.furl, client.directory);
  again.introducer.start();
  await again.introducer.firstAttempt(10_000);
  t.deepEqual(again.heard, client.heard);
  t.is(again.introducer.status().state, 'failed');
  t.is(again.introducer.status().announcements, 0, 'none from the introducer itself');
});

/** Someone who knows the FURL and calls as it likes. */
async function caller(t: ExecutionContext, furl: Furl): Promise<RemoteReference> {
  return (await newTub(t).connect(furl)).reference;
}

const canary = objectOf(() => null);
const publish = (introducer: RemoteReference, signed: SignedAnnouncement) =>
  introducer.call('publish_v2', { positional: [announcementToPb(signed), canary] });
const announcing = (nickname: string, seqnum: number, seed = seedOf(7)) =>
  signAnnouncement({ 'service-name': 'storage', nickname, seqnum }, seed);

test('an introducer refuses forgeries, passes replays to nobody, and forwards the rest byte for byte', async (t) => {
  const { service, furl } = await startIntroducer(t);
  const introducer = await caller(t, furl);
  const passedOn: PbValue[] = [];
  const subscriber = objectOf((_method, { positional }) => {
    passedOn.push(positional[0]!);
    return null;
  }, SUBSCRIBER_INTERFACE);
  const info = bytesDict({ version: 0, nickname: 'x', 'my-version': 'y' });
  const subscribe = (object: Referenceable) =>
    introducer.call('subscribe_v2', { positional: [object, encodeAscii('storage'), info] });
  await subscribe(subscriber);
  await subscribe(subscriber);
  t.is(service.subscribers().length, 1, 'once, however often it asks');

  const genuine = announcing('one', 5);
  await publish(introducer, genuine);
  const forged = { ...announcing('two', 6), key: announcing('x', 1, seedOf(8)).key };
  await t.throwsAsync(publish(introducer, forged), { message: /signature is wrong/ });
  await publish(introducer, announcing('old', 4));
  await publish(introducer, announcing('same number', 5));
  await publish(introducer, genuine);
  await publish(introducer, announcing('newer', 6));
  await until(() => passedOn.length >= 2);
  await introducer.call('get_version');
  t.deepEqual(passedOn, [
    { type: 'set', items: [announcementToPb(genuine)] },
    { type: 'set', items: [announcementToPb(announcing('newer', 6))] },
  ]);
  await t.throwsAsync(subscribe(objectOf(() => null, 'RISomethingElse')), { message: /needs a subscriber/ });
  await t.throwsAsync(introducer.call('shut_down'), { message: /no method/ });
  t.is(service.servers().length, 1);
});

test('what is passed on in one go is bounded, and all of it arrives', async (t) => {
  const { furl } = await startIntroducer(t);
  const introducer = await caller(t, furl);
  for (let number = 0; number < 60; number++) {
    const fields = { 'service-name': 'storage', nickname: `${number}`, padding: 'x'.repeat(30_000), seqnum: 1 };
    await publish(introducer, signAnnouncement(fields, seedOf(number)));
  }
  const client = await newClient(t, furl);
  client.introducer.start();
  await client.introducer.firstAttempt(10_000);
  await until(() => client.heard.length === 60);
  t.is(new Set(client.heard.map(({ serverId }) => serverId)).size, 60);
});

test('an introducer takes only so many subscriptions of a connection', async (t) => {
  const { furl, service } = await startIntroducer(t);
  const introducer = await caller(t, furl);
  const subscriber = objectOf(() => null, SUBSCRIBER_INTERFACE);
  const subscribe = (name: string) =>
    introducer.call('subscribe_v2', { positional: [subscriber, encodeAscii(name), bytesDict({})] });
  for (let number = 0; number < 20; number++) await subscribe(`service ${number}`);
  await t.throwsAsync(subscribe('one more'), { message: /too many/ });
  await t.throwsAsync(subscribe('x'.repeat(101)), { message: /name of a service/ });
  t.is(service.subscribers().length, 20);
});

/** An introducer that says what it likes to whoever subscribes. */
function liar(announcements: PbValue, version: PbValue = goodVersion): Referenceable {
  return objectOf(async (method, { positional }) => {
    if (method === 'get_version') return version;
    if (method === 'subscribe_v2') {
      await (positional[0] as RemoteReference).call('announce_v2', { positional: [announcements] });
    }
    return null;
  });
}

const goodVersion = bytesDict({
  'http://allmydata.org/tahoe/protocols/introducer/v2': { type: 'dict', entries: [] },
});

test('of what an introducer announces a client takes what is signed and new, whatever stands beside it', async (t) => {
  const good = announcing('good', 5);
  const items: PbValue[] = [
    null,
    { type: 'tuple', items: [] },
    announcementToPb({ ...announcing('forged', 9), message: encodeAscii('{"service-name":"storage"}') }),
    announcementToPb(good),
    announcementToPb(announcing('old', 4)),
    announcementToPb(signAnnouncement({ 'service-name': 'something else', seqnum: 1 }, seedOf(3))),
  ];
  const { furl } = await serve(newTub(t), liar({ type: 'set', items }));
  const client = await newClient(t, furl);
  client.introducer.start();
  await client.introducer.firstAttempt(10_000);
  t.deepEqual(nicknames(client.heard), ['good']);
  await client.introducer.close();
  const cache = await readFile(join(client.directory, 'private/introducer_test_cache.yaml'), 'utf8');
  t.regex(cache, /nickname: good/);
  t.notRegex(cache, /old|forged/);
});

test('an introducer of another version is not used', async (t) => {
  const version = bytesDict({ 'http://allmydata.org/tahoe/protocols/introducer/v1': null });
  const { furl } = await serve(newTub(t), liar({ type: 'set', items: [] }, version));
  const client = await newClient(t, furl);
  client.introducer.start();
  await client.introducer.firstAttempt(10_000);
  t.like(client.introducer.status(), {
    state: 'failed',
    reason: 'the introducer does not speak version 2 of the protocol',
  });
});

test('a FURL with a wrong name is said to be wrong', async (t) => {
  const { furl } = await startIntroducer(t);
  const client = await newClient(t, { ...furl, name: 'wrong' });
  client.introducer.start();
  await client.introducer.firstAttempt(10_000);
  t.regex(client.introducer.status().reason ?? '', /KeyError/);
  t.true(isTahoeError(await t.throwsAsync(caller(t, { ...furl, name: 'wrong' })), 'not-found'));
});
