/** What `cp` copies: files and directories, here or on the grid, behind one interface. */
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { isGridPath } from './aliases.js';
import type { NodeSession } from './cli-context.js';
import { objectPath } from './node-client.js';
import { capOf, fetchInfo, type ObjectInfo } from './node-json.js';

export interface CopySource {
  /** Undefined for a capability or an alias alone: its contents are copied, not itself. */
  readonly name: string | undefined;
  readonly kind: 'file' | 'directory';
  readonly sizeBytes: number;
  /** Set if it is an immutable file on the grid: it can be linked instead of copied. */
  readonly immutableCap: string | undefined;
  /** Of a directory. */
  children(): Promise<CopySource[]>;
  /** Of a file. */
  read(): Promise<AsyncIterable<Uint8Array>>;
}

/** Kind `not-found`. */
export function openSource(session: NodeSession, text: string): Promise<CopySource> {
  return isGridPath(text) ? openGridSource(session, text) : openLocalSource(text);
}

async function openLocalSource(path: string): Promise<CopySource> {
  const found = await localSource(resolve(path));
  if (found !== undefined) return found;
  throw new TahoeError(`No such file or directory: ${path}`, { kind: 'not-found', op: 'cli.cp', subject: path });
}

/** Undefined for dangling links and special files, which have nothing to copy. */
async function localSource(path: string): Promise<CopySource | undefined> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ELOOP') return undefined;
    throw error;
  });
  if (found === undefined || !(found.isFile() || found.isDirectory())) return undefined;
  return {
    name: basename(path),
    kind: found.isDirectory() ? 'directory' : 'file',
    sizeBytes: found.size,
    immutableCap: undefined,
    read: async () => createReadStream(path, { highWaterMark: 1024 * 1024 }),
    children: async () => {
      const names = (await readdir(path)).sort();
      const children = await Promise.all(names.map((name) => localSource(join(path, name))));
      return children.filter((child) => child !== undefined);
    },
  };
}

async function openGridSource(session: NodeSession, text: string): Promise<CopySource> {
  const target = session.resolve(text);
  return gridSource(session, target.path.at(-1), target.cap, target.path, await fetchInfo(session, target));
}

function gridSource(
  session: NodeSession,
  name: string | undefined,
  cap: string,
  path: readonly string[],
  info: ObjectInfo,
): CopySource {
  if (info.kind === 'unknown') {
    throw new TahoeError(`${path.join('/')} is of a kind that this version cannot copy`, {
      kind: 'unknown-cap',
      op: 'cli.cp',
    });
  }
  return {
    name,
    kind: info.kind === 'dirnode' ? 'directory' : 'file',
    sizeBytes: info.sizeBytes ?? 0,
    immutableCap: info.kind === 'filenode' && !info.mutable ? capOf(info) : undefined,
    read: async () => session.node.contents(await session.node.call('GET', objectPath(cap, path))),
    children: async () => {
      const { children } = await fetchInfo(session, { cap, path, endsWithSlash: false });
      return [...children].map(([child, described]) => gridSource(session, child, cap, [...path, child], described));
    },
  };
}

/** What is at the target of a copy now: undefined if nothing is. */
export async function kindAt(session: NodeSession, text: string): Promise<CopySource['kind'] | undefined> {
  try {
    return (await openSource(session, text)).kind;
  } catch (error) {
    if (isTahoeError(error, 'not-found')) return undefined;
    throw error;
  }
}
