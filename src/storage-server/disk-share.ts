/** Share containers on disk, opened: their data, and their leases changed in place. */
import type { TubId } from '../encoding/brands.js';
import { readU32, writeU32 } from '../encoding/bytes.js';
import type { OpenedFile } from '../platform/file-store.js';
import {
  containerKindOf,
  containerPrefixLength,
  type ImmutableContainer,
  immutableHeaderLength,
  type MutableContainer,
  mutableDataOffset,
  mutableHeaderLength,
  mutableLeaseOffset,
  mutableLeaseSlots,
  parseImmutableHeader,
  parseMutableHeader,
  parseMutableLeases,
} from '../share-layout/containers.js';
import {
  immutableLeaseLength,
  type Lease,
  leaseSecretMatches,
  type MutableLease,
  mutableLeaseLength,
  parseImmutableLease,
  serializeImmutableLease,
  serializeMutableLease,
  storedLeaseSecret,
} from '../share-layout/lease.js';
import type { LeaseGrant, SlotShare } from './backend.js';

/** Read when a share is opened: of a small one that is all, of most mutable ones all that anybody asks for. */
const HEAD_BYTES = mutableDataOffset + 8192;

export type DiskShare = DiskImmutableShare | DiskMutableShare;

/** Reads the header of an open share file. Kind `corrupt` if it is no container. The share owns the file from then on. */
export async function openDiskShare(file: OpenedFile): Promise<DiskShare> {
  const head = await file.read(0, HEAD_BYTES);
  const fileSize = head.length < HEAD_BYTES ? head.length : await file.sizeBytes();
  const prefix = head.subarray(0, containerPrefixLength);
  if (containerKindOf(prefix) === 'mutable') {
    return new DiskMutableShare(file, parseMutableHeader(prefix, fileSize), head);
  }
  return new DiskImmutableShare(file, wholeImmutable(prefix, fileSize), head);
}

/**
 * The lease area is counted from the end of the file, so a crash between the appending of a lease and its counting
 * would move the end of the data. The size in the header, where it is possible, is not moved by that.
 */
function wholeImmutable(prefix: Uint8Array, fileSize: number): ImmutableContainer {
  const container = parseImmutableHeader(prefix, fileSize);
  const dataLength = readU32(prefix, 4);
  const leasesOffset = immutableHeaderLength + dataLength;
  const isUsable = dataLength < 0xffff_ffff && leasesOffset <= container.leasesOffset;
  return isUsable ? { ...container, dataLength, leasesOffset } : container;
}

/** The data of an open share, which never change: `head` is what was read from the front of its file. */
async function readWithin(
  { file, head, start, size }: { file: OpenedFile; head: Uint8Array; start: number; size: number },
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const from = start + Math.min(offset, size);
  const end = start + Math.min(offset + length, size);
  return end <= head.length ? head.slice(from, end) : file.read(from, end - from);
}

export class DiskImmutableShare {
  readonly kind = 'immutable';
  readonly #file: OpenedFile;
  readonly #container: ImmutableContainer;
  readonly #head: Uint8Array;

  constructor(file: OpenedFile, container: ImmutableContainer, head: Uint8Array) {
    this.#file = file;
    this.#container = container;
    this.#head = head;
  }

  get sizeBytes(): number {
    return this.#container.dataLength;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const data = { file: this.#file, head: this.#head, start: immutableHeaderLength, size: this.sizeBytes };
    return readWithin(data, offset, length);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async grantLease(grant: LeaseGrant): Promise<void> {
    const { version, leaseCount, leasesOffset } = this.#container;
    const records = await this.#file.read(leasesOffset, leaseCount * immutableLeaseLength);
    for (let index = 0; index < leaseCount; index += 1) {
      const lease = parseImmutableLease(records, index * immutableLeaseLength);
      if (!leaseSecretMatches(version, lease.renewSecret, grant.renew)) continue;
      if (lease.expirationSeconds >= grant.expiresSeconds) return;
      await this.#file.write(leasesOffset + (index + 1) * immutableLeaseLength - 4, [u32(grant.expiresSeconds)]);
      return;
    }
    const record = serializeImmutableLease(newLease(version, grant));
    await this.#file.write(leasesOffset + leaseCount * immutableLeaseLength, [record]);
    // The count must never be on disk before the record: readers would take the end of the data for a lease.
    await this.#file.sync();
    await this.#file.write(8, [u32(leaseCount + 1)]);
  }
}

export class DiskMutableShare implements SlotShare {
  readonly kind = 'mutable';
  readonly container: MutableContainer;
  readonly #file: OpenedFile;
  readonly #head: Uint8Array;

  constructor(file: OpenedFile, container: MutableContainer, head: Uint8Array) {
    this.#file = file;
    this.container = container;
    this.#head = head;
  }

  get sizeBytes(): number {
    return this.container.dataLength;
  }

  get writeEnabler(): Uint8Array {
    return this.container.writeEnabler;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const data = { file: this.#file, head: this.#head, start: mutableDataOffset, size: this.sizeBytes };
    return readWithin(data, offset, length);
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async leases(): Promise<MutableLeases> {
    const { extraLeasesOffset } = this.container;
    const fileSize = await this.#file.sizeBytes();
    const [slots, extra] = await Promise.all([
      this.#file.read(mutableHeaderLength, mutableLeaseSlots * mutableLeaseLength),
      this.#file.read(extraLeasesOffset, fileSize - extraLeasesOffset),
    ]);
    const parsed = parseMutableLeases(slots, extra);
    return new MutableLeases(parsed.leases, parsed.extraCount);
  }

  async grantLease(grant: LeaseGrant, nodeId: TubId): Promise<void> {
    const leases = await this.leases();
    const changed = leases.grant(this.container.version, grant, nodeId);
    if (changed === undefined) return;
    const { index, isAppended } = changed;
    const record = serializeMutableLease(leases.at(index));
    await this.#file.write(mutableLeaseOffset(this.container, index), [record]);
    if (!isAppended) return;
    await this.#file.sync();
    await this.#file.write(this.container.extraLeasesOffset, [u32(leases.extraCount)]);
  }
}

/** The leases of a mutable container by their position: four slots, then the extra ones. */
export class MutableLeases {
  extraCount: number;
  readonly #leases: Map<number, MutableLease>;

  constructor(leases: ReadonlyMap<number, MutableLease> = new Map(), extraCount = 0) {
    this.#leases = new Map(leases);
    this.extraCount = extraCount;
  }

  at(index: number): MutableLease {
    return this.#leases.get(index) as MutableLease;
  }

  /** Renews or adds; says which position changed, if any. */
  grant(version: 1 | 2, grant: LeaseGrant, nodeId: TubId): { index: number; isAppended: boolean } | undefined {
    for (const [index, lease] of this.#leases) {
      if (!leaseSecretMatches(version, lease.renewSecret, grant.renew)) continue;
      if (lease.expirationSeconds >= grant.expiresSeconds) return undefined;
      this.#leases.set(index, { ...lease, expirationSeconds: grant.expiresSeconds });
      return { index, isAppended: false };
    }
    let index = 0;
    while (this.#leases.has(index)) index += 1;
    const isAppended = index >= mutableLeaseSlots + this.extraCount;
    if (isAppended) this.extraCount += 1;
    this.#leases.set(index, { ...newLease(version, grant), nodeId });
    return { index, isAppended };
  }

  /** The bytes of the four slots, and those of the count and the extra leases. */
  serialize(): { readonly slots: Uint8Array; readonly extra: Uint8Array } {
    const slots = new Uint8Array(mutableLeaseSlots * mutableLeaseLength);
    const extra = new Uint8Array(4 + this.extraCount * mutableLeaseLength);
    writeU32(extra, 0, this.extraCount);
    for (const [index, lease] of this.#leases) {
      const record = serializeMutableLease(lease);
      if (index < mutableLeaseSlots) slots.set(record, index * mutableLeaseLength);
      else extra.set(record, 4 + (index - mutableLeaseSlots) * mutableLeaseLength);
    }
    return { slots, extra };
  }
}

function newLease(version: 1 | 2, grant: LeaseGrant): Lease {
  return {
    ownerNumber: grant.ownerNumber,
    expirationSeconds: grant.expiresSeconds,
    renewSecret: storedLeaseSecret(version, grant.renew),
    cancelSecret: storedLeaseSecret(version, grant.cancel),
  };
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  writeU32(bytes, 0, value);
  return bytes;
}
