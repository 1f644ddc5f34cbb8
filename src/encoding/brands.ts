/**
 * Types for byte strings and texts that must not be mixed up. A brand exists at compile time only.
 * Make one with its checking constructor where outside bytes enter, or by derivation in src/crypto.
 */
declare const brand: unique symbol;
export type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };

/** 16-byte name of the shares of one file (immutable bucket or mutable slot) on every server. */
export type StorageIndex = Branded<Uint8Array, 'StorageIndex'>;
/** A server's public identity, `v0-` + base32 of its Ed25519 key, or the key it has in servers.yaml. */
export type ServerId = Branded<string, 'ServerId'>;
/** 20 bytes, SHA-1 of the server's certificate: the seed of lease secrets and write enablers. */
export type TubId = Branded<Uint8Array, 'TubId'>;
/** 32 bytes, per server and slot. */
export type WriteEnabler = Branded<Uint8Array, 'WriteEnabler'>;
/** 32 bytes, per server and storage index. */
export type LeaseRenewSecret = Branded<Uint8Array, 'LeaseRenewSecret'>;
/** 32 bytes, per server and storage index. */
export type LeaseCancelSecret = Branded<Uint8Array, 'LeaseCancelSecret'>;
/** 20 random bytes, one per allocate call. */
export type UploadSecret = Branded<Uint8Array, 'UploadSecret'>;
/** 16-byte AES key of an immutable file. */
export type ChkKey = Branded<Uint8Array, 'ChkKey'>;
/** 16 bytes, authority to write a mutable file. */
export type WriteKey = Branded<Uint8Array, 'WriteKey'>;
/** 16 bytes, authority to read a mutable file. */
export type ReadKey = Branded<Uint8Array, 'ReadKey'>;
/** 32-byte hash of a mutable file's public key. */
export type Fingerprint = Branded<Uint8Array, 'Fingerprint'>;
/** 32-byte hash of a URI extension block. */
export type UebHash = Branded<Uint8Array, 'UebHash'>;
