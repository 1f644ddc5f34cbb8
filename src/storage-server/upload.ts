import { secretsEqual } from '../crypto/constant-time.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Clock, Timer } from '../platform/clock.js';
import type { ByteRange } from '../storage-protocol/storage-server.js';
import type { ImmutableUpload } from './backend.js';
import { RangeSet } from './range-set.js';

export interface UploadOptions {
  readonly secret: Uint8Array;
  readonly sizeBytes: number;
  readonly target: ImmutableUpload;
  readonly clock: Clock;
  readonly idleLimitMs: number;
  /** Called once, when the upload has ended by completion, abort, failure or idleness. */
  readonly onEnd: () => void;
  /** Called when removing an idle upload failed. */
  readonly onExpiryFailure: (error: unknown) => void;
}

/**
 * An immutable share that is being uploaded: who may write, what has arrived, and until when it is waited for.
 * Its operations run one after the other. Storage-http spec 10.3 to 10.5.
 */
export class Upload {
  readonly sizeBytes: number;
  readonly #options: UploadOptions;
  readonly #written = new RangeSet();
  #state: 'open' | 'complete' | 'gone' = 'open';
  #tail: Promise<unknown> = Promise.resolve();
  #timer: Timer;
  #lastUseMs: number;

  constructor(options: UploadOptions) {
    this.sizeBytes = options.sizeBytes;
    this.#options = options;
    this.#lastUseMs = options.clock.monotonicMs();
    this.#timer = options.clock.setTimer(options.idleLimitMs, () => this.#onTimer());
  }

  /** Kind `permission` unless `secret` is the one the share was allocated with. */
  authorize(secret: Uint8Array): void {
    if (secretsEqual(this.#options.secret, secret)) return;
    throw new TahoeError('wrong upload secret', { kind: 'permission', op: 'upload.authorize' });
  }

  /**
   * Stores bytes at `offset`. Kind `not-found` if the upload has ended, `invalid` past its size, `exists` if they
   * differ from bytes already written.
   */
  write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#inTurn(async () => {
      this.#touch();
      if (this.#state !== 'open') throw ended();
      const range = { offset, length: parts.reduce((sum, part) => sum + part.length, 0) };
      if (offset + range.length > this.sizeBytes) {
        throw new TahoeError('bytes past the end of the share', { kind: 'invalid', op: 'upload.write' });
      }
      for (const overlap of this.#written.overlap(range)) await this.#checkSame(overlap, offset, parts);
      await this.#options.target.write(offset, parts);
      this.#written.add(range);
    });
  }

  /** Completes the share if nothing is missing any more. Returns what is missing. Kind `not-found` if it was given up. */
  finish(exclusively: (task: () => Promise<void>) => Promise<void>): Promise<readonly ByteRange[]> {
    return this.#inTurn(async () => {
      this.#touch();
      if (this.#state === 'complete') return [];
      if (this.#state === 'gone') throw ended();
      const missing = this.#written.missing(this.sizeBytes);
      if (missing.length > 0) return missing;
      await exclusively(async () => {
        this.#state = 'gone';
        try {
          await this.#options.target.complete();
          this.#state = 'complete';
        } finally {
          this.#end();
        }
      });
      return [];
    });
  }

  /** Gives the share up. Kind `not-found` if it has ended already. */
  abort(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#state !== 'open') throw ended();
      this.#state = 'gone';
      try {
        await this.#options.target.abort();
      } finally {
        this.#end();
      }
    });
  }

  #end(): void {
    this.#timer.cancel();
    this.#options.onEnd();
  }

  #touch(): void {
    this.#lastUseMs = this.#options.clock.monotonicMs();
  }

  /** One timer for the life of the upload that looks when it was last used: cheaper than a new one for every request. */
  #onTimer(): void {
    const { clock, idleLimitMs, onExpiryFailure } = this.#options;
    const remainingMs = this.#lastUseMs + idleLimitMs - clock.monotonicMs();
    if (remainingMs > 0) {
      this.#timer = clock.setTimer(remainingMs, () => this.#onTimer());
    } else if (this.#state === 'open') {
      this.abort().catch(onExpiryFailure);
    }
  }

  async #checkSame(overlap: ByteRange, offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const known = await this.#options.target.read(overlap.offset, overlap.length);
    if (!holdsAt(parts, overlap.offset - offset, known)) {
      throw new TahoeError('these bytes were written before with other contents', {
        kind: 'exists',
        op: 'upload.write',
      });
    }
  }

  #inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

/** Whether the joined `parts` hold `expected` at `position`. */
function holdsAt(parts: readonly Uint8Array[], position: number, expected: Uint8Array): boolean {
  let partStart = 0;
  for (const part of parts) {
    const start = Math.max(position, partStart);
    const end = Math.min(position + expected.length, partStart + part.length);
    if (start < end) {
      const here = part.subarray(start - partStart, end - partStart);
      if (Buffer.compare(here, expected.subarray(start - position, end - position)) !== 0) return false;
    }
    partStart += part.length;
  }
  return true;
}

function ended(): TahoeError {
  return new TahoeError('no such upload', { kind: 'not-found', op: 'upload' });
}
