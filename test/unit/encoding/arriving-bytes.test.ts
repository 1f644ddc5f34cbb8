import test from 'ava';
import fc from 'fast-check';
import { ArrivingBytes } from '../../../src/encoding/arriving-bytes.js';
import { concatBytes } from '../../../src/encoding/bytes.js';

test('whatever the pieces and the first buffer, all bytes come out in order', (t) => {
  const property = fc.property(
    fc.array(fc.uint8Array({ maxLength: 50 })),
    fc.nat(100),
    fc.nat(100),
    (pieces, spare, first) => {
      const expected = concatBytes(pieces);
      const maxLength = expected.length + spare;
      const arriving = new ArrivingBytes(maxLength, new Uint8Array(Math.min(first, maxLength)));
      for (const piece of pieces) arriving.append(piece);
      t.deepEqual(arriving.bytes(), expected);
      t.is(arriving.missing, spare);
    },
  );
  fc.assert(property);
});

test('a first buffer of the whole length is where the bytes are, and no more go in', (t) => {
  const first = new Uint8Array(8).subarray(2, 6);
  const arriving = new ArrivingBytes(4, first);
  arriving.append(Uint8Array.of(1, 2));
  arriving.append(Uint8Array.of(3, 4));
  const bytes = arriving.bytes();
  t.is(bytes.buffer, first.buffer);
  t.deepEqual(bytes, Uint8Array.of(1, 2, 3, 4));
  t.throws(() => arriving.append(Uint8Array.of(5)), { instanceOf: RangeError });
});

test('a length takes no memory before its bytes come', (t) => {
  const arriving = new ArrivingBytes(2 ** 50, new Uint8Array(10));
  arriving.append(new Uint8Array(11).fill(7));
  t.is(arriving.missing, 2 ** 50 - 11);
  t.deepEqual(arriving.bytes(), new Uint8Array(11).fill(7));
  t.true(arriving.bytes().buffer.byteLength < 100);
});
