import test from 'ava';
import { Decoder as CborXDecoder, Encoder as CborXEncoder } from 'cbor-x';
import * as cborg from 'cborg';
import * as fc from 'fast-check';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { CborMap, CborSet, type CborValue, decodeCbor, encodeCbor } from '../../../src/storage-protocol/cbor.js';

const fromHex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const refuses = (hex: string) => ({ hex, kind: decodeKind(fromHex(hex)) });

/** 'ok', or the kind of the error; anything but a TahoeError is thrown on. */
function decodeKind(bytes: Uint8Array): string {
  try {
    decodeCbor(bytes);
    return 'ok';
  } catch (error) {
    if (error instanceof TahoeError) return error.kind;
    throw error;
  }
}

const leaf: fc.Arbitrary<CborValue> = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(30),
  fc.boolean(),
  fc.constant(null),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 300 }),
);

const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    leaf,
    fc.array(tie('value'), { maxLength: 30 }),
    fc.uniqueArray(fc.nat(), { maxLength: 30 }).map((items) => new CborSet(items)),
    fc
      .uniqueArray(fc.tuple(fc.string(), tie('value')), { maxLength: 5, selector: ([key]) => key })
      .map((entries) => new CborMap(entries)),
    fc
      .uniqueArray(fc.tuple(fc.uint8Array({ maxLength: 9 }), tie('value')), {
        maxLength: 5,
        selector: ([key]) => toHex(key),
      })
      .map((entries) => new CborMap(entries)),
  ),
}));

test('decodes what it encodes', async (t) => {
  await fc.assert(
    fc.property(anyValue, (value) => {
      t.deepEqual(decodeCbor(encodeCbor(value)), value);
    }),
  );
});

test('cborg and cbor-x read the same from it', async (t) => {
  const plain = fc.array(fc.oneof(fc.nat(), fc.boolean(), fc.constant(null), fc.string()), { maxLength: 40 });
  const cborX = new CborXDecoder({ mapsAsObjects: false, useRecords: false });
  await fc.assert(
    fc.property(plain, (value) => {
      const bytes = encodeCbor(value);
      t.deepEqual(cborg.decode(bytes), value);
      t.deepEqual(cborX.decode(Buffer.from(bytes)), value);
      t.is(toHex(bytes), toHex(cborg.encode(value)));
    }),
  );
  const encoder = new CborXEncoder({ mapsAsObjects: false, useRecords: false, tagUint8Array: false });
  const encoded = encoder.encode(['text', 70000, true, null, new Map<string, number>([['a', 1]])]);
  t.deepEqual(decodeCbor(new Uint8Array(encoded)), ['text', 70000, true, null, new CborMap([['a', 1]])]);
});

test('integers take their shortest form up to 2^53 - 1', (t) => {
  const known: [number, string][] = [
    [23, '17'],
    [24, '1818'],
    [255, '18ff'],
    [256, '190100'],
    [65536, '1a00010000'],
    [2 ** 32, '1b0000000100000000'],
    [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'],
  ];
  for (const [value, hex] of known) t.is(toHex(encodeCbor(value)), hex);
  for (const bad of [-1, 1.5, 2 ** 53, Number.NaN]) t.throws(() => encodeCbor(bad), { instanceOf: RangeError });
});

test('integers beyond 2^53 - 1 are clamped to it', (t) => {
  t.is(decodeCbor(fromHex('1b0020000000000000')), Number.MAX_SAFE_INTEGER);
  t.is(decodeCbor(fromHex('1bffffffffffffffff')), Number.MAX_SAFE_INTEGER);
});

test('byte strings are views of the message', (t) => {
  const message = fromHex('43010203');
  const value = decodeCbor(message) as Uint8Array;
  t.is(value.buffer, message.buffer);
  t.is(value.byteOffset, message.byteOffset + 1);
});

const outside: [string, string][] = [
  ['nothing', ''],
  ['a negative number', '20'],
  ['a half float', 'f93c00'],
  ['a double', 'fb3ff0000000000000'],
  ['undefined', 'f7'],
  ['another simple value', 'f0'],
  ['an indefinite byte string', '5f4101ff'],
  ['an indefinite array', '9f01ff'],
  ['an indefinite map', 'bf616101ff'],
  ['a reserved length', '1c'],
  ['a date', 'c11a5f000000'],
  ['a bignum', 'c249010000000000000000'],
  ['a set that is no array', 'd9010201'],
  ['a set inside a set', 'd9010281d9010280'],
  ['the same member twice', 'd90102820101'],
  ['the same member twice, once longer', 'd901028201190001'],
  ['the same text key twice', 'a2616101616102'],
  ['the same byte key twice', 'a2416101416102'],
  ['an array as a key', 'a18001'],
  ['null as a key', 'a1f601'],
  ['bytes after the end', '0000'],
  ['a text that is not UTF-8', '62c328'],
  ['a byte string cut off', '4501'],
  ['an array longer than the message', '9affffffff'],
  ['a map longer than the message', 'bb00ffffffffffffff'],
  ['a byte string of 2^64 - 1', '5bffffffffffffffff'],
  ['nesting of nine', '81818181818181818101'],
];
for (const [what, hex] of outside) {
  test(`refuses ${what}`, (t) => t.deepEqual(refuses(hex), { hex, kind: 'protocol' }));
}

test('a text key and a byte key of the same letters are different keys', (t) => {
  t.is((decodeCbor(fromHex('a2616101416102')) as CborMap).entries.length, 2);
});

test('a message of a million empty maps is refused instead of taking all memory', (t) => {
  const message = new Uint8Array(1_000_005).fill(0xa0);
  message.set(fromHex('9a000f4240'));
  t.is(decodeKind(message), 'protocol');
});

test('a byte string of many megabytes as a key does not keep the process busy', (t) => {
  const length = 25_000_000;
  const map = new Uint8Array(length + 7).fill(0xff);
  map.set([0xa1, 0x5a, ...[24, 16, 8, 0].map((shift) => (length >>> shift) & 0xff)]);
  map[map.length - 1] = 0;
  const startedMs = performance.now();
  const value = decodeCbor(map);
  t.true(performance.now() - startedMs < 2000);
  t.true(value instanceof CborMap && (value.entries[0]![0] as Uint8Array).length === length);
});

test('20,000 mutated messages give a value or a protocol error', (t) => {
  const seeds = [
    'a26d73686172652d6e756d62657273d901028201076e616c6c6f63617465642d73697a651830',
    'a26773756363657373f46464617461a103824478787878427878',
    'a168726571756972656481a265626567696e1063656e641830',
  ].map(fromHex);
  let state = 12345;
  const next = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const kinds = new Set<string>();
  for (let round = 0; round < 20_000; round += 1) {
    const message = (seeds[round % seeds.length] as Uint8Array).slice();
    for (let change = next(4); change >= 0; change -= 1) message[next(message.length)] = next(256);
    kinds.add(decodeKind(message.subarray(0, next(8) === 0 ? next(message.length) : message.length)));
  }
  t.deepEqual([...kinds].sort(), ['ok', 'protocol']);
});
