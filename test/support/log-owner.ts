import { readU32, readU64, writeU32, writeU64 } from '../../src/encoding/bytes.js';
import { assert, isTahoeError } from '../../src/errors/tahoe-error.js';
import type { FileStore } from '../../src/platform/file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { Log, LogPosition } from '../../src/vfs/journal/log.js';
import { type LogOptions, type OpenedLog, openLog } from '../../src/vfs/journal/log-engine.js';

export const TEST_SEGMENT_BYTES = 128 * 1024;

/** A reproducible stream of fractions. */
export function seededFraction(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function testLogOptions(files: FileStore, seed: number, changes: Partial<LogOptions> = {}): LogOptions {
  const fraction = seededFraction(seed);
  return {
    files,
    directory: '/journal',
    masterKey: new Uint8Array(32).fill(7),
    entropy: { bytes: (length) => Uint8Array.from({ length }, () => Math.floor(fraction() * 256)), fraction },
    log: silentLogger,
    limitBytes: 12 * TEST_SEGMENT_BYTES,
    reserveBytes: 3 * TEST_SEGMENT_BYTES,
    segmentBytes: TEST_SEGMENT_BYTES,
    ...changes,
  };
}

const ADD = 1;
const REMOVE = 2;
const REFERENCE = 3;

/**
 * An owner as the VFS is one, reduced to a set of numbered blobs: adding one appends its bytes and holds them, removing
 * one appends that and drops them, a checkpoint lists where the blobs are. Remembers each state that it went through.
 */
export class LogOwner {
  readonly log: Log;
  readonly #blobs = new Map<number, LogPosition>();
  #nextId: number;
  /** States in the order in which they were reached; the last is the current one. */
  readonly history: string[] = [];
  /** The state with this index, or a later one, must come back after any crash. */
  promised = 0;
  /** The state that an append leads to which was begun and not answered: it may come back as well. */
  attempted: string | undefined;

  private constructor(log: Log, nextId: number) {
    this.log = log;
    this.#nextId = nextId;
  }

  static async open(options: LogOptions, nextId: number): Promise<LogOwner> {
    const opened = await openLog(options);
    const owner = new LogOwner(opened.log, nextId);
    await owner.#replay(opened);
    await opened.log.finishReplay();
    owner.#remember();
    return owner;
  }

  get state(): string {
    return this.history.at(-1) ?? '';
  }

  get ids(): number[] {
    return [...this.#blobs.keys()];
  }

  get nextId(): number {
    return this.#nextId;
  }

  /** False if the journal was full. */
  async add(): Promise<boolean> {
    await this.log.whenReady();
    const id = this.#nextId;
    this.attempted = signature([...this.#blobs.keys(), id]);
    try {
      const position = this.log.append(ADD, [numbered(id), blob(id)], 'data');
      this.log.hold(position);
      this.#blobs.set(id, position);
    } catch (error) {
      if (!isTahoeError(error, 'no-space', 'busy')) throw error;
      this.attempted = undefined;
      return false;
    }
    this.#nextId += 1;
    this.#remember();
    return true;
  }

  remove(id: number): void {
    const position = this.#blobs.get(id);
    assert(position !== undefined, 'a blob that is there');
    this.attempted = signature(this.ids.filter((other) => other !== id));
    this.log.append(REMOVE, [numbered(id)], 'drain');
    this.#blobs.delete(id);
    this.log.drop(position);
    this.#remember();
  }

  async sync(): Promise<void> {
    const index = this.history.length - 1;
    await this.log.sync();
    this.promised = Math.max(this.promised, index);
  }

  async checkpoint(): Promise<void> {
    let index = 0;
    await this.log.checkpoint(() => {
      index = this.history.length - 1;
      for (const [id, position] of this.#blobs) {
        const payload = new Uint8Array(12);
        writeU32(payload, 0, id);
        writeU64(payload, 4, position);
        this.log.append(REFERENCE, [payload], 'drain');
      }
    });
    this.promised = Math.max(this.promised, index);
  }

  /** Reads every blob back; throws if one is missing or wrong. */
  async verify(): Promise<void> {
    for (const [id, position] of this.#blobs) {
      const payload = await this.log.read(position);
      const expected = Buffer.concat([numbered(id), blob(id)]);
      assert(Buffer.compare(payload, expected) === 0, `blob ${id} is wrong`);
    }
  }

  async #replay(opened: OpenedLog): Promise<void> {
    for await (const record of opened.replay) {
      const id = readU32(record.payload, 0);
      this.#nextId = Math.max(this.#nextId, id + 1);
      const position = record.kind === REFERENCE ? readU64(record.payload, 4) : record.position;
      if (record.kind === REMOVE) {
        const known = this.#blobs.get(id);
        assert(known !== undefined, `removed blob ${id} was never added`);
        this.#blobs.delete(id);
        this.log.drop(known);
      } else {
        this.log.hold(position);
        this.#blobs.set(id, position);
      }
    }
  }

  #remember(): void {
    this.history.push(signature(this.#blobs.keys()));
    this.attempted = undefined;
  }
}

function signature(ids: Iterable<number>): string {
  return [...ids].sort((a, b) => a - b).join(',');
}

function numbered(id: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, id);
  return bytes;
}

function blob(id: number): Uint8Array {
  return Uint8Array.from({ length: (id * 7919) % 12000 }, (_, index) => (id * 31 + index) & 255);
}
