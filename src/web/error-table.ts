/** Kinds of error as HTTP statuses and as the names that users of the reference look for (web API spec 2). */
import { describeError, type ErrorKind, type TahoeError } from '../errors/tahoe-error.js';

interface Row {
  readonly status: number;
  /** Starts the text; empty: the message stands alone. */
  readonly name: string;
}

const row = (status: number, name = ''): Row => ({ status, name });

const TABLE: Readonly<Record<ErrorKind, Row>> = {
  'not-found': row(404),
  exists: row(409, 'There was already a child by that name, and you asked me to not replace it.'),
  'not-a-directory': row(400),
  'is-a-directory': row(400),
  'not-empty': row(409),
  'name-too-long': row(400),
  'no-attribute': row(404),
  stale: row(410),
  'bad-cap': row(400),
  'unknown-cap': row(400),
  'read-only': row(500, 'allmydata.mutable.common.NotWriteableError:'),
  permission: row(403),
  unrecoverable: row(410, 'UnrecoverableFileError: the directory (or mutable file) could not be retrieved.'),
  unhappy: row(500, 'allmydata.interfaces.UploadUnhappinessError:'),
  'uncoordinated-write': row(500, 'allmydata.mutable.common.UncoordinatedWriteError:'),
  unreachable: row(503),
  timeout: row(504),
  'no-space': row(507),
  'too-large': row(413, 'FileTooLargeError:'),
  corrupt: row(500),
  protocol: row(502),
  busy: row(409),
  closed: row(503),
  cancelled: row(503),
  invalid: row(400),
  unsupported: row(501),
  internal: row(500),
};

export function statusOf(error: TahoeError): number {
  return TABLE[error.kind].status;
}

/** The text for a person and for tools that look for the reference's exception names. */
export function errorText(error: TahoeError): string {
  return [nameOf(error), describeError(error)].filter((part) => part !== '').join(' ');
}

function nameOf(error: TahoeError): string {
  // The reference has a name of its own for the shares of an immutable file.
  if (error.kind === 'unrecoverable' && error.op.startsWith('immutable')) return 'NotEnoughSharesError:';
  return TABLE[error.kind].name;
}
