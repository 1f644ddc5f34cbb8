import test from 'ava';
import fc from 'fast-check';
import { decodeBase32, encodeBase32 } from '../../../src/encoding/base32.js';
import { fromHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

test('encodes as the known answers say', (t) => {
  t.is(encodeBase32(new Uint8Array(0)), '');
  t.is(encodeBase32(fromHex('000102030405060708090a0b0c0d0e0f')), 'aaaqeayeaudaocajbifqydiob4');
  t.is(encodeBase32(fromHex('380ff65ec57c08c67d0219f67b481d28')), 'hah7mxwfpqemm7icdh3hwsa5fa');
  t.deepEqual(decodeBase32('5mwuz5yxisqrnhtrsljs7wkyb4'), fromHex('eb2d4cf71744a1169e7192d32fd9580f'));
});

test('any bytes come back from their encoding', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const text = encodeBase32(bytes);
      t.is(text.length, Math.ceil((bytes.length * 8) / 5));
      t.deepEqual(decodeBase32(text), bytes);
    }),
  );
});

test('accepts only what the encoder writes', (t) => {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567AB=189 é\u0000';
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...alphabet), maxLength: 12 }), (text) => {
      let decoded: Uint8Array;
      try {
        decoded = decodeBase32(text);
      } catch (error) {
        t.true(isTahoeError(error, 'invalid'));
        return;
      }
      t.is(encodeBase32(decoded), text);
    }),
    { numRuns: 2000 },
  );
});

for (const [what, text] of [
  ['upper case', 'ME'],
  ['padding', 'me======'],
  ['a single character', 'a'],
  ['three characters', 'aaa'],
  ['six characters', 'aaaaaa'],
  ['stray bits', 'mf'],
] as const) {
  test(`refuses ${what}`, (t) => {
    const error = t.throws(() => decodeBase32(text));
    t.true(isTahoeError(error, 'invalid'));
  });
}
