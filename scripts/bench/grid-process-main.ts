/** The process that grid-process.ts starts: arguments are a directory and how many servers. Ends when it is let go. */
import { join } from 'node:path';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import { DiskBackend } from '../../src/storage-server/disk-backend.js';
import { StorageHttpsServer } from '../../src/storage-server/https-server.js';
import { openIdentity, publishAddresses } from '../../src/storage-server/identity.js';
import { StorageService } from '../../src/storage-server/service.js';
import type { ServerAddress } from './grid-process.js';

const platform = { clock: new NodeClock(), entropy: new NodeEntropy(), files: new NodeFileStore(), log: silentLogger };

async function startServer(directory: string, nickname: string): Promise<ServerAddress> {
  const { clock, files, log } = platform;
  const identity = await openIdentity(platform, directory);
  const { serverId: id, permutationSeed, tubId } = identity;
  const backend = new DiskBackend(files, join(directory, 'storage'), tubId);
  const service = new StorageService({
    id,
    nickname,
    permutationSeed,
    tubId,
    backend,
    clock,
    log,
    applicationVersion: 'bench',
  });
  await service.start();
  const https = new StorageHttpsServer({ ...identity, service, log, clock });
  const { nurl } = await publishAddresses(files, directory, identity, await https.listen(0, '127.0.0.1'));
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return { serverId: id, nickname, permutationSeed: hex(permutationSeed), tubId: hex(tubId), nurl };
}

const [directory = '', count = '1'] = process.argv.slice(2);
const names = Array.from({ length: Number(count) }, (_, number) => `server-${number}`);
const addresses = await Promise.all(names.map((name) => startServer(join(directory, name), name)));
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.((user + system) / 1000);
});
process.on('disconnect', () => process.exit());
process.send?.(addresses);
