/** An introducer: keeps the latest announcement of each server and passes it on to those who want it. Introducer spec 9.6. */
import { encodeUtf8 } from '../encoding/bytes.js';
import type { PbArguments, PbPeer, PbValue, Referenceable, RemoteReference } from '../foolscap/pb-value.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { announcementFromPb, announcementToPb, type SignedAnnouncement, verifyAnnouncement } from './announcement.js';
import { AnnouncementIndex } from './announcement-index.js';
import {
  argument,
  bytesDict,
  dictEntry,
  INDEX_LIMITS,
  INTRODUCER_INTERFACE,
  PROTOCOL_VERSION,
  refused,
  SUBSCRIBER_INTERFACE,
  textOf,
} from './introducer-protocol.js';

export interface IntroducerServiceOptions {
  /** `NAME/VERSION` of this program. */
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A server of the grid, for people. */
export interface PublishedServer {
  readonly serverId: string;
  readonly serviceName: string;
  readonly nickname: string;
  readonly version: string;
  /** Wall time. */
  readonly publishedMs: number;
}

/** A node that wants announcements, for people. */
export interface Subscriber {
  readonly serviceName: string;
  readonly nickname: string;
  readonly version: string;
  readonly tubId: string;
  readonly address: string;
  /** Wall time. */
  readonly subscribedMs: number;
}

const MAX_SUBSCRIPTIONS_OF_A_CONNECTION = 20;
const MAX_SERVICE_NAME_CHARACTERS = 100;
/** Of one `announce_v2`. */
const MAX_ANNOUNCED_BYTES = 256 * 1024;
const MAX_SHOWN_CHARACTERS = 200;

interface Kept {
  readonly signed: SignedAnnouncement;
  readonly publishedMs: number;
}

/** To be registered in a Tub that listens, with `INTRODUCER_LIMITS`. Forgets everything when it ends. */
export class IntroducerService implements Referenceable {
  readonly type = 'local';
  readonly interfaceName = INTRODUCER_INTERFACE;
  readonly #options: IntroducerServiceOptions;
  readonly #index = new AnnouncementIndex<Kept>(INDEX_LIMITS);
  readonly #subscribers = new Map<RemoteReference, Map<string, Subscriber>>();
  readonly #subscriptionsOf = new WeakMap<AbortSignal, number>();

  constructor(options: IntroducerServiceOptions) {
    this.#options = options;
  }

  call(method: string, args: PbArguments, caller: PbPeer): PbValue {
    switch (method) {
      case 'get_version':
        return bytesDict({
          [PROTOCOL_VERSION]: { type: 'dict', entries: [] },
          'application-version': encodeUtf8(this.#options.version),
        });
      case 'publish_v2':
        this.#publish(announcementFromPb(argument(args, 0, 'announcement')));
        return null;
      case 'subscribe_v2':
        this.#subscribe(args, caller);
        return null;
      default:
        throw refused(`an introducer has no method ${method.slice(0, 40)}`);
    }
  }

  servers(): PublishedServer[] {
    return Array.from(this.#index.entries(), ({ announcement, kept }) => ({
      serverId: announcement.serverId,
      serviceName: announcement.serviceName,
      nickname: shown(announcement.fields.nickname),
      version: shown(announcement.fields['my-version']),
      publishedMs: kept.publishedMs,
    }));
  }

  subscribers(): Subscriber[] {
    return [...this.#subscribers.values()].flatMap((services) => [...services.values()]);
  }

  #publish(signed: SignedAnnouncement): void {
    const announcement = verifyAnnouncement(signed);
    const { serviceName, serverId } = announcement;
    if (serviceName.length > MAX_SERVICE_NAME_CHARACTERS) throw refused('the name of the service is too long');
    const kept = { signed, publishedMs: this.#options.clock.wallMs() };
    const verdict = this.#index.consider(announcement, signed.message.length, kept);
    this.#options.log.info('announcement', { server: serverId, service: serviceName, verdict });
    if (verdict === 'full') throw refused('this introducer keeps no more announcements');
    if (verdict === 'new' || verdict === 'update') {
      for (const [subscriber, services] of this.#subscribers) {
        if (services.has(serviceName)) announce(subscriber, [signed]);
      }
    }
  }

  #subscribe(args: PbArguments, caller: PbPeer): void {
    const subscriber = argument(args, 0, 'subscriber');
    const serviceName = textOf(argument(args, 1, 'service_name'));
    const info = argument(args, 2, 'subscriber_info');
    if (!isRemote(subscriber) || subscriber.interfaceName !== SUBSCRIBER_INTERFACE) {
      throw refused('subscribe_v2 needs a subscriber');
    }
    if (serviceName === undefined || serviceName.length > MAX_SERVICE_NAME_CHARACTERS) {
      throw refused('subscribe_v2 needs the name of a service');
    }
    const services = this.#subscribers.get(subscriber) ?? new Map<string, Subscriber>();
    if (services.has(serviceName)) return;
    this.#countSubscription(caller);
    services.set(serviceName, {
      serviceName,
      nickname: shown(textOf(dictEntry(info, 'nickname'))),
      version: shown(textOf(dictEntry(info, 'my-version'))),
      tubId: caller.tubId,
      address: caller.address,
      subscribedMs: this.#options.clock.wallMs(),
    });
    if (!this.#subscribers.has(subscriber)) {
      this.#subscribers.set(subscriber, services);
      caller.ended.addEventListener('abort', () => this.#subscribers.delete(subscriber), { once: true });
    }
    this.#options.log.info('subscription', { service: serviceName, peer: caller.address });
    for (const part of inParts(this.#index.entries(serviceName))) announce(subscriber, part);
  }

  #countSubscription({ ended }: PbPeer): void {
    const count = (this.#subscriptionsOf.get(ended) ?? 0) + 1;
    if (count > MAX_SUBSCRIPTIONS_OF_A_CONNECTION) throw refused('too many subscriptions');
    this.#subscriptionsOf.set(ended, count);
  }
}

/** Without waiting for an answer, as nothing depends on it. */
function announce(subscriber: RemoteReference, announcements: readonly SignedAnnouncement[]): void {
  subscriber.send('announce_v2', { positional: [{ type: 'set', items: announcements.map(announcementToPb) }] });
}

/** As many in a message as its size allows. */
function* inParts(entries: Iterable<{ readonly kept: Kept }>): Generator<SignedAnnouncement[]> {
  let part: SignedAnnouncement[] = [];
  let sizeBytes = 0;
  for (const { kept } of entries) {
    const { signed } = kept;
    if (part.length > 0 && sizeBytes + signed.message.length > MAX_ANNOUNCED_BYTES) {
      yield part;
      part = [];
      sizeBytes = 0;
    }
    part.push(signed);
    sizeBytes += signed.message.length;
  }
  if (part.length > 0) yield part;
}

function isRemote(value: PbValue | undefined): value is RemoteReference {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'remote';
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_SHOWN_CHARACTERS) : '';
}
