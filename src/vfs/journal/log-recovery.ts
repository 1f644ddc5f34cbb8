/** Reads the segments that an earlier process left: what is the log, where does it end, is anything damaged. */
import { readU64 } from '../../encoding/bytes.js';
import { TahoeError } from '../../errors/tahoe-error.js';
import type { FileStore, OpenedFile } from '../../platform/file-store.js';
import { type Checkpoint, readCheckpoint } from './checkpoint-file.js';
import type { LogPosition, LogRecord } from './log.js';
import {
  HEADER_BYTES,
  type JournalKeys,
  MAX_RECORD_BYTES,
  offsetOf,
  type ParsedHeader,
  parseHeader,
  positionOf,
  SegmentCipher,
  type SegmentRecord,
  salvageSegment,
  scanSegment,
  segmentOf,
} from './segment.js';
import { segmentNumberOf, segmentPath } from './segment-pool.js';

/** Bytes of a segment that are looked at together. */
const PIECE_BYTES = 1024 * 1024;

export interface SegmentFile {
  readonly number: number;
  readonly path: string;
  readonly sizeBytes: number;
  /** Undefined if nothing can be read of it: an unfinished or recycled file, or a damaged one. */
  readonly cipher: SegmentCipher | undefined;
  /** Neither header is good, nor blank, nor that of the segment that was in this file before. */
  readonly isDamaged: boolean;
}

export interface Recovery {
  /** The verified log ends here; 0 if there is none. */
  readonly end: LogPosition;
  /** The checkpoint at which replay begins, if there is one. */
  readonly checkpoint: Checkpoint | undefined;
  /** Segments that the owner may still refer to, ascending: those of the log and older ones. */
  readonly kept: readonly SegmentFile[];
  /** Files in which nothing is left. */
  readonly free: readonly SegmentFile[];
  readonly highestNumber: number;
  /** Records that verify but come after the cut: never promised, not replayed. */
  readonly cutRecords: number;
  readonly cutBytes: number;
  replay(): AsyncGenerator<LogRecord>;
}

interface Stretch {
  readonly segment: SegmentFile;
  readonly cipher: SegmentCipher;
  readonly to: number;
}

interface Range {
  readonly begin: LogPosition;
  readonly end: LogPosition;
}

/**
 * Changes nothing on disk. Kinds: `permission` if nothing can be read with this key, `corrupt` if promised records are
 * damaged or missing (the subject says where, and what can still be read).
 */
export async function recoverLog(files: FileStore, directory: string, keys: JournalKeys): Promise<Recovery> {
  const pointer = await readCheckpoint(files, directory, keys);
  const segments = await listSegments(files, directory, keys, pointer === 'sealed');
  if (pointer === 'sealed') throw corrupt('the checkpoint file is damaged', directory);
  return new Recoverer(files, directory, pointer === 'none' ? undefined : pointer, segments).run();
}

/** Every record that authenticates, in the order of positions, from a journal that is set aside as damaged. */
export async function* salvageLog(files: FileStore, directory: string, keys: JournalKeys): AsyncGenerator<LogRecord> {
  for (const segment of await listSegments(files, directory, keys, false)) {
    if (segment.cipher === undefined) continue;
    for (const record of salvageSegment(await files.readFile(segment.path), segment.cipher)) {
      if (record.type === 'entry') yield entryOf(segment.number, record);
    }
  }
}

/** All segment files, ascending. Kind `permission` if there are some and none opens with this key. */
export async function listSegments(
  files: FileStore,
  directory: string,
  keys: JournalKeys,
  isPointerSealed: boolean,
): Promise<SegmentFile[]> {
  const segments: SegmentFile[] = [];
  let sealed = isPointerSealed ? 1 : 0;
  let opened = 0;
  for (const name of (await files.list(directory)).sort()) {
    const number = segmentNumberOf(name);
    if (number === undefined) continue;
    const path = segmentPath(directory, number);
    const { headers, sizeBytes } = await readHeaders(files, path, keys);
    const own = headers.find((header) => typeof header === 'object' && header.number === number);
    const isReadable = headers.some((header) => typeof header === 'object');
    const isDamaged = !isReadable && headers.some((header) => header !== 'blank');
    if (isReadable) opened += 1;
    if (isDamaged) sealed += 1;
    const cipher = typeof own === 'object' ? new SegmentCipher(own, keys) : undefined;
    segments.push({ number, path, sizeBytes, cipher, isDamaged });
  }
  if (sealed > 0 && opened === 0) {
    throw new TahoeError('the journal does not open with this key', {
      kind: 'permission',
      op: 'journal.open',
      subject: directory,
    });
  }
  return segments;
}

async function readHeaders(
  files: FileStore,
  path: string,
  keys: JournalKeys,
): Promise<{ headers: ParsedHeader[]; sizeBytes: number }> {
  const file = await files.open(path, 'read');
  try {
    const sizeBytes = await file.sizeBytes();
    // A file shorter than two headers was never finished.
    if (sizeBytes < 2 * HEADER_BYTES) return { headers: ['blank'], sizeBytes };
    const first = await file.read(0, HEADER_BYTES);
    const last = await file.read(sizeBytes - HEADER_BYTES, HEADER_BYTES);
    const headers = [parseHeader(first, keys), parseHeader(last, keys)];
    const isCut = typeof headers[0] === 'string' && headers[0] !== 'blank' && headers[1] === 'blank';
    // Cut off in the write of its first header, before anything else: it was never finished either.
    if (isCut && (await isBlankBehind(file, sizeBytes))) return { headers: ['blank'], sizeBytes };
    return { headers, sizeBytes };
  } finally {
    await file.close();
  }
}

/** True if nothing but zeros follows the first header. */
async function isBlankBehind(file: OpenedFile, sizeBytes: number): Promise<boolean> {
  for (let offset = HEADER_BYTES; offset < sizeBytes; offset += PIECE_BYTES) {
    const piece = await file.read(offset, PIECE_BYTES);
    if (piece.some((byte) => byte !== 0)) return false;
  }
  return true;
}

class Recoverer {
  readonly #files: FileStore;
  readonly #directory: string;
  readonly #pointer: Checkpoint | undefined;
  readonly #segments: readonly SegmentFile[];
  readonly #chain: Stretch[] = [];
  /** Checkpoints without an end: not replayed. */
  readonly #void: Range[] = [];
  #checkpoint: Checkpoint | undefined;
  #openCheckpoint: LogPosition | undefined;
  #end: LogPosition = 0;
  #promised: LogPosition = 0;
  #cutRecords = 0;
  #cutBytes = 0;

  constructor(files: FileStore, directory: string, pointer: Checkpoint | undefined, segments: readonly SegmentFile[]) {
    this.#files = files;
    this.#directory = directory;
    this.#pointer = pointer;
    this.#segments = segments;
  }

  async run(): Promise<Recovery> {
    const links = await this.#readLinks();
    let next = this.#firstSegment(links);
    while (next !== undefined) next = await this.#follow(next, links);
    this.#voidOpenCheckpoint();
    await this.#searchBehindEnd();
    this.#checkPromises();
    const first = this.#chain[0]?.segment.number ?? 0;
    const inChain = new Set(this.#chain.map((stretch) => stretch.segment.number));
    const isKept = (segment: SegmentFile) =>
      segment.cipher !== undefined && (segment.number < first || inChain.has(segment.number));
    return {
      end: this.#end,
      checkpoint: this.#checkpoint,
      kept: this.#segments.filter(isKept),
      free: this.#segments.filter((segment) => !isKept(segment) && !segment.isDamaged),
      highestNumber: this.#segments.at(-1)?.number ?? 0,
      cutRecords: this.#cutRecords,
      cutBytes: this.#cutBytes,
      replay: () => this.#replay(),
    };
  }

  /** For each segment from the pointer on, where it says that the log before it ended. */
  async #readLinks(): Promise<Map<SegmentFile, LogPosition>> {
    const links = new Map<SegmentFile, LogPosition>();
    const from = this.#pointer === undefined ? 0 : segmentOf(this.#pointer.begin);
    for (const segment of this.#segments) {
      if (segment.number < from || segment.cipher === undefined) continue;
      const file = await this.#files.open(segment.path, 'read');
      try {
        const bytes = await file.read(HEADER_BYTES, MAX_RECORD_BYTES);
        const record = segment.cipher.open(HEADER_BYTES, bytes, 0);
        if (record?.type === 'link' || record?.type === 'open') links.set(segment, readU64(record.payload, 0));
      } finally {
        await file.close();
      }
    }
    return links;
  }

  #firstSegment(links: ReadonlyMap<SegmentFile, LogPosition>): SegmentFile | undefined {
    if (this.#pointer === undefined) return this.#segments.findLast((segment) => links.get(segment) === 0);
    const number = segmentOf(this.#pointer.begin);
    const first = this.#segments.find((segment) => segment.number === number);
    if (first === undefined || !links.has(first)) {
      throw corrupt(`segment ${number} of the last checkpoint cannot be read`, this.#directory);
    }
    return first;
  }

  /** Verifies one segment of the log and returns the next one. */
  async #follow(segment: SegmentFile, links: ReadonlyMap<SegmentFile, LogPosition>): Promise<SegmentFile | undefined> {
    const cipher = segment.cipher;
    if (cipher === undefined) return undefined;
    // Of two that follow the same segment the later one was begun by a process that had found the other one void.
    const successor = this.#segments.findLast((other) => {
      const link = links.get(other);
      return link !== undefined && link !== 0 && other.number > segment.number && segmentOf(link) === segment.number;
    });
    const link = successor === undefined ? undefined : links.get(successor);
    const bytes = await this.#files.readFile(segment.path);
    const to = link === undefined ? bytes.length - HEADER_BYTES : offsetOf(link);
    let end = HEADER_BYTES;
    for (const record of scanSegment(bytes, cipher, HEADER_BYTES, to)) {
      this.#note(positionOf(segment.number, record.offset), positionOf(segment.number, record.end), record);
      end = record.end;
    }
    this.#chain.push({ segment, cipher, to: end });
    this.#end = positionOf(segment.number, end);
    return this.#end === link ? successor : undefined;
  }

  #note(position: LogPosition, end: LogPosition, record: SegmentRecord): void {
    this.#promised = Math.max(this.#promised, record.syncedTo);
    if (record.type === 'open' || record.type === 'checkpoint-abort') this.#voidOpenCheckpoint(position);
    else if (record.type === 'checkpoint-begin') this.#openCheckpoint = position;
    else if (record.type === 'checkpoint-end' && this.#openCheckpoint !== undefined) {
      this.#checkpoint = { begin: this.#openCheckpoint, end };
      this.#openCheckpoint = undefined;
    }
  }

  #voidOpenCheckpoint(end: LogPosition = this.#end): void {
    if (this.#openCheckpoint !== undefined) this.#void.push({ begin: this.#openCheckpoint, end });
    this.#openCheckpoint = undefined;
  }

  /** Looks for records that verify although the log ends before them, and for what they say was durable. */
  async #searchBehindEnd(): Promise<void> {
    const first = this.#chain[0]?.segment.number ?? 0;
    const last = this.#chain.at(-1);
    const verified = new Set(this.#chain.slice(0, -1).map((stretch) => stretch.segment.number));
    for (const segment of this.#segments) {
      if (segment.cipher === undefined || segment.number < first || verified.has(segment.number)) continue;
      const from = segment.number === last?.segment.number ? last.to : HEADER_BYTES;
      for (const record of salvageSegment(await this.#files.readFile(segment.path), segment.cipher, from)) {
        this.#promised = Math.max(this.#promised, record.syncedTo);
        this.#cutRecords += 1;
        this.#cutBytes += record.end - record.offset;
      }
    }
  }

  #checkPromises(): void {
    if (this.#pointer !== undefined && (this.#checkpoint === undefined || this.#end < this.#pointer.end)) {
      throw corrupt(`the log ends at ${place(this.#end)}, inside its checkpoint`, this.#directory);
    }
    if (this.#promised > this.#end) {
      throw corrupt(
        `the log cannot be read from ${place(this.#end)} on, but was durable up to ${place(this.#promised)}; ` +
          `${this.#cutRecords} records behind it can be read`,
        this.#directory,
      );
    }
    const first = this.#chain[0]?.segment.number ?? 0;
    const damaged = this.#segments.find((segment) => segment.isDamaged && segment.number > first);
    if (damaged !== undefined) {
      throw corrupt(`both headers of segment ${damaged.number} are unreadable`, this.#directory);
    }
  }

  async *#replay(): AsyncGenerator<LogRecord> {
    const from = this.#checkpoint?.begin ?? 0;
    for (const { segment, cipher, to } of this.#chain) {
      if (segment.number < segmentOf(from)) continue;
      const bytes = await this.#files.readFile(segment.path);
      for (const record of scanSegment(bytes, cipher, HEADER_BYTES, to)) {
        const position = positionOf(segment.number, record.offset);
        const isVoid = this.#void.some((range) => position >= range.begin && position < range.end);
        if (record.type === 'entry' && position >= from && !isVoid) yield entryOf(segment.number, record);
      }
    }
  }
}

function entryOf(segment: number, record: SegmentRecord): LogRecord {
  return { position: positionOf(segment, record.offset), kind: record.kind, payload: record.payload };
}

function place(position: LogPosition): string {
  return `segment ${segmentOf(position)} byte ${offsetOf(position)}`;
}

function corrupt(message: string, subject: string): TahoeError {
  return new TahoeError(`the journal is damaged: ${message}`, { kind: 'corrupt', op: 'journal.open', subject });
}
