/** Mutable files written by the Python implementation: test/vectors/mutable/shares.json. */
import { parseMutableHeader, parseMutableLeases } from '../../src/share-layout/containers.js';

export interface MutableVector {
  readonly cap: string;
  readonly k: number;
  readonly n: number;
  readonly size: number;
  readonly plaintext_sha256: string;
  readonly client_lease_secret_hex: string;
  readonly derived: {
    readonly writekey: string;
    readonly readkey: string;
    readonly storage_index: string;
    readonly fingerprint: string;
    readonly privkey_pkcs8_der_b64: string;
    readonly pubkey_spki_der_b64: string;
  };
  readonly shares: readonly {
    readonly shnum: number;
    readonly server_nodeid: string;
    readonly container_file_b64: string;
  }[];
}

/** The share data and leases of a whole container file. */
export function openMutableContainer(file: Uint8Array) {
  const container = parseMutableHeader(file, file.length);
  const data = file.subarray(468, 468 + container.dataLength);
  return {
    container,
    data,
    ...parseMutableLeases(file.subarray(100, 468), file.subarray(container.extraLeasesOffset)),
  };
}
