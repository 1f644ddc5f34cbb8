/**
 * The one error class of the product. Code below the frontends throws nothing else on purpose;
 * each frontend translates `kind` by one total table (errno, SSH_FX, HTTP status, exit code).
 *
 * Expected alternatives (a lost test-and-write, a refused share number, end of file) are results, not errors.
 */
export type ErrorKind =
  // about the name or the object asked for
  | 'not-found'
  | 'exists'
  | 'not-a-directory'
  | 'is-a-directory'
  | 'not-empty'
  | 'name-too-long'
  | 'no-attribute'
  | 'stale'
  | 'bad-cap'
  | 'unknown-cap'
  // about authority
  | 'read-only'
  | 'permission'
  // about the grid
  | 'unrecoverable'
  | 'unhappy'
  | 'uncoordinated-write'
  | 'unreachable'
  | 'timeout'
  | 'no-space'
  | 'too-large'
  // about the other side
  | 'corrupt'
  | 'protocol'
  // about this process
  | 'busy'
  | 'closed'
  | 'cancelled'
  | 'invalid'
  | 'unsupported'
  | 'internal';

export interface ErrorContext {
  readonly kind: ErrorKind;
  /** The public operation, "mutable.publish", not the helper that noticed. */
  readonly op: string;
  /** What it was about, safe to log: path, storage index, server nickname. Never a cap or a secret. */
  readonly subject?: string | undefined;
  readonly cause?: unknown;
}

export class TahoeError extends Error {
  readonly kind: ErrorKind;
  readonly op: string;
  readonly subject: string | undefined;

  constructor(message: string, context: ErrorContext) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'TahoeError';
    this.kind = context.kind;
    this.op = context.op;
    this.subject = context.subject;
  }
}

/** True for a TahoeError of one of the given kinds (any kind when none is given). */
export function isTahoeError(error: unknown, ...kinds: readonly ErrorKind[]): error is TahoeError {
  return error instanceof TahoeError && (kinds.length === 0 || kinds.includes(error.kind));
}

/** Returns `error` itself if it is a TahoeError; anything else is a bug and becomes kind `internal` with its cause. */
export function asTahoeError(error: unknown, op: string): TahoeError {
  if (error instanceof TahoeError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new TahoeError(message, { kind: 'internal', op, cause: error });
}

/**
 * Stops the operation when something that must hold does not: a bug of ours, never bad input of a peer
 * (that is a TahoeError of kind `protocol`, `corrupt` or `invalid`).
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** The messages of an error and its causes, outermost first, for a log line or a person. Never contains caps. */
export function describeError(error: unknown): string {
  const parts: string[] = [];
  let current: unknown = error;
  while (current !== undefined && parts.length < 8) {
    parts.push(current instanceof Error ? current.message : String(current));
    current = current instanceof Error ? current.cause : undefined;
  }
  return parts.filter((part, index) => parts.indexOf(part) === index).join(': ');
}
