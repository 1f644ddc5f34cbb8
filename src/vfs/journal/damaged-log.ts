/**
 * What a damaged log still holds. Replay of a sound log stops at the first record that does not authenticate; here
 * everything behind it is read as well, and each stretch that cannot be read is known by its position, so that nothing
 * that depends on it is taken for whole.
 */
import { readU64 } from '../../encoding/bytes.js';
import type { FileStore } from '../../platform/file-store.js';
import type { LogPosition, LogRecord } from './log.js';
import { listSegments, type SegmentFile } from './log-recovery.js';
import {
  HEADER_BYTES,
  type JournalKeys,
  offsetOf,
  positionOf,
  type RecordType,
  salvageSegment,
  segmentOf,
} from './segment.js';

/** Records that were there between these positions cannot be read. */
export interface Gap {
  readonly from: LogPosition;
  readonly to: LogPosition;
}

export interface DamagedLog {
  /** From the last whole checkpoint on, or everything if there is none. */
  records(): AsyncGenerator<LogRecord>;
  /** The payload of a record, also of one before that checkpoint; undefined if it cannot be read. */
  read(position: LogPosition): Promise<Uint8Array | undefined>;
  /** Where `records` begins. */
  readonly begin: LogPosition;
  /** Ascending; also those before that, in which bytes may be that later records refer to. */
  readonly gaps: readonly Gap[];
}

interface FoundRecord {
  readonly position: LogPosition;
  readonly end: LogPosition;
  readonly type: RecordType;
  /** Of `open` and `link`: where the log before ends. */
  readonly link: LogPosition | undefined;
}

/** Changes nothing on disk. Kind `permission` if nothing opens with this key. */
export async function readDamagedLog(files: FileStore, directory: string, keys: JournalKeys): Promise<DamagedLog> {
  const segments = await listSegments(files, directory, keys, false);
  const found: FoundRecord[] = [];
  let promised: LogPosition = 0;
  for (const segment of segments) {
    for await (const { record, position, end } of recordsOf(files, segment)) {
      const isFirst = record.type === 'open' || record.type === 'link';
      promised = Math.max(promised, record.syncedTo);
      found.push({ position, end, type: record.type, link: isFirst ? readU64(record.payload, 0) : undefined });
    }
  }
  const gaps = findGaps(segments, found, promised);
  const { begin, voids } = findStart(found, gaps);
  let last: { readonly path: string; readonly bytes: Uint8Array } | undefined;
  const bySegment = new Map(segments.map((segment) => [segment.number, segment]));
  return {
    begin,
    gaps,
    async *records() {
      for (const segment of segments) {
        if (segment.number < segmentOf(begin)) continue;
        for await (const { record, position } of recordsOf(files, segment)) {
          const isVoid = voids.some(({ from, to }) => position >= from && position < to);
          if (record.type !== 'entry' || position < begin || isVoid) continue;
          yield { position, kind: record.kind, payload: record.payload };
        }
      }
    },
    async read(position) {
      const segment = bySegment.get(segmentOf(position));
      if (segment?.cipher === undefined) return undefined;
      if (last?.path !== segment.path) last = { path: segment.path, bytes: await files.readFile(segment.path) };
      const { bytes } = last;
      const offset = offsetOf(position);
      return segment.cipher.open(offset, bytes.subarray(0, bytes.length - HEADER_BYTES), offset)?.payload;
    },
  };
}

async function* recordsOf(files: FileStore, { number, path, cipher }: SegmentFile) {
  if (cipher === undefined) return;
  for (const record of salvageSegment(await files.readFile(path), cipher)) {
    yield { record, position: positionOf(number, record.offset), end: positionOf(number, record.end) };
  }
}

/** Where records were promised or are linked to, and none can be read. */
function findGaps(segments: readonly SegmentFile[], found: readonly FoundRecord[], promised: LogPosition): Gap[] {
  const gaps: Gap[] = [];
  const note = (from: LogPosition, to: LogPosition) => {
    if (to > from) gaps.push({ from, to });
  };
  const endOf = new Map<number, LogPosition>();
  for (const { position, end } of found) {
    const number = segmentOf(position);
    note(endOf.get(number) ?? positionOf(number, HEADER_BYTES), position);
    endOf.set(number, end);
  }
  const oldest = segments[0]?.number ?? 0;
  // each segment says where the one before it ended; segments that were recycled are older than all that is left
  for (const link of [...found.map((record) => record.link), promised]) {
    if (link === undefined || link === 0 || segmentOf(link) < oldest) continue;
    note(endOf.get(segmentOf(link)) ?? positionOf(segmentOf(link), HEADER_BYTES), link);
  }
  for (const { number, isDamaged, sizeBytes } of segments)
    if (isDamaged) note(positionOf(number, HEADER_BYTES), positionOf(number, sizeBytes - HEADER_BYTES));
  return joined(gaps);
}

function joined(gaps: readonly Gap[]): Gap[] {
  const result: Gap[] = [];
  for (const gap of [...gaps].sort((a, b) => a.from - b.from)) {
    const last = result.at(-1);
    if (last !== undefined && gap.from <= last.to)
      result[result.length - 1] = { from: last.from, to: Math.max(last.to, gap.to) };
    else result.push(gap);
  }
  return result;
}

/**
 * The last checkpoint that is whole, and those that count for nothing: without an end, or damaged while everything that
 * they repeat is still there.
 */
function findStart(found: readonly FoundRecord[], gaps: readonly Gap[]): { begin: LogPosition; voids: Gap[] } {
  let begin: LogPosition = 0;
  // without it the first records of the log have been recycled
  let hasBeginning = found.some(({ link }) => link === 0);
  let open: LogPosition | undefined;
  const voids: Gap[] = [];
  const hasGap = (from: LogPosition, to: LogPosition) => gaps.some((gap) => gap.from < to && gap.to > from);
  for (const { type, position, end } of found) {
    if (type === 'checkpoint-begin') open = position;
    else if (type === 'checkpoint-end' && open !== undefined) {
      if (!hasGap(open, end)) {
        begin = open;
        hasBeginning = true;
      } else if (hasBeginning && !hasGap(begin, open)) voids.push({ from: open, to: end });
      open = undefined;
    } else if ((type === 'open' || type === 'checkpoint-abort') && open !== undefined) {
      voids.push({ from: open, to: position });
      open = undefined;
    }
  }
  // its end is in a gap, or it was being written
  if (open !== undefined && hasBeginning && !hasGap(begin, open)) {
    voids.push({ from: open, to: gaps.at(-1)?.to ?? Number.POSITIVE_INFINITY });
  }
  return { begin, voids };
}
