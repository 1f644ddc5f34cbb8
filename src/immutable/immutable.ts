/** Immutable files: the contract between the grid's users (vfs, web, command line) and upload and download. */
import type { ChkReadCap, LitCap } from '../caps/cap.js';
import type { ServerId } from '../encoding/brands.js';

/** k, n and happy of section 3.1 of the immutable spec: 1 <= sharesNeeded <= sharesTotal <= 256. */
export interface Encoding {
  readonly sharesNeeded: number;
  readonly sharesHappy: number;
  readonly sharesTotal: number;
  /** Bytes of plaintext encoded at once, before rounding up to a multiple of sharesNeeded. 1 MiB by default. */
  readonly maximumSegmentSize: number;
}

/**
 * Plaintext to upload. It is read twice from front to back (once for the convergent key, once to encrypt) and must be
 * the same bytes both times.
 */
export interface UploadSource {
  readonly sizeBytes: number;
  /** Fills all of `target` with the bytes at `offset`; offset + target.length <= sizeBytes. */
  read(offset: number, target: Uint8Array): Promise<void>;
}

export interface UploadOptions {
  readonly encoding: Encoding;
  /** Any length. */
  readonly convergenceSecret: Uint8Array;
  readonly signal?: AbortSignal | undefined;
  /** Called with plaintext bytes done so far, at most about once per segment. */
  readonly onProgress?: ((doneBytes: number) => void) | undefined;
}

export interface UploadResult {
  readonly cap: ChkReadCap | LitCap;
  /** Where each share is now, those found there and those written. Empty for a literal. */
  readonly placement: ReadonlyMap<number, ReadonlySet<ServerId>>;
}

export interface Uploader {
  /**
   * Uploads and returns the capability once the shares are durable on at least `sharesHappy` distinct servers
   * (servers of happiness, immutable spec 8.4). Memory does not depend on the size. Convergent and therefore repeatable.
   *
   * Fails with kind `unhappy` (message names k, happy, what was placed, and each server's failure), `cancelled`,
   * or whatever `source.read` threw. On failure uploads in progress are aborted on the servers.
   */
  upload(source: UploadSource, options: UploadOptions): Promise<UploadResult>;
}

/** An immutable file opened by capability. Shares and hash trees learned are kept while it lives. */
export interface ImmutableFile {
  readonly sizeBytes: number;
  /**
   * Verified bytes [offset, offset + length) clipped to the file; fewer than asked only at its end. Any number of calls
   * may be outstanding. The bytes may be shared with others: do not change them. A lost, slow, lying or hanging server costs a bounded time.
   *
   * Fails with kind `unrecoverable` naming the shares found and needed, `corrupt` (shares agree but the ciphertext does
   * not), `too-large` for more than a gigabyte at once, `cancelled`.
   */
  read(offset: number, length: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<Uint8Array>;
  /** Forgets buffers; later reads still work. */
  close(): void;
}

export interface Downloader {
  open(cap: ChkReadCap | LitCap): ImmutableFile;
}
