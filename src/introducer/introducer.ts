/**
 * The public contract of src/introducer. Storage servers publish signed announcements of themselves to introducers;
 * clients subscribe and so learn of the servers. Introducer spec 9.
 *
 *   createIntroducerClient  one introducer as a node sees it: `GridIntroducer` below     introducer-client.ts
 *   IntroducerService       an introducer, to be registered in a Tub that listens        introducer-service.ts
 *   readIntroducers         which introducers a node has                                 introducer-list.ts
 *   AnnouncementSequencer   the counter that makes a newer announcement replace an older announcement-sequencer.ts
 *   signAnnouncement, verifyAnnouncement                                                 announcement.ts
 */
import type { ServerId } from '../encoding/brands.js';

/** What storage servers announce themselves under. */
export const STORAGE_SERVICE = 'storage';

/** The JSON object of an announcement: storage-http spec 5. Unknown keys are kept. */
export type AnnouncementFields = Readonly<Record<string, unknown>>;

/** An announcement whose signature is right (or which this node itself has kept). Who signed it may say anything in it. */
export interface Announcement {
  /** `v0-` and the base32 of the key that has signed. */
  readonly serverId: ServerId;
  readonly serviceName: string;
  readonly fields: AnnouncementFields;
}

export type AnnouncementListener = (announcement: Announcement) => void;

/** One introducer, connected to again and again until `close`. */
export interface GridIntroducer {
  /**
   * Wants the announcements of a service: each that is new or takes the place of one, also those of earlier
   * connections, and those kept on disk when the introducer cannot be reached at the start. Before `start`.
   */
  subscribe(serviceName: string, listener: AnnouncementListener): void;
  /**
   * Signs and publishes, now and after every reconnection, until the next call for the same service. The common keys
   * (version, nickname, ...) and those against replays are added. Rejects if the counter cannot be kept.
   */
  publish(serviceName: string, fields: AnnouncementFields, signingSeed: Uint8Array): Promise<void>;
  /** Begins to connect. */
  start(): void;
  /**
   * Resolves when the first attempt has ended: everything is published and the announcements that the introducer had
   * are delivered, or, if it cannot be reached, those kept on disk. At the latest after `limitMs`.
   */
  firstAttempt(limitMs: number): Promise<void>;
  status(): IntroducerStatus;
  close(): Promise<void>;
}

export interface IntroducerStatus {
  /** As in `private/introducers.yaml`. */
  readonly petname: string;
  readonly state: 'connecting' | 'connected' | 'failed';
  /** Why the last attempt or connection ended. */
  readonly reason: string | undefined;
  /** Wall time of the last change of `state`. */
  readonly sinceMs: number;
  /** Of its connection, `HOST:PORT`. */
  readonly address: string | undefined;
  /** Announcements that it has delivered and that count. */
  readonly announcements: number;
}
