/**
 * The files in which a storage server keeps shares.
 *
 * Immutable (immutable spec 6.2):
 *
 * | 0 | u32 version, 1 or 2 |
 * | 4 | u32 size of the share data, at most 2^32-1; not read |
 * | 8 | u32 number of leases |
 * | 12 | share data |
 * | end - 72 * leases | lease records |
 *
 * Mutable (mutable spec 6.2):
 *
 * | 0 | 32 magic |
 * | 32 | 20 node id of the server that took the write enabler |
 * | 52 | 32 write enabler |
 * | 84 | u64 length of the share data |
 * | 92 | u64 offset X of the extra leases |
 * | 100 | four lease slots of 92 |
 * | 468 | share data, possibly with room behind it |
 * | X | u32 number of extra leases, then their records of 92 |
 */
import { taggedHash } from '../crypto/hashes.js';
import { mutableContainerTag } from '../crypto/tags.js';
import type { TubId, WriteEnabler } from '../encoding/brands.js';
import {
  bytesEqual,
  concatBytes,
  encodeAscii,
  fromHex,
  readU32,
  readU64,
  writeU32,
  writeU64,
} from '../encoding/bytes.js';
import { assert, TahoeError } from '../errors/tahoe-error.js';
import {
  type ContainerVersion,
  immutableLeaseLength,
  type MutableLease,
  mutableLeaseLength,
  parseMutableLease,
} from './lease.js';

export const immutableHeaderLength = 12;
export const mutableHeaderLength = 100;
export const mutableDataOffset = 468;
export const mutableLeaseSlots = 4;
/** Enough of a file to know its kind and, for a mutable one, its header. */
export const containerPrefixLength = 100;

const magicText = (version: ContainerVersion) => encodeAscii(`Tahoe mutable container v${version}\n`);
const mutableMagicOf: Readonly<Record<ContainerVersion, Uint8Array>> = {
  1: concatBytes([magicText(1), fromHex('750944038e')]),
  2: concatBytes([magicText(2), taggedHash(mutableContainerTag, magicText(2), 5)]),
};

/** Which kind of container begins with these bytes (32, or all there are). Kind `corrupt` if neither. */
export function containerKindOf(prefix: Uint8Array): 'immutable' | 'mutable' {
  if (mutableVersionOf(prefix) !== undefined) return 'mutable';
  const version = readU32(prefix, 0);
  if (version === 1 || version === 2) return 'immutable';
  throw badContainer('unknown version or magic');
}

export interface ImmutableContainer {
  readonly version: ContainerVersion;
  readonly leaseCount: number;
  /** Of the share data, which begins at immutableHeaderLength. */
  readonly dataLength: number;
  /** Lease `i` is at leasesOffset + 72 * i. */
  readonly leasesOffset: number;
}

/** Header of a new immutable share with its leases directly behind the data. */
export function serializeImmutableHeader(
  version: ContainerVersion,
  dataLength: number,
  leaseCount: number,
): Uint8Array {
  const header = new Uint8Array(immutableHeaderLength);
  writeU32(header, 0, version);
  writeU32(header, 4, Math.min(dataLength, 0xffff_ffff));
  writeU32(header, 8, leaseCount);
  return header;
}

/** From the first 12 bytes and the size of the whole file; kind `corrupt` if they contradict each other. */
export function parseImmutableHeader(header: Uint8Array, fileSize: number): ImmutableContainer {
  const version = readU32(header, 0);
  if (version !== 1 && version !== 2) throw badContainer(`unknown version ${version}`);
  const leaseCount = readU32(header, 8);
  const leasesOffset = fileSize - immutableLeaseLength * leaseCount;
  if (leasesOffset < immutableHeaderLength) throw badContainer('more leases than the file has room for');
  return { version, leaseCount, dataLength: leasesOffset - immutableHeaderLength, leasesOffset };
}

export interface MutableContainer {
  readonly version: ContainerVersion;
  readonly nodeId: TubId;
  readonly writeEnabler: WriteEnabler;
  /** Of the share data, which begins at mutableDataOffset. */
  readonly dataLength: number;
  readonly extraLeasesOffset: number;
}

export function serializeMutableHeader(container: MutableContainer): Uint8Array {
  const header = new Uint8Array(mutableHeaderLength);
  assert(container.nodeId.length === 20 && container.writeEnabler.length === 32, 'node id and write enabler lengths');
  header.set(mutableMagicOf[container.version], 0);
  header.set(container.nodeId, 32);
  header.set(container.writeEnabler, 52);
  writeU64(header, 84, container.dataLength);
  writeU64(header, 92, container.extraLeasesOffset);
  return header;
}

/** From the first 100 bytes and the size of the whole file; kind `corrupt` if they contradict each other. */
export function parseMutableHeader(header: Uint8Array, fileSize: number): MutableContainer {
  const version = mutableVersionOf(header);
  if (version === undefined) throw badContainer('unknown magic');
  if (header.length < mutableHeaderLength) throw badContainer('cut off in its header');
  const dataLength = readU64(header, 84);
  const extraLeasesOffset = readU64(header, 92);
  if (mutableDataOffset + dataLength > extraLeasesOffset) throw badContainer('its data runs into its leases');
  if (extraLeasesOffset + 4 > fileSize) throw badContainer('its extra leases are past its end');
  return {
    version,
    nodeId: header.slice(32, 52) as TubId,
    writeEnabler: header.slice(52, 84) as WriteEnabler,
    dataLength,
    extraLeasesOffset,
  };
}

/** The 472 bytes of a slot without data and leases, in the newest version. */
export function emptyMutableContainer(nodeId: TubId, writeEnabler: WriteEnabler): Uint8Array {
  const extraLeasesOffset = mutableDataOffset;
  const header = serializeMutableHeader({ version: 2, nodeId, writeEnabler, dataLength: 0, extraLeasesOffset });
  return concatBytes([header, new Uint8Array(mutableLeaseSlots * mutableLeaseLength + 4)]);
}

/** Where lease number `index` stands: the four slots first, then the extra leases. */
export function mutableLeaseOffset(container: MutableContainer, index: number): number {
  if (index < mutableLeaseSlots) return mutableHeaderLength + index * mutableLeaseLength;
  return container.extraLeasesOffset + 4 + (index - mutableLeaseSlots) * mutableLeaseLength;
}

/**
 * The leases in use with their numbers, from the bytes of the four slots (file offset 100, 368 bytes) and those from
 * extraLeasesOffset to the end of the file. Kind `corrupt` if the count of extra leases is more than there are.
 */
export function parseMutableLeases(
  slots: Uint8Array,
  extra: Uint8Array,
): { readonly extraCount: number; readonly leases: ReadonlyMap<number, MutableLease> } {
  const extraCount = readU32(extra, 0);
  if (4 + extraCount * mutableLeaseLength > extra.length) throw badContainer('extra leases past its end');
  const leases = new Map<number, MutableLease>();
  for (let index = 0; index < mutableLeaseSlots + extraCount; index++) {
    const lease =
      index < mutableLeaseSlots
        ? parseMutableLease(slots, index * mutableLeaseLength)
        : parseMutableLease(extra, 4 + (index - mutableLeaseSlots) * mutableLeaseLength);
    if (lease !== undefined) leases.set(index, lease);
  }
  return { extraCount, leases };
}

function mutableVersionOf(prefix: Uint8Array): ContainerVersion | undefined {
  const magic = prefix.subarray(0, 32);
  if (bytesEqual(magic, mutableMagicOf[2])) return 2;
  if (bytesEqual(magic, mutableMagicOf[1])) return 1;
  return undefined;
}

function badContainer(reason: string): TahoeError {
  return new TahoeError(`damaged share container: ${reason}`, { kind: 'corrupt', op: 'container.parse' });
}
