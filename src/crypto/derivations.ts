/** Keys, indexes and secrets made from one another: immutable spec 3.2 and 7, mutable spec 1.2 and 12.3. */
import type {
  ChkKey,
  Fingerprint,
  LeaseCancelSecret,
  LeaseRenewSecret,
  ReadKey,
  StorageIndex,
  TubId,
  UebHash,
  UploadSecret,
  WriteEnabler,
  WriteKey,
} from '../encoding/brands.js';
import { concatBytes, encodeAscii } from '../encoding/bytes.js';
import { encodeNetstring } from '../encoding/netstring.js';
import { sha256, taggedHash, taggedPairHash } from './hashes.js';
import * as tags from './tags.js';

// immutable files

export function chkStorageIndex(key: ChkKey): StorageIndex {
  return taggedHash(tags.chkKeyToStorageIndexTag, key, 16) as StorageIndex;
}

/**
 * The tag under which the whole plaintext is hashed to its 16-byte convergent key:
 * `new TaggedHasher(convergentKeyTag(...), 16)`. `segmentSize` is the rounded one.
 */
export function convergentKeyTag(
  convergenceSecret: Uint8Array,
  parameters: { readonly sharesNeeded: number; readonly sharesTotal: number; readonly segmentSize: number },
): Uint8Array {
  const { sharesNeeded, sharesTotal, segmentSize } = parameters;
  return concatBytes([
    encodeAscii(tags.convergentKeyTagPrefix),
    encodeNetstring(convergenceSecret),
    encodeNetstring(encodeAscii(`${sharesNeeded},${sharesTotal},${segmentSize}`)),
  ]);
}

export function uebHash(uriExtension: Uint8Array): UebHash {
  return taggedHash(tags.uriExtensionTag, uriExtension) as UebHash;
}

export function blockHash(block: Uint8Array | readonly Uint8Array[]): Uint8Array {
  return taggedHash(tags.blockTag, block);
}

export function ciphertextSegmentHash(segment: Uint8Array): Uint8Array {
  return taggedHash(tags.ciphertextSegmentTag, segment);
}

// mutable files

export function writeKeyOf(privateKeyDer: Uint8Array): WriteKey {
  return taggedHash(tags.privateKeyToWriteKeyTag, privateKeyDer, 16) as WriteKey;
}

export function fingerprintOf(publicKeyDer: Uint8Array): Fingerprint {
  return taggedHash(tags.publicKeyToFingerprintTag, publicKeyDer) as Fingerprint;
}

export function readKeyOf(writeKey: WriteKey): ReadKey {
  return taggedHash(tags.writeKeyToReadKeyTag, writeKey, 16) as ReadKey;
}

export function mutableStorageIndex(readKey: ReadKey): StorageIndex {
  return taggedHash(tags.readKeyToStorageIndexTag, readKey, 16) as StorageIndex;
}

/** 16-byte AES key of one SDMF version (salt = its IV) or one MDMF segment (its salt). */
export function mutableDataKey(salt: Uint8Array, readKey: ReadKey): Uint8Array {
  return taggedPairHash(tags.readKeyToDataKeyTag, salt, readKey, 16);
}

export function writeEnablerMaster(writeKey: WriteKey): Uint8Array {
  return taggedHash(tags.writeKeyToWriteEnablerMasterTag, writeKey);
}

export function writeEnablerOf(writeKey: WriteKey, tubId: TubId): WriteEnabler {
  return taggedPairHash(tags.writeEnablerTag, writeEnablerMaster(writeKey), tubId) as WriteEnabler;
}

// lease secrets

/** The two secrets of one client, from the bytes of `private/secret`. Each is derived once and kept. */
export interface ClientLeaseSecrets {
  readonly renewal: Uint8Array;
  readonly cancel: Uint8Array;
}

/** The secret is the tag here and the constant the value: immutable spec 7. */
export function clientLeaseSecrets(leaseSecret: Uint8Array): ClientLeaseSecrets {
  return {
    renewal: taggedHash(leaseSecret, encodeAscii(tags.clientRenewalValue)),
    cancel: taggedHash(leaseSecret, encodeAscii(tags.clientCancelValue)),
  };
}

/** The two secrets of one client for one file, the same for every server. */
export interface FileLeaseSecrets {
  readonly renewal: Uint8Array;
  readonly cancel: Uint8Array;
}

export function fileLeaseSecrets(client: ClientLeaseSecrets, storageIndex: StorageIndex): FileLeaseSecrets {
  return {
    renewal: taggedPairHash(tags.fileRenewalTag, client.renewal, storageIndex),
    cancel: taggedPairHash(tags.fileCancelTag, client.cancel, storageIndex),
  };
}

/** What is sent to one server for one file. */
export function bucketLeaseSecrets(
  file: FileLeaseSecrets,
  tubId: TubId,
): { readonly renew: LeaseRenewSecret; readonly cancel: LeaseCancelSecret } {
  return {
    renew: taggedPairHash(tags.bucketRenewalTag, file.renewal, tubId) as LeaseRenewSecret,
    cancel: taggedPairHash(tags.bucketCancelTag, file.cancel, tubId) as LeaseCancelSecret,
  };
}

/**
 * The secret of this client's upload of one file to one server. The same each time, so that after a crash the client can
 * give up what it had begun: until then the server refuses the share to everybody (storage-http spec 10.2).
 */
export function uploadSecretOf(renewSecret: LeaseRenewSecret): UploadSecret {
  return taggedHash(tags.uploadSecretTag, renewSecret, 20) as UploadSecret;
}

// directories

/** 16 bytes, from the child's write cap string (empty if it has none): deterministic on purpose. */
export function dirnodeChildSalt(writeCap: Uint8Array): Uint8Array {
  return taggedHash(tags.dirnodeChildSaltTag, writeCap, 16);
}

/** 16-byte AES key under which a directory keeps one child's write cap. */
export function dirnodeChildKey(salt: Uint8Array, directoryWriteKey: WriteKey): Uint8Array {
  return taggedPairHash(tags.dirnodeChildKeyTag, salt, directoryWriteKey, 16);
}

/**
 * 32 bytes. Not RFC 2104: the key is not padded to the block of the hash, so both pads have 16 bytes
 * (mutable spec 12.3). Old readers check it.
 */
export function dirnodeChildMac(key: Uint8Array, saltAndCiphertext: Uint8Array): Uint8Array {
  const inner = sha256(concatBytes([key.map((byte) => byte ^ 0x36), saltAndCiphertext]));
  return sha256(concatBytes([key.map((byte) => byte ^ 0x5c), inner]));
}
