/** The file system of a client node: journal and cache in its directory, over its grid. */
import type { Platform } from '../platform/platform.js';
import { createVfs } from '../vfs/create-vfs.js';
import type { NodeVfs } from '../vfs/vfs-engine.js';
import type { ClientGrid } from './client-grid.js';
import type { NodeDirectory } from './node-directory.js';
import { processOwner } from './sftp-frontend.js';
import type { TahoeConfig } from './tahoe-config.js';

const GIB = 1024 ** 3;
const JOURNAL_BYTES_MAX = 16 * GIB;
const JOURNAL_BYTES_MIN = GIB;

export interface ClientFiles {
  readonly vfs: NodeVfs;
  /** Keeps in the journal what is not on the grid yet. */
  close(): Promise<void>;
}

/** Kinds `permission`, `corrupt`: the journal cannot be read, see createVfs. */
export async function openClientFiles(
  directory: NodeDirectory,
  { encoding, nickname }: TahoeConfig,
  { grid, slots, keys }: ClientGrid,
  platform: Platform,
  journalSegmentBytes?: number,
): Promise<ClientFiles> {
  const { uid, gid } = processOwner();
  const { freeBytes } = await platform.files.space(directory.path);
  const vfs = await createVfs({
    grid,
    slots,
    platform,
    encoding,
    nodeName: nickname,
    keys,
    directory: directory.path,
    keyPath: directory.file('private', 'journal.key'),
    // Half of what is free, so that a full journal is noticed here and not by everything else on that disk; on a small
    // disk at least what the journal needs to work, and then the disk itself is the limit.
    journalBytesMax: Math.max(JOURNAL_BYTES_MIN, Math.min(JOURNAL_BYTES_MAX, Math.floor(freeBytes / 2))),
    ...(journalSegmentBytes === undefined ? {} : { journalSegmentBytes }),
    settings: { defaultUid: uid, defaultGid: gid },
  });
  return { vfs, close: () => vfs.close() };
}
