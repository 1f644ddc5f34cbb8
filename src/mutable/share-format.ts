/**
 * What differs between SDMF and MDMF, behind one interface: map, assessment, publish and retrieval know nothing else of
 * the formats. The capability says in which one new versions are written; a share says itself in which one it is.
 */
import type { MutableFormat } from '../caps/cap.js';
import type { ReadKey } from '../encoding/brands.js';
import type { IncompleteHashTree } from '../hashtree/hash-tree.js';
import type { Entropy } from '../platform/entropy.js';
import { mdmfVersion } from '../share-layout/mdmf-share.js';
import type { Checkstring, MutablePrefix, SaltedBlock, SegmentRange } from '../share-layout/mutable-share.js';
import { mdmfFormat } from './mdmf-format.js';
import { sdmfFormat } from './sdmf-format.js';
import type { SigningKeys } from './slot-keys.js';

export interface ShareFormat {
  /** What the beginning of a share says of its version. Kind `corrupt` if that is not in `head`, or not well-formed. */
  parseHead(head: Uint8Array): ShareHead;
  /**
   * The blocks of at least one segment, known to be those of the version with this prefix and share number. `shareTree`
   * trusts its root hash. Kind `corrupt`, and what the source fails with.
   */
  readBlocks(
    source: ShareSource,
    version: { readonly prefix: MutablePrefix; readonly shareNumber: number; readonly shareTree: IncompleteHashTree },
    range: SegmentRange,
  ): Promise<SaltedBlock[]>;
  /** As they stand in the share, not verified. Kind `corrupt`, and what the source fails with. */
  readKeys(source: ShareSource): Promise<ShareKeys>;
  /** All shares of a new version. */
  encode(input: EncodeInput): EncodedVersion;
}

export interface ShareHead {
  readonly prefix: MutablePrefix;
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKeyDer: Uint8Array;
}

export interface ShareKeys {
  readonly encryptedPrivateKey: Uint8Array;
  readonly publicKeyDer: Uint8Array;
}

/** A share on a server. */
export interface ShareSource {
  /** Its first bytes, as the map found them. */
  readonly head: Uint8Array;
  /** Exactly these bytes; kind `corrupt` if the share ends before. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface EncodeInput {
  readonly readKey: ReadKey;
  readonly signing: SigningKeys;
  readonly content: Uint8Array;
  readonly sequenceNumber: number;
  /** The version that it is built on. */
  readonly base: Checkstring | undefined;
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  readonly entropy: Entropy;
}

export interface EncodedVersion {
  readonly version: Checkstring;
  /** Bytes of each share. */
  readonly shareSize: number;
  share(shareNumber: number): Uint8Array;
}

const formats: Readonly<Record<MutableFormat, ShareFormat>> = { sdmf: sdmfFormat, mdmf: mdmfFormat };

export function shareFormat(format: MutableFormat): ShareFormat {
  return formats[format];
}

/** By its first byte; what is no share of either format fails to be parsed as the older one. */
export function formatOfShare(head: Uint8Array): ShareFormat {
  return head[0] === mdmfVersion ? mdmfFormat : sdmfFormat;
}
