/**
 * A whole grid in one process: an introducer, separate storage servers, and a client that learns of them and reaches
 * them over HTTPS on loopback.
 */
import { join } from 'node:path';
import { startNode } from './node.js';
import { type RunningNode, type RunOptions, StopStack } from './running-node.js';

/** Names of directories under the grid's. */
export interface GridDirectories {
  /** Undefined in a grid whose client has the servers in its servers.yaml. */
  readonly introducer: string | undefined;
  readonly servers: readonly string[];
  readonly client: string;
}

export async function startGridNode(
  root: string,
  { introducer, servers, client: clientName }: GridDirectories,
  options: RunOptions,
): Promise<RunningNode> {
  const stops = new StopStack();
  const start = async (running: Promise<RunningNode>) => {
    const node = await running;
    stops.push(() => node.stop());
    return node;
  };
  try {
    if (introducer !== undefined) await start(startNode(join(root, introducer), options));
    const started = await Promise.allSettled(servers.map((name) => start(startNode(join(root, name), options))));
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    const client = await start(startNode(join(root, clientName), { ...options, makeRoot: true }));
    const description = `${client.description}, ${servers.length} storage servers in this process`;
    return { ...client, description, stop: () => stops.unwind() };
  } catch (error) {
    await stops.unwind();
    throw error;
  }
}
