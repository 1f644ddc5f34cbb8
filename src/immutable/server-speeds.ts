/** How fast servers have answered lately, shared by all files of a downloader: the fastest are asked first. */
import type { ServerId } from '../encoding/brands.js';

/** Recent durations kept for the median. */
const WINDOW = 64;
/** Weight of the newest duration. */
const SMOOTHING = 0.25;

export class ServerSpeeds {
  readonly #estimates = new Map<ServerId, number>();
  readonly #recent: number[] = [];
  #medianMs: number | undefined;

  /** A server answered. */
  note(server: ServerId, durationMs: number): void {
    const old = this.#estimates.get(server);
    this.#estimates.set(server, old === undefined ? durationMs : old + SMOOTHING * (durationMs - old));
  }

  /** The same for a block, which counts for the median. */
  noteBlock(server: ServerId, durationMs: number): void {
    this.note(server, durationMs);
    this.#recent.push(durationMs);
    if (this.#recent.length > WINDOW) this.#recent.shift();
    this.#medianMs = undefined;
  }

  /** A server has kept us waiting this long and has not answered yet. */
  noteSlow(server: ServerId, waitedMs: number): void {
    this.#estimates.set(server, Math.max(this.#estimates.get(server) ?? 0, waitedMs));
  }

  /** Milliseconds; 0 for a server that nothing is known about. */
  estimate(server: ServerId): number {
    return this.#estimates.get(server) ?? 0;
  }

  /** Of recent blocks; undefined before the first. */
  medianBlockMs(): number | undefined {
    this.#medianMs ??= [...this.#recent].sort((a, b) => a - b)[this.#recent.length >> 1];
    return this.#medianMs;
  }
}
