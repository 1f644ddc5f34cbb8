import { asTahoeError, type ErrorKind } from '../src/errors/tahoe-error.js';

/** Linux errno numbers that replies to the kernel carry. */
export const errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  EOPNOTSUPP: 95,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const;

/**
 * What a program sees. `unsupported` is not ENOSYS: the kernel would never send that operation again, for any file.
 */
export const errnoOfKind: Readonly<Record<ErrorKind, number>> = {
  'not-found': errno.ENOENT,
  exists: errno.EEXIST,
  'not-a-directory': errno.ENOTDIR,
  'is-a-directory': errno.EISDIR,
  'not-empty': errno.ENOTEMPTY,
  'name-too-long': errno.ENAMETOOLONG,
  'no-attribute': errno.ENODATA,
  stale: errno.ESTALE,
  'bad-cap': errno.EINVAL,
  'unknown-cap': errno.EIO,
  'read-only': errno.EROFS,
  permission: errno.EACCES,
  unrecoverable: errno.EIO,
  unhappy: errno.EIO,
  'uncoordinated-write': errno.EIO,
  unreachable: errno.EIO,
  timeout: errno.ETIMEDOUT,
  'no-space': errno.ENOSPC,
  'too-large': errno.EFBIG,
  corrupt: errno.EIO,
  protocol: errno.EIO,
  busy: errno.EBUSY,
  closed: errno.EBADF,
  cancelled: errno.EINTR,
  invalid: errno.EINVAL,
  unsupported: errno.EOPNOTSUPP,
  internal: errno.EIO,
};

/** The errno of anything thrown; what is not a TahoeError is a bug and EIO. */
export function errnoOf(error: unknown): number {
  return errnoOfKind[asTahoeError(error, 'mount').kind];
}
