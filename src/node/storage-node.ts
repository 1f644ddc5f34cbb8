/** The storage server of a node: its shares on disk, and HTTPS. */
import { resolve } from 'node:path';
import { encodeBase32 } from '../encoding/base32.js';
import { type AnnouncementFields, STORAGE_SERVICE } from '../introducer/introducer.js';
import type { Platform } from '../platform/platform.js';
import { DiskBackend } from '../storage-server/disk-backend.js';
import { StorageHttpsServer } from '../storage-server/https-server.js';
import {
  openIdentity,
  publishAddresses,
  type ServerAddresses,
  type StorageIdentity,
} from '../storage-server/identity.js';
import { StorageService } from '../storage-server/service.js';
import type { NodeDirectory } from './node-directory.js';
import type { NodeIntroducers } from './node-introducers.js';
import type { StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';
import { tubLocationOf, tubPortOf } from './tub-address.js';
import { programVersion } from './version.js';

/**
 * Serves the shares of a node directory and announces itself; returns the address. Undone by `stops`. Kind `invalid`
 * (tahoe.cfg).
 */
export async function startStorage(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  introducers: NodeIntroducers,
  stops: StopStack,
): Promise<string> {
  const { storage, nickname } = config;
  const port = await tubPortOf(directory, config);
  const { clock, log, files } = platform;
  const identity = await openIdentity(platform, directory.path);
  const service = new StorageService({
    id: identity.serverId,
    tubId: identity.tubId,
    permutationSeed: identity.permutationSeed,
    nickname,
    backend: new DiskBackend(files, resolve(directory.path, storage.directory), identity.tubId),
    clock,
    log,
    applicationVersion: await programVersion(),
    reservedBytes: storage.reservedBytes,
    readonly: storage.readonly,
  });
  await service.start();
  stops.push(() => service.close());
  const { certificate, privateKey, swissnum } = identity;
  const server = new StorageHttpsServer({ service, certificate, privateKey, swissnum, log, clock });
  await server.listen(port.port, port.host ?? '0.0.0.0');
  stops.push(() => server.close());
  const addresses = await publishAddresses(files, directory.path, identity, tubLocationOf(config, port));
  await introducers.publish(STORAGE_SERVICE, storageAnnouncement(identity, addresses), identity.signingSeed);
  log.info('storage server started', { nickname });
  return addresses.nurl;
}

/** Storage-http spec 5: the FURL is never connected to, but clients take the tub id from it. */
function storageAnnouncement(
  { permutationSeed }: StorageIdentity,
  { furl, nurl }: ServerAddresses,
): AnnouncementFields {
  return {
    'anonymous-storage-FURL': furl,
    'anonymous-storage-NURLs': [nurl],
    'permutation-seed-base32': encodeBase32(permutationSeed),
  };
}
