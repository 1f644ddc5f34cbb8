import { asTahoeError, isTahoeError, TahoeError } from '../../errors/tahoe-error.js';
import type { Entropy } from '../../platform/entropy.js';
import type { FileStore, OpenedFile } from '../../platform/file-store.js';
import type { Logger } from '../../platform/logger.js';
import { HEADER_BYTES, type JournalKeys, packHeader, SegmentCipher } from './segment.js';

const ZEROS = new Uint8Array(1024 * 1024);

/** Files of recycled segments that are kept for later, beyond those that are ready. */
const SPARES_KEPT = 4;

const SEGMENT_NAME = /^(\d{9})\.log$/;

export function segmentPath(directory: string, number: number): string {
  return `${directory}/${String(number).padStart(9, '0')}.log`;
}

/** The number in a segment's file name; undefined for any other name. */
export function segmentNumberOf(name: string): number | undefined {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** An empty segment, durable under its name, with really written blocks behind it. */
export interface ReadySegment {
  readonly number: number;
  readonly file: OpenedFile;
  readonly cipher: SegmentCipher;
}

export interface SegmentPoolOptions {
  readonly files: FileStore;
  readonly directory: string;
  readonly keys: JournalKeys;
  readonly entropy: Entropy;
  readonly log: Logger;
  readonly segmentBytes: number;
  readonly firstNumber: number;
  /** Whether the limit leaves room for another segment beside `ready` prepared ones. */
  readonly mayPrepare: (ready: number) => boolean;
}

/**
 * Prepares segments in the background, from recycled files first: switching to the next one is synchronous, and a disk
 * that is full shows itself here, before any record is accepted for it.
 */
export class SegmentPool {
  readonly #options: SegmentPoolOptions;
  readonly #ready: ReadySegment[] = [];
  readonly #spares: string[] = [];
  #nextNumber: number;
  #wanted = 2;
  #refilling: Promise<void> | undefined;
  #stopped = false;
  #problem: TahoeError | undefined;

  constructor(options: SegmentPoolOptions) {
    this.#options = options;
    this.#nextNumber = options.firstNumber;
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  get fileCount(): number {
    return this.#ready.length + this.#spares.length;
  }

  /** Why the last preparation failed; undefined once one has succeeded. */
  get problem(): TahoeError | undefined {
    return this.#problem;
  }

  /** The next segment in the order of numbers. */
  take(): ReadySegment | undefined {
    const next = this.#ready.shift();
    this.refill();
    return next;
  }

  /** Takes the file of a segment that holds nothing any more, or removes it if there are enough of them. */
  async recycle(path: string): Promise<void> {
    if (this.#spares.length < SPARES_KEPT) this.#spares.push(path);
    else await this.#options.files.remove(path);
    this.refill();
  }

  refill(): void {
    if (this.#refilling !== undefined || this.#stopped || !this.#isWanting()) return;
    this.#refilling = this.#fill();
  }

  /** Resolves when `count` segments are ready, or when there is no prospect of it (see `problem`). */
  async waitFor(count: number): Promise<void> {
    this.#wanted = Math.max(2, count);
    this.refill();
    while (this.#ready.length < count && this.#refilling !== undefined) await this.#refilling;
    this.#wanted = 2;
  }

  get isPreparing(): boolean {
    return this.#refilling !== undefined;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await this.#refilling;
    await Promise.all(this.#ready.splice(0).map((segment) => segment.file.close()));
  }

  #isWanting(): boolean {
    return this.#ready.length < this.#wanted && this.#options.mayPrepare(this.#ready.length);
  }

  async #fill(): Promise<void> {
    try {
      while (!this.#stopped && this.#isWanting()) {
        this.#ready.push(await this.#prepare());
        this.#problem = undefined;
      }
    } catch (error) {
      this.#problem = asTahoeError(error, 'journal.prepare');
      this.#options.log.warn('no further journal segment', { kind: this.#problem.kind, reason: this.#problem.message });
    } finally {
      this.#refilling = undefined;
    }
  }

  async #prepare(): Promise<ReadySegment> {
    const { files, directory, keys, entropy, segmentBytes } = this.#options;
    const number = this.#nextNumber++;
    const path = segmentPath(directory, number);
    const file = await this.#blankFile(path);
    try {
      const header = { number, salt: entropy.bytes(32) };
      const bytes = packHeader(header, keys);
      await file.write(0, [bytes]);
      await file.write(segmentBytes - HEADER_BYTES, [bytes]);
      await file.sync();
      await files.syncDirectory(directory);
      return { number, file, cipher: new SegmentCipher(header, keys) };
    } catch (error) {
      await file.close();
      this.#spares.push(path);
      throw error;
    }
  }

  async #blankFile(path: string): Promise<OpenedFile> {
    const { files, directory, segmentBytes } = this.#options;
    const spare = this.#spares.shift();
    if (spare !== undefined) {
      await files.rename(spare, path);
      return files.open(path, 'update');
    }
    const { freeBytes } = await files.space(directory);
    if (freeBytes < segmentBytes) {
      throw new TahoeError('the disk has no room for another journal segment', {
        kind: 'no-space',
        op: 'journal.prepare',
        subject: directory,
      });
    }
    const file = await files.open(path, 'create-new');
    try {
      for (let offset = 0; offset < segmentBytes; offset += ZEROS.length) {
        await file.write(offset, [ZEROS.subarray(0, Math.min(ZEROS.length, segmentBytes - offset))]);
      }
      return file;
    } catch (error) {
      await file.close();
      await files.remove(path);
      throw error;
    }
  }
}

/** True for errors that pass when something is deleted. */
export function isFull(error: TahoeError | undefined): boolean {
  return isTahoeError(error, 'no-space');
}
