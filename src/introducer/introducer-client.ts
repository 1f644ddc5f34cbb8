/** One introducer as a node sees it: introducer spec 9.7 and 12. */
import { asTahoeError, describeError, TahoeError } from '../errors/tahoe-error.js';
import type { PbArguments, PbValue, Referenceable, RemoteReference } from '../foolscap/pb-value.js';
import type { RemoteObject, Tub } from '../foolscap/tub.js';
import { pause } from '../platform/clock.js';
import type { Platform } from '../platform/platform.js';
import { TextFiles } from '../platform/text-files.js';
import {
  announcementFromPb,
  announcementToPb,
  type SignedAnnouncement,
  signAnnouncement,
  verifyAnnouncement,
} from './announcement.js';
import { AnnouncementCache } from './announcement-cache.js';
import { AnnouncementIndex } from './announcement-index.js';
import type { AnnouncementSequencer } from './announcement-sequencer.js';
import type {
  Announcement,
  AnnouncementFields,
  AnnouncementListener,
  GridIntroducer,
  IntroducerStatus,
} from './introducer.js';
import type { IntroducerAddress } from './introducer-list.js';
import {
  argument,
  bytesDict,
  dictEntry,
  INDEX_LIMITS,
  PROTOCOL_VERSION,
  refused,
  SUBSCRIBER_INTERFACE,
} from './introducer-protocol.js';

export interface IntroducerClientOptions {
  readonly address: IntroducerAddress;
  /** The node's, shared by all its introducers. */
  readonly tub: Tub;
  readonly nodeDirectory: string;
  readonly nickname: string;
  /** `NAME/VERSION` of this program. */
  readonly version: string;
  readonly sequencer: AnnouncementSequencer;
  readonly platform: Platform;
}

const OLDEST_SUPPORTED = '1.0.0';
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 5 * 60_000;
/** When the introducer is silent, the announcements kept on disk are used while it is waited for. */
const PATIENCE_MS = 3_000;

export function createIntroducerClient(options: IntroducerClientOptions): GridIntroducer {
  return new IntroducerClient(options);
}

class IntroducerClient implements GridIntroducer {
  readonly #options: IntroducerClientOptions;
  readonly #cache: AnnouncementCache;
  readonly #index = new AnnouncementIndex<undefined>(INDEX_LIMITS);
  readonly #listeners = new Map<string, AnnouncementListener[]>();
  readonly #outbound = new Map<string, SignedAnnouncement>();
  readonly #subscriber: Referenceable;
  readonly #canary: Referenceable = {
    type: 'local',
    interfaceName: '',
    call: (method) => {
      throw refused(`a canary has no method ${method.slice(0, 40)}`);
    },
  };
  readonly #closed = new AbortController();
  readonly #firstAttempt = new AbortController();
  #running: Promise<void> | undefined;
  #introducer: RemoteReference | undefined;
  #isCacheRead = false;
  #status: Omit<IntroducerStatus, 'announcements'>;

  constructor(options: IntroducerClientOptions) {
    const { nodeDirectory, platform, address } = options;
    this.#options = options;
    this.#cache = new AnnouncementCache(new TextFiles(platform.files, nodeDirectory), address.petname, platform);
    this.#subscriber = {
      type: 'local',
      interfaceName: SUBSCRIBER_INTERFACE,
      call: (method, args) => this.#answer(method, args),
    };
    this.#status = {
      petname: address.petname,
      state: 'connecting',
      reason: undefined,
      sinceMs: platform.clock.wallMs(),
      address: undefined,
    };
  }

  subscribe(serviceName: string, listener: AnnouncementListener): void {
    this.#listeners.set(serviceName, [...(this.#listeners.get(serviceName) ?? []), listener]);
  }

  async publish(serviceName: string, fields: AnnouncementFields, signingSeed: Uint8Array): Promise<void> {
    const sequence = await this.#options.sequencer.next();
    const signed = signAnnouncement(
      { ...this.#commonFields(), ...fields, 'service-name': serviceName, ...sequence },
      signingSeed,
    );
    this.#outbound.set(serviceName, signed);
    if (this.#introducer !== undefined) void this.#publishTo(this.#introducer, signed);
  }

  start(): void {
    this.#running = this.#run();
    const { clock } = this.#options.platform;
    const patience = clock.setTimer(PATIENCE_MS, () => {
      if (this.#status.state === 'connecting') void this.#useCache();
    });
    this.#closed.signal.addEventListener('abort', () => patience.cancel());
  }

  firstAttempt(limitMs: number): Promise<void> {
    return pause(this.#options.platform.clock, limitMs, this.#firstAttempt.signal);
  }

  status(): IntroducerStatus {
    return { ...this.#status, announcements: this.#index.size };
  }

  async close(): Promise<void> {
    this.#closed.abort(new TahoeError('closed', { kind: 'closed', op: 'introducer.close' }));
    this.#firstAttempt.abort();
    await this.#running;
    await this.#cache.flush();
  }

  /** Until `close`. Never fails. */
  async #run(): Promise<void> {
    const { clock, entropy } = this.#options.platform;
    let delayMs = FIRST_RETRY_MS;
    while (!this.#closed.signal.aborted) {
      const wasConnected = await this.#connectOnce();
      if (wasConnected) delayMs = FIRST_RETRY_MS;
      // From about half to one and a half of it, so that clients do not come back in step.
      await pause(clock, delayMs * (0.5 + entropy.fraction()), this.#closed.signal);
      delayMs = Math.min(delayMs * Math.E, LONGEST_RETRY_MS);
    }
  }

  /** Returns after the connection has ended; whether there was one. */
  async #connectOnce(): Promise<boolean> {
    const { tub, address, platform } = this.#options;
    try {
      const remote = await tub.connect(address.furl);
      const onClosed = () => remote.connection.close('the node stops');
      this.#closed.signal.addEventListener('abort', onClosed, { once: true });
      try {
        await this.#serve(remote);
      } finally {
        this.#closed.signal.removeEventListener('abort', onClosed);
        remote.connection.close('the introducer is done with');
      }
      return true;
    } catch (error) {
      if (this.#closed.signal.aborted) return false;
      const reason = describeError(asTahoeError(error, 'introducer.connect'));
      if (this.#status.reason !== reason) {
        platform.log.warn('an introducer cannot be used', { introducer: address.petname, reason });
      }
      this.#change({ state: 'failed', reason, address: undefined });
      await this.#useCache();
      return false;
    }
  }

  /** Until the connection ends. Kinds as for every call; `unsupported` for an introducer of another version. */
  async #serve({ connection, reference }: RemoteObject): Promise<void> {
    const { platform, address } = this.#options;
    if (this.#closed.signal.aborted) return;
    const version = await reference.call('get_version');
    if (dictEntry(version, PROTOCOL_VERSION) === undefined) {
      throw new TahoeError('the introducer does not speak version 2 of the protocol', {
        kind: 'unsupported',
        op: 'introducer.connect',
      });
    }
    this.#introducer = reference;
    platform.log.info('connected to an introducer', { introducer: address.petname, peer: connection.peer.address });
    this.#change({ state: 'connected', reason: undefined, address: connection.peer.address });
    try {
      await Promise.all([
        ...[...this.#outbound.values()].map((signed) => this.#publishTo(reference, signed)),
        ...[...this.#listeners.keys()].map((serviceName) => this.#subscribeTo(reference, serviceName)),
      ]);
      // An introducer sends what it has before it answers, or at least begins to.
      this.#firstAttempt.abort();
      await endOf(connection.peer.ended);
      this.#change({ state: 'failed', reason: describeError(connection.peer.ended.reason), address: undefined });
    } finally {
      this.#introducer = undefined;
    }
  }

  async #subscribeTo(introducer: RemoteReference, serviceName: string): Promise<void> {
    const { 'my-version': version, 'oldest-supported': oldest, nickname } = this.#commonFields();
    const info = bytesDict({
      version: 0,
      nickname,
      'app-versions': { type: 'list', items: [] },
      'my-version': version,
      'oldest-supported': oldest,
    });
    const service = new TextEncoder().encode(serviceName);
    await introducer.call('subscribe_v2', { positional: [this.#subscriber, service, info] });
  }

  async #publishTo(introducer: RemoteReference, signed: SignedAnnouncement): Promise<void> {
    try {
      await introducer.call('publish_v2', { positional: [announcementToPb(signed), this.#canary] });
    } catch (error) {
      const { log } = this.#options.platform;
      const { petname } = this.#options.address;
      log.warn('an announcement was not published', { introducer: petname, error: describeError(error) });
    }
  }

  #answer(method: string, args: PbArguments): PbValue {
    const announcements = argument(args, 0, 'announcements');
    if (method !== 'announce_v2') throw refused(`a subscriber has no method ${method.slice(0, 40)}`);
    if (typeof announcements !== 'object' || announcements === null || !('items' in announcements)) {
      throw refused('announce_v2 needs a set of announcements');
    }
    for (const item of announcements.items) this.#takeAnnouncement(item);
    return null;
  }

  /** Whatever is wrong with one, the others count. */
  #takeAnnouncement(item: PbValue): void {
    const { log } = this.#options.platform;
    const { petname } = this.#options.address;
    try {
      const signed = announcementFromPb(item);
      const announcement = verifyAnnouncement(signed);
      if (!this.#listeners.has(announcement.serviceName)) return;
      const verdict = this.#index.consider(announcement, signed.message.length, undefined);
      const { serverId } = announcement;
      if (verdict === 'duplicate') return;
      if (verdict !== 'new' && verdict !== 'update') {
        log.warn('an announcement is not used', { introducer: petname, server: serverId, verdict });
        return;
      }
      log.debug('announcement', { introducer: petname, server: serverId, verdict });
      this.#cache.keep(() => this.#latest());
      this.#deliver(announcement);
    } catch (error) {
      log.warn('an announcement is refused', { introducer: petname, error: describeError(error) });
    }
  }

  *#latest(): Generator<Announcement> {
    for (const { announcement } of this.#index.entries()) yield announcement;
  }

  /** Once, and only while nothing has come from the introducer itself. */
  async #useCache(): Promise<void> {
    if (this.#isCacheRead || this.#introducer !== undefined || this.#index.size > 0) return;
    this.#isCacheRead = true;
    const { log } = this.#options.platform;
    const announcements = await this.#cache.read();
    if (this.#index.size === 0) for (const announcement of announcements) this.#deliver(announcement);
    log.info('announcements from the cache', {
      introducer: this.#options.address.petname,
      announcements: announcements.length,
    });
    this.#firstAttempt.abort();
  }

  #deliver(announcement: Announcement): void {
    for (const listener of this.#listeners.get(announcement.serviceName) ?? []) listener(announcement);
  }

  #commonFields() {
    const { nickname, version } = this.#options;
    return {
      version: 0,
      nickname,
      'app-versions': [],
      'my-version': version,
      'oldest-supported': OLDEST_SUPPORTED,
    } as const;
  }

  #change(change: Pick<IntroducerStatus, 'state' | 'reason' | 'address'>): void {
    this.#status = { ...this.#status, ...change, sinceMs: this.#options.platform.clock.wallMs() };
  }
}

function endOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
