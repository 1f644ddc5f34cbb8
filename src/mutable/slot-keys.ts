/** What a capability for a mutable file opens: keys and the place of its shares (mutable spec 1). */
import type { KeyObject } from 'node:crypto';
import type { SdmfReadCap, SdmfWriteCap } from '../caps/cap.js';
import { fingerprintOf, mutableStorageIndex, readKeyOf, writeKeyOf } from '../crypto/derivations.js';
import { importPrivateKey } from '../crypto/rsa.js';
import type { Fingerprint, ReadKey, StorageIndex, WriteKey } from '../encoding/brands.js';
import { encryptPrivateKey } from '../share-layout/sdmf-share.js';

export interface SlotKeys {
  readonly storageIndex: StorageIndex;
  readonly readKey: ReadKey;
  readonly fingerprint: Fingerprint;
  /** Absent for a reader. */
  readonly writeKey: WriteKey | undefined;
}

/** What is needed to sign a version; from a new key pair, or fetched from a share. */
export interface SigningKeys {
  readonly privateKey: KeyObject;
  readonly publicKeyDer: Uint8Array;
  /** As it stands in the shares. Never serialised anew: its plaintext bytes are what the write key is derived from. */
  readonly encryptedPrivateKey: Uint8Array;
}

export function slotKeysOf(cap: SdmfWriteCap | SdmfReadCap): SlotKeys {
  const writeKey = cap.type === 'sdmf-write' ? cap.writeKey : undefined;
  const readKey = cap.type === 'sdmf-write' ? readKeyOf(cap.writeKey) : cap.readKey;
  return { storageIndex: mutableStorageIndex(readKey), readKey, fingerprint: cap.fingerprint, writeKey };
}

export interface NewSlot {
  readonly cap: SdmfWriteCap;
  readonly keys: SlotKeys;
  readonly signing: SigningKeys;
}

/** The slot that a fresh key pair (PKCS#8 and SubjectPublicKeyInfo DER) makes possible. */
export function newSlot(privateKeyDer: Uint8Array, publicKeyDer: Uint8Array): NewSlot {
  const writeKey = writeKeyOf(privateKeyDer);
  const cap: SdmfWriteCap = { type: 'sdmf-write', writeKey, fingerprint: fingerprintOf(publicKeyDer) };
  return {
    cap,
    keys: slotKeysOf(cap),
    signing: {
      privateKey: importPrivateKey(privateKeyDer),
      publicKeyDer,
      encryptedPrivateKey: encryptPrivateKey(privateKeyDer, writeKey),
    },
  };
}
