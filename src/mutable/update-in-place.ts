/** Changing part of an MDMF file without sending the rest of it: mutable spec 5.4. */
import { signPss } from '../crypto/rsa.js';
import { bytesEqual, concatBytes } from '../encoding/bytes.js';
import { erasureCode } from '../erasure/erasure-code.js';
import { describeError, isTahoeError } from '../errors/tahoe-error.js';
import { type HashTree, parseHashTree } from '../hashtree/hash-tree.js';
import { encodeMdmf } from '../share-layout/mdmf-encode.js';
import {
  learnBlockTreeRoot,
  type MdmfHead,
  mdmfDataOffset,
  mdmfHeaderLength,
  parseMdmfHead,
} from '../share-layout/mdmf-share.js';
import { mutableShareTree, saltLength, segmentTable } from '../share-layout/mutable-share.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { versionKey } from './lineage.js';
import { type Attempt, type AttemptInput, lineageOf } from './publish.js';
import { retrieveRange, shareSource } from './retrieve.js';
import type { SlotContext } from './slot-context.js';
import type { SigningKeys } from './slot-keys.js';
import type { SeenShare, SeenVersion, SlotMap } from './slot-map.js';

/** Bytes of hashes held at the same time; a file with more of them is rewritten whole. */
const treeBytesMax = 64 * 1024 * 1024;

/** `data` replaces what stands at `offset`, which is not behind the end; the file grows if it reaches further. */
export interface RangeChange {
  readonly offset: number;
  readonly data: Uint8Array;
}

export interface UpdateInput extends Omit<AttemptInput, 'content' | 'base'> {
  readonly map: SlotMap;
  readonly usable: readonly StorageServer[];
  readonly base: SeenVersion;
  readonly lineage: AttemptInput['base'] & object;
  readonly change: RangeChange;
}

/**
 * An attempt that writes the segments of the change, the hashes and the signature. Undefined if the file has to be
 * written whole: it is SDMF, or not every share number stands at the base where it may be written, or a share is laid
 * out in another way, or the hashes of one cannot be read. Encodes and signs; sends nothing.
 */
export async function makeUpdate(context: SlotContext, input: UpdateInput): Promise<Attempt | undefined> {
  const isMdmf = input.keys.format === 'mdmf' && input.base.prefix.iv === undefined;
  if (!isMdmf) return undefined;
  const shares = sharesAtBase(input);
  if (shares === undefined) return undefined;
  const trees = await readBlockTrees(context, input, shares);
  if (trees === undefined) return undefined;
  return encodeUpdate(context, input, trees);
}

/** One share of each number, if all shares everywhere are such that the changes may be written into them. */
function sharesAtBase({ map, usable, base, signing }: UpdateInput): SeenShare[] | undefined {
  const usableServers = new Set(usable);
  const byNumber = new Map<number, SeenShare>();
  for (const [server, held] of map.answered) {
    for (const share of held.values()) {
      if (share.version !== base.key || !usableServers.has(server)) return undefined;
      if (!isLaidOutAsHere(parseMdmfHead(share.head), signing)) return undefined;
      byNumber.set(share.shareNumber, share);
    }
  }
  const numbers = Array.from({ length: base.prefix.sharesTotal }, (_, number) => number);
  const shares = numbers.flatMap((number) => byNumber.get(number) ?? []);
  return shares.length === numbers.length ? shares : undefined;
}

/** Offsets are not signed. What the changes leave alone must be what stands in a share written from nothing. */
function isLaidOutAsHere({ offsets, encryptedPrivateKey, publicKeyDer }: MdmfHead, signing: SigningKeys): boolean {
  return (
    offsets.encryptedPrivateKey === mdmfHeaderLength &&
    offsets.shareData === mdmfDataOffset &&
    bytesEqual(encryptedPrivateKey, signing.encryptedPrivateKey) &&
    bytesEqual(publicKeyDer, signing.publicKeyDer)
  );
}

/** The whole block hash tree of each share: the root of every one goes into the new root hash. */
async function readBlockTrees(
  context: SlotContext,
  { keys, base }: UpdateInput,
  shares: readonly SeenShare[],
): Promise<HashTree[] | undefined> {
  const { prefix } = base;
  const { segmentCount } = segmentTable(prefix);
  const shareTree = mutableShareTree(prefix);
  const read = async (share: SeenShare): Promise<HashTree> => {
    const { offsets, shareHashChain } = parseMdmfHead(share.head);
    const length = offsets.endOfFile - offsets.blockHashTree;
    const bytes = await shareSource(context, keys, share).read(offsets.blockHashTree, length);
    const tree = parseHashTree(segmentCount, bytes.slice());
    learnBlockTreeRoot(prefix, share.shareNumber, { blockTreeRoot: tree.root, shareHashChain }, shareTree);
    return tree;
  };
  const { offsets } = parseMdmfHead(shares[0]!.head);
  if (shares.length * (offsets.endOfFile - offsets.blockHashTree) > treeBytesMax) return undefined;
  try {
    return await Promise.all(shares.map(read));
  } catch (error) {
    if (!isTahoeError(error)) throw error;
    context.log.warn('the hashes of a mutable share could not be read', { error: describeError(error) });
    return undefined;
  }
}

async function encodeUpdate(context: SlotContext, input: UpdateInput, trees: readonly HashTree[]): Promise<Attempt> {
  const { keys, signing, sequenceNumber, base, lineage, change } = input;
  const { sharesNeeded, sharesTotal, segmentSize } = base.prefix;
  const { data, offset } = change;
  const dataLength = Math.max(base.prefix.dataLength, offset + data.length);
  const firstSegment = Math.floor(offset / segmentSize);
  const end = Math.ceil((offset + data.length) / segmentSize);
  const encoded = encodeMdmf({
    sequenceNumber,
    sharesNeeded,
    sharesTotal,
    segmentSize,
    dataLength,
    readKey: keys.readKey,
    plaintext: await wholeSegments(context, input, firstSegment * segmentSize, Math.min(end * segmentSize, dataLength)),
    firstSegment,
    salts: Array.from({ length: end - firstSegment }, () => context.entropy.bytes(saltLength)),
    kept: trees,
    encryptedPrivateKey: signing.encryptedPrivateKey,
    publicKeyDer: signing.publicKeyDer,
    sign: (bytes) => signPss(signing.privateKey, bytes),
    erasureCode: erasureCode(sharesNeeded, sharesTotal),
  });
  const version = { sequenceNumber, rootHash: encoded.prefix.rootHash };
  return {
    version,
    key: versionKey(version),
    base: base.prefix,
    lineage: lineageOf(lineage),
    content: data,
    contentOffset: offset,
    sharesTotal,
    shareBytes: encoded.changes(0).reduce((sum, part) => sum + part.data.length, 0),
    share: (shareNumber) => ({ writes: encoded.changes(shareNumber), length: encoded.offsets.endOfFile }),
  };
}

/** The bytes [start, end) as they will be: the change with what stands before and behind it in its segments. */
async function wholeSegments(
  context: SlotContext,
  input: UpdateInput,
  start: number,
  end: number,
): Promise<Uint8Array> {
  const { keys, base, change } = input;
  const changeEnd = change.offset + change.data.length;
  const old = (from: number, to: number) =>
    from < to ? retrieveRange(context, keys, base, { offset: from, length: to - from }) : new Uint8Array(0);
  const [before, behind] = await Promise.all([old(start, change.offset), old(changeEnd, end)]);
  return concatBytes([before, change.data, behind]);
}
