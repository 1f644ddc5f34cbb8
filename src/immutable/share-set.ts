/** All shares known of one file, and one reader for each. */
import type { ServerId } from '../encoding/brands.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { permuteServers } from '../storage-protocol/permutation.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import type { ServerSpeeds } from './server-speeds.js';
import { ShareFinder } from './share-finder.js';
import { ShareReader } from './share-reader.js';
import type { VerifiedFile } from './verified-file.js';

export interface ShareSetOptions {
  readonly file: VerifiedFile;
  readonly servers: readonly StorageServer[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly speeds: ServerSpeeds;
  readonly timing: DownloadTiming;
}

/** Bounds of what a bad server may cost. */
export interface DownloadTiming {
  /** A server that has not said what it holds after this long is not waited for. */
  readonly lateAfterMs: number;
  /** A block that has not come after this long, or after four times the median, is raced with another share's. */
  readonly hedgeAfterMs: number;
  /** Any one call. */
  readonly timeoutMs: number;
}

export class ShareSet {
  readonly finder: ShareFinder;
  readonly #options: ShareSetOptions;
  readonly #readers: ShareReader[] = [];

  constructor(options: ShareSetOptions) {
    this.#options = options;
    const { file, servers, clock, speeds, timing } = options;
    this.finder = new ShareFinder({
      servers: permuteServers(servers, file.storageIndex),
      storageIndex: file.storageIndex,
      sharesTotal: file.cap.sharesTotal,
      clock,
      speeds,
      lateAfterMs: timing.lateAfterMs,
      timeoutMs: timing.timeoutMs,
    });
  }

  /** Readers of all shares found so far. */
  get readers(): readonly ShareReader[] {
    const { file, clock, log, speeds, timing } = this.#options;
    for (const share of this.finder.found.slice(this.#readers.length)) {
      this.#readers.push(new ShareReader({ file, share, clock, log, speeds, timeoutMs: timing.timeoutMs }));
    }
    return this.#readers;
  }

  /** Best first: those already prepared, then the fastest servers, then the lowest numbers. */
  ranked(): ShareReader[] {
    const { speeds } = this.#options;
    const rank = (reader: ShareReader) => ({
      reader,
      // differences of a few milliseconds are no reason to read other shares than before
      speed: Math.floor(Math.log2(1 + speeds.estimate(reader.share.server.id) / 16)),
    });
    return this.readers
      .map(rank)
      .sort(
        (a, b) =>
          a.speed - b.speed ||
          Number(b.reader.prepared) - Number(a.reader.prepared) ||
          a.reader.share.shareNumber - b.reader.share.shareNumber,
      )
      .map(({ reader }) => reader);
  }

  /** Why servers and shares could not serve, by server. */
  reasons(segment: number): Map<ServerId, unknown> {
    const reasons = new Map<ServerId, unknown>(this.finder.failures);
    for (const reader of this.readers) {
      const problem = reader.problem(segment);
      if (problem !== undefined) reasons.set(reader.share.server.id, problem);
    }
    return reasons;
  }

  nicknameOf(id: ServerId): string {
    return this.#options.servers.find((server) => server.id === id)?.nickname ?? id;
  }

  forget(): void {
    for (const reader of this.#readers) reader.forget();
  }
}
