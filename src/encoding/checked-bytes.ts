/** Checking constructors of the branded byte strings: for bytes that come from outside. Kind `invalid` if the length is wrong. */
import { TahoeError } from '../errors/tahoe-error.js';
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
} from './brands.js';

export const asStorageIndex = (bytes: Uint8Array) => ofLength(bytes, 16, 'storage index') as StorageIndex;
export const asTubId = (bytes: Uint8Array) => ofLength(bytes, 20, 'tub id') as TubId;
export const asWriteEnabler = (bytes: Uint8Array) => ofLength(bytes, 32, 'write enabler') as WriteEnabler;
export const asLeaseRenewSecret = (bytes: Uint8Array) => ofLength(bytes, 32, 'lease renew secret') as LeaseRenewSecret;
export const asLeaseCancelSecret = (bytes: Uint8Array) =>
  ofLength(bytes, 32, 'lease cancel secret') as LeaseCancelSecret;
export const asUploadSecret = (bytes: Uint8Array) => ofLength(bytes, 20, 'upload secret') as UploadSecret;
export const asChkKey = (bytes: Uint8Array) => ofLength(bytes, 16, 'CHK key') as ChkKey;
export const asWriteKey = (bytes: Uint8Array) => ofLength(bytes, 16, 'write key') as WriteKey;
export const asReadKey = (bytes: Uint8Array) => ofLength(bytes, 16, 'read key') as ReadKey;
export const asFingerprint = (bytes: Uint8Array) => ofLength(bytes, 32, 'fingerprint') as Fingerprint;
export const asUebHash = (bytes: Uint8Array) => ofLength(bytes, 32, 'UEB hash') as UebHash;

function ofLength(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length === length) return bytes;
  throw new TahoeError(`a ${what} has ${length} bytes, not ${bytes.length}`, { kind: 'invalid', op: 'bytes.check' });
}
