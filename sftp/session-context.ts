import type { Clock } from '../src/platform/clock.js';
import type { NewNode, Vfs } from '../src/vfs/vfs.js';
import type { HandleTable } from './handle-table.js';
import { InodePins } from './inode-pins.js';
import type { OwnerNames } from './long-name.js';
import type { PathResolver, Resolved } from './path-resolver.js';

/** What the operations of one session work with. */
export interface SessionContext {
  readonly vfs: Vfs;
  readonly paths: PathResolver;
  readonly handles: HandleTable;
  readonly clock: Clock;
  readonly names: OwnerNames;
  /** Owner of what the session creates. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Aborted when the client is gone: its reads and fsyncs need not go on. */
  readonly signal: AbortSignal;
}

/** Resolves `path`, calls `action` while what was reached cannot be dropped, and lets go. */
export async function withPath<Result>(
  context: SessionContext,
  path: string,
  finalLink: 'follow' | 'keep',
  action: (resolved: Resolved, pins: InodePins) => Promise<Result>,
): Promise<Result> {
  const pins = new InodePins(context.vfs);
  try {
    return await action(await context.paths.resolve(path, finalLink, pins), pins);
  } finally {
    pins.release();
  }
}

const defaultFileMode = 0o644;
const defaultDirectoryMode = 0o755;

/** Mode and owner of something new; the client's permissions as they are (it has applied its umask). */
export function newNode(context: SessionContext, kind: 'file' | 'directory', permissions: number | undefined): NewNode {
  const mode = permissions ?? (kind === 'file' ? defaultFileMode : defaultDirectoryMode);
  return { mode: mode & 0o7777, uid: context.owner.uid, gid: context.owner.gid };
}
