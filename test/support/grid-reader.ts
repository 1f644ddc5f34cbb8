/** A node that has never seen what it is asked for: connections are kept, everything else is new for each look. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { parseKnownCap, readCapOf, serializeCap } from '../../src/caps/cap.js';
import { TahoeError } from '../../src/errors/tahoe-error.js';
import { GridClient } from '../../src/grid/grid-client.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { type ClientGrid, openClientGrid } from '../../src/node/client-grid.js';
import { createClient } from '../../src/node/create-node.js';
import { INTRODUCER_NAME } from '../../src/node/grid-directories.js';
import { NodeDirectory } from '../../src/node/node-directory.js';
import { type NodeIntroducers, openIntroducers } from '../../src/node/node-introducers.js';
import { nodePlatform } from '../../src/node/node-platform.js';
import type { TahoeConfig } from '../../src/node/tahoe-config.js';
import { silentLogger } from '../../src/platform/logger.js';
import { createVfs } from '../../src/vfs/create-vfs.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import type { NodeVfs } from '../../src/vfs/vfs-engine.js';
import type { Folder } from './kill-folder.js';

const SEGMENT_BYTES = 1 << 18;
const SEGMENTS_CACHED = 1000;

export class GridReader {
  readonly #directory: string;
  readonly #config: TahoeConfig;
  readonly #grid: ClientGrid;
  readonly #introducers: NodeIntroducers;
  readonly #rootCap: string;
  #looks = 0;
  #vfs: NodeVfs | undefined;

  private constructor(
    directory: string,
    config: TahoeConfig,
    grid: ClientGrid,
    introducers: NodeIntroducers,
    rootCap: string,
  ) {
    this.#directory = directory;
    this.#config = config;
    this.#grid = grid;
    this.#introducers = introducers;
    this.#rootCap = rootCap;
  }

  /** Of the same grid and root as the node in `client`, with the capability to read only. `path` is for its directory. */
  static async open(client: string, path: string): Promise<GridReader> {
    const writer = new NodeDirectory(client);
    const rootCap = serializeCap(readCapOf(parseKnownCap((await writer.read('private', 'root_dir.cap'))!.trim()))!);
    const introducer = (await readFile(join(client, '..', INTRODUCER_NAME, 'private/introducer.furl'), 'utf8')).trim();
    const { encoding } = await writer.config();
    const directory = new NodeDirectory(await createClient(path, { encoding, rootCap, introducer }));
    const config = await directory.config();
    const platform = nodePlatform(silentLogger);
    const introducers = await openIntroducers(directory, config, platform);
    const grid = await openClientGrid(directory, config, platform, introducers);
    return new GridReader(directory.path, config, grid, introducers, rootCap);
  }

  /** What the grid has there now. */
  async folder(names: readonly string[]): Promise<Folder> {
    const vfs = await this.#newVfs();
    let inode: InodeNumber | undefined = (await vfs.openRoot(this.#rootCap)).inode;
    for (const name of names) inode = inode === undefined ? undefined : await lookup(vfs, inode, name);
    const root = inode;
    const at = async (path: string): Promise<InodeNumber | undefined> => {
      let found = root;
      for (const name of path.split('/').filter((part) => part !== ''))
        found = found === undefined ? undefined : await lookup(vfs, found, name);
      return found;
    };
    const files = async (path: string, directory: InodeNumber | undefined): Promise<string[]> => {
      if (directory === undefined) return [];
      const below = (await vfs.readDirectory(directory)).map(async ({ name, attributes }) => {
        const own = path === '' ? name : `${path}/${name}`;
        if (attributes.kind === 'directory') return files(own, attributes.inode);
        return attributes.kind === 'file' ? [own] : [];
      });
      return (await Promise.all(below)).flat();
    };
    return {
      read: async (path) => {
        const found = await at(path);
        if (found === undefined) return undefined;
        const handle = await vfs.open(found, { read: true, write: false });
        try {
          return await handle.read(0, (await vfs.attributes(found)).sizeBytes);
        } finally {
          await handle.release();
        }
      },
      stat: async (path) => {
        const found = await at(path);
        if (found === undefined) return undefined;
        const { modified, mode } = await vfs.attributes(found);
        return { modified, mode };
      },
      files: async (path) => files(path, await at(path)),
    };
  }

  async close(): Promise<void> {
    await this.#vfs?.close();
    await this.#grid.close();
    await this.#introducers.close();
  }

  async #newVfs(): Promise<NodeVfs> {
    await this.#vfs?.close();
    await rm(join(this.#directory, `look ${this.#looks}`), { recursive: true, force: true });
    const directory = join(this.#directory, `look ${++this.#looks}`);
    await mkdir(directory);
    const { grid, slots } = this.#grid;
    const platform = nodePlatform(silentLogger);
    const { clock, log } = platform;
    const reachable = () => slots.servers().filter((server) => slots.isReachable?.(server) ?? true);
    const segmentCache = new LRUCache<string, Uint8Array>({ max: SEGMENTS_CACHED });
    this.#vfs = await createVfs({
      // with a cache of its own
      grid: new GridClient({
        uploader: { upload: refuse },
        downloader: new GridDownloader({ servers: reachable, segmentCache, clock, log }),
        slots,
        keys: noKeys,
        encoding: this.#config.encoding,
        convergenceSecret: new Uint8Array(32),
        servers: () => grid.servers(),
      }),
      slots,
      platform,
      encoding: this.#config.encoding,
      keys: noKeys,
      directory,
      keyPath: join(directory, 'journal.key'),
      journalBytesMax: 32 * SEGMENT_BYTES,
      journalReserveBytes: 8 * SEGMENT_BYTES,
      journalSegmentBytes: SEGMENT_BYTES,
    });
    return this.#vfs;
  }
}

/** A reader makes no directories and no files. */
const noKeys = { take: refuse, close: async () => {} };

function refuse(): Promise<never> {
  return Promise.reject(new TahoeError('a reader makes nothing', { kind: 'unsupported', op: 'test.reader' }));
}

async function lookup(vfs: NodeVfs, parent: InodeNumber, name: string): Promise<InodeNumber | undefined> {
  try {
    return (await vfs.lookup(parent, name)).inode;
  } catch (error) {
    if (error instanceof TahoeError && error.kind === 'not-found') return undefined;
    throw error;
  }
}
