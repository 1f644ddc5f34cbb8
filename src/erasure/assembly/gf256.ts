/**
 * Products in GF(2^8) of 16 bytes at once: c * x = low[x & 15] ^ high[x >> 4], both tables of 16 bytes in one vector.
 * Compiled twice, with and without relaxed SIMD; indices are at most 15, where both give the same result.
 *
 * tables: for each output row, for each of the k inputs, 16 bytes low then 16 bytes high.
 * inputs, outputs: arrays of u32 addresses. Whole vectors are read and written: up to 15 bytes past `length`.
 */

/** Bytes of each row handled before the next row, so that the inputs stay in the first-level cache. */
const STRIP: usize = 4096;

// @ts-ignore: decorator
@inline
function lookup(table: v128, index: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, index);
  return i8x16.swizzle(table, index);
}

// @ts-ignore: decorator
@inline
function product(low: v128, high: v128, x: v128): v128 {
  return v128.xor(lookup(low, v128.and(x, i8x16.splat(15))), lookup(high, i8x16.shr_u(x, 4)));
}

// @ts-ignore: decorator
@inline
function address(list: usize, index: usize): usize {
  return <usize>load<u32>(list + (index << 2));
}

export function encode(k: usize, rows: usize, tables: usize, inputs: usize, outputs: usize, length: usize): void {
  for (let start: usize = 0; start < length; start += STRIP) {
    const end = min(start + STRIP, length);
    for (let row: usize = 0; row < rows; row++) {
      const table = tables + ((row * k) << 5);
      const out = address(outputs, row);
      if (k == 1) one(table, inputs, out, start, end);
      else if (k == 2) two(table, inputs, out, start, end);
      else if (k == 3) three(table, inputs, out, start, end);
      else if (k == 4) four(table, inputs, out, start, end);
      else many(k, table, inputs, out, start, end);
    }
  }
}

function one(table: usize, inputs: usize, out: usize, start: usize, end: usize): void {
  const a = address(inputs, 0);
  const la = v128.load(table), ha = v128.load(table, 16);
  for (let i = start; i < end; i += 16) {
    v128.store(out + i, product(la, ha, v128.load(a + i)));
  }
}

function two(table: usize, inputs: usize, out: usize, start: usize, end: usize): void {
  const a = address(inputs, 0), b = address(inputs, 1);
  const la = v128.load(table), ha = v128.load(table, 16), lb = v128.load(table, 32), hb = v128.load(table, 48);
  for (let i = start; i < end; i += 16) {
    v128.store(out + i, v128.xor(product(la, ha, v128.load(a + i)), product(lb, hb, v128.load(b + i))));
  }
}

function three(table: usize, inputs: usize, out: usize, start: usize, end: usize): void {
  const a = address(inputs, 0), b = address(inputs, 1), c = address(inputs, 2);
  const la = v128.load(table), ha = v128.load(table, 16), lb = v128.load(table, 32), hb = v128.load(table, 48);
  const lc = v128.load(table, 64), hc = v128.load(table, 80);
  for (let i = start; i < end; i += 16) {
    const ab = v128.xor(product(la, ha, v128.load(a + i)), product(lb, hb, v128.load(b + i)));
    v128.store(out + i, v128.xor(ab, product(lc, hc, v128.load(c + i))));
  }
}

function four(table: usize, inputs: usize, out: usize, start: usize, end: usize): void {
  const a = address(inputs, 0), b = address(inputs, 1), c = address(inputs, 2), d = address(inputs, 3);
  const la = v128.load(table), ha = v128.load(table, 16), lb = v128.load(table, 32), hb = v128.load(table, 48);
  const lc = v128.load(table, 64), hc = v128.load(table, 80), ld = v128.load(table, 96), hd = v128.load(table, 112);
  for (let i = start; i < end; i += 16) {
    const ab = v128.xor(product(la, ha, v128.load(a + i)), product(lb, hb, v128.load(b + i)));
    const cd = v128.xor(product(lc, hc, v128.load(c + i)), product(ld, hd, v128.load(d + i)));
    v128.store(out + i, v128.xor(ab, cd));
  }
}

function many(k: usize, table: usize, inputs: usize, out: usize, start: usize, end: usize): void {
  for (let i = start; i < end; i += 64) {
    let r0 = i8x16.splat(0), r1 = r0, r2 = r0, r3 = r0;
    const wide = end - i > 48;
    for (let column: usize = 0; column < k; column++) {
      const at = address(inputs, column) + i;
      const low = v128.load(table + (column << 5)), high = v128.load(table + (column << 5), 16);
      r0 = v128.xor(r0, product(low, high, v128.load(at)));
      if (wide) {
        r1 = v128.xor(r1, product(low, high, v128.load(at, 16)));
        r2 = v128.xor(r2, product(low, high, v128.load(at, 32)));
        r3 = v128.xor(r3, product(low, high, v128.load(at, 48)));
      } else {
        if (end - i > 16) r1 = v128.xor(r1, product(low, high, v128.load(at, 16)));
        if (end - i > 32) r2 = v128.xor(r2, product(low, high, v128.load(at, 32)));
      }
    }
    v128.store(out + i, r0);
    if (end - i > 16) v128.store(out + i, r1, 16);
    if (end - i > 32) v128.store(out + i, r2, 32);
    if (wide) v128.store(out + i, r3, 48);
  }
}
