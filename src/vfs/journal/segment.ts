/**
 * One segment of the journal: a preallocated file that is only ever appended to, under a key of its own.
 *
 *     header   64 bytes: magic (8) || u64 segment number || salt (32) || MAC of the 48 bytes before (16)
 *     records  u32 length of the sealed part || sealed part, which ends with a 16-byte tag
 *     ...      zeros, or what an earlier segment in the same file left behind
 *     header   again, as the last 64 bytes: one bad sector must not make 64 MiB unreadable
 *
 * Segment key = HKDF-SHA256(master key, salt). A sealed part is AES-256-GCM (6 us for 4 KiB and 40 us for 64 KiB where
 * ChaCha20-Poly1305 took 8 and 54) of `u8 type || u8 kind || u64 synced position || payload`; the nonce is the byte offset
 * of the record, the additional data its position and length. No process appends to a segment of an earlier one and no
 * offset is written twice, so no nonce repeats. The tag covers the position, so nothing stale can pass for a record.
 *
 * Crash argument. Nothing acknowledged is ever overwritten. The first record of each segment names the position at which
 * the log before it ends, so the segments form one chain, and replay takes its longest verified prefix. Each record
 * carries the position up to which the log was durable when it was appended. After the end of the prefix the rest is
 * searched for records that verify: if none of them says that more was durable, the tail was never promised and is cut;
 * otherwise promised records have been damaged, which is reported and never cut silently.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { encodeAscii, readU32, readU64, writeU32, writeU64 } from '../../encoding/bytes.js';
import { assert } from '../../errors/tahoe-error.js';
import type { LogPosition } from './log.js';

export const HEADER_BYTES = 64;
/** Longest payload of one record. */
export const MAX_PAYLOAD_BYTES = 65 * 1024;
/** A record takes this much more than its payload. */
export const RECORD_OVERHEAD_BYTES = 4 + 10 + 16;
export const MAX_RECORD_BYTES = MAX_PAYLOAD_BYTES + RECORD_OVERHEAD_BYTES;
/** A position has 26 bits for the offset. */
export const MAX_SEGMENT_BYTES = 2 ** 26;
/** The link to the segment before, the largest record, and both headers. */
export const MIN_SEGMENT_BYTES = 128 * 1024;

const MAGIC = encodeAscii('tahoeLg1');
const SALT_BYTES = 32;
const TAG_BYTES = 16;
const INNER_HEAD_BYTES = 10;
const MAX_SEALED_BYTES = MAX_RECORD_BYTES - 4;
/** Positions stay below 2^52, so that their differences have room for a sign: 4 PiB in the life of a journal. */
const HIGHEST_SEGMENT = 2 ** 26 - 1;
const ZERO_PAGE = new Uint8Array(4096);

/**
 * `entry` belongs to the owner of the log, the others to the log. `open` and `link` are the first record of a segment:
 * of a process, and of a later segment of the same process; payload u64 end of the log before. What stands between
 * `checkpoint-begin` and `checkpoint-end` makes everything before it superfluous; without the end it counts for nothing.
 */
export type RecordType =
  | 'entry'
  | 'open'
  | 'link'
  | 'checkpoint-begin'
  | 'checkpoint-end'
  | 'checkpoint-abort'
  | 'close';

const RECORD_TYPES: readonly RecordType[] = [
  'entry',
  'open',
  'link',
  'checkpoint-begin',
  'checkpoint-end',
  'checkpoint-abort',
  'close',
];

export interface RecordHead {
  readonly type: RecordType;
  readonly kind: number;
  /** Everything before this position was durable when the record was appended. */
  readonly syncedTo: LogPosition;
}

export interface SegmentRecord extends RecordHead {
  readonly offset: number;
  /** Offset of the record behind it. */
  readonly end: number;
  readonly payload: Uint8Array;
}

export function positionOf(segment: number, offset: number): LogPosition {
  assert(segment <= HIGHEST_SEGMENT && offset <= MAX_SEGMENT_BYTES, 'no such log position');
  return segment * MAX_SEGMENT_BYTES + offset;
}

export function segmentOf(position: LogPosition): number {
  return Math.floor(position / MAX_SEGMENT_BYTES);
}

export function offsetOf(position: LogPosition): number {
  return position % MAX_SEGMENT_BYTES;
}

/** What is derived from the 32-byte master key of a journal. */
export class JournalKeys {
  readonly #master: Uint8Array;
  readonly #macKey: Uint8Array;

  constructor(master: Uint8Array) {
    assert(master.length === 32, 'a journal key has 32 bytes');
    this.#master = new Uint8Array(master);
    this.#macKey = derive(this.#master, new Uint8Array(0), 'header mac');
  }

  segmentKey(salt: Uint8Array): Uint8Array {
    return derive(this.#master, salt, 'segment');
  }

  /** 16 bytes over headers and the checkpoint file. */
  mac(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(createHmac('sha256', this.#macKey).update(bytes).digest().subarray(0, TAG_BYTES));
  }

  verifies(bytes: Uint8Array, mac: Uint8Array): boolean {
    return mac.length === TAG_BYTES && timingSafeEqual(this.mac(bytes), mac);
  }
}

/** A key for one purpose. */
export function derive(master: Uint8Array, salt: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', master, salt, encodeAscii(`tahoe-ts journal v1 ${purpose}`), 32));
}

export interface SegmentHeader {
  readonly number: number;
  readonly salt: Uint8Array;
}

export function packHeader(header: SegmentHeader, keys: JournalKeys): Uint8Array {
  assert(header.salt.length === SALT_BYTES, 'a segment salt has 32 bytes');
  const bytes = new Uint8Array(HEADER_BYTES);
  bytes.set(MAGIC);
  writeU64(bytes, 8, header.number);
  bytes.set(header.salt, 16);
  bytes.set(keys.mac(bytes.subarray(0, 48)), 48);
  return bytes;
}

/** `blank`: zeros only, never written. `sealed`: made under another key, or damaged. `foreign`: no header at all. */
export type ParsedHeader = SegmentHeader | 'blank' | 'sealed' | 'foreign';

export function parseHeader(bytes: Uint8Array, keys: JournalKeys): ParsedHeader {
  if (bytes.every((byte) => byte === 0)) return 'blank';
  if (bytes.length !== HEADER_BYTES || !MAGIC.every((byte, index) => bytes[index] === byte)) return 'foreign';
  if (!keys.verifies(bytes.subarray(0, 48), bytes.subarray(48))) return 'sealed';
  const number = readU64(bytes, 8);
  return number <= HIGHEST_SEGMENT ? { number, salt: new Uint8Array(bytes.subarray(16, 48)) } : 'sealed';
}

/** Seals and opens the records of one segment. */
export class SegmentCipher {
  readonly number: number;
  readonly #key: Uint8Array;

  constructor(header: SegmentHeader, keys: JournalKeys) {
    this.number = header.number;
    this.#key = keys.segmentKey(header.salt);
  }

  /** The record in pieces, ready to be written at `offset`. */
  seal(offset: number, head: RecordHead, parts: readonly Uint8Array[]): Uint8Array[] {
    const inner = new Uint8Array(INNER_HEAD_BYTES);
    inner[0] = RECORD_TYPES.indexOf(head.type);
    inner[1] = head.kind;
    writeU64(inner, 2, head.syncedTo);
    const length = INNER_HEAD_BYTES + byteLength(parts) + TAG_BYTES;
    assert(length <= MAX_SEALED_BYTES, 'log record too long');
    const lengthField = new Uint8Array(4);
    writeU32(lengthField, 0, length);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonceAt(offset), { authTagLength: TAG_BYTES });
    cipher.setAAD(this.#additionalData(offset, length));
    const sealed: Uint8Array[] = [lengthField, cipher.update(inner)];
    for (const part of parts) {
      if (part.length > 0) sealed.push(cipher.update(part));
    }
    cipher.final();
    sealed.push(cipher.getAuthTag());
    return sealed;
  }

  /** The record at `offset`, whose bytes begin at `start` of `bytes`; undefined if none is there that authenticates. */
  open(offset: number, bytes: Uint8Array, start: number): SegmentRecord | undefined {
    if (start + 4 > bytes.length) return undefined;
    const length = readU32(bytes, start);
    const sealedStart = start + 4;
    if (length < INNER_HEAD_BYTES + TAG_BYTES || length > MAX_SEALED_BYTES || sealedStart + length > bytes.length) {
      return undefined;
    }
    const tagStart = sealedStart + length - TAG_BYTES;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonceAt(offset), { authTagLength: TAG_BYTES });
    decipher.setAAD(this.#additionalData(offset, length));
    decipher.setAuthTag(bytes.subarray(tagStart, tagStart + TAG_BYTES));
    const inner = decipher.update(bytes.subarray(sealedStart, tagStart));
    try {
      decipher.final();
    } catch {
      // The one thing final() reports: the tag does not match. An expected outcome at the end of a log.
      return undefined;
    }
    const type = RECORD_TYPES[inner[0]!];
    if (type === undefined) return undefined;
    return {
      type,
      kind: inner[1]!,
      syncedTo: readU64(inner, 2),
      payload: new Uint8Array(inner.buffer, inner.byteOffset + INNER_HEAD_BYTES, inner.length - INNER_HEAD_BYTES),
      offset,
      end: offset + 4 + length,
    };
  }

  #additionalData(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(12);
    writeU64(bytes, 0, positionOf(this.number, offset));
    writeU32(bytes, 8, length);
    return bytes;
  }
}

/**
 * The records of a whole segment file from `from` on, until one does not authenticate or `to` is reached. The payloads
 * are their own memory.
 */
export function* scanSegment(
  bytes: Uint8Array,
  cipher: SegmentCipher,
  from = HEADER_BYTES,
  to = bytes.length - HEADER_BYTES,
): Generator<SegmentRecord> {
  const records = bytes.subarray(0, to);
  let offset = from;
  while (offset < to) {
    const record = cipher.open(offset, records, offset);
    if (record === undefined) return;
    yield record;
    offset = record.end;
  }
}

/**
 * All records that authenticate anywhere from `from` on, whatever lies between them: what a damaged segment still holds.
 * A length is a number below 2^17, so in random bytes one place in 32,768 needs a trial decryption.
 */
export function* salvageSegment(
  bytes: Uint8Array,
  cipher: SegmentCipher,
  from = HEADER_BYTES,
): Generator<SegmentRecord> {
  const records = bytes.subarray(0, bytes.length - HEADER_BYTES);
  let offset = nextLength(records, from);
  while (offset !== undefined) {
    const found = cipher.open(offset, records, offset);
    if (found !== undefined) yield found;
    offset = nextLength(records, found === undefined ? offset + 1 : found.end);
  }
}

/** The next place from `from` on that may be the length field of a record. Zeros and random bytes go by quickly. */
function nextLength(bytes: Uint8Array, from: number): number | undefined {
  let offset = bytes.indexOf(0, from);
  while (offset >= 0) {
    const high = bytes[offset + 1];
    if (high === 1 || (high === 0 && (bytes[offset + 2] !== 0 || bytes[offset + 3] !== 0))) return offset;
    const page = bytes.subarray(offset, offset + ZERO_PAGE.length);
    const isZeroPage = high === 0 && page.length === ZERO_PAGE.length && Buffer.compare(page, ZERO_PAGE) === 0;
    offset = bytes.indexOf(0, isZeroPage ? offset + ZERO_PAGE.length - 3 : offset + 1);
  }
  return undefined;
}

function nonceAt(offset: number): Uint8Array {
  const nonce = new Uint8Array(12);
  writeU32(nonce, 8, offset);
  return nonce;
}

function byteLength(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}
