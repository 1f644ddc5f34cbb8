/** The storage server of a node: its shares on disk, and HTTPS. */
import { resolve } from 'node:path';
import type { Platform } from '../platform/platform.js';
import { DiskBackend } from '../storage-server/disk-backend.js';
import { StorageHttpsServer } from '../storage-server/https-server.js';
import { openIdentity, publishAddresses } from '../storage-server/identity.js';
import { StorageService } from '../storage-server/service.js';
import type { NodeDirectory } from './node-directory.js';
import type { StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';
import { tubLocationOf, tubPortOf } from './tub-address.js';
import { readVersion } from './version.js';

/** Serves the shares of a node directory; returns the address. Undone by `stops`. Kind `invalid` (tahoe.cfg). */
export async function startStorage(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
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
    applicationVersion: `tahoe-ts/${await readVersion()}`,
    reservedBytes: storage.reservedBytes,
    readonly: storage.readonly,
  });
  await service.start();
  stops.push(() => service.close());
  const { certificate, privateKey, swissnum } = identity;
  const server = new StorageHttpsServer({ service, certificate, privateKey, swissnum, log, clock });
  await server.listen(port.port, port.host ?? '0.0.0.0');
  stops.push(() => server.close());
  const { nurl } = await publishAddresses(files, directory.path, identity, tubLocationOf(config, port));
  log.info('storage server started', { nickname });
  return nurl;
}
