/**
 * Matrix times byte strings over GF(2^8), twice: a WebAssembly kernel with vectors and a plain twin for engines without
 * it. Both give the same bytes.
 */
import { createKernelMemory, type Kernel, type KernelMemory, loadKernel } from '../encoding/web-assembly.js';
import { assert } from '../errors/tahoe-error.js';
import { multiply, productRow } from './gf256.js';
import { relaxedSimd, simd } from './gf256-wasm.js';

export interface GfMultiplier {
  /**
   * `coefficients` holds outputs.length x inputs.length factors in row order; all strings have the same length and do not
   * overlap: outputs[r][i] = sum over c of coefficients[r][c] * inputs[c][i].
   */
  multiply(coefficients: Uint8Array, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): void;
}

/** The exported function of assembly/gf256.ts; numbers are addresses in the bound memory. */
export interface GfKernel {
  encode(k: number, rows: number, tables: number, inputs: number, outputs: number, lengthBytes: number): void;
}

let kernel: { readonly loaded: Kernel<GfKernel> | undefined } | undefined;

/** Compiled on first use, with relaxed SIMD where the engine has it; undefined where there is no WebAssembly SIMD. */
export function gfKernel(): Kernel<GfKernel> | undefined {
  kernel ??= { loaded: loadKernel<GfKernel>([relaxedSimd, simd]) };
  return kernel.loaded;
}

/** Bytes of kernel table for one coefficient. */
export const TABLE_BYTES = 32;

/** The nibble tables of `coefficients`, in the order that the kernel wants. */
export function nibbleTables(coefficients: Uint8Array): Uint8Array {
  const tables = new Uint8Array(coefficients.length * TABLE_BYTES);
  for (const [index, factor] of coefficients.entries()) {
    for (let nibble = 0; nibble < 16; nibble++) {
      tables[index * TABLE_BYTES + nibble] = multiply(factor, nibble);
      tables[index * TABLE_BYTES + 16 + nibble] = multiply(factor, nibble << 4);
    }
  }
  return tables;
}

const SCRATCH_BYTES = 2 << 20;
/** What is copied in, multiplied and copied out at a time, so that it stays in the cache. */
const LARGEST_STRIP_BYTES = 32 << 10;
/** Kernels read and write whole vectors; rows start on their own line of the cache. */
const ROW_ALIGNMENT = 64;

/** Runs the kernel strip by strip in a small memory of its own, copying in and out. */
export class WasmMultiplier implements GfMultiplier {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #kernel: GfKernel;
  #tablesOf: Uint8Array | undefined;

  constructor(compiled: Kernel<GfKernel>, memory: KernelMemory) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#words = new Uint32Array(memory.buffer);
    this.#kernel = compiled.bind(memory);
  }

  multiply(coefficients: Uint8Array, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
    const columns = inputs.length;
    const rows = outputs.length;
    const length = inputs[0]?.length ?? 0;
    const tables = ROW_ALIGNMENT * 32;
    const data = tables + align(coefficients.length * TABLE_BYTES);
    const strip = stripBytes(SCRATCH_BYTES - data, columns + rows, length);
    this.#placeTables(tables, coefficients);
    for (let i = 0; i < columns + rows; i++) this.#words[i] = data + i * (strip + ROW_ALIGNMENT);
    for (let start = 0; start < length; start += strip) {
      const size = Math.min(strip, length - start);
      for (const [column, input] of inputs.entries()) {
        this.#bytes.set(input.subarray(start, start + size), this.#words[column]!);
      }
      this.#kernel.encode(columns, rows, tables, 0, columns * 4, size);
      for (const [row, output] of outputs.entries()) {
        const at = this.#words[columns + row]!;
        output.set(this.#bytes.subarray(at, at + size), start);
      }
    }
  }

  #placeTables(at: number, coefficients: Uint8Array): void {
    if (this.#tablesOf === coefficients) return;
    this.#bytes.set(nibbleTables(coefficients), at);
    this.#tablesOf = coefficients;
  }
}

function align(size: number): number {
  return Math.ceil(size / ROW_ALIGNMENT) * ROW_ALIGNMENT;
}

function stripBytes(spaceBytes: number, strings: number, length: number): number {
  const fit = Math.floor(spaceBytes / strings / ROW_ALIGNMENT) * ROW_ALIGNMENT - ROW_ALIGNMENT;
  assert(fit > 0, 'kernel memory holds one strip of every row');
  return Math.min(fit, align(length), LARGEST_STRIP_BYTES);
}

/** Table lookups only: four rows at a time, packed into the bytes of a 32-bit word. */
export class PlainMultiplier implements GfMultiplier {
  multiply(coefficients: Uint8Array, inputs: readonly Uint8Array[], outputs: readonly Uint8Array[]): void {
    const columns = inputs.length;
    const length = inputs[0]?.length ?? 0;
    const sums = new Uint32Array(length);
    for (let first = 0; first < outputs.length; first += 4) {
      const group = outputs.slice(first, first + 4);
      sums.fill(0);
      for (const [column, input] of inputs.entries()) {
        const factors = group.map((_, row) => coefficients[(first + row) * columns + column]!);
        addProducts(sums, packedProducts(factors), input);
      }
      for (const [row, output] of group.entries()) {
        for (let i = 0; i < length; i++) output[i] = sums[i]! >>> (row * 8);
      }
    }
  }
}

function packedProducts(factors: readonly number[]): Uint32Array {
  const packed = new Uint32Array(256);
  for (const [row, factor] of factors.entries()) {
    const products = productRow(factor);
    for (let value = 0; value < 256; value++) packed[value] = packed[value]! | (products[value]! << (row * 8));
  }
  return packed;
}

function addProducts(sums: Uint32Array, packed: Uint32Array, input: Uint8Array): void {
  for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! ^ packed[input[i]!]!;
}

/** The kernel with its scratch memory where WebAssembly has SIMD, else the plain twin. */
export function createMultiplier(): GfMultiplier {
  const compiled = gfKernel();
  const memory = compiled && createKernelMemory(SCRATCH_BYTES);
  return compiled && memory ? new WasmMultiplier(compiled, memory) : new PlainMultiplier();
}
