import test from 'ava';
import fc from 'fast-check';
import {
  compareBytes,
  decodeUtf8,
  encodeAscii,
  encodeUtf8,
  fromHex,
  readU8,
  readU16,
  readU32,
  readU64,
  toHex,
  writeU8,
  writeU16,
  writeU32,
  writeU64,
} from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

const widths = [
  { size: 1, read: readU8, write: writeU8, maximum: 0xff },
  { size: 2, read: readU16, write: writeU16, maximum: 0xffff },
  { size: 4, read: readU32, write: writeU32, maximum: 0xffff_ffff },
  { size: 8, read: readU64, write: writeU64, maximum: Number.MAX_SAFE_INTEGER },
];

for (const { size, read, write, maximum } of widths) {
  test(`${size}-byte numbers are big-endian and come back`, (t) => {
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeNat(), fc.nat(maximum), fc.constant(maximum)), (value) => {
        const bytes = new Uint8Array(size + 2);
        if (value > maximum) {
          t.true(
            isTahoeError(
              t.throws(() => write(bytes, 1, value)),
              'invalid',
            ),
          );
          return;
        }
        write(bytes, 1, value);
        t.is(read(bytes, 1), value);
        t.is(BigInt(`0x${toHex(bytes.subarray(1, 1 + size))}`), BigInt(value));
      }),
    );
  });

  test(`${size}-byte numbers outside the buffer or not whole are refused`, (t) => {
    const bytes = new Uint8Array(size);
    for (const offset of [-1, 1, Number.NaN]) {
      t.true(
        isTahoeError(
          t.throws(() => read(bytes, offset)),
          'corrupt',
        ),
      );
      t.true(
        isTahoeError(
          t.throws(() => write(bytes, offset, 0)),
          'invalid',
        ),
      );
    }
    for (const value of [-1, 0.5, Number.NaN, maximum + 1]) {
      t.true(
        isTahoeError(
          t.throws(() => write(bytes, 0, value)),
          'invalid',
        ),
      );
    }
  });
}

test('a 64-bit number beyond 2^53 is corrupt', (t) => {
  t.is(readU64(fromHex('001fffffffffffff'), 0), Number.MAX_SAFE_INTEGER);
  t.true(
    isTahoeError(
      t.throws(() => readU64(fromHex('0020000000000000'), 0)),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => readU64(fromHex('ffffffffffffffff'), 0)),
      'corrupt',
    ),
  );
});

test('hexadecimal comes back and nothing else is taken', (t) => {
  fc.assert(fc.property(fc.uint8Array(), (bytes) => t.deepEqual(fromHex(toHex(bytes)), bytes)));
  for (const text of ['a', 'gg', '0x', '1 ', 'é0'])
    t.true(
      isTahoeError(
        t.throws(() => fromHex(text)),
        'invalid',
      ),
    );
});

test('bytes are ordered like the buffers of the platform', (t) => {
  const short = fc.uint8Array({ maxLength: 4, max: 3 });
  fc.assert(fc.property(short, short, (a, b) => t.is(Math.sign(compareBytes(a, b)), Buffer.compare(a, b))));
});

test('text without lone surrogates comes back, also with a byte order mark', (t) => {
  t.is(decodeUtf8(encodeUtf8('\ufeffå😀')), '\ufeffå😀');
  t.true(
    isTahoeError(
      t.throws(() => encodeUtf8('a\ud800')),
      'invalid',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => decodeUtf8(Uint8Array.of(0xc3))),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => encodeAscii('é')),
      'invalid',
    ),
  );
});
