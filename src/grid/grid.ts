/** Capabilities become contents here: the grid as this node sees it, with its encoding and secrets filled in. */
import type { ChkReadCap, LitCap, MutableFormat } from '../caps/cap.js';
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
  /**
   * The best version of a mutable file as it is now, to be read in ranges. Text of an SDMF or MDMF capability to write or
   * read. Kinds `bad-cap`, `unrecoverable`, `unreachable`.
   */
  openMutable(cap: string): Promise<MutableFile>;
  /** All of it at once. Kind `too-large` above a gigabyte. */
  readMutable(cap: string): Promise<Uint8Array>;
  /** Creates a mutable file and returns its write capability. Kind `unhappy` if the write quorum cannot be reached. */
  createMutable(content: Uint8Array, format?: MutableFormat): Promise<string>;
  /** Replaces the contents. Kind `uncoordinated-write` if another writer was seen. */
  overwriteMutable(cap: string, content: Uint8Array): Promise<void>;
  /**
   * Replaces the bytes from `offset` on, which may be the end: the file then grows. In MDMF files only the segments that
   * this changes are sent. Kind `invalid` behind the end, `uncoordinated-write` if another writer was seen.
   */
  updateMutable(cap: string, offset: number, data: Uint8Array): Promise<void>;
  servers(): readonly ServerStatus[];
}

/** One verified version. */
export interface MutableFile {
  readonly sizeBytes: number;
  /** Equal numbers mean equal contents of the same file. */
  readonly contentNumber: number;
  /** Bytes [offset, offset + length), fewer only at the end. Kind `stale` if the version has been overwritten meanwhile. */
  read(offset: number, length: number): Promise<Uint8Array>;
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
