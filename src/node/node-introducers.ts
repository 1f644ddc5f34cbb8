/** The introducers of a node: one tub for all of them, shared by its storage server and its client. */
import { Tub } from '../foolscap/tub.js';
import { AnnouncementSequencer } from '../introducer/announcement-sequencer.js';
import type {
  AnnouncementFields,
  AnnouncementListener,
  GridIntroducer,
  IntroducerStatus,
} from '../introducer/introducer.js';
import { createIntroducerClient } from '../introducer/introducer-client.js';
import { INTRODUCERS_FILE, readIntroducers } from '../introducer/introducer-list.js';
import { CLIENT_LIMITS } from '../introducer/introducer-protocol.js';
import type { Platform } from '../platform/platform.js';
import { TextFiles } from '../platform/text-files.js';
import { openTubCertificate } from '../transport/tub-certificate.js';
import type { NodeDirectory } from './node-directory.js';
import { StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';
import { programVersion } from './version.js';

export interface NodeIntroducers {
  /** As GridIntroducer, with all of them. */
  subscribe(serviceName: string, listener: AnnouncementListener): void;
  publish(serviceName: string, fields: AnnouncementFields, signingSeed: Uint8Array): Promise<void>;
  /** After everybody has subscribed. */
  start(): void;
  firstAttempt(limitMs: number): Promise<void>;
  statuses(): IntroducerStatus[];
  close(): Promise<void>;
}

/** Kind `invalid` for introducers.yaml or a FURL that is not understood. Connects to nobody before `start`. */
export async function openIntroducers(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
): Promise<NodeIntroducers> {
  const addresses = readIntroducers(await directory.read(INTRODUCERS_FILE), config.introducerFurl);
  const clients: GridIntroducer[] = [];
  const stops = new StopStack();
  if (addresses.length > 0) {
    const certificate = await openTubCertificate(platform, directory.path);
    const tub = new Tub({ certificate, limits: CLIENT_LIMITS, ...platform });
    stops.push(() => tub.close());
    const files = new TextFiles(platform.files, directory.path);
    const shared = {
      tub,
      platform,
      nodeDirectory: directory.path,
      nickname: config.nickname,
      version: await programVersion(),
      sequencer: new AnnouncementSequencer(files, platform.entropy),
    };
    clients.push(...addresses.map((address) => createIntroducerClient({ ...shared, address })));
  }
  stops.push(async () => {
    await Promise.all(clients.map((client) => client.close()));
  });
  return {
    subscribe: (serviceName, listener) => {
      for (const client of clients) client.subscribe(serviceName, listener);
    },
    publish: async (serviceName, fields, signingSeed) => {
      await Promise.all(clients.map((client) => client.publish(serviceName, fields, signingSeed)));
    },
    start: () => {
      for (const client of clients) client.start();
    },
    firstAttempt: async (limitMs) => {
      await Promise.all(clients.map((client) => client.firstAttempt(limitMs)));
    },
    statuses: () => clients.map((client) => client.status()),
    close: () => stops.unwind(),
  };
}
