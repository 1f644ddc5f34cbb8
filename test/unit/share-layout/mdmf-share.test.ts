import test from 'ava';
import fc from 'fast-check';
import { readKeyOf, writeKeyOf } from '../../../src/crypto/derivations.js';
import { sha256 } from '../../../src/crypto/hashes.js';
import { importPrivateKey, signPss } from '../../../src/crypto/rsa.js';
import { bytesEqual, concatBytes, fromHex, toHex, writeU64 } from '../../../src/encoding/bytes.js';
import { asFingerprint, asReadKey, asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { erasureCode } from '../../../src/erasure/erasure-code.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { hashLength, parseHashTree } from '../../../src/hashtree/hash-tree.js';
import { encodeMdmf, type MdmfContents, mdmfSegmentSize } from '../../../src/share-layout/mdmf-encode.js';
import {
  mdmfGeometry,
  nodesBeside,
  parseMdmfCheckstring,
  parseMdmfHead,
  parseMdmfPrefix,
  serializeMdmfCheckstring,
  serializeMdmfOffsets,
  serializeMdmfPrefix,
  verifyMdmfBlocks,
} from '../../../src/share-layout/mdmf-share.js';
import {
  decodeSegment,
  decryptPrivateKey,
  encryptPrivateKey,
  mutableShareTree,
  type SaltedBlock,
  type SegmentRange,
  verifiedPublicKey,
  verifySignedPrefix,
} from '../../../src/share-layout/mutable-share.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import { type MutableVector, openMutableContainer } from '../../support/mutable-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const vectors = Object.entries(readVectorJson<Record<string, MutableVector>>('mutable/shares.json')).filter(([name]) =>
  name.startsWith('mdmf'),
);

function sharesOf(vector: MutableVector): Map<number, Uint8Array> {
  return new Map(
    vector.shares.map(({ shnum, container_file_b64 }) => [
      shnum,
      openMutableContainer(fromBase64(container_file_b64)).data,
    ]),
  );
}

/** Everything that a reader checks of one share, then its blocks. */
function verifiedBlocks(
  bytes: Uint8Array,
  shareNumber: number,
  range: SegmentRange,
  tree = mutableShareTree(parseMdmfPrefix(bytes)),
): SaltedBlock[] {
  const { prefix, offsets, shareHashChain } = parseMdmfHead(bytes);
  const { blockOffset, segmentCount } = mdmfGeometry(prefix);
  const node = (index: number) => {
    const start = offsets.blockHashTree + index * hashLength;
    return bytes.subarray(start, start + hashLength);
  };
  const data = bytes.subarray(offsets.shareData + blockOffset(range.first), offsets.shareData + blockOffset(range.end));
  const blockTreeNodes = nodesBeside(range, segmentCount).map((index) => [index, node(index)] as const);
  const evidence = { blockTreeRoot: node(0), blockTreeNodes, shareHashChain };
  return verifyMdmfBlocks(prefix, shareNumber, { ...range, data }, evidence, tree);
}

function checkHead(bytes: Uint8Array, vector: MutableVector): void {
  const { publicKeyDer, signedBytes, signature } = parseMdmfHead(bytes);
  const key = verifiedPublicKey(publicKeyDer, asFingerprint(fromHex(vector.derived.fingerprint)));
  verifySignedPrefix(signedBytes, signature, key);
}

function readAll(shares: ReadonlyMap<number, Uint8Array>, vector: MutableVector, used: readonly number[]): Uint8Array {
  const prefix = parseMdmfPrefix(shares.get(used[0]!)!);
  const { segmentCount, segmentLength } = mdmfGeometry(prefix);
  const tree = mutableShareTree(prefix);
  const byShare = used.map((number) => {
    checkHead(shares.get(number)!, vector);
    if (segmentCount === 0) return [number, []] as const;
    return [number, verifiedBlocks(shares.get(number)!, number, { first: 0, end: segmentCount }, tree)] as const;
  });
  const code = erasureCode(prefix.sharesNeeded, prefix.sharesTotal);
  const readKey = asReadKey(fromHex(vector.derived.readkey));
  return concatBytes(
    Array.from({ length: segmentCount }, (_, segment) =>
      decodeSegment(
        new Map(byShare.map(([number, blocks]) => [number, blocks[segment]!])),
        readKey,
        segmentLength(segment),
        code,
      ),
    ),
  );
}

for (const [name, vector] of vectors) {
  test(`shares of the Python implementation are verified and read: ${name}`, (t) => {
    const shares = sharesOf(vector);
    const numbers = [...shares.keys()];
    for (let start = 0; start + vector.k <= numbers.length; start++) {
      const plaintext = readAll(shares, vector, numbers.slice(start, start + vector.k));
      t.is(plaintext.length, vector.size);
      t.is(toHex(sha256(plaintext)), vector.plaintext_sha256);
    }
    for (const [number, bytes] of shares) {
      const { prefix, offsets, encryptedPrivateKey } = parseMdmfHead(bytes);
      checkHead(bytes, vector);
      const { segmentCount } = mdmfGeometry(prefix);
      if (segmentCount > 0) t.notThrows(() => verifiedBlocks(bytes, number, { first: 0, end: segmentCount }));
      t.deepEqual(
        decryptPrivateKey(encryptedPrivateKey, asWriteKey(fromHex(vector.derived.writekey))),
        fromBase64(vector.derived.privkey_pkcs8_der_b64),
      );
      t.deepEqual(serializeMdmfPrefix(prefix), bytes.subarray(0, 59));
      t.deepEqual(serializeMdmfCheckstring(parseMdmfCheckstring(bytes)), bytes.subarray(0, 41));
      t.deepEqual(serializeMdmfOffsets(offsets), bytes.subarray(59, 123));
    }
  });
}

for (const [name, vector] of vectors.filter(([, { shares, k }]) => shares.length >= k)) {
  test(`shares of the Python implementation are written byte for byte: ${name}`, (t) => {
    const shares = sharesOf(vector);
    const numbers = [...shares.keys()].slice(0, vector.k);
    const theirs = shares.get(numbers[0]!)!;
    const head = parseMdmfHead(theirs);
    const { segmentCount } = mdmfGeometry(head.prefix);
    const blocks = segmentCount === 0 ? [] : verifiedBlocks(theirs, numbers[0]!, { first: 0, end: segmentCount });
    const writeKey = asWriteKey(fromHex(vector.derived.writekey));
    const encoded = encodeMdmf({
      sequenceNumber: head.prefix.sequenceNumber,
      sharesNeeded: vector.k,
      sharesTotal: vector.n,
      segmentSize: mdmfSegmentSize(vector.k),
      dataLength: vector.size,
      readKey: readKeyOf(writeKey),
      plaintext: readAll(shares, vector, numbers),
      firstSegment: 0,
      salts: blocks.map(({ salt }) => salt),
      kept: [],
      encryptedPrivateKey: encryptPrivateKey(fromBase64(vector.derived.privkey_pkcs8_der_b64), writeKey),
      publicKeyDer: fromBase64(vector.derived.pubkey_spki_der_b64),
      // signatures are random: theirs fits if the signed bytes are the same
      sign: (signedBytes) => {
        t.deepEqual(signedBytes, head.signedBytes);
        return head.signature;
      },
      erasureCode: erasureCode(vector.k, vector.n),
    });
    for (const [number, bytes] of shares) t.deepEqual(encoded.share(number), bytes);
  });
}

const golden = vectors.find(([name]) => name === 'mdmf-131074-2of7')![1];
const privateKeyDer = fromBase64(golden.derived.privkey_pkcs8_der_b64);
const privateKey = importPrivateKey(privateKeyDer);
const writeKey = writeKeyOf(privateKeyDer);

/** A small file with small segments, which readers must take as well. */
function contents(plaintext: Uint8Array, more: Partial<MdmfContents> = {}): MdmfContents {
  const segmentSize = more.segmentSize ?? 30;
  const segmentCount = Math.ceil(plaintext.length / segmentSize);
  return {
    sequenceNumber: 7,
    sharesNeeded: 3,
    sharesTotal: 5,
    segmentSize,
    dataLength: plaintext.length,
    readKey: readKeyOf(writeKey),
    plaintext,
    firstSegment: 0,
    salts: Array.from({ length: segmentCount }, (_, segment) => new Uint8Array(16).fill(segment)),
    kept: [],
    encryptedPrivateKey: encryptPrivateKey(privateKeyDer, writeKey),
    publicKeyDer: fromBase64(golden.derived.pubkey_spki_der_b64),
    sign: (bytes) => signPss(privateKey, bytes),
    erasureCode: erasureCode(3, 5),
    ...more,
  };
}

function sharesFrom(encoded: { share(number: number): Uint8Array }): Map<number, Uint8Array> {
  return new Map(Array.from({ length: 5 }, (_, number) => [number, encoded.share(number)]));
}

test('what is written is read from any shares, whatever the size', (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.subarray([0, 1, 2, 3, 4], { minLength: 3, maxLength: 3 }),
      (plaintext, used) => {
        const shares = sharesFrom(encodeMdmf(contents(plaintext)));
        t.deepEqual(readAll(shares, golden, used), new Uint8Array(plaintext));
      },
    ),
    { numRuns: 50 },
  );
});

test('any range of segments can be checked with the few nodes beside it', (t) => {
  const plaintext = Uint8Array.from({ length: 30 * 11 + 5 }, (_, index) => index & 0xff);
  const share = encodeMdmf(contents(plaintext)).share(4);
  for (let first = 0; first < 12; first++) {
    for (let end = first + 1; end <= 12; end++) {
      const blocks = verifiedBlocks(share, 4, { first, end });
      t.is(blocks.length, end - first);
      t.true(blocks.every(({ salt }, index) => salt[0] === first + index));
      t.true(nodesBeside({ first, end }, 12).length <= 8);
    }
  }
});

test('changes turn the shares of the version before into exactly those of the new one', (t) => {
  const sizes = fc.integer({ min: 0, max: 250 });
  fc.assert(
    fc.property(sizes, sizes, fc.integer({ min: 0, max: 200 }), (size, at, length) => {
      const old = Uint8Array.from({ length: size }, (_, index) => index & 0xff);
      const offset = Math.min(at, size);
      const dataLength = Math.max(size, offset + length);
      const changed = new Uint8Array(dataLength);
      changed.set(old);
      changed.fill(0xee, offset, offset + length);
      const firstSegment = Math.floor(offset / 30);
      const end = Math.min(Math.ceil(dataLength / 30), Math.max(firstSegment, Math.ceil((offset + length) / 30)));
      const before = sharesFrom(encodeMdmf(contents(old)));
      const kept = [...before.values()].map((share) => {
        const { prefix, offsets } = parseMdmfHead(share);
        const { segmentCount } = mdmfGeometry(prefix);
        return parseHashTree(segmentCount, share.subarray(offsets.blockHashTree, offsets.endOfFile));
      });
      const update = encodeMdmf(
        contents(changed.subarray(firstSegment * 30, Math.min(end * 30, dataLength)), {
          sequenceNumber: 8,
          dataLength,
          firstSegment,
          salts: Array.from({ length: end - firstSegment }, () => new Uint8Array(16).fill(0xaa)),
          kept,
        }),
      );
      const after = [...before].map(([number, share]) => {
        const bytes = new Uint8Array(update.offsets.endOfFile);
        bytes.set(share.subarray(0, bytes.length));
        for (const change of update.changes(number)) bytes.set(change.data, change.offset);
        return [number, bytes] as const;
      });
      t.deepEqual(readAll(new Map(after), golden, [1, 3, 4]), changed);
    }),
    { numRuns: 100 },
  );
});

const goldenShare = sharesOf(golden).get(0)!;

test('a share under another number, and data of another segment, are refused', (t) => {
  for (const number of [1, 2, 6, 7, 255]) {
    t.true(
      isTahoeError(
        t.throws(() => verifiedBlocks(goldenShare, number, { first: 0, end: 1 })),
        'corrupt',
      ),
    );
  }
  t.notThrows(() => verifiedBlocks(goldenShare, 0, { first: 0, end: 1 }));
  const share = encodeMdmf(contents(new Uint8Array(90))).share(0);
  const { offsets } = parseMdmfHead(share);
  const swapped = share.slice();
  swapped.copyWithin(offsets.shareData, offsets.shareData + 26, offsets.shareData + 52);
  t.true(
    isTahoeError(
      t.throws(() => verifiedBlocks(swapped, 0, { first: 0, end: 1 })),
      'corrupt',
    ),
  );
});

test('offsets out of order or contradicting the sizes, and impossible segments, are refused', (t) => {
  for (const [offset, value] of [
    [59, 122],
    [67, 0],
    [75, 100],
    [83, 2 ** 40],
    [91, 2168],
    [99, 2166],
    [107, 2167],
    [115, goldenShare.length + 1],
    [43, 0],
    [43, 3],
    [43, 2 ** 40],
    [51, 2 ** 52],
    [51, 0],
  ] as const) {
    const damaged = goldenShare.slice();
    writeU64(damaged, offset, value);
    t.true(
      isTahoeError(
        t.throws(() => parseMdmfHead(damaged)),
        'corrupt',
      ),
      `${offset}`,
    );
  }
  for (const [needed, total] of [
    [0, 7],
    [8, 7],
  ] as const) {
    const damaged = goldenShare.slice();
    damaged[41] = needed;
    damaged[42] = total;
    t.true(
      isTahoeError(
        t.throws(() => parseMdmfPrefix(damaged)),
        'corrupt',
      ),
    );
  }
});

test('5,000 damaged shares give typed errors, and none of them another plaintext', (t) => {
  const random = randomSource(2024);
  const plaintext = Uint8Array.from({ length: 100 }, (_, index) => index);
  const share = encodeMdmf(contents(plaintext)).share(1);
  const intact = verifiedBlocks(share, 1, { first: 0, end: 4 });
  let refused = 0;
  for (let round = 0; round < 5000; round++) {
    // half of the damage goes into the header, which is small
    const damaged =
      round % 2 === 0
        ? mutate(share, random)
        : concatBytes([mutate(share.subarray(0, 123), random), share.subarray(123)]);
    try {
      checkHead(damaged, golden);
      const blocks = verifiedBlocks(damaged, 1, { first: 0, end: 4 });
      t.true(
        blocks.every(({ salt, block }, i) => bytesEqual(salt, intact[i]!.salt) && bytesEqual(block, intact[i]!.block)),
      );
    } catch (error) {
      if (!isTahoeError(error, 'corrupt')) throw error;
      refused++;
    }
  }
  t.true(refused > 2000 && refused < 5000, `${refused}`);
});
