/** Bytes of files, from the journal where they were written here, from the grid where they were not. */
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, type LitCap, serializeCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Grid } from '../grid/grid.js';
import type { ImmutableFile, UploadSource } from '../immutable/immutable.js';
import type { Log } from './journal/log.js';
import type { OverlayPiece, OverlaySnapshot, OverlayView } from './overlay.js';
import { WRITE_HEADER_BYTES } from './records.js';

/** Files kept open between handles, so that the header of each is read once. */
const OPEN_FILES_MAX = 256;

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

export class ContentReader {
  readonly #log: Log;
  readonly #grid: Grid;
  readonly #files = new LRUCache<string, ImmutableFile>({ max: OPEN_FILES_MAX, dispose: (file) => file.close() });

  constructor(log: Log, grid: Grid) {
    this.#log = log;
    this.#grid = grid;
  }

  /** The file of a capability, opened once for all who read it. */
  file(cap: ChkReadCap | LitCap): ImmutableFile {
    const key = serializeCap(cap);
    let file = this.#files.get(key);
    if (file === undefined) {
      file = this.#grid.open(cap);
      this.#files.set(key, file);
    }
    return file;
  }

  /** Up to `length` bytes at `offset` of a file that was changed here, over the content of `base`. */
  async read(
    view: OverlayView,
    base: ChkReadCap | LitCap,
    offset: number,
    length: number,
    options: ReadOptions = {},
  ): Promise<Uint8Array> {
    const end = Math.min(offset + length, view.sizeBytes);
    if (end <= offset) return new Uint8Array(0);
    const target = new Uint8Array(end - offset);
    const pieces = view.ranges(offset, end - offset);
    // a truncation meanwhile must not let the journal recycle what is being read
    const held = pieces.flatMap((piece) => (piece.kind === 'log' ? [piece.position] : []));
    for (const position of held) this.#log.hold(position);
    try {
      await this.#fill(target, offset, pieces, base, options);
    } finally {
      for (const position of held) this.#log.drop(position);
    }
    return target;
  }

  /** A snapshot as something to upload. Its bytes stay in the journal until it is closed. */
  source(snapshot: OverlaySnapshot, base: ChkReadCap | LitCap): UploadSource & { close(): void } {
    const own = snapshot.share();
    return {
      sizeBytes: own.sizeBytes,
      read: (offset, target) => this.#fill(target, offset, own.ranges(offset, target.length), base, {}),
      close: () => own.release(),
    };
  }

  async #fill(
    target: Uint8Array,
    offset: number,
    pieces: readonly OverlayPiece[],
    base: ChkReadCap | LitCap,
    options: ReadOptions,
  ): Promise<void> {
    const fillOne = async (piece: OverlayPiece): Promise<void> => {
      const part = target.subarray(piece.offset - offset, piece.offset - offset + piece.length);
      if (piece.kind === 'zero') {
        part.fill(0);
      } else if (piece.kind === 'log') {
        const record = await this.#log.read(piece.position);
        const start = WRITE_HEADER_BYTES + piece.skip;
        part.set(record.subarray(start, start + piece.length));
      } else {
        const bytes = await this.file(base).read(piece.offset, piece.length, options);
        if (bytes.length !== piece.length) {
          throw new TahoeError('the file on the grid is shorter than its capability says', {
            kind: 'corrupt',
            op: 'vfs.read',
          });
        }
        part.set(bytes);
      }
    };
    // one after the other: a read of the log is short, and a file changed here rarely has many pieces of its base left
    for (const piece of pieces) await fillOne(piece);
  }
}
