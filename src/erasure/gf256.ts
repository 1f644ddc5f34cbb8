/** Arithmetic in GF(2^8) with polynomial x^8+x^4+x^3+x^2+1 and generator 2 (immutable spec 3.5). */
import { assert } from '../errors/tahoe-error.js';

const POLYNOMIAL = 0x11d;

/** EXP[i] = 2^i for i in 0..509; LOG[2^i] = i. */
const EXP = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let power = 0, value = 1; power < 255; power++) {
  EXP[power] = value;
  EXP[power + 255] = value;
  LOG[value] = power;
  value <<= 1;
  if (value & 0x100) value ^= POLYNOMIAL;
}

/** PRODUCTS[a * 256 + b] = a * b. */
const PRODUCTS = new Uint8Array(65536);
for (let a = 1; a < 256; a++) {
  for (let b = 1; b < 256; b++) PRODUCTS[a * 256 + b] = EXP[LOG[a]! + LOG[b]!]!;
}

export function multiply(a: number, b: number): number {
  return PRODUCTS[a * 256 + b]!;
}

/** 2^(exponent mod 255). */
export function powerOfTwo(exponent: number): number {
  return EXP[exponent % 255]!;
}

/** All 256 products of `factor`. */
export function productRow(factor: number): Uint8Array {
  return PRODUCTS.subarray(factor * 256, factor * 256 + 256);
}

/** target ^= factor * source over `size` elements starting at the given positions of one array. */
function addScaledRow(cells: Uint8Array, target: number, source: number, size: number, factor: number): void {
  if (factor === 0) return;
  const row = productRow(factor);
  for (let i = 0; i < size; i++) cells[target + i] = cells[target + i]! ^ row[cells[source + i]!]!;
}

/** Inverse of a regular size x size matrix in row order, by Gauss-Jordan elimination. */
export function invertMatrix(matrix: Uint8Array, size: number): Uint8Array {
  const width = 2 * size;
  const cells = new Uint8Array(size * width);
  for (let row = 0; row < size; row++) {
    cells.set(matrix.subarray(row * size, (row + 1) * size), row * width);
    cells[row * width + size + row] = 1;
  }
  for (let column = 0; column < size; column++) {
    const at = column * width;
    let pivot = column;
    while (pivot < size && cells[pivot * width + column] === 0) pivot++;
    assert(pivot < size, 'the matrix of an erasure code is regular');
    if (pivot !== column) addScaledRow(cells, at, pivot * width, width, 1);
    const scale = productRow(powerOfTwo(255 - LOG[cells[at + column]!]!));
    for (let i = 0; i < width; i++) cells[at + i] = scale[cells[at + i]!]!;
    for (let row = 0; row < size; row++) {
      if (row !== column) addScaledRow(cells, row * width, at, width, cells[row * width + column]!);
    }
  }
  const inverse = new Uint8Array(size * size);
  for (let row = 0; row < size; row++) {
    inverse.set(cells.subarray(row * width + size, (row + 1) * width), row * size);
  }
  return inverse;
}
