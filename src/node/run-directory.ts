/** Finds out what a directory holds, a node or a grid, and runs it. */
import { TahoeError } from '../errors/tahoe-error.js';
import { CLIENT_NAME, INTRODUCER_NAME } from './grid-directories.js';
import { startGridNode } from './grid-node.js';
import { startNode } from './node.js';
import { listOrNothing, NodeDirectory } from './node-directory.js';
import type { RunningNode, RunOptions } from './running-node.js';

/** Kinds `not-found` (no node here), `busy` (it runs already), `invalid` (its tahoe.cfg). */
export async function runDirectory(path: string, options: RunOptions): Promise<RunningNode> {
  const directory = new NodeDirectory(path);
  const names = (await listOrNothing(directory.path)) ?? [];
  if (names.includes('tahoe.cfg')) return startNode(path, options);
  const servers = names.filter((name) => /^server-\d+$/.test(name)).sort(byNumber);
  if (names.includes(CLIENT_NAME) && servers.length > 0) {
    const introducer = names.includes(INTRODUCER_NAME) ? INTRODUCER_NAME : undefined;
    return startGridNode(directory.path, { introducer, servers, client: CLIENT_NAME }, options);
  }
  throw new TahoeError(
    `"${directory.path}" is neither a node directory nor a grid. ` +
      `Make one with: tahoe create-client ${path} (or create-grid ${path})`,
    { kind: 'not-found', op: 'node.run', subject: directory.path },
  );
}

function byNumber(a: string, b: string): number {
  return Number(a.slice('server-'.length)) - Number(b.slice('server-'.length));
}
