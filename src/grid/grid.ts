/** Capabilities become contents here: the grid as this node sees it, with its encoding and secrets filled in. */
import type { ChkReadCap, LitCap } from '../caps/cap.js';
import type { ImmutableFile, UploadResult, UploadSource } from '../immutable/immutable.js';

export interface Grid {
  /** Uploads with this node's encoding and convergence secret. See Uploader. */
  upload(
    source: UploadSource,
    options?: {
      readonly signal?: AbortSignal | undefined;
      readonly onProgress?: ((doneBytes: number) => void) | undefined;
    },
  ): Promise<UploadResult>;
  /** See Downloader. */
  open(cap: ChkReadCap | LitCap): ImmutableFile;
  /** The best version of a mutable file, verified, whole. Text of an SSK or SSK-RO cap. Kinds `bad-cap`, `unsupported`, `unrecoverable`. */
  readMutable(cap: string): Promise<Uint8Array>;
  /** Creates an SDMF file and returns its write capability. Kind `unhappy` if the write quorum cannot be reached. */
  createMutable(content: Uint8Array): Promise<string>;
  /** Replaces the contents. Kind `uncoordinated-write` if another writer was seen. */
  overwriteMutable(cap: string, content: Uint8Array): Promise<void>;
  servers(): readonly ServerStatus[];
}

export interface ServerStatus {
  readonly id: string;
  readonly nickname: string;
  readonly state: 'connected' | 'failed' | 'unknown';
  /** Why, for `failed`. */
  readonly reason?: string | undefined;
  readonly availableSpace?: number | undefined;
  /** Wall time in milliseconds of the last answer. */
  readonly lastContactMs?: number | undefined;
  /** Requests sent to it so far, without those that only ask whether it is there. */
  readonly requests?: number | undefined;
}
