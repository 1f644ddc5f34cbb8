import { dirname } from 'node:path';
import type { FileStore } from './file-store.js';

/**
 * Replaces a whole file durably: afterwards, also after a crash at any moment, it holds the old bytes or the new ones.
 * Its directory must exist; `path` + `.new` is used on the way.
 */
export async function writeFileDurably(files: FileStore, path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  const file = await files.open(temporary, 'create');
  try {
    await file.truncate(0);
    await file.write(0, [bytes]);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
  await files.syncDirectory(dirname(path));
}
