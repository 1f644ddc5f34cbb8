/** Names of directory entries: what is accepted, and the form that the grid keeps. */
import { encodeUtf8 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

export const NAME_BYTES_MAX = 255;

/**
 * The key under which a name stands in a directory: Unicode normal form C. Kinds `invalid` for an empty name, `.`, `..`,
 * a slash, NUL or half a surrogate pair, and `name-too-long` over 255 bytes of UTF-8, as given or in that form.
 */
export function entryKey(name: string): string {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new TahoeError('not a possible file name', { kind: 'invalid', op: 'vfs.name' });
  }
  const key = name.normalize('NFC');
  if (encodeUtf8(name).length > NAME_BYTES_MAX || encodeUtf8(key).length > NAME_BYTES_MAX) {
    throw new TahoeError(`a name of more than ${NAME_BYTES_MAX} bytes`, { kind: 'name-too-long', op: 'vfs.name' });
  }
  return key;
}
