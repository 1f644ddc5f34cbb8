/**
 * The CBOR messages of storage-http spec 9.1, both halves, as pure functions. Encoders trust their callers; decoders
 * take whatever the other side sent and fail with kind `protocol`.
 */
import type { Branded } from '../encoding/brands.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { CborMap, CborSet, type CborValue, decodeCbor, encodeCbor } from './cbor.js';
import { MAX_READ_VECTORS, MAX_SHARES_PER_MESSAGE, MAX_TEST_VECTORS } from './limits.js';
import type { Allocation, ByteRange, ReadTestWriteResult, ServerVersion, TestWrite } from './storage-server.js';

const STORAGE_V1 = ascii('http://allmydata.org/tahoe/protocols/storage/v1');
const APPLICATION_VERSION = ascii('application-version');
const MAXIMUM_IMMUTABLE = ascii('maximum-immutable-share-size');
const MAXIMUM_MUTABLE = ascii('maximum-mutable-share-size');
const AVAILABLE_SPACE = ascii('available-space');

/** A body of content type application/cbor. */
export type CborBytes = Branded<Uint8Array, 'CborBytes'>;

export function encodeVersion(version: ServerVersion): CborBytes {
  const sizes = new CborMap([
    [MAXIMUM_IMMUTABLE, version.maximumImmutableShareSize],
    [MAXIMUM_MUTABLE, version.maximumMutableShareSize],
    [AVAILABLE_SPACE, version.availableSpace],
  ]);
  return encoded(
    new CborMap([
      [STORAGE_V1, sizes],
      [APPLICATION_VERSION, new TextEncoder().encode(version.applicationVersion)],
    ]),
  );
}

/** Sizes above 2^53 - 1 come back as 2^53 - 1. */
export function decodeVersion(bytes: Uint8Array): ServerVersion {
  const [sizes, application] = closedMap(decodeCbor(bytes), [STORAGE_V1, APPLICATION_VERSION]);
  const [immutable, mutable, available] = closedMap(sizes, [MAXIMUM_IMMUTABLE, MAXIMUM_MUTABLE, AVAILABLE_SPACE]);
  return {
    applicationVersion: new TextDecoder().decode(byteString(application)),
    availableSpace: uint(available),
    maximumImmutableShareSize: uint(immutable),
    maximumMutableShareSize: uint(mutable),
  };
}

export interface AllocateMessage {
  readonly shareNumbers: ReadonlySet<number>;
  readonly allocatedSize: number;
}

export function encodeAllocateRequest(message: AllocateMessage): CborBytes {
  return encoded(
    new CborMap([
      ['share-numbers', numberSet(message.shareNumbers)],
      ['allocated-size', message.allocatedSize],
    ]),
  );
}

export function decodeAllocateRequest(bytes: Uint8Array): AllocateMessage {
  const [numbers, size] = closedMap(decodeCbor(bytes), ['share-numbers', 'allocated-size']);
  return { shareNumbers: shareNumbers(numbers), allocatedSize: uint(size) };
}

export function encodeAllocation(allocation: Allocation): CborBytes {
  return encoded(
    new CborMap([
      ['already-have', numberSet(allocation.alreadyHave)],
      ['allocated', numberSet(allocation.allocated)],
    ]),
  );
}

export function decodeAllocation(bytes: Uint8Array): Allocation {
  const [have, allocated] = closedMap(decodeCbor(bytes), ['already-have', 'allocated']);
  return { alreadyHave: shareNumbers(have), allocated: shareNumbers(allocated) };
}

/** The ranges of an upload that are still missing; none when the share is complete. */
export function encodeMissingRanges(ranges: readonly ByteRange[]): CborBytes {
  const required = ranges.map(
    (range) =>
      new CborMap([
        ['begin', range.offset],
        ['end', range.offset + range.length],
      ]),
  );
  return encoded(new CborMap([['required', required]]));
}

export function decodeMissingRanges(bytes: Uint8Array): ByteRange[] {
  const [required] = closedMap(decodeCbor(bytes), ['required']);
  return array(required).map((item) => {
    const [beginValue, endValue] = closedMap(item, ['begin', 'end']);
    const begin = uint(beginValue);
    const end = uint(endValue);
    if (end < begin) throw refused('a missing range ends before it begins');
    return { offset: begin, length: end - begin };
  });
}

export function encodeShareNumbers(numbers: ReadonlySet<number>): CborBytes {
  return encoded(numberSet(numbers));
}

export function decodeShareNumbers(bytes: Uint8Array): ReadonlySet<number> {
  return shareNumbers(decodeCbor(bytes));
}

export function encodeCorruptionReport(reason: string): CborBytes {
  return encoded(new CborMap([['reason', reason]]));
}

export function decodeCorruptionReport(bytes: Uint8Array): string {
  const [reason] = closedMap(decodeCbor(bytes), ['reason']);
  if (typeof reason !== 'string' || reason === '') throw refused('the reason is missing');
  return reason;
}

export interface ReadTestWriteMessage {
  readonly shares: ReadonlyMap<number, TestWrite>;
  readonly readVector: readonly ByteRange[];
}

export function encodeReadTestWriteRequest(message: ReadTestWriteMessage): CborBytes {
  const shares = Array.from(message.shares, ([number, share]) => [number, testWriteItem(share)] as const);
  const reads = message.readVector.map(
    (range) =>
      new CborMap([
        ['offset', range.offset],
        ['size', range.length],
      ]),
  );
  return encoded(
    new CborMap([
      ['test-write-vectors', new CborMap(shares)],
      ['read-vector', reads],
    ]),
  );
}

/** Specimens and data are views of `bytes`. */
export function decodeReadTestWriteRequest(bytes: Uint8Array): ReadTestWriteMessage {
  const [vectors, reads] = closedMap(decodeCbor(bytes), ['test-write-vectors', 'read-vector']);
  return {
    shares: new Map(numberedEntries(vectors).map(([number, item]) => [number, testWrite(item)])),
    readVector: array(reads, MAX_READ_VECTORS).map((item) => {
      const [offset, size] = closedMap(item, ['offset', 'size']);
      return { offset: uint(offset), length: uint(size) };
    }),
  };
}

export function encodeReadTestWriteResult(result: ReadTestWriteResult): CborBytes {
  return encoded(
    new CborMap([
      ['success', result.applied],
      ['data', new CborMap([...result.reads])],
    ]),
  );
}

/** Read data are views of `bytes`. */
export function decodeReadTestWriteResult(bytes: Uint8Array): ReadTestWriteResult {
  const [success, data] = closedMap(decodeCbor(bytes), ['success', 'data']);
  if (typeof success !== 'boolean') throw refused('success is not a boolean');
  const reads = numberedEntries(data).map(([number, item]) => [number, array(item).map(byteString)] as const);
  return { applied: success, reads: new Map(reads) };
}

function testWriteItem(share: TestWrite): CborMap {
  const tests = share.tests.map(
    (test) =>
      new CborMap([
        ['offset', test.offset],
        ['size', test.size],
        ['specimen', test.specimen],
      ]),
  );
  const writes = share.writes.map(
    (write) =>
      new CborMap([
        ['offset', write.offset],
        ['data', write.data],
      ]),
  );
  return new CborMap([
    ['test', tests],
    ['write', writes],
    ['new-length', share.newLength],
  ]);
}

function testWrite(value: CborValue): TestWrite {
  const [tests, writes, newLength] = closedMap(value, ['test', 'write', 'new-length']);
  return {
    tests: array(tests, MAX_TEST_VECTORS).map((item) => {
      const [offset, size, specimen] = closedMap(item, ['offset', 'size', 'specimen']);
      return { offset: uint(offset), size: uint(size), specimen: byteString(specimen) };
    }),
    writes: array(writes).map((item) => {
      const [offset, data] = closedMap(item, ['offset', 'data']);
      return { offset: uint(offset), data: byteString(data) };
    }),
    newLength: newLength === null ? null : uint(newLength),
  };
}

function encoded(value: CborValue): CborBytes {
  return encodeCbor(value) as CborBytes;
}

function numberSet(numbers: ReadonlySet<number>): CborSet {
  return new CborSet([...numbers].sort((left, right) => left - right));
}

function refused(message: string): TahoeError {
  return new TahoeError(`message: ${message}`, { kind: 'protocol', op: 'messages.decode' });
}

/** The values of exactly these keys, in the order asked for. */
function closedMap<const Keys extends readonly (string | Uint8Array)[]>(
  value: CborValue,
  keys: Keys,
): { readonly [Index in keyof Keys]: CborValue } {
  if (!(value instanceof CborMap) || value.entries.length !== keys.length) {
    throw refused(`not a map of ${keys.length} entries`);
  }
  const values = keys.map((key) => {
    const entry = value.entries.find(([candidate]) => sameKey(candidate, key));
    if (entry === undefined) throw refused('a map lacks a key');
    return entry[1];
  });
  return values as unknown as { readonly [Index in keyof Keys]: CborValue };
}

function sameKey(left: string | number | Uint8Array, right: string | Uint8Array): boolean {
  if (left === right) return true;
  if (!(left instanceof Uint8Array) || !(right instanceof Uint8Array)) return false;
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function numberedEntries(value: CborValue): (readonly [number, CborValue])[] {
  if (!(value instanceof CborMap)) throw refused('not a map');
  if (value.entries.length > MAX_SHARES_PER_MESSAGE) throw refused('too many shares');
  return value.entries.map(([key, item]) => {
    if (typeof key !== 'number') throw refused('a share number is not a number');
    return [key, item] as const;
  });
}

function shareNumbers(value: CborValue): ReadonlySet<number> {
  if (!(value instanceof CborSet)) throw refused('not a set');
  if (value.items.length > MAX_SHARES_PER_MESSAGE) throw refused('too many shares');
  return new Set(value.items.map(uint));
}

function array(value: CborValue, limit = Number.POSITIVE_INFINITY): readonly CborValue[] {
  if (!Array.isArray(value)) throw refused('not an array');
  if (value.length > limit) throw refused('an array has too many entries');
  return value;
}

function uint(value: CborValue): number {
  if (typeof value !== 'number') throw refused('not an unsigned integer');
  return value;
}

function byteString(value: CborValue): Uint8Array {
  if (!(value instanceof Uint8Array)) throw refused('not a byte string');
  return value;
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
