/**
 * Gets k good blocks of one segment from the fastest shares. A share that fails is replaced at once, one that is slow is
 * raced with another; the last word is had by the hashes.
 */
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock, Timer } from '../platform/clock.js';
import type { ServerSpeeds } from './server-speeds.js';
import { ShareProblem } from './share-problem.js';
import type { ShareReader } from './share-reader.js';
import type { DownloadTiming, ShareSet } from './share-set.js';

export interface SegmentFetchOptions {
  readonly shares: ShareSet;
  readonly segment: number;
  /** The size of segments, which is a guess until the first share has been read. */
  readonly segmentSize: number;
  readonly sharesNeeded: number;
  /** k blocks long: blocks of the first k share numbers are put where they belong in the segment, as far as possible. */
  readonly joined: Uint8Array | undefined;
  readonly clock: Clock;
  readonly speeds: ServerSpeeds;
  readonly timing: DownloadTiming;
  readonly signal: AbortSignal;
}

/** k blocks of distinct share numbers and the readers they came from. */
export interface FetchedBlocks {
  readonly blocks: ReadonlyMap<number, Uint8Array>;
  readonly readers: readonly ShareReader[];
}

interface Attempt {
  readonly reader: ShareReader;
  readonly controller: AbortController;
  timer: Timer | undefined;
  slow: boolean;
}

/**
 * Undefined if segments turn out to have another size than assumed. Kind `unrecoverable` if fewer than k blocks can be
 * had, or what the signal was aborted with.
 */
export async function fetchBlocks(options: SegmentFetchOptions): Promise<FetchedBlocks | undefined> {
  const fetch = new SegmentFetch(options);
  try {
    return await fetch.run();
  } finally {
    fetch.stop();
  }
}

class SegmentFetch {
  readonly #options: SegmentFetchOptions;
  readonly #attempts = new Set<Attempt>();
  readonly #tried = new Set<ShareReader>();
  /** Share numbers whose place in the segment has been given to an attempt: two must not write there. */
  readonly #placed = new Set<number>();
  readonly #good = new Map<number, { readonly block: Uint8Array; readonly reader: ShareReader }>();
  #failure: { readonly error: unknown } | undefined;
  #guessedWrong = false;
  #changed = false;
  #wake: (() => void) | undefined;

  constructor(options: SegmentFetchOptions) {
    this.#options = options;
  }

  async run(): Promise<FetchedBlocks | undefined> {
    const { shares, sharesNeeded, signal } = this.#options;
    const unsubscribe = shares.finder.subscribe(() => this.#notify());
    const onAbort = () => this.#notify();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (this.#good.size < sharesNeeded) {
        this.#startAttempts();
        await this.#change();
        signal.throwIfAborted();
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#guessedWrong) return undefined;
      }
    } finally {
      unsubscribe();
      signal.removeEventListener('abort', onAbort);
    }
    const blocks = new Map([...this.#good].map(([number, { block }]) => [number, block]));
    return { blocks, readers: [...this.#good.values()].map(({ reader }) => reader) };
  }

  /** Gives up the attempts still running. */
  stop(): void {
    for (const { timer, controller } of this.#attempts) {
      timer?.cancel();
      controller.abort(new TahoeError('another share was faster', { kind: 'cancelled', op: 'immutable.read' }));
    }
  }

  /** Keeps as many prompt attempts running as blocks are missing. */
  #startAttempts(): void {
    const { shares, sharesNeeded } = this.#options;
    const prompt = () => [...this.#attempts].filter(({ slow }) => !slow).length;
    while (this.#good.size + prompt() < sharesNeeded) {
      const reader = this.#nextReader();
      if (reader === undefined) break;
      this.#start(reader);
    }
    if (this.#good.size + prompt() >= sharesNeeded) return;
    shares.finder.ask();
    // slow ones may still come, or run into their timeout
    const hopeless = shares.finder.exhausted && this.#attempts.size === 0 && this.#nextReader() === undefined;
    if (hopeless) this.#failure = { error: this.#unrecoverable() };
    if (hopeless) this.#notify();
  }

  /** The best share not tried, of a number not yet had or under way, on the least busy servers. */
  #nextReader(): ShareReader | undefined {
    const { shares, segment } = this.#options;
    const numbers = new Set(this.#good.keys());
    const busy = new Map<string, number>();
    for (const { reader, slow } of this.#attempts) {
      if (!slow) numbers.add(reader.share.shareNumber);
      const { id } = reader.share.server;
      busy.set(id, (busy.get(id) ?? 0) + 1);
    }
    let best: ShareReader | undefined;
    let bestLoad = Infinity;
    for (const reader of shares.ranked()) {
      if (this.#tried.has(reader) || numbers.has(reader.share.shareNumber)) continue;
      if (reader.problem(segment) !== undefined) continue;
      const load = busy.get(reader.share.server.id) ?? 0;
      if (load < bestLoad) {
        best = reader;
        bestLoad = load;
      }
    }
    return best;
  }

  #start(reader: ShareReader): void {
    const { clock, speeds, timing } = this.#options;
    const attempt: Attempt = { reader, controller: new AbortController(), timer: undefined, slow: false };
    this.#tried.add(reader);
    this.#attempts.add(attempt);
    const patienceMs = Math.max(timing.hedgeAfterMs, 4 * (speeds.medianBlockMs() ?? 0));
    attempt.timer = clock.setTimer(patienceMs, () => {
      attempt.slow = true;
      speeds.noteSlow(reader.share.server.id, patienceMs);
      this.#notify();
    });
    // #read settles everything itself
    void this.#read(attempt);
  }

  async #read(attempt: Attempt): Promise<void> {
    const { segment, segmentSize, clock, speeds } = this.#options;
    const { reader, controller } = attempt;
    const startMs = clock.monotonicMs();
    try {
      const into = this.#place(reader.share.shareNumber);
      const block = await reader.block(segment, segmentSize, controller.signal, into);
      if (block === undefined) {
        this.#guessedWrong = true;
        return;
      }
      speeds.noteBlock(reader.share.server.id, clock.monotonicMs() - startMs);
      if (this.#good.size < this.#options.sharesNeeded) this.#good.set(reader.share.shareNumber, { block, reader });
    } catch (error) {
      const expected = error instanceof ShareProblem || controller.signal.aborted;
      if (!expected) this.#failure = { error };
    } finally {
      attempt.timer?.cancel();
      this.#attempts.delete(attempt);
      this.#notify();
    }
  }

  #place(shareNumber: number): Uint8Array | undefined {
    const { joined, sharesNeeded } = this.#options;
    if (joined === undefined || shareNumber >= sharesNeeded || this.#placed.has(shareNumber)) return undefined;
    this.#placed.add(shareNumber);
    const length = joined.length / sharesNeeded;
    return joined.subarray(shareNumber * length, (shareNumber + 1) * length);
  }

  #notify(): void {
    this.#changed = true;
    this.#wake?.();
  }

  async #change(): Promise<void> {
    if (!this.#changed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    this.#changed = false;
  }

  #unrecoverable(): TahoeError {
    const { shares, sharesNeeded, segment } = this.#options;
    const usable = shares.readers.filter((reader) => reader.problem(segment) === undefined);
    const list = (readers: readonly ShareReader[]) =>
      [...new Set(readers.map(({ share }) => share.shareNumber))].sort((a, b) => a - b);
    const found = list(shares.readers);
    const good = list(usable);
    const reasons = shares.reasons(segment);
    const parts = [
      `${sharesNeeded} shares are needed, ${good.length} usable (${good.join(', ') || 'none'})`,
      `found on ${shares.finder.serversAsked} servers: ${found.join(', ') || 'none'}`,
      ...[...reasons].map(([id, reason]) => `${shares.nicknameOf(id)}: ${describeError(reason)}`),
    ];
    return new TahoeError(parts.join('; '), {
      kind: 'unrecoverable',
      op: 'immutable.read',
      cause: reasons.size === 0 ? undefined : new AggregateError([...reasons.values()], 'reasons of the servers'),
    });
  }
}
