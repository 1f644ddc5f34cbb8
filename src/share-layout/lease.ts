/**
 * Lease records in share containers.
 *
 * | immutable (immutable spec 6.2) | mutable (mutable spec 6.2) |
 * |---|---|
 * | 0  u32 owner number | 0  u32 owner number, 0 in an unused slot |
 * | 4  32 renew secret | 4  u32 expiration |
 * | 36 32 cancel secret | 8  32 renew secret |
 * | 68 u32 expiration | 40 32 cancel secret |
 * | | 72 20 node id of the server |
 */
import { secretsEqual } from '../crypto/constant-time.js';
import { blake2b256 } from '../crypto/hashes.js';
import type { TubId } from '../encoding/brands.js';
import { readU32, sliceChecked, writeU32 } from '../encoding/bytes.js';
import { assert } from '../errors/tahoe-error.js';

export const immutableLeaseLength = 72;
export const mutableLeaseLength = 92;

/** Containers of version 1 hold lease secrets as they came; those of version 2 hold their BLAKE2b hashes. */
export type ContainerVersion = 1 | 2;

export interface Lease {
  readonly ownerNumber: number;
  /** Seconds since the epoch. */
  readonly expirationSeconds: number;
  /** 32 bytes as stored: see storedLeaseSecret. */
  readonly renewSecret: Uint8Array;
  readonly cancelSecret: Uint8Array;
}

export interface MutableLease extends Lease {
  /** The server that granted it. */
  readonly nodeId: TubId;
}

/** What a container of this version keeps of a secret. */
export function storedLeaseSecret(version: ContainerVersion, secret: Uint8Array): Uint8Array {
  return version === 2 ? blake2b256(secret) : secret;
}

/** Whether a secret presented by a client is the one this lease was made with. */
export function leaseSecretMatches(version: ContainerVersion, stored: Uint8Array, presented: Uint8Array): boolean {
  return secretsEqual(stored, storedLeaseSecret(version, presented));
}

export function serializeImmutableLease(lease: Lease): Uint8Array {
  const record = new Uint8Array(immutableLeaseLength);
  writeU32(record, 0, lease.ownerNumber);
  record.set(checkedSecret(lease.renewSecret), 4);
  record.set(checkedSecret(lease.cancelSecret), 36);
  writeU32(record, 68, lease.expirationSeconds);
  return record;
}

/** The record at `offset`; secrets are views. Kind `corrupt` if it is not all there. */
export function parseImmutableLease(bytes: Uint8Array, offset = 0): Lease {
  const record = sliceChecked(bytes, offset, offset + immutableLeaseLength);
  return {
    ownerNumber: readU32(record, 0),
    renewSecret: record.subarray(4, 36),
    cancelSecret: record.subarray(36, 68),
    expirationSeconds: readU32(record, 68),
  };
}

export function serializeMutableLease(lease: MutableLease): Uint8Array {
  const record = new Uint8Array(mutableLeaseLength);
  writeU32(record, 0, lease.ownerNumber);
  writeU32(record, 4, lease.expirationSeconds);
  record.set(checkedSecret(lease.renewSecret), 8);
  record.set(checkedSecret(lease.cancelSecret), 40);
  record.set(lease.nodeId, 72);
  return record;
}

/** The record at `offset`, or undefined for an unused slot. Kind `corrupt` if it is not all there. */
export function parseMutableLease(bytes: Uint8Array, offset = 0): MutableLease | undefined {
  const record = sliceChecked(bytes, offset, offset + mutableLeaseLength);
  const ownerNumber = readU32(record, 0);
  if (ownerNumber === 0) return undefined;
  return {
    ownerNumber,
    expirationSeconds: readU32(record, 4),
    renewSecret: record.subarray(8, 40),
    cancelSecret: record.subarray(40, 72),
    nodeId: record.subarray(72, 92) as TubId,
  };
}

function checkedSecret(secret: Uint8Array): Uint8Array {
  assert(secret.length === 32, 'a stored lease secret has 32 bytes');
  return secret;
}
