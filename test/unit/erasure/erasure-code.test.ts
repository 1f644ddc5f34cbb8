import test from 'ava';
import fc from 'fast-check';
import { createErasureCode, erasureCode } from '../../../src/erasure/erasure-code.js';
import { createMultiplier, gfKernel, PlainMultiplier, WasmMultiplier } from '../../../src/erasure/gf-multiplier.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

const plain = new PlainMultiplier();
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

function samplePieces(count: number, length: number, seed: number): Uint8Array[] {
  return numbers(count).map((piece) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = (seed + piece * 131 + i * 167 + ((i * i) >>> 3)) & 255;
    return bytes;
  });
}

const joined = (pieces: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(pieces));

/** k, n, and k of the n share numbers in a random order. */
const anyCode = (maximum: number) =>
  fc
    .tuple(fc.integer({ min: 1, max: maximum }), fc.integer({ min: 1, max: maximum }), fc.integer())
    .chain(([a, b, seed]) => {
      const k = Math.min(a, b);
      const n = Math.max(a, b);
      return fc
        .shuffledSubarray(numbers(n), { minLength: k, maxLength: k })
        .map((shares) => ({ k, n, shares, seed: seed & 255 }));
    });

test('the kernel runs on this engine', (t) => {
  t.truthy(gfKernel());
  t.true(createMultiplier() instanceof WasmMultiplier);
});

test('generator matrices are those of zfec', (t) => {
  t.deepEqual([...erasureCode(2, 3).rows([0, 1, 2])], [1, 0, 0, 1, 3, 2]);
  t.deepEqual(
    [...erasureCode(3, 10).rows([3, 4, 5, 6, 7, 8, 9])],
    [15, 8, 6, 45, 48, 28, 153, 224, 120, 11, 231, 237, 137, 59, 179, 70, 241, 182, 186, 217, 98],
  );
  t.deepEqual([...erasureCode(1, 4).rows([0, 1, 2, 3])], [1, 1, 1, 1]);
});

test('any k of n blocks give back the pieces', (t) => {
  fc.assert(
    fc.property(anyCode(40), fc.integer({ min: 0, max: 200 }), ({ k, n, shares, seed }, length) => {
      const code = erasureCode(k, n);
      const pieces = samplePieces(k, length, seed);
      t.deepEqual(code.decodeJoined(shares, code.encode(pieces, shares)), joined(pieces));
    }),
    { numRuns: 150 },
  );
});

test('all 120 choices of 3 of 10 decode', (t) => {
  const code = erasureCode(3, 10);
  const pieces = samplePieces(3, 1001, 5);
  const blocks = code.encode(pieces, numbers(10));
  let choices = 0;
  for (let a = 0; a < 10; a++) {
    for (let b = a + 1; b < 10; b++) {
      for (let c = b + 1; c < 10; c++, choices++) {
        t.deepEqual(code.decodeJoined([c, a, b], [blocks[c]!, blocks[a]!, blocks[b]!]), joined(pieces));
      }
    }
  }
  t.is(choices, 120);
});

test('the kernel and its plain twin give the same blocks', (t) => {
  const cases = fc.tuple(anyCode(20), fc.integer({ min: 1, max: 9000 }));
  fc.assert(
    fc.property(cases, ([{ k, n, shares, seed }, length]) => {
      const pieces = samplePieces(k, length, seed);
      const fast = erasureCode(k, n).encode(pieces, shares);
      t.deepEqual(fast, createErasureCode(k, n, plain).encode(pieces, shares));
    }),
    { numRuns: 60 },
  );
});

for (const [k, n] of [
  [1, 256],
  [101, 256],
  [128, 256],
  [256, 256],
  [255, 256],
] as const) {
  test(`the largest codes work: ${k} of ${n}`, (t) => {
    const code = erasureCode(k, n);
    const pieces = samplePieces(k, 5001, n);
    const last = numbers(n).slice(n - k);
    const blocks = code.encode(pieces, last);
    t.deepEqual(blocks, createErasureCode(k, n, plain).encode(pieces, last));
    t.deepEqual(code.decode(last, blocks), pieces);
  });
}

test('blocks longer than the kernel memory are coded strip by strip', (t) => {
  const code = erasureCode(3, 10);
  const pieces = samplePieces(3, 1_500_001, 1);
  const blocks = code.encode(pieces, numbers(10));
  t.deepEqual(code.decodeJoined([9, 4, 7], [blocks[9]!, blocks[4]!, blocks[7]!]), joined(pieces));
});

test('what does not fit the code is refused', (t) => {
  const invalid = (run: () => unknown) => t.true(isTahoeError(t.throws(run), 'invalid'));
  invalid(() => erasureCode(0, 1));
  invalid(() => erasureCode(2, 1));
  invalid(() => erasureCode(3, 257));
  invalid(() => erasureCode(1.5, 3));
  const code = erasureCode(2, 3);
  const piece = new Uint8Array(4);
  invalid(() => code.encode([piece], [2]));
  invalid(() => code.encode([piece, new Uint8Array(5)], [2]));
  invalid(() => code.encode([piece, piece], [3]));
  invalid(() => code.decode([1, 1], [piece, piece]));
  invalid(() => code.decode([1], [piece]));
  invalid(() => code.decode([0, -1], [piece, piece]));
});

test('blocks may lie in the buffer that is decoded into, each at the place of its piece', (t) => {
  const code = erasureCode(3, 10);
  const pieces = samplePieces(3, 1000, 5);
  const [parity] = code.encode(pieces, [8]);
  const target = new Uint8Array(3000).fill(0xee);
  target.set(pieces[2]!, 2000);
  const decoded = code.decodeJoined([8, 2, 0], [parity!, target.subarray(2000), pieces[0]!], target);
  t.is(decoded, target);
  t.deepEqual(target, joined(pieces));
  const short = t.throws(() => code.decodeJoined([0, 1, 2], pieces, new Uint8Array(2999)));
  t.true(isTahoeError(short, 'invalid'));
});
