/** Bytes of files, from the journal where they were written here, from the grid where they were not. */
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, type LitCap, serializeCap } from '../caps/cap.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { Grid } from '../grid/grid.js';
import type { ImmutableFile, UploadSource } from '../immutable/immutable.js';
import { versionKey } from '../mutable/lineage.js';
import { type OpenSlot, openSlot } from '../mutable/read-slot.js';
import type { SlotContext } from '../mutable/slot-context.js';
import { slotKeysOf } from '../mutable/slot-keys.js';
import type { Quorums } from '../mutable/slot-map.js';
import type { FileContent, MutableVersion } from './inode.js';
import type { Log } from './journal/log.js';
import type { OverlayPiece, OverlaySnapshot, OverlayView } from './overlay.js';
import { WRITE_HEADER_BYTES } from './records.js';

/** Files kept open between handles, so that the header of each is read once. */
const OPEN_FILES_MAX = 256;

export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** A content of the grid, with what is known of it here. */
export type BaseView = Pick<FileContent, 'base' | 'whole'> & { readonly kept?: OverlayView | undefined };

export class ContentReader {
  readonly #log: Log;
  readonly #grid: Grid;
  readonly #slots: SlotContext;
  readonly #quorums: Quorums;
  /** Versions of mutable files that were read last. */
  readonly #versions = new LRUCache<string, OpenSlot>({ max: OPEN_FILES_MAX });
  readonly #files = new LRUCache<string, ImmutableFile>({ max: OPEN_FILES_MAX, dispose: (file) => file.close() });

  constructor(log: Log, grid: Grid, slots: SlotContext, quorums: Quorums) {
    this.#log = log;
    this.#grid = grid;
    this.#slots = slots;
    this.#quorums = quorums;
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

  /** The version of a mutable file that stands now. */
  async newestVersion(cap: MutableVersion['cap']): Promise<MutableVersion> {
    const opened = await openSlot(this.#slots, slotKeysOf(cap), this.#quorums);
    const { key: version, prefix } = opened.version;
    this.#versions.set(versionName(cap, version), opened);
    return { type: 'mutable', cap, version, sizeBytes: prefix.dataLength, attempts: [] };
  }

  /** Up to `length` bytes at `offset`; of a mutable file kind `stale` if that version was replaced. */
  async readBase(view: BaseView, offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const { base, whole, kept } = view;
    if (base.type !== 'mutable') return this.file(base).read(offset, length, options);
    if (whole !== undefined) return whole.slice(offset, offset + length);
    if (kept !== undefined) return this.read(kept, { base, whole }, offset, length, options);
    return this.#readVersion(base, offset, Math.max(0, Math.min(length, base.sizeBytes - offset)));
  }

  async #readVersion(base: MutableVersion, offset: number, length: number): Promise<Uint8Array> {
    if (length === 0) return new Uint8Array(0);
    const name = versionName(base.cap, base.version);
    const known = this.#versions.get(name);
    try {
      if (known !== undefined) return await known.read({ offset, length });
    } catch (error) {
      if (!isTahoeError(error, 'stale', 'unrecoverable')) throw error;
      this.#versions.delete(name);
    }
    const opened = await openSlot(this.#slots, slotKeysOf(base.cap), this.#quorums);
    const { key } = opened.version;
    const isSame = key === base.version || base.attempts.some(({ version }) => versionKey(version) === key);
    if (!isSame) throw new TahoeError('another writer has replaced this version', { kind: 'stale', op: 'vfs.read' });
    this.#versions.set(name, opened);
    return opened.read({ offset, length });
  }

  /** Up to `length` bytes at `offset` of a file that was changed here, over a content of the grid. */
  async read(
    view: OverlayView,
    base: BaseView,
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
  source(snapshot: OverlaySnapshot, { base, whole, kept }: FileContent): UploadSource & { close(): void } {
    const own = snapshot.share();
    const ownKept = kept?.snapshot();
    const view: BaseView = { base, whole, kept: ownKept };
    return {
      sizeBytes: own.sizeBytes,
      read: (offset, target) => this.#fill(target, offset, own.ranges(offset, target.length), view, {}),
      close: () => {
        own.release();
        ownKept?.release();
      },
    };
  }

  async #fill(
    target: Uint8Array,
    offset: number,
    pieces: readonly OverlayPiece[],
    base: BaseView,
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
        const bytes = await this.readBase(base, piece.offset, piece.length, options);
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

function versionName(cap: MutableVersion['cap'], version: string): string {
  return `${serializeCap(cap)} ${version}`;
}
