/** Reading immutable files (immutable spec 9, 10). */
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, type LitCap, serializeCap } from '../caps/cap.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { throwIfCancelled } from './bounded-call.js';
import { ChkFile } from './chk-file.js';
import type { Downloader, ImmutableFile } from './immutable.js';
import type { SegmentCache } from './segment-source.js';
import { ServerSpeeds } from './server-speeds.js';
import type { DownloadTiming } from './share-set.js';
import { VerifiedFile } from './verified-file.js';

export interface DownloaderOptions {
  /** The servers usable right now. */
  readonly servers: () => readonly StorageServer[];
  /** Shared by all files of the node. */
  readonly segmentCache: SegmentCache;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timing?: Partial<DownloadTiming> | undefined;
}

const USUAL_TIMING: DownloadTiming = { lateAfterMs: 2_000, hedgeAfterMs: 2_000, timeoutMs: 30_000 };

/** Files whose parameters and hashes are remembered, so that what is cached can be read without asking anybody. */
const REMEMBERED_FILES = 256;

export class GridDownloader implements Downloader {
  readonly #options: DownloaderOptions;
  readonly #files = new LRUCache<string, VerifiedFile>({ max: REMEMBERED_FILES });
  readonly #speeds = new ServerSpeeds();

  constructor(options: DownloaderOptions) {
    this.#options = options;
  }

  /** Kind `bad-cap` if the numbers in the capability are impossible. */
  open(cap: ChkReadCap | LitCap): ImmutableFile {
    if (cap.type === 'lit') return new LiteralFile(cap);
    const { servers, segmentCache: cache, clock, log, timing } = this.#options;
    const speeds = this.#speeds;
    const file = this.#verifiedFile(cap);
    return new ChkFile({ file, servers, cache, clock, log, speeds, timing: { ...USUAL_TIMING, ...timing } });
  }

  #verifiedFile(cap: ChkReadCap): VerifiedFile {
    const name = serializeCap(cap);
    const file = this.#files.get(name) ?? new VerifiedFile(cap);
    this.#files.set(name, file);
    return file;
  }
}

class LiteralFile implements ImmutableFile {
  readonly sizeBytes: number;
  readonly #data: Uint8Array;

  constructor({ data }: LitCap) {
    this.#data = data;
    this.sizeBytes = data.length;
  }

  async read(offset: number, length: number, options: { readonly signal?: AbortSignal | undefined } = {}) {
    throwIfCancelled(options.signal, 'immutable.read');
    return this.#data.slice(offset, offset + length);
  }

  close(): void {
    // nothing is held but the capability itself
  }
}
