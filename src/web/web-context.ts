import type { Grid } from '../grid/grid.js';
import type { Platform } from '../platform/platform.js';
import type { NewNode, Vfs } from '../vfs/vfs.js';
import type { NodeControl } from './node-control.js';

/** What the handlers work with. */
export interface WebContext {
  readonly vfs: Vfs;
  readonly grid: Grid;
  readonly control: NodeControl;
  readonly platform: Platform;
  /** Where large request bodies wait for their upload. Absolute, exists. */
  readonly spoolDirectory: string;
  /** Opens `/private/`. */
  readonly apiToken: string;
  /** Owner and mode of directories that requests create. */
  readonly newDirectory: NewNode;
}

/** Bytes of a mutable file's new contents, which are encoded in memory. */
export const MUTABLE_LIMIT_BYTES = 64 * 1024 * 1024;
/** Bytes of a JSON or capability body. */
export const TEXT_LIMIT_BYTES = 64 * 1024 * 1024;
