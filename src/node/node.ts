/** One node directory that runs: as an introducer, or as a storage server, a client, or both, as its tahoe.cfg asks for. */

import type { Platform } from '../platform/platform.js';
import { type ClientOptions, startClient } from './client-node.js';
import { FURL_FILE, startIntroducer } from './introducer-node.js';
import { NodeDirectory } from './node-directory.js';
import { type NodeIntroducers, openIntroducers } from './node-introducers.js';
import { lockNodeDirectory } from './node-lock.js';
import { nodePlatform } from './node-platform.js';
import { openLogger } from './pino-logger.js';
import { type RunningNode, StopStack } from './running-node.js';
import { startStorage } from './storage-node.js';
import type { TahoeConfig } from './tahoe-config.js';

type StartedNode = Omit<RunningNode, 'stop'>;

const ANNOUNCE_LIMIT_MS = 10_000;

/** Kinds `busy` (it runs already), `invalid` and `unsupported` (its files), and those of startClient. */
export async function startNode(path: string, options: ClientOptions): Promise<RunningNode> {
  const directory = new NodeDirectory(path);
  const config = await directory.config();
  const stops = new StopStack();
  try {
    const lock = await lockNodeDirectory(directory.path);
    stops.push(() => lock.release());
    await directory.prepare(config.temporaryDirectory);
    const platform = nodePlatform(openLogger(directory.file('logs', 'tahoe.log'), options.warn), options.files);
    const started =
      (await directory.type()) === 'introducer'
        ? await startIntroducerNode(directory, config, platform, stops)
        : await startGridMember(directory, config, platform, stops, options);
    return { ...started, stop: () => stops.unwind() };
  } catch (error) {
    await stops.unwind();
    throw error;
  }
}

async function startIntroducerNode(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  stops: StopStack,
): Promise<StartedNode> {
  await startIntroducer(directory, config, platform, stops);
  return { description: `${config.nickname}: an introducer, its FURL is in ${directory.file(FURL_FILE)}` };
}

async function startGridMember(
  directory: NodeDirectory,
  config: TahoeConfig,
  platform: Platform,
  stops: StopStack,
  options: ClientOptions,
): Promise<StartedNode> {
  const introducers = await openIntroducers(directory, config, platform);
  stops.push(() => introducers.close());
  const descriptions: string[] = [];
  if (config.storage.enabled) {
    const address = await startStorage(directory, config, platform, introducers, stops);
    descriptions.push(`${config.nickname}: ${address}`);
  }
  if (!isClient(config)) {
    await announce(introducers);
    return { description: descriptions.join(', ') };
  }
  // Last, so that a client can find this very server among its own.
  const { url, pending } = await startClient(directory, config, platform, introducers, stops, options);
  return { description: [...descriptions, url].join(', '), pending };
}

/** Ready means that clients can find this server, if the introducers answer at all. */
async function announce(introducers: NodeIntroducers): Promise<void> {
  introducers.start();
  await introducers.firstAttempt(ANNOUNCE_LIMIT_MS);
}

/** A client whose doors are all shut could do nothing: then a storage server is only that. */
function isClient({ webPort, sftp, storage }: TahoeConfig): boolean {
  return webPort !== undefined || sftp.enabled || !storage.enabled;
}
