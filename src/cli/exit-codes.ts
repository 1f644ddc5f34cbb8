/** What the exit status of `tahoe` says. Scripts rely on it. */
import type { ErrorKind } from '../errors/tahoe-error.js';

export const EXIT_OK = 0;
/** Wrong usage, and every failure that has no number of its own. */
export const EXIT_FAILURE = 1;
export const EXIT_NOT_FOUND = 2;
/** Something is on this computer only: not all of it reached the grid. */
export const EXIT_LEFT_BEHIND = 3;
/** The node does not answer. */
export const EXIT_NO_NODE = 4;
/** In use, or there already. */
export const EXIT_BUSY = 5;
/** The grid could not give or take it: too few servers, too few shares. */
export const EXIT_GRID = 6;
/** Not allowed, or the capability does not give that authority. */
export const EXIT_PERMISSION = 7;

const TABLE: Readonly<Record<ErrorKind, number>> = {
  'not-found': EXIT_NOT_FOUND,
  exists: EXIT_BUSY,
  'not-a-directory': EXIT_FAILURE,
  'is-a-directory': EXIT_FAILURE,
  'not-empty': EXIT_BUSY,
  'name-too-long': EXIT_FAILURE,
  'no-attribute': EXIT_NOT_FOUND,
  stale: EXIT_FAILURE,
  'bad-cap': EXIT_FAILURE,
  'unknown-cap': EXIT_FAILURE,
  'read-only': EXIT_PERMISSION,
  permission: EXIT_PERMISSION,
  unrecoverable: EXIT_GRID,
  unhappy: EXIT_GRID,
  'uncoordinated-write': EXIT_GRID,
  unreachable: EXIT_GRID,
  timeout: EXIT_GRID,
  'no-space': EXIT_GRID,
  'too-large': EXIT_FAILURE,
  corrupt: EXIT_GRID,
  protocol: EXIT_GRID,
  busy: EXIT_BUSY,
  closed: EXIT_NO_NODE,
  cancelled: EXIT_FAILURE,
  invalid: EXIT_FAILURE,
  unsupported: EXIT_FAILURE,
  internal: EXIT_FAILURE,
};

export function exitCodeOf(kind: ErrorKind): number {
  return TABLE[kind];
}
