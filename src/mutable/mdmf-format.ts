import { signPss } from '../crypto/rsa.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { hashLength } from '../hashtree/hash-tree.js';
import { encodeMdmf, mdmfSegmentSize } from '../share-layout/mdmf-encode.js';
import {
  type MdmfOffsets,
  mdmfGeometry,
  nodesBeside,
  parseMdmfHead,
  verifyMdmfBlocks,
} from '../share-layout/mdmf-share.js';
import { saltLength, segmentTable } from '../share-layout/mutable-share.js';
import type { ShareFormat, ShareSource } from './share-format.js';

/** Nodes of a tree that stand closer together than this are read as one. */
const gapBytes = 4096;

export const mdmfFormat: ShareFormat = {
  parseHead: parseMdmfHead,

  async readBlocks(source, { shareNumber, shareTree }, range) {
    const { prefix, offsets, shareHashChain } = parseMdmfHead(source.head);
    const { segmentCount, blockOffset } = mdmfGeometry(prefix);
    const start = blockOffset(range.first);
    const length = blockOffset(range.end) - start;
    const [data, blockTreeRoot, nodes] = await Promise.all([
      source.read(offsets.shareData + start, length),
      source.read(offsets.blockHashTree, hashLength),
      readNodes(source, offsets, nodesBeside(range, segmentCount)),
    ]);
    const evidence = { blockTreeRoot, blockTreeNodes: nodes, shareHashChain };
    return verifyMdmfBlocks(prefix, shareNumber, { ...range, data }, evidence, shareTree);
  },

  async readKeys(source) {
    return parseMdmfHead(source.head);
  },

  encode({ readKey, signing, content, sequenceNumber, sharesNeeded, sharesTotal, entropy }) {
    const segmentSize = mdmfSegmentSize(sharesNeeded);
    const dataLength = content.length;
    const { segmentCount } = segmentTable({ segmentSize, dataLength, sharesNeeded });
    const encoded = encodeMdmf({
      sequenceNumber,
      sharesNeeded,
      sharesTotal,
      segmentSize,
      dataLength,
      readKey,
      plaintext: content,
      firstSegment: 0,
      salts: Array.from({ length: segmentCount }, () => entropy.bytes(saltLength)),
      kept: [],
      encryptedPrivateKey: signing.encryptedPrivateKey,
      publicKeyDer: signing.publicKeyDer,
      sign: (bytes) => signPss(signing.privateKey, bytes),
      erasureCode: erasureCode(sharesNeeded, sharesTotal),
    });
    const { rootHash } = encoded.prefix;
    return {
      version: { sequenceNumber, rootHash },
      shareSize: encoded.offsets.endOfFile,
      share: (shareNumber) => encoded.share(shareNumber),
    };
  },
};

async function readNodes(
  source: ShareSource,
  offsets: MdmfOffsets,
  nodes: readonly number[],
): Promise<[number, Uint8Array][]> {
  const groups: number[][] = [];
  for (const node of nodes) {
    const group = groups.at(-1);
    if (group !== undefined && (node - group.at(-1)!) * hashLength <= gapBytes) group.push(node);
    else groups.push([node]);
  }
  const read = async (group: readonly number[]): Promise<[number, Uint8Array][]> => {
    const first = group[0]!;
    const length = (group.at(-1)! - first + 1) * hashLength;
    const bytes = await source.read(offsets.blockHashTree + first * hashLength, length);
    return group.map((node) => [node, bytes.subarray((node - first) * hashLength, (node - first + 1) * hashLength)]);
  };
  return (await Promise.all(groups.map(read))).flat();
}
