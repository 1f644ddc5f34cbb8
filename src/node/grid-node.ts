/** A whole grid in one process: separate storage servers and a client that reaches them over HTTPS on loopback. */
import { join } from 'node:path';
import { startNode } from './node.js';
import { type RunningNode, type RunOptions, StopStack } from './running-node.js';

/** `servers` are the names of the server directories under `root`. */
export async function startGridNode(
  root: string,
  servers: readonly string[],
  options: RunOptions,
): Promise<RunningNode> {
  const stops = new StopStack();
  const start = async (running: Promise<RunningNode>) => {
    const node = await running;
    stops.push(() => node.stop());
    return node;
  };
  try {
    const started = await Promise.allSettled(servers.map((name) => start(startNode(join(root, name), options))));
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    const client = await start(startNode(join(root, 'client'), { ...options, makeRoot: true }));
    const description = `${client.description}, ${servers.length} storage servers in this process`;
    return { ...client, description, stop: () => stops.unwind() };
  } catch (error) {
    await stops.unwind();
    throw error;
  }
}
