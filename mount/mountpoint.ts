import fs from 'node:fs/promises';
import { type ErrorKind, TahoeError } from '../src/errors/tahoe-error.js';
import { codeOf } from './device-write.js';
import { mountedAt } from './mount-table.js';

/**
 * The real path of a directory that can be mounted on. Kinds `not-found`, `not-a-directory`, `not-empty` (unless
 * `nonempty`), `permission`, `busy` (something is mounted there, also a mount whose program has died).
 */
export async function checkMountpoint(path: string, options: { readonly nonempty: boolean }): Promise<string> {
  try {
    const real = await fs.realpath(path);
    if ((await mountedAt(real))?.type.startsWith('fuse') === true) throw await alreadyMounted(real);
    const entries = await fs.readdir(real);
    if (entries.length > 0 && !options.nonempty) throw refusal('not-empty', path, 'is not empty');
    return real;
  } catch (error) {
    if (error instanceof TahoeError) throw error;
    throw refusalOfCode(path, error);
  }
}

async function alreadyMounted(path: string): Promise<TahoeError> {
  try {
    await fs.stat(path);
  } catch (error) {
    return refusalOfCode(path, error);
  }
  return refusal('busy', path, 'is mounted already');
}

function refusalOfCode(path: string, error: unknown): TahoeError {
  switch (codeOf(error)) {
    case 'ENOENT':
      return refusal('not-found', path, 'does not exist', error);
    case 'ENOTDIR':
      return refusal('not-a-directory', path, 'is not a directory', error);
    case 'EACCES':
    case 'EPERM':
      return refusal('permission', path, 'cannot be read', error);
    case 'ENOTCONN':
    case 'ECONNABORTED':
      return refusal(
        'busy',
        path,
        `is a mount whose program has ended; clean it up with: fusermount3 -u ${path}`,
        error,
      );
    default:
      return refusal('internal', path, 'cannot be used', error);
  }
}

function refusal(kind: ErrorKind, path: string, what: string, cause?: unknown): TahoeError {
  return new TahoeError(`the mount point ${path} ${what}`, { kind, op: 'mount', subject: path, cause });
}
