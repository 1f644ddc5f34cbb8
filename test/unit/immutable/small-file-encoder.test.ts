import { createHash } from 'node:crypto';
import test from 'ava';
import { serializeCap } from '../../../src/caps/cap.js';
import { chkStorageIndex, convergentKeyTag } from '../../../src/crypto/derivations.js';
import { taggedHash } from '../../../src/crypto/hashes.js';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { asChkKey } from '../../../src/encoding/checked-bytes.js';
import { SmallFileEncoder } from '../../../src/immutable/small-file-encoder.js';
import { uploadGeometry } from '../../../src/share-layout/chk-geometry.js';
import { goldenPlaintext, loadGoldenFiles } from '../../support/golden-files.js';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const golden = loadGoldenFiles();

function encodeConvergent(plaintext: Uint8Array, secret: Uint8Array, k: number, n: number, maximumSegmentSize: number) {
  const geometry = uploadGeometry({ sizeBytes: plaintext.length, sharesNeeded: k, sharesTotal: n }, maximumSegmentSize);
  const key = asChkKey(taggedHash(convergentKeyTag(secret, geometry), plaintext, 16));
  return new SmallFileEncoder().encode(plaintext, geometry, key);
}

for (const file of golden.files.filter(({ sizeBytes }) => sizeBytes > 55 && sizeBytes <= 131073)) {
  test(`${file.sizeBytes} bytes give the reference's capability and shares`, (t) => {
    const plaintext = goldenPlaintext(file.sizeBytes);
    t.is(sha256(plaintext), file.sha256);
    const encoded = encodeConvergent(plaintext, golden.convergenceSecret, 3, 10, file.maximumSegmentSize);
    t.is(serializeCap(encoded.cap), file.cap);
    const digests = Object.entries(file.shareSha256 ?? {});
    t.is(digests.length, 10);
    for (const [share, digest] of digests) t.is(sha256(encoded.shares[Number(share)]!), digest);
  });
}

test('the worked example of one segment, and its first share in layout version 2', (t) => {
  const plaintext = new Uint8Array(56).fill(0x61);
  const secret = new Uint8Array(16).fill(0x61);
  const { cap, shares } = encodeConvergent(plaintext, secret, 3, 10, 131072);
  t.is(
    serializeCap(cap),
    'URI:CHK:hah7mxwfpqemm7icdh3hwsa5fa:6epvxt2uxh42obpnfn4wkrplqml7voh7aqpnqnapu7ffcyn2hk3q:3:10:56',
  );
  t.is(encodeBase32(chkStorageIndex(cap.key)), '5mwuz5yxisqrnhtrsljs7wkyb4');
  t.is(sha256(shares[0]!), '9992a67031831945dd97738963b46dcd763702f2da066503edb54478f8edb461');
  t.is(sha256(shares[9]!), '1480ab5d0f8d178cfc3fb1820066cba0151e0b35fbfd156659f0915dfd6721dd');
  const geometry = uploadGeometry({ sizeBytes: 56, sharesNeeded: 3, sharesTotal: 10 }, 131072);
  const v2 = new SmallFileEncoder().encode(plaintext, geometry, cap.key, 2);
  t.is(sha256(v2.shares[0]!), 'e7d6d7f25dd7ca56af5b96794442e5a5e5e91e68eca7a00515de5e2429c63b62');
  t.deepEqual(v2.cap, cap);
});

const fourSegments = encodeAscii('abcdefghij'.repeat(10));
const explicitKey = asChkKey(fromHex('000102030405060708090a0b0c0d0e0f'));

test('the worked example of four segments', (t) => {
  const geometry = uploadGeometry({ sizeBytes: 100, sharesNeeded: 3, sharesTotal: 10 }, 30);
  const { cap, shares } = new SmallFileEncoder().encode(fourSegments, geometry, explicitKey);
  t.is(toHex(cap.uebHash), '7f64d6db8f0cc2c431b4b2fbac8d3295a8375bc2b99834e373312bce50e8d5c1');
  t.is(shares[5]!.length, 1225);
  t.is(sha256(shares[5]!), '2a923873fd7758d8222b787cb1a77cb437d587e58c1ae425c9d79fc591c825b6');
  t.is(sha256(shares[9]!), '0835dcf9402d455fd1e436098acd5cf1a468cc6cca6ff963eb136be0d658a531');
});

test('the worked example of seven shares, whose share hashes are not in ascending order', (t) => {
  const geometry = uploadGeometry({ sizeBytes: 100, sharesNeeded: 3, sharesTotal: 7 }, 30);
  const { cap, shares } = new SmallFileEncoder().encode(fourSegments, geometry, explicitKey);
  t.is(
    serializeCap(cap),
    'URI:CHK:aaaqeayeaudaocajbifqydiob4:vmkbhokqqmbf77n24vn3if7ib4bj6yur66tf4ltfmzigzmzilv3q:3:7:100',
  );
  t.is(sha256(shares[0]!), '15505579378c9f3df2ea533d04f796804fbb2cc0c26831ea3ae766025dd42b0d');
  t.is(sha256(shares[3]!), '8000f166f61c49a733b020acd13d337c2391691a9d781869c2b1083caf397625');
  t.is(sha256(shares[6]!), 'e314093f9d9fbcbeac5faeed404b69bc34f2a29c241d06ad4b2c323e90af06f3');
});

for (const [size, seed, cap] of [
  [1024, 'a', 'URI:CHK:dx7tvyr2fc4u7lxjc6kehq2svq:tiy4qh2g6lqejxcaym3rr7ymkdkinn4qised6kgxloj7sptsqu4a:3:10:1024'],
  [4096, 'c', 'URI:CHK:yo75evk4cte3b7rdw72zxvl5ye:ex6h7ff7nclucjtsqwgwu33qgmb67t4ezbrki4zbgurwn2ct6bbq:3:10:4096'],
] as const) {
  test(`published vector of ${size} bytes`, (t) => {
    const plaintext = encodeAscii(seed.repeat(size));
    t.is(serializeCap(encodeConvergent(plaintext, encodeAscii('a'.repeat(16)), 3, 10, 131072).cap), cap);
  });
}
