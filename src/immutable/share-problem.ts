/** Why a share cannot be used. Never leaves this folder: another share may serve, and the caller gets the sum of them. */
import { describeError } from '../errors/tahoe-error.js';

export type ShareProblemKind =
  /** The server did not deliver; it may later. */
  | 'unavailable'
  /** Truncated or malformed: useless, but not worth a report to the server. */
  | 'malformed'
  /** Bytes that contradict their hashes. */
  | 'corrupt-share'
  /** The same, in one block only: other blocks may be good. */
  | 'corrupt-block';

export class ShareProblem extends Error {
  override readonly name = 'ShareProblem';
  readonly kind: ShareProblemKind;

  constructor(kind: ShareProblemKind, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }

  static from(error: unknown, kind: ShareProblemKind): ShareProblem {
    return error instanceof ShareProblem ? error : new ShareProblem(kind, describeError(error), error);
  }
}
