import { type ChkShareLayout, serializeUebLength } from '../share-layout/chk-share.js';
import { serializeShareHashes } from '../share-layout/chk-share-hashes.js';
import type { EncodedTrees } from './segment-encoder.js';

const zeros = new Uint8Array(65536);

/** Everything after the blocks of one share, to be written part after part. Memory is what the trees take. */
export function shareTail(
  layout: ChkShareLayout,
  trees: EncodedTrees,
  share: { readonly number: number; readonly total: number; readonly blockTree: Uint8Array },
): Uint8Array[] {
  return [
    ...zeroParts(layout.treeLength),
    trees.crypttextTree,
    share.blockTree,
    serializeShareHashes(trees.shareTree, share.total, share.number),
    serializeUebLength(layout, trees.ueb.length),
    trees.ueb,
  ];
}

function zeroParts(length: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let left = length; left > 0; left -= zeros.length) parts.push(zeros.subarray(0, left));
  return parts;
}
