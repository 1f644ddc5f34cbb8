/** One storage server: a node directory, its shares on disk, and HTTPS. */
import { resolve } from 'node:path';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Platform } from '../platform/platform.js';
import { DiskBackend } from '../storage-server/disk-backend.js';
import { StorageHttpsServer } from '../storage-server/https-server.js';
import { openIdentity, publishAddresses } from '../storage-server/identity.js';
import { StorageService } from '../storage-server/service.js';
import { NodeDirectory } from './node-directory.js';
import { lockNodeDirectory } from './node-lock.js';
import { nodePlatform } from './node-platform.js';
import { openLogger } from './pino-logger.js';
import { type RunningNode, StopStack } from './running-node.js';
import type { TahoeConfig } from './tahoe-config.js';
import { readVersion } from './version.js';

export interface RunOptions {
  /** Gets one line for each warning and error. */
  readonly warn: (line: string) => void;
}

/** Kinds `busy` (runs already), `invalid` (tahoe.cfg). */
export async function startStorageNode(path: string, { warn }: RunOptions): Promise<RunningNode> {
  const directory = new NodeDirectory(path);
  const config = await directory.config();
  const stops = new StopStack();
  try {
    const lock = await lockNodeDirectory(directory.path);
    stops.push(() => lock.release());
    await directory.prepare();
    const platform = nodePlatform(openLogger(directory.file('logs', 'tahoe.log'), warn));
    const nurl = await serve(directory, config, platform, stops);
    platform.log.info('storage server started', { nickname: config.nickname });
    return { description: `${config.nickname}: ${nurl}`, stop: () => stops.unwind() };
  } catch (error) {
    await stops.unwind();
    throw error;
  }
}

async function serve(directory: NodeDirectory, config: TahoeConfig, platform: Platform, stops: StopStack) {
  const { tubPort, storage, nickname } = config;
  if (tubPort === undefined) {
    throw new TahoeError('a storage server needs [node] tub.port and tub.location in tahoe.cfg', {
      kind: 'invalid',
      op: 'node.start',
      subject: directory.path,
    });
  }
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
  const address = await server.listen(tubPort.port, tubPort.host ?? '0.0.0.0');
  stops.push(() => server.close());
  const location = parseLocation(config.tubLocation) ?? { host: '127.0.0.1', port: address.port };
  return (await publishAddresses(files, directory.path, identity, location)).nurl;
}

/** `HOST:PORT`, with brackets around an IPv6 address. */
function parseLocation(text: string | undefined): { host: string; port: number } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text ?? '');
  return match === null ? undefined : { host: match[1] ?? match[2]!, port: Number(match[3]) };
}
