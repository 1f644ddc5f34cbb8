/** What a capability for a mutable file opens: keys and the place of its shares (mutable spec 1). */
import type { KeyObject } from 'node:crypto';
import type { MutableFormat, MutableReadCap, MutableWriteCap } from '../caps/cap.js';
import { fingerprintOf, mutableStorageIndex, readKeyOf, writeKeyOf } from '../crypto/derivations.js';
import { importPrivateKey } from '../crypto/rsa.js';
import type { Fingerprint, ReadKey, StorageIndex, WriteKey } from '../encoding/brands.js';
import { encryptPrivateKey } from '../share-layout/mutable-share.js';

export interface SlotKeys {
  /** Of new versions; those that stand may be of the other. */
  readonly format: MutableFormat;
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

export function slotKeysOf(cap: MutableWriteCap | MutableReadCap): SlotKeys {
  const format = cap.type === 'mdmf-write' || cap.type === 'mdmf-read' ? 'mdmf' : 'sdmf';
  const writeKey = 'writeKey' in cap ? cap.writeKey : undefined;
  const readKey = 'writeKey' in cap ? readKeyOf(cap.writeKey) : cap.readKey;
  return { format, storageIndex: mutableStorageIndex(readKey), readKey, fingerprint: cap.fingerprint, writeKey };
}

export interface NewSlot {
  readonly cap: MutableWriteCap;
  readonly keys: SlotKeys;
  readonly signing: SigningKeys;
}

/** The slot that a fresh key pair (PKCS#8 and SubjectPublicKeyInfo DER) makes possible. */
export function newSlot(privateKeyDer: Uint8Array, publicKeyDer: Uint8Array, format: MutableFormat = 'sdmf'): NewSlot {
  const writeKey = writeKeyOf(privateKeyDer);
  const cap: MutableWriteCap = { type: `${format}-write`, writeKey, fingerprint: fingerprintOf(publicKeyDer) };
  let imported: KeyObject | undefined;
  return {
    cap,
    keys: slotKeysOf(cap),
    signing: {
      // replay of a journal makes many that nobody signs with any more
      get privateKey() {
        imported ??= importPrivateKey(privateKeyDer);
        return imported;
      },
      publicKeyDer,
      encryptedPrivateKey: encryptPrivateKey(privateKeyDer, writeKey),
    },
  };
}
