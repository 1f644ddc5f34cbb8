/** What a node finds on its own disk after a crash. */
import { bytesEqual, encodeUtf8, fromHex } from '../../../src/encoding/bytes.js';
import { openLog } from '../../../src/vfs/journal/log-engine.js';
import { recoverLog, salvageLog } from '../../../src/vfs/journal/log-recovery.js';
import {
  HEADER_BYTES,
  JournalKeys,
  packHeader,
  parseHeader,
  SegmentCipher,
  salvageSegment,
  scanSegment,
} from '../../../src/vfs/journal/segment.js';
import { Overlay } from '../../../src/vfs/overlay.js';
import { parseOverlay, serializeOverlay } from '../../../src/vfs/overlay-codec.js';
import { decodeEntry, parseVersion } from '../../../src/vfs/record-forms.js';
import * as records from '../../../src/vfs/records.js';
import { CrashFileStore } from '../../support/crash-file-store.js';
import { testLogOptions } from '../../support/log-owner.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { unlessRefused } from '../target-support.js';

const keys = new JournalKeys(new Uint8Array(32).fill(7));
const header = { number: 5, salt: new Uint8Array(32).fill(1) };

/** Two headers and a few records between them. */
function segment(): Uint8Array {
  const cipher = new SegmentCipher(header, keys);
  const bytes = new Uint8Array(2048);
  const packed = packHeader(header, keys);
  bytes.set(packed, 0);
  bytes.set(packed, bytes.length - packed.length);
  let offset = packed.length;
  for (const [type, length] of [
    ['link', 8],
    ['entry', 100],
    ['entry', 0],
    ['entry', 700],
    ['close', 0],
  ] as const) {
    for (const part of cipher.seal(offset, { type, kind: 1, syncedTo: 64 }, [new Uint8Array(length).fill(length)])) {
      bytes.set(part, offset);
      offset += part.length;
    }
  }
  return bytes;
}

function parseSegment(input: Uint8Array): void {
  const parsed = parseHeader(input.subarray(0, 64), keys);
  const cipher = new SegmentCipher(typeof parsed === 'object' ? parsed : header, keys);
  const scanned = [...scanSegment(input, cipher)];
  const salvaged = [...salvageSegment(input, cipher)];
  if (salvaged.length < scanned.length) throw new Error('less was salvaged than read');
}

const JOURNAL = '/journal';
const RECORDS = 10;
const recordBytes = (index: number) => new Uint8Array(100).fill(index + 1);

interface SegmentOnDisk {
  readonly path: string;
  /** From the first header to the end of the last record. */
  readonly written: Uint8Array;
  readonly lastHeader: Uint8Array;
}

async function writeSegment(): Promise<SegmentOnDisk> {
  const files = new CrashFileStore();
  const { log } = await openLog(testLogOptions(files, 1));
  await log.finishReplay();
  for (let index = 0; index < RECORDS; index++) {
    log.append(1, [recordBytes(index)], 'data');
    if (index % 3 === 0) await log.sync();
  }
  await log.close();
  for (const path of files.paths()) {
    const bytes = await files.readFile(path);
    const end = bytes.subarray(0, -HEADER_BYTES).findLastIndex((byte) => byte !== 0) + 1;
    if (end > 1000) return { path, written: bytes.slice(0, end), lastHeader: bytes.slice(-HEADER_BYTES) };
  }
  throw new Error('no segment of the log');
}

const segmentOnDisk = await writeSegment();

/**
 * A node starts on a disk on which the input is what is left of the only segment. What it replays is what was written,
 * from the front; where it refuses, the rest can be salvaged.
 */
async function openDamagedLog(input: Uint8Array): Promise<void> {
  const files = new CrashFileStore();
  const file = await files.open(segmentOnDisk.path, 'create');
  // zeros as in a segment that is not full
  const at = Math.max(input.length, segmentOnDisk.written.length) + 1000;
  await file.write(0, [input]);
  await file.write(at, [segmentOnDisk.lastHeader]);
  const found: number[] = [];
  try {
    const recovery = await recoverLog(files, JOURNAL, keys);
    for await (const { payload } of recovery.replay()) found.push(numberOf(payload));
  } catch (error) {
    for await (const { payload } of salvageLog(files, JOURNAL, keys)) numberOf(payload);
    throw error;
  }
  if (found.some((number, index) => number !== index)) throw new Error(`replayed ${found.join(' ')}`);
}

function numberOf(payload: Uint8Array): number {
  const number = payload[0]! - 1;
  if (!bytesEqual(payload, recordBytes(number))) throw new Error('a record that nobody wrote');
  return number;
}

const jsonRecords = [
  {
    i: 5,
    k: 'file',
    m: 420,
    u: 0,
    g: 0,
    r: 0,
    mt: [1, 2],
    at: [1, 2],
    ct: [1, 2],
    t: '',
    x: { a: 'AA==' },
    n: null,
    md: null,
    o: null,
  },
  [
    ['name', 1, 5],
    ['other', 2, null],
  ],
].map((record) => encodeUtf8(JSON.stringify(record)));

function overlayPieces(): Uint8Array[] {
  const overlay = new Overlay({ hold() {}, drop() {} }, 5000);
  for (let index = 0; index < 20; index++) overlay.write(index * 700, 300, 2 ** 30 + index * 1000, index);
  return serializeOverlay(overlay, 4096);
}

/** Each of the forms that a record may have, whatever its kind. */
function parseRecord(input: Uint8Array): void {
  unlessRefused(() => records.decodeWriteHeader(input), 'corrupt');
  unlessRefused(() => records.decodeAttemptBody(input), 'corrupt');
  unlessRefused(() => parseOverlay([input]), 'corrupt');
  unlessRefused(() => parseVersion(Buffer.from(input).toString('hex')), 'corrupt', 'invalid');
  decodeEntry(Buffer.from(input).toString('latin1'));
  const collector = new records.PartCollector();
  unlessRefused(() => {
    collector.add(input);
    collector.take(5, 1);
  }, 'corrupt');
  records.decodeJson(input);
}

export const journalTargets: readonly FuzzTarget[] = [
  { name: 'journal-segment', corpus: () => [segment()], bytesMax: 8192, refusals: ['corrupt'], parse: parseSegment },
  {
    name: 'journal-record',
    corpus: () => [
      ...jsonRecords,
      records.encodeAttemptBody([['name', 1, 5]], new Uint8Array(20)),
      records.encodeWriteHeader(5, 100),
      records.encodePartHeader(5, 0),
      fromHex(`00${'00'.repeat(7)}05${'11'.repeat(48)}`),
      ...overlayPieces(),
    ],
    refusals: ['corrupt'],
    parse: parseRecord,
  },
  {
    name: 'journal-disk',
    corpus: () => [segmentOnDisk.written],
    bytesMax: 8192,
    refusals: ['corrupt', 'permission'],
    parse: openDamagedLog,
  },
];
