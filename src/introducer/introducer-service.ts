/** An introducer: keeps the latest announcement of each server and passes it on to those who want it. Introducer spec 9.6. */
import { encodeUtf8 } from '../encoding/bytes.js';
import type { PbArguments, PbPeer, PbValue, Referenceable, RemoteReference } from '../foolscap/pb-value.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { announcementFromPb, announcementToPb, type SignedAnnouncement, verifyAnnouncement } from './announcement.js';
import { AnnouncementIndex, type IndexEntry } from './announcement-index.js';
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

interface Subscription {
  readonly subscriber: RemoteReference;
  readonly peer: PbPeer;
  readonly shown: Subscriber;
  /** Revision of the index up to which it was told everything. */
  told: number;
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
  readonly #subscriptions = new Map<AbortSignal, Subscription[]>();

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
    return [...this.#subscriptions.values()].flat().map((subscription) => subscription.shown);
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
      for (const subscriptions of this.#subscriptions.values()) for (const one of subscriptions) this.#tell(one);
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
    const ofCaller = this.#subscriptionsOf(caller);
    if (ofCaller.some((one) => one.subscriber === subscriber && one.shown.serviceName === serviceName)) return;
    if (ofCaller.length >= MAX_SUBSCRIPTIONS_OF_A_CONNECTION) throw refused('too many subscriptions');
    const subscription = {
      subscriber,
      peer: caller,
      shown: {
        serviceName,
        nickname: shown(textOf(dictEntry(info, 'nickname'))),
        version: shown(textOf(dictEntry(info, 'my-version'))),
        tubId: caller.tubId,
        address: caller.address,
        subscribedMs: this.#options.clock.wallMs(),
      },
      told: 0,
    };
    ofCaller.push(subscription);
    this.#options.log.info('subscription', { service: serviceName, peer: caller.address });
    this.#tell(subscription);
  }

  #subscriptionsOf(peer: PbPeer): Subscription[] {
    const present = this.#subscriptions.get(peer.ended);
    if (present !== undefined) return present;
    const subscriptions: Subscription[] = [];
    if (peer.ended.aborted) return subscriptions;
    this.#subscriptions.set(peer.ended, subscriptions);
    peer.ended.addEventListener('abort', () => this.#subscriptions.delete(peer.ended), { once: true });
    peer.onTaking(() => {
      for (const subscription of subscriptions) this.#tell(subscription);
    });
    return subscriptions;
  }

  /**
   * What it does not know yet, as far as it takes it: the rest waits in the index, where the latest announcement of a
   * server takes the place of older ones, and not in memory of each subscriber's own.
   */
  #tell(subscription: Subscription): void {
    const { peer } = subscription;
    const { serviceName } = subscription.shown;
    if (subscription.told === this.#index.revision || !peer.isTaking()) return;
    let part: IndexEntry<Kept>[] = [];
    let sizeBytes = 0;
    for (const entry of this.#index.entriesAfter(subscription.told)) {
      if (!peer.isTaking() || peer.ended.aborted) return;
      if (entry.announcement.serviceName !== serviceName) continue;
      if (part.length > 0 && sizeBytes + entry.sizeBytes > MAX_ANNOUNCED_BYTES) {
        announce(subscription, part);
        part = [];
        sizeBytes = 0;
      }
      part.push(entry);
      sizeBytes += entry.sizeBytes;
    }
    if (part.length > 0) announce(subscription, part);
    subscription.told = this.#index.revision;
  }
}

/** Without waiting for an answer, as nothing depends on it. */
function announce(subscription: Subscription, part: readonly IndexEntry<Kept>[]): void {
  const items = part.map(({ kept }) => announcementToPb(kept.signed));
  subscription.subscriber.send('announce_v2', { positional: [{ type: 'set', items }] });
  subscription.told = part.at(-1)?.revision ?? subscription.told;
}

function isRemote(value: PbValue | undefined): value is RemoteReference {
  return typeof value === 'object' && value !== null && 'type' in value && value.type === 'remote';
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_SHOWN_CHARACTERS) : '';
}
