import test from 'ava';
import { decodeUtf8, encodeAscii } from '../../../src/encoding/bytes.js';
import type { PbArguments, PbPeer, PbValue, RemoteReference } from '../../../src/foolscap/pb-value.js';
import { announcementFromPb, announcementToPb, signAnnouncement } from '../../../src/introducer/announcement.js';
import { bytesDict, SUBSCRIBER_INTERFACE } from '../../../src/introducer/introducer-protocol.js';
import { IntroducerService } from '../../../src/introducer/introducer-service.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { ManualClock } from '../../support/manual-clock.js';

/** A subscriber that takes what it is sent, or does not. */
class FakeSubscriber {
  readonly messages: string[][] = [];
  readonly #ended = new AbortController();
  readonly #listeners: (() => void)[] = [];
  #isTaking = true;

  readonly peer: PbPeer = {
    tubId: 'tub',
    address: '127.0.0.1:1',
    ended: this.#ended.signal,
    isTaking: () => this.#isTaking,
    onTaking: (listener) => void this.#listeners.push(listener),
  };

  readonly reference: RemoteReference = {
    type: 'remote',
    interfaceName: SUBSCRIBER_INTERFACE,
    call: () => Promise.reject(new Error('not expected')),
    send: (_method, { positional }) => {
      const { items } = positional[0] as { items: readonly PbValue[] };
      const texts = items.map((item) => JSON.parse(decodeUtf8(announcementFromPb(item).message)).nickname as string);
      this.messages.push(texts);
    },
  };

  stopTaking(): void {
    this.#isTaking = false;
  }

  takeAgain(): void {
    this.#isTaking = true;
    for (const listener of this.#listeners) listener();
  }

  leave(): void {
    this.#ended.abort();
  }
}

const nobody = new FakeSubscriber().peer;

function newService() {
  const service = new IntroducerService({ version: 'test/1', clock: new ManualClock(), log: silentLogger });
  const call = (method: string, args: PbArguments, peer = nobody) => service.call(method, args, peer);
  const publish = (server: number, nickname: string, seqnum: number, padding = '') => {
    const fields = { 'service-name': 'storage', nickname, seqnum, padding };
    const signed = signAnnouncement(fields, new Uint8Array(32).fill(server));
    call('publish_v2', { positional: [announcementToPb(signed), null] });
  };
  const subscribe = (subscriber: FakeSubscriber, serviceName = 'storage') => {
    const positional = [subscriber.reference, encodeAscii(serviceName), bytesDict({ nickname: 'x' })];
    call('subscribe_v2', { positional }, subscriber.peer);
  };
  return { service, call, publish, subscribe };
}

test('who does not take what is announced gets only the latest of each server when it does again', (t) => {
  const { publish, subscribe } = newService();
  const [slow, quick] = [new FakeSubscriber(), new FakeSubscriber()];
  subscribe(slow);
  subscribe(quick);
  publish(1, 'one', 1);
  slow.stopTaking();
  for (let seqnum = 2; seqnum < 100; seqnum++) publish(1, `one again ${seqnum}`, seqnum);
  publish(2, 'two', 1);
  t.deepEqual(slow.messages, [['one']]);
  t.is(quick.messages.length, 100);
  slow.takeAgain();
  t.deepEqual(slow.messages, [['one'], ['one again 99', 'two']]);
  slow.takeAgain();
  t.is(slow.messages.length, 2);
});

test('what is there already comes in messages of bounded size, as fast as they are taken', (t) => {
  const { publish, subscribe } = newService();
  for (let server = 0; server < 20; server++) publish(server, `${server}`, 1, 'x'.repeat(50_000));
  const subscriber = new FakeSubscriber();
  const { send } = subscriber.reference;
  const hesitant = {
    ...subscriber.reference,
    send: (method: string, args: PbArguments) => {
      send(method, args);
      subscriber.stopTaking();
    },
  };
  Object.assign(subscriber, { reference: hesitant });
  subscribe(subscriber);
  t.is(subscriber.messages.length, 1);
  for (let rounds = 0; rounds < 10; rounds++) subscriber.takeAgain();
  t.deepEqual(
    subscriber.messages.map((message) => message.length),
    [5, 5, 5, 5],
  );
  t.is(new Set(subscriber.messages.flat()).size, 20);
});

test('of several services each subscriber hears its own, and nothing after it has left', (t) => {
  const { service, publish, subscribe } = newService();
  const [storage, other] = [new FakeSubscriber(), new FakeSubscriber()];
  subscribe(storage);
  subscribe(other, 'other');
  publish(1, 'one', 1);
  storage.leave();
  publish(1, 'one again', 2);
  t.deepEqual(storage.messages, [['one']]);
  t.deepEqual(other.messages, []);
  t.deepEqual(
    service.subscribers().map(({ serviceName }) => serviceName),
    ['other'],
  );
  subscribe(storage);
  t.is(service.subscribers().length, 1, 'it cannot come back on a connection that has ended');
});

test('arguments may come by name', (t) => {
  const { service, call } = newService();
  const signed = signAnnouncement({ 'service-name': 'storage' }, new Uint8Array(32));
  const named = new Map<string, PbValue>([
    ['announcement', announcementToPb(signed)],
    ['canary', null],
  ]);
  t.is(call('publish_v2', { positional: [], named }), null);
  t.is(service.servers().length, 1);
});
