/** Small files, encoded whole in the calling thread: one call, all shares as images ready to be written. */

import type { ChkReadCap } from '../caps/cap.js';
import { uebHash as uebHashOf } from '../crypto/derivations.js';
import type { ChkKey } from '../encoding/brands.js';
import type { KernelMemory } from '../encoding/web-assembly.js';
import { type ChkGeometry, segmentLength } from '../share-layout/chk-geometry.js';
import { type ChkShareLayout, chkShareLayout, chkShareLength, serializeChkHeader } from '../share-layout/chk-share.js';
import { uebLength } from '../share-layout/chk-ueb.js';
import { SegmentEncoder } from './segment-encoder.js';
import { createSlotMemory, SlotParity, SlotViews, slotShape, slotsIn } from './segment-slots.js';
import { shareTail } from './share-tail.js';

export interface EncodedFile {
  readonly cap: ChkReadCap;
  /** By share number. */
  readonly shares: readonly Uint8Array[];
}

const MEMORY_BYTES = 2 << 20;

/** Owns a small slot memory; synchronous, so one is enough for a node. */
export class SmallFileEncoder {
  #memory: KernelMemory | undefined;
  #parity: SlotParity | undefined;

  /** Whether a file of this geometry is small enough: its plaintext, and all its shares together. */
  accepts(geometry: ChkGeometry): boolean {
    const shareBytes = geometry.shareDataLength * geometry.sharesTotal;
    return geometry.sizeBytes <= 131_072 && shareBytes <= 1 << 20 && slotsIn(slotShape(geometry), MEMORY_BYTES) > 0;
  }

  encode(plaintext: Uint8Array, geometry: ChkGeometry, key: ChkKey, forcedVersion?: 1 | 2): EncodedFile {
    this.#memory ??= createSlotMemory(MEMORY_BYTES);
    this.#parity ??= new SlotParity(this.#memory);
    const { segmentCount, segmentSize, sharesNeeded, sharesTotal, sizeBytes } = geometry;
    const layout = chkShareLayout(geometry, forcedVersion);
    const shares = emptyShares(geometry, layout);
    const views = new SlotViews(this.#memory, geometry);
    const encoder = new SegmentEncoder(geometry, key, views, this.#parity);
    for (let segment = 0; segment < segmentCount; segment++) {
      const length = segmentLength(geometry, segment);
      views.segment(0, length).set(plaintext.subarray(segment * segmentSize, segment * segmentSize + length));
      encoder.encode(segment, 0);
      const at = layout.offsets.data + segment * geometry.blockSize;
      for (const [number, share] of shares.entries()) share.set(views.block(0, segment, number), at);
    }
    const trees = encoder.finish();
    for (const [number, share] of shares.entries()) {
      const tail = shareTail(layout, trees, { number, total: sharesTotal, blockTree: encoder.blockTree(number) });
      let at = layout.offsets.plaintextTree;
      for (const part of tail) {
        share.set(part, at);
        at += part.length;
      }
    }
    const cap: ChkReadCap = { type: 'chk', key, uebHash: uebHashOf(trees.ueb), sharesNeeded, sharesTotal, sizeBytes };
    return { cap, shares };
  }
}

/** Shares with nothing but their header, views of one buffer. */
function emptyShares(geometry: ChkGeometry, layout: ChkShareLayout): Uint8Array[] {
  const length = chkShareLength(layout, uebLength(geometry));
  const images = new Uint8Array(length * geometry.sharesTotal);
  const header = serializeChkHeader(layout, geometry);
  return Array.from({ length: geometry.sharesTotal }, (_, number) => {
    const share = images.subarray(number * length, (number + 1) * length);
    share.set(header);
    return share;
  });
}
