/** Decrypted, verified segments of one file. Whoever wants the same segment at the same time shares one fetch. */
import type { LRUCache } from 'lru-cache';
import { createAes128Ctr } from '../crypto/aes-ctr.js';
import { TaggedHasher } from '../crypto/hashes.js';
import { ciphertextSegmentTag } from '../crypto/tags.js';
import { encodeBase32 } from '../encoding/base32.js';
import { bytesEqual } from '../encoding/bytes.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { assert, isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { blockLength, type ChkGeometry, segmentLength } from '../share-layout/chk-geometry.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { type FetchedBlocks, fetchBlocks } from './segment-fetch.js';
import type { ServerSpeeds } from './server-speeds.js';
import { ShareProblem } from './share-problem.js';
import { type DownloadTiming, ShareSet } from './share-set.js';
import type { VerifiedFile } from './verified-file.js';

/** Segments of all files of a node, bounded in bytes: made with `sizeCalculation` (bytes) => bytes.length. */
export type SegmentCache = LRUCache<string, Uint8Array>;

/** Hashed and decrypted while it is in the cache. */
const CIPHER_PIECE_BYTES = 65536;

export interface SegmentSourceOptions {
  readonly file: VerifiedFile;
  readonly servers: () => readonly StorageServer[];
  readonly cache: SegmentCache;
  readonly clock: Clock;
  readonly log: Logger;
  readonly speeds: ServerSpeeds;
  readonly timing: DownloadTiming;
}

interface Fetch {
  readonly bytes: Promise<Uint8Array | undefined>;
  readonly controller: AbortController;
  users: number;
}

export class SegmentSource {
  readonly #options: SegmentSourceOptions;
  readonly #cachePrefix: string;
  readonly #fetches = new Map<number, Fetch>();
  #shares: ShareSet | undefined;

  constructor(options: SegmentSourceOptions) {
    this.#options = options;
    const { cap } = options.file;
    // the key is part of it: a wrong key must not find what the right one decrypted
    this.#cachePrefix = `${encodeBase32(cap.key)}:${encodeBase32(cap.uebHash)}:`;
  }

  /** The true geometry; if it is not known yet, the segment that `offset` probably lies in is fetched to learn it. */
  async geometry(offset: number, signal: AbortSignal | undefined): Promise<ChkGeometry> {
    const { file } = this.#options;
    if (file.parameters === undefined) {
      await this.#load(Math.floor(offset / file.likelyGeometry.segmentSize), signal);
    }
    return file.likelyGeometry;
  }

  /** Plaintext of a segment, once the geometry is known; shared, so callers must not change it. */
  async segment(segment: number, signal?: AbortSignal): Promise<Uint8Array> {
    const cached = this.#options.cache.get(this.#cacheKey(segment));
    if (cached !== undefined) return cached;
    const joined = await this.#load(segment, signal);
    // undefined if that fetch was begun with a wrong guess
    const bytes = joined ?? (await this.#load(segment, signal));
    assert(bytes !== undefined, 'the geometry is known');
    return bytes;
  }

  /** Joins the fetch of a segment, or begins it. Undefined if it was begun with a wrong guess of the geometry. */
  async #load(segment: number, signal: AbortSignal | undefined): Promise<Uint8Array | undefined> {
    const fetch = this.#fetches.get(segment) ?? this.#start(segment);
    fetch.users++;
    try {
      return await abandonable(fetch.bytes, signal);
    } finally {
      fetch.users--;
      if (fetch.users === 0) {
        fetch.controller.abort(new TahoeError('nobody waits any more', { kind: 'cancelled', op: 'immutable.read' }));
      }
    }
  }

  #cacheKey(segment: number): string {
    return `${this.#cachePrefix}${segment}`;
  }

  has(segment: number): boolean {
    return this.#fetches.has(segment) || this.#options.cache.has(this.#cacheKey(segment));
  }

  forget(): void {
    this.#shares?.forget();
  }

  #start(segment: number): Fetch {
    const controller = new AbortController();
    const bytes = this.#fetch(segment, controller.signal).finally(() => this.#fetches.delete(segment));
    // the users see the failure; there may be none left
    bytes.catch(() => {});
    const fetch = { bytes, controller, users: 0 };
    this.#fetches.set(segment, fetch);
    return fetch;
  }

  async #fetch(segment: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const shares = this.#shareSet();
    try {
      const plaintext = await this.#fetchFrom(shares, segment, signal);
      if (plaintext !== undefined) this.#options.cache.set(this.#cacheKey(segment), plaintext);
      return plaintext;
    } catch (error) {
      // the next read looks for servers and shares afresh
      if (isTahoeError(error, 'unrecoverable') && this.#shares === shares) this.#shares = undefined;
      throw error;
    }
  }

  async #fetchFrom(shares: ShareSet, segment: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { file, clock, speeds, timing } = this.#options;
    const { sharesNeeded } = file.cap;
    const { segmentSize } = file.likelyGeometry;
    const known = file.parameters?.geometry;
    for (;;) {
      const joined = known && Buffer.allocUnsafeSlow(sharesNeeded * blockLength(known, segment));
      const blocks = { shares, segment, segmentSize, sharesNeeded, joined };
      const fetched = await fetchBlocks({ ...blocks, clock, speeds, timing, signal });
      if (fetched === undefined) return undefined;
      const expected = await this.#crypttextHash(fetched.readers, segment);
      if (expected !== undefined) return this.#decode(fetched.blocks, expected, segment, joined);
      // none of these shares is used again, so this ends
    }
  }

  /** In `joined` if there is one; every attempt to read a block has ended by now. */
  #decode(blocks: FetchedBlocks['blocks'], expected: Uint8Array, segment: number, joined: Uint8Array | undefined) {
    const { cap, likelyGeometry: geometry } = this.#options.file;
    const code = erasureCode(geometry.sharesNeeded, geometry.sharesTotal);
    const padded = code.decodeJoined([...blocks.keys()], [...blocks.values()], joined);
    const segmentBytes = new Uint8Array(padded.buffer, padded.byteOffset, segmentLength(geometry, segment));
    const cipher = createAes128Ctr(cap.key, segment * geometry.segmentSize);
    const hasher = new TaggedHasher(ciphertextSegmentTag);
    for (let at = 0; at < segmentBytes.length; at += CIPHER_PIECE_BYTES) {
      const piece = segmentBytes.subarray(at, at + CIPHER_PIECE_BYTES);
      hasher.update(piece);
      segmentBytes.set(cipher.update(piece), at);
    }
    if (bytesEqual(hasher.digest(), expected)) return segmentBytes;
    throw new TahoeError(`the shares agree, but segment ${segment} of the ciphertext does not have its hash`, {
      kind: 'corrupt',
      op: 'immutable.read',
    });
  }

  /** From the first of these shares that can prove it; undefined if none of them can. */
  async #crypttextHash(readers: FetchedBlocks['readers'], segment: number): Promise<Uint8Array | undefined> {
    const { crypttextTree } = this.#options.file.parameters!;
    for (const reader of readers) {
      if (crypttextTree.leaf(segment) !== undefined) break;
      try {
        await reader.learnCrypttext(segment);
      } catch (error) {
        // noted and reported by the reader; the next one may do better
        if (!(error instanceof ShareProblem)) throw error;
      }
    }
    return crypttextTree.leaf(segment);
  }

  #shareSet(): ShareSet {
    const { file, servers, clock, log, speeds, timing } = this.#options;
    this.#shares ??= new ShareSet({ file, servers: servers(), clock, log, speeds, timing });
    return this.#shares;
  }
}

/** The promise, or the signal's end if that comes first. */
function abandonable<Value>(promise: Promise<Value>, signal: AbortSignal | undefined): Promise<Value> {
  if (signal === undefined) return promise;
  const cancelled = () =>
    new TahoeError('cancelled', { kind: 'cancelled', op: 'immutable.read', cause: signal.reason });
  if (signal.aborted) return Promise.reject(cancelled());
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(cancelled());
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
