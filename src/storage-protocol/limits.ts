/** Limits and times of storage-http spec 11 that both sides share. Sizes in bytes. */
export const MAX_SHARES_PER_MESSAGE = 256;
export const MAX_TEST_VECTORS = 30;
export const MAX_READ_VECTORS = 30;
export const MAX_ALLOCATE_REQUEST = 8192;
export const MAX_CORRUPTION_REQUEST = 32768;
/** A CBOR answer longer than this is refused unread. */
export const MAX_CBOR_RESPONSE = 30 * 1024 * 1024;
/** As much of an error's text as is read. */
export const MAX_ERROR_BODY = 10_000;
export const MAX_MUTABLE_SHARE_SIZE = 69_105_000_000_000_000;
export const UPLOAD_IDLE_LIMIT_MS = 30 * 60 * 1000;
export const LEASE_DURATION_SECONDS = 31 * 24 * 60 * 60;
