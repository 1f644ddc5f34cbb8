/**
 * Sends one share to one server, front to back: parts are gathered to large writes, one of which is in flight at a time.
 * Buffers are lent: each part's `release` is called once, when nobody needs its bytes any more.
 */
import type { StorageIndex } from '../encoding/brands.js';
import { asTahoeError, type TahoeError } from '../errors/tahoe-error.js';
import type { Clock } from '../platform/clock.js';
import { boundedLoan } from './bounded-call.js';
import type { Grant } from './server-selection.js';

/** A write starts when this much has gathered, unless the producer waits for its buffers. */
const GATHER_BYTES = 1 << 20;
const LARGEST_WRITE_BYTES = 2 << 20;

interface Pending {
  readonly bytes: Uint8Array;
  readonly release: (() => void) | undefined;
}

export interface ShareWriterOptions {
  readonly grant: Grant;
  readonly storageIndex: StorageIndex;
  readonly clock: Clock;
  /** A write that takes longer has failed, and with it the share. */
  readonly writeTimeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once if the share cannot be completed on this server. */
  readonly onLost: (writer: ShareWriter, error: TahoeError) => void;
}

export class ShareWriter {
  readonly grant: Grant;
  readonly #options: ShareWriterOptions;
  readonly #pending: Pending[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #hurried = false;
  #sending = false;
  #complete = false;
  #lost = false;
  readonly #idleWaiters: (() => void)[] = [];

  constructor(options: ShareWriterOptions) {
    this.grant = options.grant;
    this.#options = options;
  }

  /** Every byte has arrived and the server says that the share is visible. */
  get complete(): boolean {
    return this.#complete;
  }

  get lost(): boolean {
    return this.#lost;
  }

  /** The next bytes. `release` is called at once if the share is lost already. */
  append(bytes: Uint8Array, release?: () => void): void {
    if (this.#lost) {
      release?.();
      return;
    }
    this.#pending.push({ bytes, release });
    this.#pendingBytes += bytes.length;
    this.#pump();
  }

  /** Somebody waits for the buffers: sends what there is. */
  hurry(): void {
    this.#hurried = true;
    this.#pump();
  }

  /** Resolves when everything appended so far has been sent, or the share is lost. */
  async drain(): Promise<void> {
    this.hurry();
    while (this.#sending) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  #pump(): void {
    if (this.#sending || this.#lost || this.#pendingBytes === 0) return;
    if (!this.#hurried && this.#pendingBytes < GATHER_BYTES) return;
    this.#sending = true;
    // #send settles everything itself
    void this.#send();
  }

  async #send(): Promise<void> {
    while (this.#pendingBytes > 0 && !this.#lost && (this.#hurried || this.#pendingBytes >= GATHER_BYTES)) {
      const taken = this.#take();
      try {
        await this.#write(taken.parts);
      } catch (error) {
        this.#lose(asTahoeError(error, 'immutable.upload'));
      }
      for (const release of taken.releases) release();
    }
    this.#hurried = false;
    this.#sending = false;
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  async #write(parts: readonly Uint8Array[]): Promise<void> {
    const { storageIndex, clock, writeTimeoutMs: timeoutMs, signal } = this.#options;
    const { server, shareNumber, uploadSecret } = this.grant;
    const request = { storageIndex, shareNumber, offset: this.#offset, parts, uploadSecret };
    const bound = { clock, timeoutMs, op: 'immutable.upload', subject: server.nickname, signal };
    const { complete } = await boundedLoan(bound, (bounded) =>
      server.writeShare(request, { signal: bounded, timeoutMs }),
    );
    this.#complete = complete;
    for (const part of parts) this.#offset += part.length;
  }

  /** Up to one write's worth from the front of what is pending. */
  #take(): { readonly parts: Uint8Array[]; readonly releases: (() => void)[] } {
    const parts: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    let room = LARGEST_WRITE_BYTES;
    while (this.#pending.length > 0 && room > 0) {
      const { bytes, release } = this.#pending[0]!;
      if (bytes.length > room) {
        if (parts.length > 0) break;
        parts.push(bytes.subarray(0, room));
        this.#pending[0] = { bytes: bytes.subarray(room), release };
        room = 0;
        break;
      }
      this.#pending.shift();
      parts.push(bytes);
      room -= bytes.length;
      if (release !== undefined) releases.push(release);
    }
    for (const part of parts) this.#pendingBytes -= part.length;
    return { parts, releases };
  }

  #lose(error: TahoeError): void {
    this.#lost = true;
    for (const { release } of this.#pending.splice(0)) release?.();
    this.#pendingBytes = 0;
    this.#options.onLost(this, error);
  }
}
