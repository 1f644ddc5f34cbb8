/** From what is written on the command line to the arguments by which the node's own operations name an object. */
import { resolve as resolvePath } from 'node:path';
import type { NodeStatus } from '../web/node-control.js';
import { isGridPath } from './aliases.js';
import type { NodeSession } from './cli-context.js';

/** A path in a folder that the node has mounted, `ALIAS:path`, `CAP/path`, or a path below the default alias. */
export async function objectQuery(session: NodeSession, text: string): Promise<URLSearchParams> {
  if (!isGridPath(text)) {
    const local = resolvePath(text);
    const { mounts } = (await session.node.json('GET', 'private/status', { authorized: true })) as NodeStatus;
    const isMounted = mounts.some(({ mountpoint }) => local === mountpoint || local.startsWith(`${mountpoint}/`));
    if (isMounted) return new URLSearchParams({ local });
  }
  const { cap, path } = session.resolve(text);
  const query = new URLSearchParams({ cap });
  for (const name of path) query.append('path', name);
  return query;
}
