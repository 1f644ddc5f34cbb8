/** Where `cp` copies to: a folder here or a directory on the grid, behind one interface. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isTahoeError } from '../errors/tahoe-error.js';
import { isGridPath } from './aliases.js';
import type { NodeSession } from './cli-context.js';
import type { CopySource } from './copy-source.js';
import { objectPath } from './node-client.js';
import { saveAs } from './save-as.js';
import { waitForGrid } from './sync.js';

export interface CopyTarget {
  /** Makes the directory at `path` below the target, and the target itself; no error if it is there. */
  makeDirectory(path: readonly string[]): Promise<void>;
  /** Puts a file at `path` below the target (the target itself if empty), replacing a file that is there. */
  putFile(path: readonly string[], source: CopySource): Promise<void>;
  /** True if what was put is on this computer only until the node has sent it to the grid. */
  readonly needsSync: boolean;
}

export function openTarget(session: NodeSession, text: string): CopyTarget {
  return isGridPath(text) ? gridTarget(session, text) : localTarget(resolve(text));
}

function localTarget(root: string): CopyTarget {
  return {
    needsSync: false,
    makeDirectory: async (path) => {
      await mkdir(join(root, ...path), { recursive: true });
    },
    putFile: async (path, source) => saveAs(await source.read(), join(root, ...path)),
  };
}

function gridTarget(session: NodeSession, text: string): CopyTarget {
  const { node } = session;
  const { cap, path: above } = session.resolve(text);
  return {
    needsSync: true,
    makeDirectory: async (path) => {
      await node.text('POST', objectPath(cap, [...above, ...path], { t: 'mkdir', wait: 'journal' }));
    },
    putFile: async (path, source) => {
      const names = [...above, ...path];
      if (source.immutableCap !== undefined) {
        const query = { t: 'uri', replace: 'only-files', wait: 'journal' };
        await node.text('PUT', objectPath(cap, names, query), { body: source.immutableCap });
        return;
      }
      await putPatiently(session, source, objectPath(cap, names, { wait: 'journal' }));
    },
  };
}

/** When the journal is full, lets the grid catch up and tries once more. */
async function putPatiently(session: NodeSession, source: CopySource, address: string): Promise<void> {
  const put = async () => {
    await session.node.text('PUT', address, { body: await source.read(), length: source.sizeBytes });
  };
  try {
    await put();
  } catch (error) {
    if (!isTahoeError(error, 'no-space')) throw error;
    await waitForGrid(session);
    await put();
  }
}
