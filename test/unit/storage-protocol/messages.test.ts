import test from 'ava';
import * as fc from 'fast-check';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { CborMap, CborSet, encodeCbor } from '../../../src/storage-protocol/cbor.js';
import * as messages from '../../../src/storage-protocol/messages.js';

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const refuses = (decode: () => unknown) => {
  try {
    decode();
    return 'accepted';
  } catch (error) {
    return error instanceof TahoeError ? error.kind : String(error);
  }
};

test('messages are the bytes that the reference sends', (t) => {
  const allocate = { shareNumbers: new Set([1, 7]), allocatedSize: 48 };
  const allocateHex = 'a26d73686172652d6e756d62657273d901028201076e616c6c6f63617465642d73697a651830';
  t.is(toHex(messages.encodeAllocateRequest(allocate)), allocateHex);
  t.deepEqual(messages.decodeAllocateRequest(fromHex(allocateHex)), allocate);

  const allocation = { alreadyHave: new Set<number>(), allocated: new Set([1, 7]) };
  const allocationHex = 'a26c616c72656164792d68617665d901028069616c6c6f6361746564d90102820107';
  t.is(toHex(messages.encodeAllocation(allocation)), allocationHex);
  t.deepEqual(messages.decodeAllocation(fromHex(allocationHex)), allocation);

  const missingHex = 'a168726571756972656481a265626567696e1063656e641830';
  t.is(toHex(messages.encodeMissingRanges([{ offset: 16, length: 32 }])), missingHex);
  t.deepEqual(messages.decodeMissingRanges(fromHex(missingHex)), [{ offset: 16, length: 32 }]);
  t.is(toHex(messages.encodeMissingRanges([])), 'a168726571756972656480');

  t.is(toHex(messages.encodeShareNumbers(new Set())), 'd9010280');
  t.is(toHex(messages.encodeShareNumbers(new Set([5, 3]))), 'd90102820305');

  t.is(
    toHex(messages.encodeReadTestWriteResult({ applied: true, reads: new Map() })),
    'a26773756363657373f56464617461a0',
  );
  const lost = { applied: false, reads: new Map([[3, [fromHex('78787878'), fromHex('7878')]]]) };
  const lostHex = 'a26773756363657373f46464617461a103824478787878427878';
  t.is(toHex(messages.encodeReadTestWriteResult(lost)), lostHex);
  t.deepEqual(messages.decodeReadTestWriteResult(fromHex(lostHex)), lost);
});

test('a read-test-write survives the way there', async (t) => {
  const vector = { offset: fc.maxSafeNat(), size: fc.maxSafeNat(), specimen: fc.uint8Array() };
  const share = fc.record({
    tests: fc.array(fc.record(vector), { maxLength: 30 }),
    writes: fc.array(fc.record({ offset: fc.maxSafeNat(), data: fc.uint8Array() })),
    newLength: fc.option(fc.maxSafeNat()),
  });
  const message = fc.record({
    shares: fc.array(fc.tuple(fc.nat(300), share), { maxLength: 5 }).map((entries) => new Map(entries)),
    readVector: fc.array(fc.record({ offset: fc.maxSafeNat(), length: fc.maxSafeNat() }), { maxLength: 30 }),
  });
  await fc.assert(
    fc.property(message, (value) => {
      t.deepEqual(messages.decodeReadTestWriteRequest(messages.encodeReadTestWriteRequest(value)), value);
    }),
    { numRuns: 50 },
  );
});

test('version and reports survive the way there', (t) => {
  const version = {
    applicationVersion: 'tahoe-lafs/1.20.0',
    availableSpace: 2 ** 40,
    maximumImmutableShareSize: 5,
    maximumMutableShareSize: Number.MAX_SAFE_INTEGER,
  };
  t.deepEqual(messages.decodeVersion(messages.encodeVersion(version)), version);
  t.is(messages.decodeCorruptionReport(messages.encodeCorruptionReport('faul \u00fc')), 'faul \u00fc');
});

test('what breaks a schema or a limit is kind protocol', (t) => {
  const numbers = (count: number) => new CborSet(Array.from({ length: count }, (_, index) => index));
  t.is(messages.decodeShareNumbers(encodeCbor(numbers(256))).size, 256);
  const rtw = (tests: number, reads: number) => {
    const test = new CborMap([
      ['offset', 0],
      ['size', 0],
      ['specimen', new Uint8Array(0)],
    ]);
    const share = new CborMap([
      ['test', Array(tests).fill(test)],
      ['write', []],
      ['new-length', null],
    ]);
    const read = new CborMap([
      ['offset', 0],
      ['size', 1],
    ]);
    return encodeCbor(
      new CborMap([
        ['test-write-vectors', new CborMap([[0, share]])],
        ['read-vector', Array(reads).fill(read)],
      ]),
    );
  };
  t.is(messages.decodeReadTestWriteRequest(rtw(30, 30)).readVector.length, 30);
  const refused: [string, () => unknown][] = [
    ['257 shares', () => messages.decodeShareNumbers(encodeCbor(numbers(257)))],
    ['a list instead of a set', () => messages.decodeShareNumbers(fromHex('820305'))],
    ['a share number that is text', () => messages.decodeShareNumbers(encodeCbor(new CborSet(['1'])))],
    ['31 tests', () => messages.decodeReadTestWriteRequest(rtw(31, 0))],
    ['31 reads', () => messages.decodeReadTestWriteRequest(rtw(0, 31))],
    ['a missing key', () => messages.decodeMissingRanges(fromHex('a0'))],
    ['one key too many', () => messages.decodeMissingRanges(fromHex('a268726571756972656480616101'))],
    ['an empty reason', () => messages.decodeCorruptionReport(messages.encodeCorruptionReport(''))],
    ['text keys in a version', () => messages.decodeVersion(encodeCbor(new CborMap([['application-version', 'x']])))],
    [
      'a backward range',
      () => messages.decodeMissingRanges(fromHex('a168726571756972656481a265626567696e1863656e6405')),
    ],
  ];
  for (const [what, decode] of refused) t.is(refuses(decode), 'protocol', what);
});
