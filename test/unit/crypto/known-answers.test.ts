import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import { aes128Ctr, createAes128Ctr } from '../../../src/crypto/aes-ctr.js';
import * as derive from '../../../src/crypto/derivations.js';
import {
  blake2b256,
  sha1,
  sha256,
  sha256d,
  TaggedHasher,
  taggedHash,
  taggedPairHash,
} from '../../../src/crypto/hashes.js';
import * as tags from '../../../src/crypto/tags.js';
import { decodeBase32, encodeBase32 } from '../../../src/encoding/base32.js';
import { concatBytes, encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { asChkKey, asStorageIndex, asTubId, asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { paddingLeaf, parentHash } from '../../../src/hashtree/hash-tree.js';

const nothing = new Uint8Array(0);
const counting = (length: number) => Uint8Array.from({ length }, (_, index) => index);

test('tagged hashes give the known answers', (t) => {
  const answers: readonly (readonly [Uint8Array, string])[] = [
    [taggedHash('tag', encodeAscii('hello world')), 'yra322btzoqjp4ts2jon5dztgnilcdg6jgztgk7joi6qpjkitg2q'],
    [
      taggedPairHash('tag', encodeAscii('hello'), encodeAscii('world')),
      'wmto44q3shtezwggku2fxztfkwibvznkfu6clatnvfog527sb6dq',
    ],
    [derive.chkStorageIndex(asChkKey(encodeAscii('x'.repeat(16)))), 'wvggbrnrezdpa5yayrgiw5nzja'],
    [derive.blockHash(nothing), 'msjr5bh4evuh7fa3zw7uovixfbvlnstr5b65mrerwfnvjxig2jvq'],
    [derive.uebHash(nothing), 'wthsu45q7zewac2mnivoaa4ulh5xvbzdmsbuyztq2a5fzxdrnkka'],
    [taggedHash(tags.ciphertextTag, nothing), 'itdj6e4njtkoiavlrmxkvpreosscssklunhwtvxn6ggho4rkqwga'],
    [derive.ciphertextSegmentHash(nothing), 'aovy5aa7jej6ym5ikgwyoi4pxawnoj3wtaludjz7e2nb5xijb7aa'],
    [paddingLeaf(0), '4abeomayryw6kzfgs7gctb2apmsk47vwxcabsda2am32k5aokj5a'],
    [paddingLeaf(10), 'vvv5vs6jmh54cjdfgmdplohhk7co3wygjenr5w2iy2grerdg7ikq'],
    [parentHash(paddingLeaf(0), paddingLeaf(1)), 'a67k5hbsjk72e5vth3psjpdb4muhzwntu6dh7oxbzpdu37bihsqa'],
    [sha1([encodeAscii('SI'), decodeBase32('u33m4y7klhz3bypswqkozwetvabelhxt')]), 'kb4354zeeurpo3ze5e275wzbynm6hlap'],
  ];
  for (const [hash, answer] of answers) t.is(encodeBase32(hash), answer);
  t.is(toHex(derive.blockHash(encodeAscii('abc'))), 'fd3c231eb0555dc77b9f2670d945e4f1e782fe9f43669fe8425c9fde7b01c55f');
});

test('convergent keys give the known answers', (t) => {
  const parameters = { sharesNeeded: 3, sharesTotal: 10, segmentSize: 100 };
  const tag = derive.convergentKeyTag(encodeAscii('converge'), parameters);
  t.is(encodeBase32(new TaggedHasher(tag, 16).digest()), '3mo6ni7xweplycin6nowynw2we');

  const letters = encodeAscii('a'.repeat(16));
  const tag56 = derive.convergentKeyTag(letters, { sharesNeeded: 3, sharesTotal: 10, segmentSize: 57 });
  t.is(
    new TextDecoder().decode(tag56),
    'allmydata_immutable_content_to_key_with_added_secret_v1+16:aaaaaaaaaaaaaaaa,7:3,10,57,',
  );
  const key = asChkKey(new TaggedHasher(tag56, 16).update(encodeAscii('a'.repeat(56))).digest());
  t.is(toHex(key), '380ff65ec57c08c67d0219f67b481d28');
  t.is(toHex(derive.chkStorageIndex(key)), 'eb2d4cf71744a1169e7192d32fd9580f');
  t.is(
    toHex(aes128Ctr(key, encodeAscii('a'.repeat(56)))),
    '69a274f9768a1a437fd51b13cb402d0b0b1bbdd69414c91e9cc8f33de0b1117243a0d341b5a3f045bb524b5bf6b200329a8a5eaac154f3c7',
  );
});

test('lease secrets give the known answers', (t) => {
  const empty = derive.clientLeaseSecrets(nothing);
  t.is(encodeBase32(empty.renewal), 'ujhr5k5f7ypkp67jkpx6jl4p47pyta7hu5m527cpcgvkafsefm6q');
  t.is(encodeBase32(empty.cancel), 'rjwzmafe2duixvqy6h47f5wfrokdziry6zhx4smew4cj6iocsfaa');

  const secret = decodeBase32('boity2cdh7jvl3ltaeebuiobbspjmbuopnwbde2yeh4k6x7jioga');
  const tubId = asTubId(decodeBase32('v67jiisoty6ooyxlql5fuucitqiok2ic'));
  const client = derive.clientLeaseSecrets(secret);
  const file = derive.fileLeaseSecrets(client, asStorageIndex(decodeBase32('vrttmwlicrzbt7gh5qsooogr7u')));
  const bucket = derive.bucketLeaseSecrets(file, tubId);
  t.deepEqual([client.renewal, file.renewal, bucket.renew].map(encodeBase32), [
    'gts6phrntapoajzuam262jphi3fpfqumi464ow44j5huj5z3puha',
    'eu74owx6zhqcp7xpltuquf7qnc4g57fxvyycp7h335ylzw63f6sa',
    'osd6wmc5vz4g3ukg64sitmzlfiaaordutrez7oxdp5kkze7zp5zq',
  ]);
  t.deepEqual([client.cancel, file.cancel, bucket.cancel].map(encodeBase32), [
    'btj47qepc35okbuek4jif43popn7lwfdu3puqoahqd72n6xyipha',
    'dsvxhhdthwxofjzopk5fyfz3pxwkexyjdrd733o6gz34qvx5n3cq',
    'yqe3mm5yl6uk76emoelvvu6apk7l4dadfozwkj5ox4hna3ryejwq',
  ]);
  t.is(toHex(blake2b256(bucket.renew)), '845cdf942c6fe4c59e731c2a5f1de0f1f63164ad23e06cefddb40785f3a20c8b');

  const otherFile = asStorageIndex(decodeBase32('75gmmfts772ww4beiewc234o5e'));
  const otherTub = asTubId(decodeBase32('lh5fhobkjrmkqjmkxhy3yaonoociggpz'));
  const renewal = (leaseSecret: Uint8Array, tub: typeof tubId) =>
    encodeBase32(
      derive.bucketLeaseSecrets(derive.fileLeaseSecrets(derive.clientLeaseSecrets(leaseSecret), otherFile), tub).renew,
    );
  t.is(renewal(secret, tubId), '35itmusj7qm2pfimh62snbyxp3imreofhx4djr7i2fweta75szda');
  t.is(renewal(secret, otherTub), 'srrlruge47ws3lm53vgdxprgqb6bz7cdblnuovdgtfkqrygrjm4q');
  const otherSecret = decodeBase32('vacviff4xfqxsbp64tdr3frg3xnkcsuwt5jpyat2qxcm44bwu75a');
  t.is(renewal(otherSecret, otherTub), 'b4jledjiqjqekbm2erekzqumqzblegxi23i5ojva7g7xmqqnl5pq');
});

test('mutable derivations give the known answers', (t) => {
  const writeKey = asWriteKey(counting(16));
  const readKey = derive.readKeyOf(writeKey);
  t.is(toHex(readKey), 'cadaf6f34ba7ee41b9b4bf76a8f34793');
  t.is(toHex(derive.mutableStorageIndex(readKey)), '05d82de538db1406e16fc5ff4d6690a3');
  t.is(toHex(derive.writeEnablerMaster(writeKey)), 'f57f1d678a75602b959d26384c58b66c26d147093e906f7a49f0a02ae54a6e0c');
  t.is(
    toHex(derive.writeEnablerOf(writeKey, asTubId(counting(20)))),
    '9c73634fb14767143bf6592de0ed0d74b96d4a255794b02995fdc2a1b0a48609',
  );
  t.is(toHex(derive.mutableDataKey(counting(32).subarray(16), readKey)), '48c028135efaf3020cf7fd8aefa6cca5');
});

test('plain hashes agree with the platform', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (data) => {
      const once = createHash('sha256').update(data).digest();
      t.is(toHex(sha256(data)), once.toString('hex'));
      t.is(toHex(sha256d(data)), createHash('sha256').update(once).digest('hex'));
      t.is(toHex(sha1(data)), createHash('sha1').update(data).digest('hex'));
    }),
  );
});

test('a tagged hash is the same in one piece, in parts, streamed, small and large', (t) => {
  for (const size of [0, 1, 100, 16383, 16384, 100_000]) {
    const data = Uint8Array.from({ length: size }, (_, index) => (index * 7) & 0xff);
    const cut = Math.floor(size / 3);
    const expected = sha256d(concatBytes([encodeAscii('5:a tag,'), data]));
    t.deepEqual(taggedHash('a tag', data), expected);
    t.deepEqual(taggedHash(encodeAscii('a tag'), [data.subarray(0, cut), data.subarray(cut)]), expected);
    const hasher = new TaggedHasher('a tag', 16).update(data.subarray(0, cut)).update(data.subarray(cut));
    t.deepEqual(hasher.digest(), expected.subarray(0, 16));
  }
});

test('AES-CTR from any offset is the same part of the whole', (t) => {
  const key = fromHex('000102030405060708090a0b0c0d0e0f');
  const data = Uint8Array.from({ length: 200 }, (_, index) => index);
  const whole = aes128Ctr(key, data);
  fc.assert(
    fc.property(fc.nat(200), fc.nat(200), (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      t.deepEqual(aes128Ctr(key, data.subarray(start, end), start), whole.subarray(start, end));
      const stream = createAes128Ctr(key);
      t.deepEqual(concatBytes([stream.update(data.subarray(0, start)), stream.update(data.subarray(start))]), whole);
    }),
  );
});

test('AES-CTR counts beyond 32 bits of blocks', (t) => {
  const key = counting(16);
  const offset = 2 ** 36 - 16;
  const data = new Uint8Array(48);
  const whole = aes128Ctr(key, data, offset);
  t.deepEqual(aes128Ctr(key, data.subarray(0, 16), 2 ** 36), whole.subarray(16, 32));
  t.notDeepEqual(whole.subarray(16, 32), aes128Ctr(key, data.subarray(0, 16), 0));
});
