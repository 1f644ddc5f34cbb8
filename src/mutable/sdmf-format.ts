import { signPss } from '../crypto/rsa.js';
import { bytesEqual, sliceChecked } from '../encoding/bytes.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { damagedShare, type MutablePrefix } from '../share-layout/mutable-share.js';
import {
  encodeSdmfShares,
  parseSdmfOffsets,
  parseSdmfPrefix,
  parseSdmfShare,
  type SdmfShare,
  sdmfHeaderLength,
  sdmfPrefixLength,
  verifySdmfBlock,
} from '../share-layout/sdmf-share.js';
import { lineageIv } from './lineage.js';
import type { ShareFormat, ShareSource } from './share-format.js';

/** More than header, keys and hashes of a share can take: its end of file is not signed. */
const overheadMax = 16_384;

export const sdmfFormat: ShareFormat = {
  parseHead(head) {
    const prefix = parseSdmfPrefix(head);
    const offsets = parseSdmfOffsets(head);
    return {
      prefix,
      signedBytes: head.subarray(0, sdmfPrefixLength),
      signature: sliceChecked(head, offsets.signature, offsets.shareHashChain),
      publicKeyDer: sliceChecked(head, sdmfHeaderLength, offsets.signature),
    };
  },

  async readBlocks(source, { prefix, shareNumber, shareTree }) {
    const share = await readWhole(source, prefix);
    verifySdmfBlock(share, shareNumber, shareTree);
    return [{ salt: share.prefix.iv, block: share.block }];
  },

  async readKeys(source) {
    return readWhole(source, parseSdmfPrefix(source.head));
  },

  encode({ readKey, signing, content, sequenceNumber, base, sharesNeeded, sharesTotal, entropy }) {
    const { prefix, shares } = encodeSdmfShares({
      sequenceNumber,
      iv: lineageIv(readKey, entropy.bytes(8), base),
      readKey,
      plaintext: content,
      sharesNeeded,
      sharesTotal,
      encryptedPrivateKey: signing.encryptedPrivateKey,
      publicKeyDer: signing.publicKeyDer,
      sign: (bytes) => signPss(signing.privateKey, bytes),
      erasureCode: erasureCode(sharesNeeded, sharesTotal),
    });
    const { rootHash, iv } = prefix;
    return {
      version: { sequenceNumber, rootHash, iv },
      shareSize: shares[0]!.length,
      share: (shareNumber) => shares[shareNumber]!,
    };
  },
};

/** There is one segment, and little more in a share than its block: all of it is read. */
async function readWhole(source: ShareSource, prefix: MutablePrefix): Promise<SdmfShare> {
  const { endOfFile } = parseSdmfOffsets(source.head);
  if (endOfFile > prefix.segmentSize / prefix.sharesNeeded + overheadMax) throw damagedShare('an end of file far off');
  const bytes = await source.read(0, endOfFile);
  const signed = source.head.subarray(0, sdmfPrefixLength);
  // only what the map saw has been verified
  if (!bytesEqual(bytes.subarray(0, sdmfPrefixLength), signed)) throw damagedShare('another header than before');
  return parseSdmfShare(bytes);
}
