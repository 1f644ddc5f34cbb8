/** Shares as they are on the disk of a storage server. */
import { open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  containerKindOf,
  immutableHeaderLength,
  mutableDataOffset,
  mutableHeaderLength,
  mutableLeaseOffset,
  parseImmutableHeader,
  parseMutableHeader,
  parseMutableLeases,
} from '../../../src/share-layout/containers.js';
import { immutableLeaseLength, type Lease, parseImmutableLease } from '../../../src/share-layout/lease.js';

/** Names below the directory of shares, `ab/ab...z/7`, and contents. */
export type ShareFiles = ReadonlyMap<string, Uint8Array>;

export async function readShares(sharesDirectory: string): Promise<ShareFiles> {
  const names = await shareNames(sharesDirectory);
  const entries = names.map(
    async (name) => [name, new Uint8Array(await readFile(join(sharesDirectory, name)))] as const,
  );
  return new Map(await Promise.all(entries));
}

export async function removeShares(sharesDirectory: string): Promise<void> {
  const prefixes = new Set((await shareNames(sharesDirectory)).map((name) => name.slice(0, 2)));
  for (const prefix of prefixes) await rm(join(sharesDirectory, prefix), { recursive: true });
}

async function shareNames(sharesDirectory: string): Promise<string[]> {
  const names = await readdir(sharesDirectory, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => /^[a-z2-7]{2}\/[a-z2-7]{26}\/\d+$/.test(name)).sort();
}

interface PlacedLease {
  readonly lease: Lease;
  /** Where its time of expiry stands in the file. */
  readonly expiryAt: number;
}

function placedLeases(file: Uint8Array): PlacedLease[] {
  if (containerKindOf(file) === 'immutable') {
    const { leaseCount, leasesOffset } = parseImmutableHeader(file, file.length);
    return Array.from({ length: leaseCount }, (_, index) => {
      const at = leasesOffset + index * immutableLeaseLength;
      return { lease: parseImmutableLease(file, at), expiryAt: at + immutableLeaseLength - 4 };
    });
  }
  const container = parseMutableHeader(file, file.length);
  const slots = file.subarray(mutableHeaderLength, mutableDataOffset);
  const { leases } = parseMutableLeases(slots, file.subarray(container.extraLeasesOffset));
  return [...leases].map(([index, lease]) => ({ lease, expiryAt: mutableLeaseOffset(container, index) + 4 }));
}

export function leasesOf(file: Uint8Array): Lease[] {
  return placedLeases(file).map(({ lease }) => lease);
}

/** The file with the times of expiry set to zero: they are those of the second in which it was written. */
export function timeless(file: Uint8Array): Uint8Array {
  const copy = file.slice();
  for (const { expiryAt } of placedLeases(file)) copy.fill(0, expiryAt, expiryAt + 4);
  return copy;
}

/** What a server adds to a share: header and leases, without times and without the share itself. */
export function containerOnly(file: Uint8Array): Uint8Array {
  const copy = timeless(file);
  if (containerKindOf(file) === 'immutable') {
    const { leasesOffset } = parseImmutableHeader(file, file.length);
    return Buffer.concat([copy.subarray(0, immutableHeaderLength), copy.subarray(leasesOffset)]);
  }
  // Behind the data there may be room with remains of a longer version.
  const { extraLeasesOffset } = parseMutableHeader(file, file.length);
  return Buffer.concat([copy.subarray(0, mutableDataOffset), copy.subarray(extraLeasesOffset)]);
}

/** Lets every lease of every share on the server end at this second. */
export async function setExpiry(sharesDirectory: string, seconds: number): Promise<void> {
  const time = Buffer.alloc(4);
  time.writeUInt32BE(seconds);
  for (const [name, bytes] of await readShares(sharesDirectory)) {
    const file = await open(join(sharesDirectory, name), 'r+');
    for (const { expiryAt } of placedLeases(bytes)) await file.write(time, 0, 4, expiryAt);
    await file.close();
  }
}
