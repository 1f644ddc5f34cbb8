import test from 'ava';
import fc from 'fast-check';
import { parseRange } from '../../../src/web/byte-range.js';

const all = { what: 'all' } as const;
const part = (offset: number, length: number) => ({ what: 'part', offset, length }) as const;

const cases: readonly [string | undefined, number, ReturnType<typeof parseRange>][] = [
  [undefined, 10, all],
  ['bytes=0-3', 10, part(0, 4)],
  ['bytes=2-', 10, part(2, 8)],
  ['bytes=-3', 10, part(7, 3)],
  ['bytes=-30', 10, part(0, 10)],
  ['bytes=5-100', 10, part(5, 5)],
  ['bytes=0-1,4-5', 10, part(0, 2)],
  ['bytes=11-', 10, { what: 'beyond' }],
  ['bytes=10-12', 10, { what: 'beyond' }],
  ['bytes=10-', 10, all],
  ['bytes=5-2', 10, all],
  ['bytes=a-b', 10, all],
  ['lines=0-3', 10, all],
  ['bytes=-', 10, all],
  ['bytes=-0', 10, all],
  ['bytes=-5', 0, all],
];

for (const [header, size, expected] of cases) {
  test(`Range "${header}" of ${size} bytes`, (t) => {
    t.deepEqual(parseRange(header, size), expected);
  });
}

test('a part is never outside the file, whatever the header', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes=\d{0,9}-\d{0,9}$/)), fc.nat(), (header, size) => {
      const range = parseRange(header, size);
      if (range.what !== 'part') return;
      t.true(range.length > 0 && range.offset >= 0 && range.offset + range.length <= size);
    }),
  );
});
