import test from 'ava';
import fc from 'fast-check';
import { encodeAscii } from '../../../src/encoding/bytes.js';
import { encodeNetstring, encodeNetstrings, NetstringReader } from '../../../src/encoding/netstring.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

test('encodes as the specification says', (t) => {
  t.deepEqual(encodeNetstring(new Uint8Array(0)), encodeAscii('0:,'));
  t.deepEqual(encodeNetstring(encodeAscii('hello world')), encodeAscii('11:hello world,'));
});

test('any values come back from their netstrings', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 8 }), (values) => {
      const reader = new NetstringReader(encodeNetstrings(values));
      const read: Uint8Array[] = [];
      while (!reader.atEnd) read.push(reader.next().slice());
      t.deepEqual(read, values);
    }),
  );
});

test('stays within the part it was given', (t) => {
  const bytes = encodeAscii('xx3:abc,yy');
  const reader = new NetstringReader(bytes, 2, 8);
  t.deepEqual(reader.next(), encodeAscii('abc'));
  t.true(reader.atEnd);
  t.throws(() => new NetstringReader(bytes, 2, 7).next());
});

for (const text of [
  '',
  ':,',
  '1',
  '1:',
  '1:a',
  '1:ab',
  '01:a,',
  '00:,',
  '-1:,',
  '+1:a,',
  ' 1:a,',
  '1 :a,',
  'a:,',
  '2:a,',
  '9999999999999999999:a,',
  '99999999999999:a,',
]) {
  test(`refuses "${text}"`, (t) => {
    const error = t.throws(() => new NetstringReader(encodeAscii(text)).next());
    t.true(isTahoeError(error, 'corrupt'));
  });
}
