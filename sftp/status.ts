import { asTahoeError, type ErrorKind } from '../src/errors/tahoe-error.js';
import { type StatusCode, statusCode } from './protocol.js';

/**
 * What a client is told of each kind of error. The choices are those of OpenSSH's server for the corresponding errno,
 * because clients are written against it: EEXIST, ENOTEMPTY and EISDIR have no code in version 3 and are FAILURE (sshfs
 * makes EPERM of it, which starts its work-around for rename), ENOTDIR and ELOOP are NO_SUCH_FILE, EINVAL and
 * ENAMETOOLONG are BAD_MESSAGE.
 */
export const statusOfKind: Readonly<Record<ErrorKind, StatusCode>> = {
  'not-found': statusCode.noSuchFile,
  exists: statusCode.failure,
  'not-a-directory': statusCode.noSuchFile,
  'is-a-directory': statusCode.failure,
  'not-empty': statusCode.failure,
  'name-too-long': statusCode.badMessage,
  'no-attribute': statusCode.failure,
  // what the name meant a moment ago is gone
  stale: statusCode.noSuchFile,
  'bad-cap': statusCode.noSuchFile,
  'unknown-cap': statusCode.permissionDenied,
  'read-only': statusCode.permissionDenied,
  permission: statusCode.permissionDenied,
  unrecoverable: statusCode.failure,
  unhappy: statusCode.failure,
  'uncoordinated-write': statusCode.failure,
  unreachable: statusCode.failure,
  timeout: statusCode.failure,
  'no-space': statusCode.failure,
  'too-large': statusCode.failure,
  corrupt: statusCode.failure,
  protocol: statusCode.badMessage,
  busy: statusCode.failure,
  closed: statusCode.failure,
  cancelled: statusCode.failure,
  invalid: statusCode.badMessage,
  unsupported: statusCode.operationUnsupported,
  internal: statusCode.failure,
};

const messageMax = 500;

/** Code and text for any error. The text of a bug (`internal`) stays here: it goes to the log, not over the wire. */
export function statusOf(error: unknown): { readonly code: StatusCode; readonly message: string } {
  const { kind, message } = asTahoeError(error, 'sftp.request');
  return { code: statusOfKind[kind], message: kind === 'internal' ? 'Internal error' : message.slice(0, messageMax) };
}
