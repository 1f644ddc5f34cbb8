import type { FileStore } from '../../platform/file-store.js';

/**
 * Puts a small file in place atomically and durably: the old contents or the new ones, never a mixture. One writer at a
 * time per name, because the temporary file is `<name>.new`.
 */
export async function replaceFile(files: FileStore, directory: string, name: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${directory}/${name}.new`;
  const file = await files.open(temporary, 'create');
  try {
    await file.truncate(0);
    await file.write(0, [bytes]);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, `${directory}/${name}`);
  await files.syncDirectory(directory);
}
