import test from 'ava';
import { blockHash, ciphertextSegmentHash, uebHash } from '../../../src/crypto/derivations.js';
import { sha1, sha256 } from '../../../src/crypto/hashes.js';
import { compareBytes, encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { buildHashTree } from '../../../src/hashtree/hash-tree.js';

// immutable spec 13.2: the ten blocks of 56 times "a", and every node over them
const blocks = [
  '69a274f9768a1a437fd51b13cb402d0b0b1bbd',
  'd69414c91e9cc8f33de0b1117243a0d341b5a3',
  'f045bb524b5bf6b200329a8a5eaac154f3c700',
  '8967cbb99fe696b64a080372331e635a4bf0e4',
  'af6de755cf39269c1e4a37f43d9aa73205f5f7',
  '945ca80cdc40864091163354566c7c2f154eee',
  '23aa6af40cfd88ff0ee996f74136f2063fdb20',
  '73319e2c4ebbc5f4670b4f734c146718433376',
  '5fafc25511b3065f80d6e23dda323a091ba5a1',
  '0d60e4d0e489e4da8761add0e1eb359f11e5e3',
];
const shareTreeNodes = [
  '5c6817fbce7633f83eb533324ee64b0d4936a5fe0873dc1cf2a24cf68c21da74',
  '92ef9456cec4a741a76b270224a848df72915b2b4b3cbac8a9012d4d22500da4',
  '6b5bf75e75bab7a784f7615f26ba0e12dd12c3b8dd984885ec5d7b1c952b774b',
  'cd214c31c2c1ba9ee273d9b3e36be8265d92350880141fff8da2949ea471a430',
  '82f72f4eff1e4d882e8bda5f158fc00aeffed4f85fbb27dc15f04758345af9d8',
  'b70aef7d8ffe91016ecead65e322307351c1511bce07f1f890fbc94224cb53e7',
  '88e65a40d7de4dc529f80d1c87a9b44de5c41f071f3c437d20f6e74a6cc9f342',
  '5e6fcd5d1138b0e247b6d63e11bd41b3e4cc623dd51f9f0c3128bd34d65d61fd',
  'df16cd003a9049a16b7f4707d3b0121d218c67aea228713fb874ffa7d2511167',
  'bb96588d5649fe362a5be5126e6b7b6e8aea58be93876099bf27e23ea92e8bbb',
  '49ea375071224bce2cca2c86c561b8ac5c19004a551d7eae69a9e364c2092d42',
  'c95421384323778ec3acc25305bec28a93eaf8234885ece41a6c73bac5b9202a',
  '06b0a6ccc5b988d8da5d4e8cd9dd2202af24b080691ab40d60b0338998e9d3ce',
  '3485abcb414c0b28a25d5943b009c30a6474e4887c3a26f8627b49beb36c8b70',
  '45fb6f82caf3305273a30d5e57bbead70533693eb6d51f4419895cb6f1477927',
  '7b59609340be4d0a425121db8517790f592d7db693e567a29557edbbdc0bdbd4',
  'b52da8529d58c978a4d5ab7aa1977e5c91755cced043e6807ef0c9b508233d2d',
  'c4f466654f458b430f30de15863bab09afc2b82d8b91720927d2de073b3fb9cd',
  '366a1aaf3553da9235e29f48467a9889cf0849506f1c6a966a1e13481155e111',
  'c307d2f4b1868138a40e53519d8f8d292fde381aeaf0da438703cff5b3acece0',
  '6787a4e2a04a26b3b3b8a35e2ebb120b38370f0b8e1a7f9da070a9e46e9ad2a0',
  'b875769e1636b9a491bdb75ba26bd08ffc19b2e75da5b102dc921ea1b1e0bd2d',
  '3629e30d2cd5266b5bb8bec8ac685a91c5a7bb1413d034e93d3f8a1fd2c7bf8e',
  '5c459fb55c50019a995a4de42415a237f737ca8eb617dcae8c72c6227239445f',
  '4fd0e1c60dd4dd8d5dc66b4809ca1b2b4c08d3caee50ae4b4863d28a7bb49192',
  'ad6bdacbc961fbc124653306f5b8e757c4eddb06491b1edb48c68d124466fa15',
  '7ba850f271d2fff8e748663912c8c1968bdcc94ad788aa0f3fe00f5c49667ba4',
  'c75dbc7de91df53e2cc2d6fa7b6d1ec5e3245ff42d8105135fba0c62b439fd76',
  '6ee4f1905dc9e4e31406a5c2f0be63fd4a3d10dc8457aa376718aabbcaca7e64',
  '1050b6c378d31648cd588e440ce931ac5ddf7c48fb3a6370b872022208d314c9',
  'c515397c97cfab792006616ff20319f79636969fa9787f4c967f9162b003db90',
];
const uriExtension =
  '636f6465635f6e616d653a333a6372732c636f6465635f706172616d733a373a35372d332d31302c6372797074746578745f686173683a33323a80ed8bd9cc0ccab9fa8cd2c823c0ad806cbff4c6a44045c38f64a3e3cb5275fd2c6372797074746578745f726f6f745f686173683a33323a12af5b54aeaede9c953c3906275f6fdfc9f4635904a2c748cd7cb531f2a4990d2c6e65656465645f7368617265733a313a332c6e756d5f7365676d656e74733a313a312c7365676d656e745f73697a653a323a35372c73686172655f726f6f745f686173683a33323a5c6817fbce7633f83eb533324ee64b0d4936a5fe0873dc1cf2a24cf68c21da742c73697a653a323a35362c7461696c5f636f6465635f706172616d733a373a35372d332d31302c746f74616c5f7368617265733a323a31302c';

// immutable spec 13.4: segments of 30 bytes
const ciphertext =
  'a7c35853e2e93cea0625e000c2acbd1f142e7afff4a2d77a2c1dda8b0c9e4c682ab2e235fef3cfe682eb190c05e7d7f5d0c74a4c570ea75e37355f34fdd59f325505d1b76346bad2e67634b4a101b8d5fae0faed0114e629293442bffc79b57db3369538';
const ciphertextTreeNodes = [
  '1bd26b02af7a35ba4792a62141bc529d2405b8fd77b1a86e2d7e0da50fcc68b0',
  'f3e4d31f17e704b46bd8df525134f9cb0c9d3999f389430728a7b7b37302d201',
  'c3cbecfc616891e5bc6a6893d1a492add68fb06d3a843cc63ac5e28cea381aef',
  'c5a4c156e9486dcc867fe01d6ba6ee25a39ac425713fac27d26c13b453d66e35',
  'b961f7cac2cba0b4451fff98e7e78a7aae2dc1a75f5f73d11381dae3cc1a6280',
  '1a907bde3d17c1c0449d34b9ac0334d618e9047ca5712a7962fcbfa0f61a49ae',
  '64427a672ea8a5b01580ee3c0278b56f9a1727ee74143a5f0d16560b4ff00dde',
];

test('the share hash tree of the first example has the nodes of the specification', (t) => {
  const tree = buildHashTree(blocks.map((block) => blockHash(fromHex(block))));
  t.deepEqual(
    shareTreeNodes.map((_, index) => toHex(tree.node(index))),
    shareTreeNodes,
  );
  t.is(tree.nodeCount, shareTreeNodes.length);
});

test('the UEB of the first example has the hash of the specification', (t) => {
  t.is(toHex(uebHash(fromHex(uriExtension))), 'f11f5bcf54b9f9a705ed2b796545eb8317fab8ff041ed8340fa7ca5161ba3ab7');
});

test('the ciphertext hash tree of the second example has the nodes of the specification', (t) => {
  const bytes = fromHex(ciphertext);
  const segments = [0, 30, 60, 90].map((start) => bytes.subarray(start, start + 30));
  const tree = buildHashTree(segments.map(ciphertextSegmentHash));
  t.is(toHex(tree.bytes), ciphertextTreeNodes.join(''));
});

test('servers are ordered for a storage index as in the example of the specification', (t) => {
  const storageIndex = Uint8Array.from({ length: 16 }, (_, index) => index);
  const seeds = [0, 1, 2, 3, 4].map((server) =>
    server === 2 ? encodeAscii('seedseedseedseedseed') : sha256(encodeAscii(`${server}`)),
  );
  const ranks = seeds.map((seed, server) => ({ server, rank: sha1([storageIndex, seed]) }));
  ranks.sort((a, b) => compareBytes(a.rank, b.rank));
  t.deepEqual(
    ranks.map(({ server }) => server),
    [2, 4, 1, 3, 0],
  );
  t.deepEqual(
    ranks.map(({ rank }) => toHex(rank.subarray(0, 4))),
    ['0adb9ce1', '2996d781', '3b07170b', 'eae00c6b', 'fd975d30'],
  );
});
