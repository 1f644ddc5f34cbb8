/**
 * Memory in which segments are encoded, shared by the main thread and the encode worker: it never grows, because sockets
 * and files hold views of it.
 *
 * | from | what |
 * |---|---|
 * | 0 | addresses for the kernel, k inputs then n - k outputs |
 * | 4096 | its tables |
 * | after them | slots |
 *
 * A slot is one segment, its k blocks one after the other, then n - k parity blocks with room for the kernel's overrun.
 */
import { createKernelMemory, type KernelMemory } from '../encoding/web-assembly.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { type GfKernel, gfKernel, nibbleTables, PlainMultiplier, TABLE_BYTES } from '../erasure/gf-multiplier.js';
import { assert } from '../errors/tahoe-error.js';
import { blockLength, type ChkGeometry } from '../share-layout/chk-geometry.js';

const TABLES_AT = 4096;
/** A line of the cache; kernels read and write up to 15 bytes more than a block. */
const LINE = 64;

/** Where things are in a memory for one geometry. */
export interface SlotShape {
  readonly firstSlot: number;
  readonly slotBytes: number;
  readonly parityAt: number;
  readonly paritySpacing: number;
}

export function slotShape(geometry: ChkGeometry): SlotShape {
  const { sharesNeeded: k, sharesTotal: n } = geometry;
  const parityAt = linesOf(geometry.segmentSize) + LINE;
  const paritySpacing = linesOf(geometry.blockSize) + LINE;
  return {
    firstSlot: TABLES_AT + linesOf((n - k) * k * TABLE_BYTES),
    slotBytes: parityAt + (n - k) * paritySpacing,
    parityAt,
    paritySpacing,
  };
}

function linesOf(size: number): number {
  return Math.ceil(size / LINE) * LINE;
}

/** How many slots of a shape fit in `memoryBytes`. */
export function slotsIn(shape: SlotShape, memoryBytes: number): number {
  return Math.max(0, Math.floor((memoryBytes - shape.firstSlot) / shape.slotBytes));
}

/** Zeroed memory of a fixed size; real memory is taken only where it is touched. */
export function createSlotMemory(sizeBytes: number): KernelMemory {
  return createKernelMemory(sizeBytes) ?? { buffer: new SharedArrayBuffer(sizeBytes) };
}

/** Views of the slots of one file. */
export class SlotViews {
  readonly #buffer: SharedArrayBuffer;
  readonly #geometry: ChkGeometry;
  readonly #shape: SlotShape;

  constructor(memory: KernelMemory, geometry: ChkGeometry) {
    this.#buffer = memory.buffer;
    this.#geometry = geometry;
    this.#shape = slotShape(geometry);
  }

  /** The first `length` bytes of the segment in a slot. */
  segment(slot: number, length: number): Uint8Array {
    assert(length <= this.#shape.parityAt, 'a segment fits in its slot');
    return new Uint8Array(this.#buffer, this.#slotAt(slot), length);
  }

  block(slot: number, segment: number, share: number): Uint8Array {
    return new Uint8Array(this.#buffer, this.blockAt(slot, segment, share), blockLength(this.#geometry, segment));
  }

  /** Address of a block. */
  blockAt(slot: number, segment: number, share: number): number {
    const { sharesNeeded: k } = this.#geometry;
    if (share < k) return this.#slotAt(slot) + share * blockLength(this.#geometry, segment);
    return this.#slotAt(slot) + this.#shape.parityAt + (share - k) * this.#shape.paritySpacing;
  }

  #slotAt(slot: number): number {
    return this.#shape.firstSlot + slot * this.#shape.slotBytes;
  }
}

/** Computes the parity blocks of segments in place. Belongs to one memory; may serve many files, one after the other. */
export class SlotParity {
  readonly #memory: KernelMemory;
  readonly #kernel: GfKernel | undefined;
  #code = '';
  #rows: Uint8Array = new Uint8Array();

  constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#kernel = gfKernel()?.bind(memory);
  }

  /** Fills the parity blocks of a slot whose segment lies there padded with zeros. */
  encode(geometry: ChkGeometry, views: SlotViews, slot: number, segment: number): void {
    const { sharesNeeded: k, sharesTotal: n } = geometry;
    if (k === n) return;
    this.#prepare(k, n);
    const size = blockLength(geometry, segment);
    if (this.#kernel === undefined) {
      this.#encodePlainly(geometry, views, slot, segment);
      return;
    }
    const addresses = new Uint32Array(this.#memory.buffer, 0, n);
    for (let share = 0; share < n; share++) addresses[share] = views.blockAt(slot, segment, share);
    this.#kernel.encode(k, n - k, TABLES_AT, 0, k * 4, size);
  }

  #encodePlainly(geometry: ChkGeometry, views: SlotViews, slot: number, segment: number): void {
    const { sharesNeeded: k, sharesTotal: n } = geometry;
    const blocks = Array.from({ length: n }, (_, share) => views.block(slot, segment, share));
    new PlainMultiplier().multiply(this.#rows, blocks.slice(0, k), blocks.slice(k));
  }

  #prepare(k: number, n: number): void {
    const code = `${k}/${n}`;
    if (this.#code === code) return;
    this.#rows = erasureCode(k, n).rows(Array.from({ length: n - k }, (_, row) => k + row));
    new Uint8Array(this.#memory.buffer).set(nibbleTables(this.#rows), TABLES_AT);
    this.#code = code;
  }
}
