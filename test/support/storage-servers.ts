import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import type { Clock } from '../../src/platform/clock.js';
import type { FileStore } from '../../src/platform/file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import { HttpsStorageServer } from '../../src/storage-client/https-storage-server.js';
import { parseNurl } from '../../src/storage-protocol/nurl.js';
import { DiskBackend } from '../../src/storage-server/disk-backend.js';
import { StorageHttpsServer } from '../../src/storage-server/https-server.js';
import { openIdentity, publishAddresses, type StorageIdentity } from '../../src/storage-server/identity.js';
import { StorageService } from '../../src/storage-server/service.js';
import type { Cleanup } from './cleanup.js';

export interface TestServerOptions {
  readonly clock?: Clock;
  readonly files?: FileStore;
  readonly directory?: string;
  readonly readonly?: boolean;
  readonly reservedBytes?: number;
}

export interface TestService {
  readonly directory: string;
  readonly identity: StorageIdentity;
  readonly service: StorageService;
}

export async function temporaryDirectory(t: Cleanup): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-storage-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  return directory;
}

/** A storage service on a disk of its own, with the identity kept in the same directory. */
export async function startService(t: Cleanup, options: TestServerOptions = {}): Promise<TestService> {
  const directory = options.directory ?? (await temporaryDirectory(t));
  const files = options.files ?? new NodeFileStore();
  const clock = options.clock ?? new NodeClock();
  const identity = await openIdentity({ files, clock, entropy: new NodeEntropy() }, directory);
  const service = new StorageService({
    id: identity.serverId,
    nickname: 'test server',
    permutationSeed: identity.permutationSeed,
    tubId: identity.tubId,
    backend: new DiskBackend(files, path.join(directory, 'storage'), identity.tubId),
    clock,
    log: silentLogger,
    applicationVersion: 'tahoe-ts/test',
    ...(options.readonly === undefined ? {} : { readonly: options.readonly }),
    ...(options.reservedBytes === undefined ? {} : { reservedBytes: options.reservedBytes }),
  });
  await service.start();
  t.teardown(() => service.close());
  return { directory, identity, service };
}

export interface TestHttpsServer extends TestService {
  readonly nurl: string;
  readonly port: number;
  readonly https: StorageHttpsServer;
  readonly client: HttpsStorageServer;
}

/** The same behind HTTPS on a free port of the loopback interface, with a client connected to it. */
export async function startHttpsServer(t: Cleanup, options: TestServerOptions = {}): Promise<TestHttpsServer> {
  const started = await startService(t, options);
  const { identity, service, directory } = started;
  const clock = new NodeClock();
  const https = new StorageHttpsServer({ ...identity, service, log: silentLogger, clock });
  const location = await https.listen(0, '127.0.0.1');
  t.teardown(() => https.close());
  const { nurl } = await publishAddresses(new NodeFileStore(), directory, identity, location);
  const client = new HttpsStorageServer({
    id: identity.serverId,
    nickname: 'test server',
    permutationSeed: identity.permutationSeed,
    tubId: identity.tubId,
    nurl: parseNurl(nurl),
    clock,
  });
  t.teardown(() => client.close());
  return { ...started, nurl, port: location.port, https, client };
}
