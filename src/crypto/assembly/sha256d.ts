/** SHA-256d (FIPS 180-4, applied twice) of four messages at a time, one in each 32-bit lane of a vector. */

const K: usize = memory.data<u32>([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const INITIAL: usize = memory.data<u32>([
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
]);
/** "25:Merkle tree internal node,32:" as big-endian words: exactly half a block in front of the left child. */
const NODE_PREFIX: usize = memory.data<u32>([
  0x32353a4d, 0x65726b6c, 0x65207472, 0x65652069, 0x6e746572, 0x6e616c20, 0x6e6f6465, 0x2c33323a,
]);
/** The 64 words of the message schedule. */
const W: usize = memory.data(1024, 16);
/** The eight words of the running hash. */
const H: usize = memory.data(128, 16);
/** Last one or two blocks of each of four messages, with padding. */
const TAIL: usize = memory.data(512, 16);

/** First free address. */
export function workspace(): usize {
  return (__heap_base + 63) & ~63;
}

// @ts-ignore: decorator
@inline
function rotate(x: v128, bits: i32): v128 {
  return v128.or(i32x4.shr_u(x, bits), i32x4.shl(x, 32 - bits));
}

// @ts-ignore: decorator
@inline
function add(a: v128, b: v128): v128 {
  return i32x4.add(a, b);
}

// @ts-ignore: decorator
@inline
function swapBytes(x: v128): v128 {
  return v128.shuffle<u8>(x, x, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
}

// @ts-ignore: decorator
@inline
function t1(e: v128, f: v128, g: v128, h: v128, t: usize): v128 {
  const sigma = v128.xor(v128.xor(rotate(e, 6), rotate(e, 11)), rotate(e, 25));
  const kw = add(v128.load32_splat(K + (t << 2)), v128.load(W + (t << 4)));
  return add(add(h, sigma), add(v128.bitselect(f, g, e), kw));
}

// @ts-ignore: decorator
@inline
function t2(a: v128, b: v128, c: v128): v128 {
  const sigma = v128.xor(v128.xor(rotate(a, 2), rotate(a, 13)), rotate(a, 22));
  return add(sigma, v128.bitselect(c, b, v128.xor(a, b)));
}

function start(): void {
  for (let i: usize = 0; i < 8; i++) v128.store(H + (i << 4), v128.load32_splat(INITIAL + (i << 2)));
}

/** Takes words 0..15 at W into the running hash. */
function compress(): void {
  for (let at = W; at < W + 768; at += 16) {
    const w1 = v128.load(at, 16), w14 = v128.load(at, 224);
    const s0 = v128.xor(v128.xor(rotate(w1, 7), rotate(w1, 18)), i32x4.shr_u(w1, 3));
    const s1 = v128.xor(v128.xor(rotate(w14, 17), rotate(w14, 19)), i32x4.shr_u(w14, 10));
    v128.store(at, add(add(v128.load(at), s0), add(v128.load(at, 144), s1)), 256);
  }
  let a = v128.load(H), b = v128.load(H, 16), c = v128.load(H, 32), d = v128.load(H, 48);
  let e = v128.load(H, 64), f = v128.load(H, 80), g = v128.load(H, 96), h = v128.load(H, 112);
  for (let t: usize = 0; t < 64; t += 8) {
    let x = t1(e, f, g, h, t);
    d = add(d, x); h = add(x, t2(a, b, c));
    x = t1(d, e, f, g, t + 1);
    c = add(c, x); g = add(x, t2(h, a, b));
    x = t1(c, d, e, f, t + 2);
    b = add(b, x); f = add(x, t2(g, h, a));
    x = t1(b, c, d, e, t + 3);
    a = add(a, x); e = add(x, t2(f, g, h));
    x = t1(a, b, c, d, t + 4);
    h = add(h, x); d = add(x, t2(e, f, g));
    x = t1(h, a, b, c, t + 5);
    g = add(g, x); c = add(x, t2(d, e, f));
    x = t1(g, h, a, b, t + 6);
    f = add(f, x); b = add(x, t2(c, d, e));
    x = t1(f, g, h, a, t + 7);
    e = add(e, x); a = add(x, t2(b, c, d));
  }
  v128.store(H, add(a, v128.load(H))); v128.store(H, add(b, v128.load(H, 16)), 16);
  v128.store(H, add(c, v128.load(H, 32)), 32); v128.store(H, add(d, v128.load(H, 48)), 48);
  v128.store(H, add(e, v128.load(H, 64)), 64); v128.store(H, add(f, v128.load(H, 80)), 80);
  v128.store(H, add(g, v128.load(H, 96)), 96); v128.store(H, add(h, v128.load(H, 112)), 112);
}

/** Words `word`..`word + 3` of the schedule from 16 bytes at each of four addresses. */
// @ts-ignore: decorator
@inline
function take(word: usize, p0: usize, p1: usize, p2: usize, p3: usize): void {
  const a = swapBytes(v128.load(p0)), b = swapBytes(v128.load(p1));
  const c = swapBytes(v128.load(p2)), d = swapBytes(v128.load(p3));
  const ab = v128.shuffle<u32>(a, b, 0, 4, 1, 5), ab2 = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
  const cd = v128.shuffle<u32>(c, d, 0, 4, 1, 5), cd2 = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
  const at = W + (word << 4);
  v128.store(at, v128.shuffle<u64>(ab, cd, 0, 2));
  v128.store(at, v128.shuffle<u64>(ab, cd, 1, 3), 16);
  v128.store(at, v128.shuffle<u64>(ab2, cd2, 0, 2), 32);
  v128.store(at, v128.shuffle<u64>(ab2, cd2, 1, 3), 48);
}

// @ts-ignore: decorator
@inline
function takeBlock(p0: usize, p1: usize, p2: usize, p3: usize): void {
  take(0, p0, p1, p2, p3);
  take(4, p0 + 16, p1 + 16, p2 + 16, p3 + 16);
  take(8, p0 + 32, p1 + 32, p2 + 32, p3 + 32);
  take(12, p0 + 48, p1 + 48, p2 + 48, p3 + 48);
}

/** Hashes the four 32-byte hashes again and stores `lanes` of them one after the other. */
function finish(out: usize, lanes: usize): void {
  for (let i: usize = 0; i < 128; i += 16) v128.store(W + i, v128.load(H + i));
  v128.store(W, i32x4.splat(0x80000000), 128);
  const zero = i32x4.splat(0);
  for (let i: usize = 144; i < 240; i += 16) v128.store(W + i, zero);
  v128.store(W, i32x4.splat(256), 240);
  start();
  compress();
  for (let lane: usize = 0; lane < lanes; lane++) {
    for (let word: usize = 0; word < 8; word++) {
      store<u32>(out + (lane << 5) + (word << 2), bswap(load<u32>(H + (word << 4) + (lane << 2))));
    }
  }
}

/** SHA-256d of `count` messages of `length` bytes, the first at `messages`, each `stride` after the one before. */
export function hashMessages(messages: usize, stride: usize, length: usize, count: usize, out: usize): void {
  const whole = length & ~63;
  const rest = length & 63;
  const tailBytes: usize = rest < 56 ? 64 : 128;
  for (let i: usize = 0; i < count; i += 4) {
    const lanes = min<usize>(4, count - i);
    const p0 = messages + i * stride;
    const p1 = lanes > 1 ? p0 + stride : p0;
    const p2 = lanes > 2 ? p1 + stride : p0;
    const p3 = lanes > 3 ? p2 + stride : p0;
    start();
    for (let at: usize = 0; at < whole; at += 64) {
      takeBlock(p0 + at, p1 + at, p2 + at, p3 + at);
      compress();
    }
    pad(TAIL, p0 + whole, rest, tailBytes, length);
    pad(TAIL + 128, p1 + whole, rest, tailBytes, length);
    pad(TAIL + 256, p2 + whole, rest, tailBytes, length);
    pad(TAIL + 384, p3 + whole, rest, tailBytes, length);
    for (let at = TAIL; at < TAIL + tailBytes; at += 64) {
      takeBlock(at, at + 128, at + 256, at + 384);
      compress();
    }
    finish(out + (i << 5), lanes);
  }
}

function pad(to: usize, from: usize, rest: usize, tailBytes: usize, length: usize): void {
  memory.copy(to, from, rest);
  memory.fill(to + rest, 0, tailBytes - rest);
  store<u8>(to + rest, 0x80);
  store<u64>(to + tailBytes - 8, bswap(<u64>length << 3));
}

/** Merkle parents of `count` pairs of 32-byte hashes that lie one after the other (immutable spec 4). */
export function hashPairs(pairs: usize, count: usize, out: usize): void {
  for (let i: usize = 0; i < count; i += 4) {
    const lanes = min<usize>(4, count - i);
    const p0 = pairs + (i << 6);
    const p1 = lanes > 1 ? p0 + 64 : p0;
    const p2 = lanes > 2 ? p1 + 64 : p0;
    const p3 = lanes > 3 ? p2 + 64 : p0;
    start();
    for (let word: usize = 0; word < 8; word++) {
      v128.store(W + (word << 4), v128.load32_splat(NODE_PREFIX + (word << 2)));
    }
    take(8, p0, p1, p2, p3);
    take(12, p0 + 16, p1 + 16, p2 + 16, p3 + 16);
    compress();
    v128.store(W, i32x4.splat(0x2c33323a)); // ",32:"
    take(1, p0 + 32, p1 + 32, p2 + 32, p3 + 32);
    take(5, p0 + 48, p1 + 48, p2 + 48, p3 + 48);
    v128.store(W, i32x4.splat(0x2c800000), 144); // "," and the first padding bit
    const zero = i32x4.splat(0);
    for (let at: usize = 160; at < 240; at += 16) v128.store(W + at, zero);
    v128.store(W, i32x4.splat(808), 240);
    compress();
    finish(out + (i << 5), lanes);
  }
}

/** Fills in the inner nodes of a tree in heap order whose `leaves` (a power of two) last nodes are given. */
export function buildTree(nodes: usize, leaves: usize): void {
  for (let count = leaves >> 1; count > 0; count >>= 1) {
    const first = count - 1;
    hashPairs(nodes + ((2 * first + 1) << 5), count, nodes + (first << 5));
  }
}
