/** One node directory that runs: as a storage server, as a client, or as both, whatever its tahoe.cfg asks for. */
import { type ClientOptions, startClient } from './client-node.js';
import { NodeDirectory } from './node-directory.js';
import { lockNodeDirectory } from './node-lock.js';
import { nodePlatform } from './node-platform.js';
import { openLogger } from './pino-logger.js';
import { type PendingWork, type RunningNode, StopStack } from './running-node.js';
import { startStorage } from './storage-node.js';
import type { TahoeConfig } from './tahoe-config.js';

/** Kinds `busy` (it runs already), `invalid` and `unsupported` (its files), and those of startClient. */
export async function startNode(path: string, options: ClientOptions): Promise<RunningNode> {
  const directory = new NodeDirectory(path);
  const config = await directory.config();
  const stops = new StopStack();
  try {
    const lock = await lockNodeDirectory(directory.path);
    stops.push(() => lock.release());
    await directory.prepare(config.temporaryDirectory);
    const platform = nodePlatform(openLogger(directory.file('logs', 'tahoe.log'), options.warn));
    const descriptions: string[] = [];
    let pending: PendingWork | undefined;
    if (config.storage.enabled) {
      descriptions.push(`${config.nickname}: ${await startStorage(directory, config, platform, stops)}`);
    }
    // Last, so that a client can find this very server among its own.
    if (isClient(config)) {
      const client = await startClient(directory, config, platform, stops, options);
      descriptions.push(client.url);
      pending = client.pending;
    }
    const stop = () => stops.unwind();
    return { description: descriptions.join(', '), stop, ...(pending === undefined ? {} : { pending }) };
  } catch (error) {
    await stops.unwind();
    throw error;
  }
}

/** A client whose doors are all shut could do nothing: then a storage server is only that. */
function isClient({ webPort, sftp, storage }: TahoeConfig): boolean {
  return webPort !== undefined || sftp.enabled || !storage.enabled;
}
