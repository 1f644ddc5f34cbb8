import type { Logger } from '../src/platform/logger.js';
import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';
import type { HandleTable } from './handle-table.js';
import type { NodeTable } from './node-table.js';
import type { CacheTimeouts } from './reply.js';
import type { RequestBody, RequestHeader } from './request.js';

/** What serving one request needs. */
export interface MountContext {
  readonly vfs: Vfs;
  readonly nodes: NodeTable;
  readonly handles: HandleTable;
  readonly timeouts: CacheTimeouts;
  readonly log: Logger;
  /** The kernel gathers writes and owns size and times meanwhile. */
  readonly writeback: boolean;
  /** Counts changes of anything, at their start and their end. */
  readonly changes: () => number;
}

export type BodyOf<Op extends RequestBody['op']> = BodyWith<RequestBody, Op>;
type BodyWith<Body extends RequestBody, Op> = Body extends unknown
  ? Extract<Body['op'], Op> extends never
    ? never
    : Body
  : never;

/** A request while it is served. */
export interface ServedRequest extends RequestHeader {
  readonly inode: InodeNumber;
  /** Aborted when the program that waits was interrupted. */
  readonly signal: AbortSignal | undefined;
}

/** One encoded message, or the header of one and the bytes that follow. */
export type Reply = Uint8Array | { readonly header: Uint8Array; readonly data: Uint8Array };
