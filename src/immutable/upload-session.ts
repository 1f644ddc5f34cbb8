/** The shares of one upload on their way: which are still alive, and whether enough of them are. */
import type { ServerId, StorageIndex } from '../encoding/brands.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import type { Encoding } from './immutable.js';
import { LinkedController } from './linked-controller.js';
import { type Holdings, placementOf, type SharePlacement, serversOfHappiness } from './placement.js';
import { abortGrants, type Selection } from './server-selection.js';
import { ShareWriter } from './share-writer.js';
import { unhappiness } from './unhappiness.js';

export interface UploadSessionOptions {
  readonly selection: Selection;
  readonly candidates: readonly StorageServer[];
  readonly storageIndex: StorageIndex;
  readonly encoding: Encoding;
  readonly clock: Clock;
  readonly log: Logger;
  readonly writeTimeoutMs: number;
  readonly queryTimeoutMs: number;
  /** The caller's. */
  readonly signal: AbortSignal;
}

export class UploadSession {
  readonly #options: UploadSessionOptions;
  readonly #stop: LinkedController;
  readonly #writers = new Map<number, ShareWriter>();

  constructor(options: UploadSessionOptions) {
    this.#options = options;
    const { selection, storageIndex, clock, writeTimeoutMs, signal } = options;
    this.#stop = new LinkedController(signal);
    for (const grant of selection.grants) {
      const writer = new ShareWriter({
        grant,
        storageIndex,
        clock,
        writeTimeoutMs,
        signal: this.#stop.signal,
        onLost: (lost, error) => this.#onLost(lost, error),
      });
      this.#writers.set(grant.shareNumber, writer);
    }
  }

  /** Aborted when the caller wants to stop or too few servers are left; the reason is the error to throw. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Writers of the shares that are to be written, by share number, lost ones included. */
  get writers(): ReadonlyMap<number, ShareWriter> {
    return this.#writers;
  }

  hurry(): void {
    for (const writer of this.#writers.values()) writer.hurry();
  }

  /** Waits for all writes. Returns where the shares are now; fails with kind `unhappy` if they are too few. */
  async complete(): Promise<SharePlacement> {
    await this.drain();
    this.signal.throwIfAborted();
    const { selection, encoding } = this.#options;
    for (const writer of this.#writers.values()) {
      if (!writer.lost && !writer.complete) selection.failures.set(writer.grant.server.id, incomplete(writer));
    }
    const placement = this.#placement((writer) => writer.complete);
    if (serversOfHappiness(placement) < encoding.sharesHappy) throw this.#unhappy(placement);
    return placement;
  }

  /** Resolves when no write is in progress any more. */
  async drain(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.drain()));
  }

  /** After a failure: waits until no buffer is in use and gives up what is not complete. */
  async abandon(reason: unknown): Promise<void> {
    this.#stop.abort(reason);
    await this.drain();
    const { storageIndex, clock, queryTimeoutMs } = this.#options;
    const open = [...this.#writers.values()].filter((writer) => !writer.complete).map(({ grant }) => grant);
    await abortGrants(open, { storageIndex, clock, queryTimeoutMs });
  }

  /** Detaches from the caller's signal. */
  close(): void {
    this.#stop.unlink();
  }

  #onLost(lost: ShareWriter, error: TahoeError): void {
    if (this.signal.aborted) return;
    const { selection, encoding, log, storageIndex, clock, queryTimeoutMs } = this.#options;
    const { server, shareNumber } = lost.grant;
    selection.failures.set(server.id, error);
    log.warn('a share could not be written', { server: server.nickname, shareNumber, kind: error.kind });
    // nobody waits for it: the server forgets the share by itself if this fails
    void abortGrants([lost.grant], { storageIndex, clock, queryTimeoutMs });
    const placement = this.#placement((writer) => !writer.lost);
    if (serversOfHappiness(placement) < encoding.sharesHappy) this.#stop.abort(this.#unhappy(placement));
  }

  #placement(counts: (writer: ShareWriter) => boolean): Map<number, Set<ServerId>> {
    const written = new Map<ServerId, Set<number>>();
    for (const [share, writer] of this.#writers) {
      if (!counts(writer)) continue;
      const { id } = writer.grant.server;
      written.set(id, (written.get(id) ?? new Set()).add(share));
    }
    const holdings: Holdings[] = [this.#options.selection.held, written];
    return placementOf(holdings);
  }

  #unhappy(placement: SharePlacement): TahoeError {
    const { selection, candidates, encoding } = this.#options;
    return unhappiness({
      encoding,
      placement,
      failures: selection.failures,
      refused: selection.refused,
      serversAsked: candidates.length,
      nicknameOf: (id) => candidates.find((server) => server.id === id)?.nickname ?? id,
    });
  }
}

function incomplete({ grant }: ShareWriter): TahoeError {
  return new TahoeError('the server has every byte of the share and does not say that it is complete', {
    kind: 'protocol',
    op: 'immutable.upload',
    subject: grant.server.nickname,
  });
}
