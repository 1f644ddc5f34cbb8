import { AssertionError, type ErrorKind, TahoeError } from '../errors/tahoe-error.js';

const KIND_BY_CODE: ReadonlyMap<string, ErrorKind> = new Map([
  ['ENOENT', 'not-found'],
  ['EEXIST', 'exists'],
  ['ENOTEMPTY', 'not-empty'],
  ['ENOTDIR', 'not-a-directory'],
  ['EISDIR', 'is-a-directory'],
  ['EACCES', 'permission'],
  ['EPERM', 'permission'],
  ['EROFS', 'permission'],
  ['ENOSPC', 'no-space'],
  ['EDQUOT', 'no-space'],
  ['ENAMETOOLONG', 'name-too-long'],
]);

/** The TahoeError for an error of node:fs, with the kinds that FileStore promises. */
export function fileError(error: unknown, op: string, path: string): TahoeError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const kind = KIND_BY_CODE.get(code) ?? 'internal';
  if (error instanceof AssertionError) throw error;
  return new TahoeError(`${op} failed: ${code || String(error)}`, { kind, op, subject: path, cause: error });
}
