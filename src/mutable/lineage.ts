/**
 * Versions of a slot and which was built on which (vfs blueprint 5.2).
 *
 * The IV of an SDMF version published here is nonce(8) || first 8 bytes of HMAC-SHA-256(L, nonce || sequence number and root
 * hash of the version it was built on), L a tagged hash of the read key. Other programs treat an IV as opaque random
 * bytes; whoever has the read key can tell from two visible versions whether one contains the other.
 */
import { createHmac } from 'node:crypto';
import { taggedHash } from '../crypto/hashes.js';
import type { ReadKey } from '../encoding/brands.js';
import { bytesEqual, compareBytes, concatBytes, toHex, writeU64 } from '../encoding/bytes.js';
import { serializeCheckstring } from '../share-layout/checkstring.js';
import type { Checkstring } from '../share-layout/mutable-share.js';

/** Names one version, and with it the attempt that made it: the bytes of its checkstring in hexadecimal. */
export type VersionKey = string;

/** The order that readers use: sequence number, then root hash. */
export function compareVersions(a: Checkstring, b: Checkstring): number {
  return a.sequenceNumber - b.sequenceNumber || compareBytes(a.rootHash, b.rootHash);
}

export function versionKey(version: Checkstring): VersionKey {
  return toHex(serializeCheckstring(version));
}

const lineageTag = 'tahoe-ts-lineage-v1';
const nonceLength = 8;

/** The IV of a version built on `base`, or on nothing. `nonce` is 8 fresh random bytes. */
export function lineageIv(readKey: ReadKey, nonce: Uint8Array, base: Checkstring | undefined): Uint8Array {
  return concatBytes([nonce, lineageMark(readKey, nonce, base)]);
}

/** True if `version` says of itself that it was built on `base`. MDMF versions say nothing: they have no IV. */
export function isBuiltOn(readKey: ReadKey, version: Checkstring, base: Checkstring): boolean {
  const { iv } = version;
  if (iv === undefined || base.sequenceNumber >= version.sequenceNumber) return false;
  const nonce = iv.subarray(0, nonceLength);
  return bytesEqual(iv.subarray(nonceLength), lineageMark(readKey, nonce, base));
}

function lineageMark(readKey: ReadKey, nonce: Uint8Array, base: Checkstring | undefined): Uint8Array {
  const sequence = new Uint8Array(8);
  writeU64(sequence, 0, base?.sequenceNumber ?? 0);
  const mac = createHmac('sha256', taggedHash(lineageTag, readKey));
  for (const part of [nonce, sequence, base?.rootHash ?? new Uint8Array(32)]) mac.update(part);
  return new Uint8Array(mac.digest()).subarray(0, 8);
}
