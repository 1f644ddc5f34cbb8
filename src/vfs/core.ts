/** What the parts of the VFS share. One per node. */
import type { Grid } from '../grid/grid.js';
import type { SlotContext } from '../mutable/slot-context.js';
import type { Quorums } from '../mutable/slot-map.js';
import type { Platform } from '../platform/platform.js';
import type { Activity } from './activity.js';
import type { ContentReader } from './content-reader.js';
import type { Counters } from './counters.js';
import type { Ledger } from './ledger.js';
import type { Receipts } from './receipts.js';
import type { RememberedDirectories } from './remembered-directories.js';
import type { Tree } from './tree.js';
import type { Change } from './vfs.js';

export interface VfsSettings {
  /** How old a directory's contents may be before they are looked at again. */
  readonly freshnessMs: number;
  /** A directory is published this long after its last change, and at the latest this long after the first. */
  readonly publishAfterQuietMs: number;
  readonly publishAfterMs: number;
  /** An upload begins this long after the file was closed, so that a file written again at once is uploaded once. */
  readonly uploadAfterMs: number;
  /** How long uploads and publishes wait for a pause in the use of the file system. */
  readonly stepBackMs: number;
  /** A file that stays open is uploaded at the latest this long after it was flushed. */
  readonly openFileMs: number;
  /** Delay before the first repetition of what failed; doubles up to a minute. */
  readonly retryAfterMs: number;
  /** How often a directory is looked at while it has to stand still before it can be published. */
  readonly settlePollMs: number;
  /** When a directory that other programs write too is looked at again after a proof. */
  readonly lookAgainAfterMs: readonly number[];
  /** Whoever waits is told of failure when nothing has moved for this long, or after this long in all. */
  readonly stallMs: number;
  readonly waitMaxMs: number;
  readonly uploadsMax: number;
  readonly publishesMax: number;
  /** Owner of entries that do not say. */
  readonly defaultUid: number;
  readonly defaultGid: number;
  /** `journal`: fsync waits for the journal only (mount option, the weaker promise). */
  readonly fsync: 'grid' | 'journal';
}

export const defaultSettings: VfsSettings = {
  freshnessMs: 5000,
  publishAfterQuietMs: 500,
  publishAfterMs: 5000,
  uploadAfterMs: 100,
  stepBackMs: 5000,
  openFileMs: 60_000,
  retryAfterMs: 1000,
  settlePollMs: 2000,
  lookAgainAfterMs: [5000, 30_000],
  stallMs: 60_000,
  waitMaxMs: 600_000,
  uploadsMax: 8,
  publishesMax: 16,
  defaultUid: 0,
  defaultGid: 0,
  fsync: 'grid',
};

export interface VfsCore {
  readonly platform: Platform;
  readonly settings: VfsSettings;
  readonly tree: Tree;
  readonly ledger: Ledger;
  readonly activity: Activity;
  readonly grid: Grid;
  readonly slots: SlotContext;
  /** Of new directories. */
  readonly quorums: Quorums;
  readonly sharesHappy: number;
  /** What it is called in names of conflict copies. */
  readonly nodeName: string;
  readonly contents: ContentReader;
  readonly remembered: RememberedDirectories;
  readonly receipts: Receipts;
  readonly notify: (change: Change) => void;
  /** Since the start. */
  readonly counters: Counters;
}
