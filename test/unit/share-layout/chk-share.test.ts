import test from 'ava';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { chkGeometry, uploadGeometry } from '../../../src/share-layout/chk-geometry.js';
import {
  chkShareLayout,
  chkShareLength,
  parseChkHeader,
  parseUebLength,
  serializeChkHeader,
  serializeUebLength,
} from '../../../src/share-layout/chk-share.js';
import { parseShareHashes, serializeShareHashes, shareHashOrder } from '../../../src/share-layout/chk-share-hashes.js';
import { parseUeb, serializeUeb, uebLength } from '../../../src/share-layout/chk-ueb.js';

const example = uploadGeometry({ sizeBytes: 56, sharesNeeded: 3, sharesTotal: 10 }, 131072);

test('geometry of the worked examples', (t) => {
  t.like(example, { segmentSize: 57, segmentCount: 1, tailSize: 56, tailPadded: 57, blockSize: 19 });
  const second = uploadGeometry({ sizeBytes: 100, sharesNeeded: 3, sharesTotal: 10 }, 30);
  t.like(second, { segmentSize: 30, segmentCount: 4, tailSize: 10, tailPadded: 12, tailBlockSize: 4 });
  t.is(second.shareDataLength, 34);
  const large = uploadGeometry({ sizeBytes: 8388609, sharesNeeded: 3, sharesTotal: 10 }, 131072);
  t.like(large, { segmentSize: 131073, segmentCount: 64, tailSize: 131010, tailPadded: 131010 });
});

test('geometry outside the format is refused', (t) => {
  const parameters = { sizeBytes: 100, sharesNeeded: 3, sharesTotal: 10 };
  for (const [change, segmentSize] of [
    [{ sharesNeeded: 0 }, 30],
    [{ sharesNeeded: 11 }, 33],
    [{ sharesTotal: 257 }, 30],
    [{ sizeBytes: 0 }, 30],
    [{ sizeBytes: 2 ** 60 }, 30],
    [{}, 31],
    [{}, 0],
  ] as const) {
    const error = t.throws(() => chkGeometry({ ...parameters, ...change }, segmentSize));
    t.true(isTahoeError(error, 'invalid'));
  }
});

test('headers of both versions are those of the example and parse back', (t) => {
  const v1 = chkShareLayout(example);
  const header = serializeChkHeader(v1, example);
  t.is(toHex(header), '000000010000001300000013000000240000003700000057000000770000009700000141');
  t.is(chkShareLength(v1, uebLength(example)), 633);
  t.deepEqual(parseChkHeader(header).offsets, v1.offsets);
  const v2 = chkShareLayout(example, 2);
  const header2 = serializeChkHeader(v2, example);
  t.is(
    toHex(header2),
    '0000000200000000000000130000000000000013000000000000004400000000000000570000000000000077' +
      '000000000000009700000000000000b70000000000000161',
  );
  t.is(chkShareLength(v2, uebLength(example)), 669);
  t.deepEqual(parseChkHeader(header2), { version: 2, offsets: v2.offsets });
  t.is(parseUebLength(parseChkHeader(header2), serializeUebLength(v2, 308)), 308);
});

test('shares above 4 GiB use version 2', (t) => {
  const parameters = { sizeBytes: 20_000_000_000, sharesNeeded: 3, sharesTotal: 10 };
  const geometry = uploadGeometry(parameters, 1 << 20);
  const layout = chkShareLayout(geometry);
  t.is(layout.version, 2);
  t.deepEqual(parseChkHeader(serializeChkHeader(layout, geometry)).offsets, layout.offsets);
});

test('damaged headers are refused, never crash', (t) => {
  const header = serializeChkHeader(chkShareLayout(example), example);
  const damaged = (at: number, value: number) => header.with(at, value);
  for (const bytes of [
    new Uint8Array(),
    header.subarray(0, 35),
    damaged(3, 3),
    damaged(0x23, 0x42),
    damaged(0x1f, 0x98),
    fromHex(`00000002${'ff'.repeat(64)}`),
  ]) {
    t.true(
      isTahoeError(
        t.throws(() => parseChkHeader(bytes)),
        'corrupt',
      ),
    );
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      try {
        parseChkHeader(bytes);
      } catch (error) {
        t.true(isTahoeError(error, 'corrupt'));
      }
    }),
  );
});

test('share hash orders are those of the reference', (t) => {
  const cases: [number, number, number[]][] = [
    [10, 0, [2, 4, 8, 15, 16]],
    [10, 9, [1, 6, 12, 23, 24]],
    [7, 0, [8, 2, 4, 7]],
    [7, 2, [2, 9, 10, 3]],
    [7, 3, [10, 9, 2, 3]],
    [7, 6, [1, 13, 5, 14]],
    [20, 5, [2, 35, 4, 36, 7, 18]],
    [256, 37, [2, 291, 36, 4, 292, 71, 7, 18, 146]],
    [1, 0, [0]],
    [3, 2, [1, 5, 6]],
  ];
  for (const [total, share, order] of cases) t.deepEqual(shareHashOrder(total, share), order);
});

test('share hashes parse back and hostile sections are refused', (t) => {
  const nodes = Uint8Array.from({ length: 31 * 32 }, (_, i) => i >> 5);
  const entries = parseShareHashes(serializeShareHashes(nodes, 10, 4));
  t.deepEqual(
    entries.map(([node]) => node),
    shareHashOrder(10, 4),
  );
  for (const [node, hash] of entries) t.true(hash.every((byte) => byte === node));
  t.true(
    isTahoeError(
      t.throws(() => parseShareHashes(new Uint8Array(35))),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => parseShareHashes(new Uint8Array(34 * 512))),
      'corrupt',
    ),
  );
});

test('the URI extension block parses back, unknown entries included', (t) => {
  const hash = (fill: number) => new Uint8Array(32).fill(fill);
  const hashes = { crypttextHash: hash(1), crypttextRootHash: hash(2), shareRootHash: hash(3) };
  const bytes = serializeUeb(example, hashes);
  t.is(bytes.length, 308);
  const ueb = parseUeb(bytes);
  t.is(ueb.segmentSize, 57);
  t.deepEqual(ueb.shareRootHash, hash(3));
  t.deepEqual(ueb.crypttextRootHash, hash(2));
  t.is(ueb.entries.size, 11);
  const old = new TextEncoder().encode('plaintext_hash:3:abc,');
  t.is(parseUeb(new Uint8Array([...bytes, ...old])).entries.size, 12);
});

test('malformed URI extension blocks are refused, never crash', (t) => {
  const encode = (text: string) => new TextEncoder().encode(text);
  for (const text of [
    '',
    'size',
    'size:5:',
    ':1:a,',
    'a b:1:a,',
    'segment_size:2:-3,',
    'segment_size:99999999999:1,',
  ]) {
    t.true(
      isTahoeError(
        t.throws(() => parseUeb(encode(text))),
        'corrupt',
      ),
    );
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      t.true(
        isTahoeError(
          t.throws(() => parseUeb(bytes)),
          'corrupt',
        ),
      );
    }),
  );
});
