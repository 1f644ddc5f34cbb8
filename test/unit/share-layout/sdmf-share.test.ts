import test from 'ava';
import { fingerprintOf, readKeyOf, writeKeyOf } from '../../../src/crypto/derivations.js';
import { sha256 } from '../../../src/crypto/hashes.js';
import { importPrivateKey, signPss } from '../../../src/crypto/rsa.js';
import {
  bytesEqual,
  concatBytes,
  encodeAscii,
  fromHex,
  toHex,
  writeU32,
  writeU64,
} from '../../../src/encoding/bytes.js';
import { asFingerprint, asReadKey, asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { erasureCode } from '../../../src/erasure/erasure-code.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import {
  decodeSegment,
  decryptPrivateKey,
  encryptPrivateKey,
  mutableShareTree,
  verifiedPublicKey,
  verifySignedPrefix,
} from '../../../src/share-layout/mutable-share.js';
import {
  encodeSdmfShares,
  parseSdmfCheckstring,
  parseSdmfPrefix,
  parseSdmfShare,
  type SdmfShare,
  serializeSdmfCheckstring,
  serializeSdmfPrefix,
  verifySdmfBlock,
} from '../../../src/share-layout/sdmf-share.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import { type MutableVector, openMutableContainer } from '../../support/mutable-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const vectors = Object.entries(readVectorJson<Record<string, MutableVector>>('mutable/shares.json')).filter(([name]) =>
  name.startsWith('sdmf'),
);

function sharesOf(vector: MutableVector): Map<number, Uint8Array> {
  return new Map(
    vector.shares.map(({ shnum, container_file_b64 }) => [
      shnum,
      openMutableContainer(fromBase64(container_file_b64)).data,
    ]),
  );
}

/** Everything a reader checks, then the plaintext. */
function readAll(shares: ReadonlyMap<number, Uint8Array>, vector: MutableVector, used: readonly number[]): Uint8Array {
  const parsed = used.map((number) => [number, parseSdmfShare(shares.get(number)!)] as const);
  const [, first] = parsed[0]!;
  const key = verifiedPublicKey(first.publicKeyDer, asFingerprint(fromHex(vector.derived.fingerprint)));
  verifySignedPrefix(first.signedBytes, first.signature, key);
  const tree = mutableShareTree(first.prefix);
  for (const [number, share] of parsed) verifySdmfBlock(share, number, tree);
  const { iv: salt, dataLength, sharesNeeded, sharesTotal } = first.prefix;
  if (dataLength === 0) return new Uint8Array(0);
  const blocks = new Map(parsed.map(([number, { block }]) => [number, { salt, block }]));
  const readKey = asReadKey(fromHex(vector.derived.readkey));
  return decodeSegment(blocks, readKey, dataLength, erasureCode(sharesNeeded, sharesTotal));
}

for (const [name, vector] of vectors) {
  test(`shares of the Python implementation are verified and read: ${name}`, (t) => {
    const shares = sharesOf(vector);
    for (let start = 0; start + vector.k <= vector.n; start++) {
      const used = Array.from({ length: vector.k }, (_, index) => start + index);
      const plaintext = readAll(shares, vector, used);
      t.is(plaintext.length, vector.size);
      t.is(toHex(sha256(plaintext)), vector.plaintext_sha256);
    }
    const writeKey = asWriteKey(fromHex(vector.derived.writekey));
    for (const bytes of shares.values()) {
      const share = parseSdmfShare(bytes);
      t.deepEqual(
        decryptPrivateKey(share.encryptedPrivateKey, writeKey),
        fromBase64(vector.derived.privkey_pkcs8_der_b64),
      );
      t.deepEqual(serializeSdmfPrefix(parseSdmfPrefix(bytes)), bytes.subarray(0, 75));
      t.deepEqual(serializeSdmfCheckstring(parseSdmfCheckstring(bytes)), bytes.subarray(0, 57));
    }
  });

  test(`shares of the Python implementation are written byte for byte: ${name}`, (t) => {
    const shares = sharesOf(vector);
    const theirs = parseSdmfShare(shares.get(0)!);
    const used = Array.from({ length: vector.k }, (_, index) => index);
    const encoded = encodeSdmfShares({
      sequenceNumber: theirs.prefix.sequenceNumber,
      iv: theirs.prefix.iv,
      readKey: asReadKey(fromHex(vector.derived.readkey)),
      plaintext: readAll(shares, vector, used),
      sharesNeeded: vector.k,
      sharesTotal: vector.n,
      encryptedPrivateKey: encryptPrivateKey(
        fromBase64(vector.derived.privkey_pkcs8_der_b64),
        asWriteKey(fromHex(vector.derived.writekey)),
      ),
      publicKeyDer: fromBase64(vector.derived.pubkey_spki_der_b64),
      // signatures are random: theirs fits if the signed bytes are the same
      sign: (signedBytes) => {
        t.deepEqual(signedBytes, theirs.signedBytes);
        return theirs.signature;
      },
      erasureCode: erasureCode(vector.k, vector.n),
    });
    t.is(encoded.shares.length, vector.n);
    t.is(shares.size, vector.n);
    for (const [number, bytes] of shares) t.deepEqual(encoded.shares[number], bytes);
    t.deepEqual(encoded.checkstring, shares.get(0)!.subarray(0, 57));
  });
}

const [, golden] = vectors.find(([name]) => name === 'sdmf-1000-3of10')!;
const goldenShares = sharesOf(golden);

for (const size of [0, 1, 2, 3, 1000]) {
  test(`what is written is read from any shares: ${size} bytes, 2 of 5`, (t) => {
    const privateKeyDer = fromBase64(golden.derived.privkey_pkcs8_der_b64);
    const publicKeyDer = fromBase64(golden.derived.pubkey_spki_der_b64);
    const writeKey = writeKeyOf(privateKeyDer);
    const plaintext = Uint8Array.from({ length: size }, (_, index) => (index * 31) & 0xff);
    const { shares } = encodeSdmfShares({
      sequenceNumber: 2 ** 40,
      iv: new Uint8Array(16).fill(5),
      readKey: readKeyOf(writeKey),
      plaintext,
      sharesNeeded: 2,
      sharesTotal: 5,
      encryptedPrivateKey: encryptPrivateKey(privateKeyDer, writeKey),
      publicKeyDer,
      sign: (signedBytes) => signPss(importPrivateKey(privateKeyDer), signedBytes),
      erasureCode: erasureCode(2, 5),
    });
    const byNumber = new Map(shares.map((share, number) => [number, share]));
    t.deepEqual(fingerprintOf(publicKeyDer), asFingerprint(fromHex(golden.derived.fingerprint)));
    for (let a = 0; a < 5; a++) {
      for (let b = 0; b < 5; b++) if (a !== b) t.deepEqual(readAll(byNumber, golden, [a, b]), plaintext);
    }
  });
}

test('bytes behind the end of file are those of an older version and ignored', (t) => {
  const stale = new Map(
    [...goldenShares].map(([number, share]) => [number, concatBytes([share, new Uint8Array(500).fill(7)])]),
  );
  t.is(toHex(sha256(readAll(stale, golden, [1, 4, 9]))), golden.plaintext_sha256);
});

test('a private key of another file is refused', (t) => {
  const { encryptedPrivateKey } = parseSdmfShare(goldenShares.get(0)!);
  const error = t.throws(() => decryptPrivateKey(encryptedPrivateKey, asWriteKey(new Uint8Array(16))));
  t.true(isTahoeError(error, 'corrupt'));
});

test('a share under another number is refused', (t) => {
  const share = parseSdmfShare(goldenShares.get(3)!);
  for (const number of [0, 2, 9, 10, 255]) {
    t.true(
      isTahoeError(
        t.throws(() => verifySdmfBlock(share, number, mutableShareTree(share.prefix))),
        'corrupt',
      ),
    );
  }
  t.notThrows(() => verifySdmfBlock(share, 3, mutableShareTree(share.prefix)));
});

test('one wrong byte in a signed, hashed or fingerprinted part is noticed', (t) => {
  const bytes = goldenShares.get(0)!;
  const offsets = [1, 8, 9, 40, 41, 56, 57, 58, 66, 74, 107, 300, 402, 500, 657, 660, 690, 793, 800, 825, 900, 1150];
  for (const offset of offsets) {
    const damaged = bytes.slice();
    damaged[offset]! ^= 1;
    t.true(
      isTahoeError(
        t.throws(() => readAll(new Map([...goldenShares, [0, damaged]]), golden, [0, 1, 2])),
        'corrupt',
      ),
      `${offset}`,
    );
  }
});

test('offsets out of order, past the end or beyond 2^53 are refused', (t) => {
  const bytes = goldenShares.get(0)!;
  for (const [offset, value] of [
    [75, 106],
    [75, 0],
    [79, 5],
    [83, 0xffff_ffff],
    [87, 1],
    [91, 2],
    [99, bytes.length + 1],
    [99, 2 ** 40],
  ] as const) {
    const damaged = bytes.slice();
    if (offset < 91) writeU32(damaged, offset, value);
    else writeU64(damaged, offset, value);
    t.true(
      isTahoeError(
        t.throws(() => parseSdmfShare(damaged)),
        'corrupt',
      ),
    );
  }
  const huge = bytes.slice();
  huge.set(new Uint8Array(8).fill(0xff), 99);
  t.true(
    isTahoeError(
      t.throws(() => parseSdmfShare(huge)),
      'corrupt',
    ),
  );
  t.throws(() => parseSdmfShare(encodeAscii('')));
});

test('10,000 damaged shares give typed errors, and none of them another plaintext', (t) => {
  const random = randomSource(4711);
  const bytes = goldenShares.get(0)!;
  const fingerprint = asFingerprint(fromHex(golden.derived.fingerprint));
  const intact = parseSdmfShare(bytes);
  let refused = 0;
  for (let round = 0; round < 10_000; round++) {
    // half of the damage goes into the header, which is small
    const damaged =
      round % 2 === 0
        ? mutate(bytes, random)
        : concatBytes([mutate(bytes.subarray(0, 107), random), bytes.subarray(107)]);
    let share: SdmfShare;
    try {
      share = parseSdmfShare(damaged);
      const key = verifiedPublicKey(share.publicKeyDer, fingerprint);
      verifySignedPrefix(share.signedBytes, share.signature, key);
      verifySdmfBlock(share, 0, mutableShareTree(share.prefix));
    } catch (error) {
      if (!isTahoeError(error, 'corrupt')) throw error;
      refused++;
      continue;
    }
    t.true(bytesEqual(share.block, intact.block) && bytesEqual(share.signedBytes, intact.signedBytes));
  }
  t.true(refused > 5000 && refused < 10_000);
});
