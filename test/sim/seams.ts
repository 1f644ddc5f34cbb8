/**
 * Where deliberate defects are put in: every edge that the product takes as an argument or hands out. A function gets the
 * real thing of one life of one node and returns what the node, or its user, gets instead.
 */
import type { Grid } from '../../src/grid/grid.js';
import type { SegmentCache } from '../../src/immutable/segment-source.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import type { FileStore } from '../../src/platform/file-store.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import type { VfsSettings } from '../../src/vfs/core.js';
import type { LogOptions, OpenedLog } from '../../src/vfs/journal/log-engine.js';
import type { KeySource } from '../../src/vfs/key-pool.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import type { SimConfig } from './config.js';
import type { VirtualTime } from './virtual-time.js';

export interface SeamContext {
  readonly node: number;
  readonly config: SimConfig;
  readonly time: VirtualTime;
  /** What a defect remembers over the lives of one node. */
  readonly memory: Map<string, unknown>;
}

export interface Seams {
  readonly disk?: (inner: FileStore, context: SeamContext) => FileStore;
  /** The servers that the node knows at any moment. */
  readonly servers?: (inner: readonly StorageServer[], context: SeamContext) => () => readonly StorageServer[];
  readonly segmentCache?: (inner: SegmentCache, context: SeamContext) => SegmentCache;
  readonly grid?: (inner: Grid, context: SeamContext) => Grid;
  readonly vfs?: (inner: Vfs, context: SeamContext) => Vfs;
  readonly keys?: (inner: KeySource, context: SeamContext) => KeySource;
  /** With what slots are read and published. */
  readonly slots?: (inner: SlotContext, context: SeamContext) => SlotContext;
  readonly journal?: (
    open: (options: LogOptions) => Promise<OpenedLog>,
    context: SeamContext,
  ) => (options: LogOptions) => Promise<OpenedLog>;
  readonly settings?: Partial<VfsSettings>;
  /** Puts something else in the place of a part that has no edge, for a whole run; the result puts the part back. */
  readonly parts?: () => () => void;
}

export const noSeams: Seams = {};
