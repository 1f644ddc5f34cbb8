import test from 'ava';
import fc from 'fast-check';
import { sha256 } from '../../../src/crypto/hashes.js';
import { toHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { buildHashTree, IncompleteHashTree, paddingLeaf, parseHashTree } from '../../../src/hashtree/hash-tree.js';

const leavesOf = (count: number) =>
  Array.from({ length: count }, (_, index) => sha256(Uint8Array.of(index, index >> 8)));

test('the root of three leaves gives the known answer', (t) => {
  const leaves = [0x00, 0x11, 0x22].map((byte) => new Uint8Array(32).fill(byte));
  const tree = buildHashTree(leaves);
  t.is(toHex(tree.root), 'ca99bd8f42e07b4909561a4972371a221c65defcb45132fcb80cf4872397fc3b');
  t.is(toHex(tree.node(6)), '9ed59076b6bee6b75864630c3c20cff6934efe03a60a7fd28b69542fb13a68a3');
  t.is(tree.nodeCount, 7);
});

test('one leaf is its own root, and no leaves give the first padding leaf', (t) => {
  const [leaf] = leavesOf(1);
  t.deepEqual(buildHashTree([leaf!]).root, leaf);
  t.deepEqual(buildHashTree([]).bytes, paddingLeaf(0));
});

test('needed nodes are those of the specification', (t) => {
  const tree = buildHashTree(leavesOf(10));
  t.deepEqual(tree.neededFor(0), [2, 4, 8, 16]);
  t.deepEqual(tree.neededFor(9), [1, 6, 12, 23]);
  t.deepEqual(buildHashTree(leavesOf(1)).neededFor(0), []);
});

test('a stored tree comes back, and any changed byte is noticed', (t) => {
  for (const count of [1, 2, 3, 5, 8]) {
    const { bytes } = buildHashTree(leavesOf(count));
    t.deepEqual(parseHashTree(count, bytes).bytes, bytes);
    if (count === 1) continue;
    for (let offset = 0; offset < bytes.length; offset += 7) {
      const damaged = bytes.slice();
      damaged[offset]! ^= 1;
      t.true(
        isTahoeError(
          t.throws(() => parseHashTree(count, damaged)),
          'corrupt',
        ),
      );
    }
    t.throws(() => parseHashTree(count + 9, bytes));
  }
});

test('an incomplete tree learns every leaf in any order, from just the nodes it asks for', (t) => {
  const counts = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(counts, fc.infiniteStream(fc.nat()), (count, order) => {
      const leaves = leavesOf(count);
      const tree = buildHashTree(leaves);
      const learned = new IncompleteHashTree(count, tree.root);
      const todo = leaves.map((_, index) => index);
      while (todo.length > 0) {
        const [leaf] = todo.splice(order.next().value % todo.length, 1);
        const needed = learned.neededFor(leaf!);
        learned.learn(
          needed.map((node) => [node, tree.node(node)]),
          [[leaf!, leaves[leaf!]!]],
        );
        t.deepEqual(learned.leaf(leaf!), leaves[leaf!]);
        t.deepEqual(learned.neededFor(leaf!), []);
      }
    }),
  );
});

test('without one of the nodes it asks for, nothing is learned', (t) => {
  const leaves = leavesOf(10);
  const tree = buildHashTree(leaves);
  for (let missing = 0; missing < 4; missing++) {
    const learned = new IncompleteHashTree(10, tree.root);
    const nodes = learned.neededFor(3).filter((_, index) => index !== missing);
    const error = t.throws(() =>
      learned.learn(
        nodes.map((node) => [node, tree.node(node)]),
        [[3, leaves[3]!]],
      ),
    );
    t.true(isTahoeError(error, 'corrupt'));
    for (let node = 1; node < tree.nodeCount; node++) t.is(learned.node(node), undefined);
  }
});

test('one wrong hash anywhere leaves the tree as it was', (t) => {
  const leaves = leavesOf(10);
  const tree = buildHashTree(leaves);
  const learned = new IncompleteHashTree(10, tree.root);
  learned.learn(
    learned.neededFor(0).map((node) => [node, tree.node(node)]),
    [[0, leaves[0]!]],
  );
  const before = Array.from({ length: tree.nodeCount }, (_, node) => learned.node(node));
  const needed = learned.neededFor(9);
  for (let wrong = 0; wrong <= needed.length; wrong++) {
    const nodes = needed.map((node, index) => [node, index === wrong ? leaves[1]! : tree.node(node)] as const);
    const leaf = wrong === needed.length ? leaves[1]! : leaves[9]!;
    t.true(
      isTahoeError(
        t.throws(() => learned.learn(nodes, [[9, leaf]])),
        'corrupt',
      ),
    );
    t.deepEqual(
      Array.from({ length: tree.nodeCount }, (_, node) => learned.node(node)),
      before,
    );
  }
  learned.learn(
    needed.map((node) => [node, tree.node(node)]),
    [[9, leaves[9]!]],
  );
  t.deepEqual(learned.leaf(9), leaves[9]);
});

test('nodes and leaves that do not exist, and hashes of another length, are refused', (t) => {
  const tree = buildHashTree(leavesOf(4));
  const learned = new IncompleteHashTree(4, tree.root);
  for (const node of [-1, 7, 0.5, Number.NaN]) {
    t.true(
      isTahoeError(
        t.throws(() => learned.learn([[node, tree.root]])),
        'corrupt',
      ),
    );
  }
  t.true(
    isTahoeError(
      t.throws(() => learned.learn([], [[4, tree.root]])),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => learned.learn([[1, tree.root.subarray(1)]])),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => learned.learn([[0, tree.node(1)]])),
      'corrupt',
    ),
  );
});

test('a tree said to have 2^40 leaves costs nothing until they are learned', (t) => {
  const learned = new IncompleteHashTree(2 ** 40, new Uint8Array(32));
  t.is(learned.neededFor(2 ** 39 + 5).length, 40);
});
