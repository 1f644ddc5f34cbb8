import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Writes beside the target and renames, so that an interrupted download never looks like the file. */
export async function saveAs(parts: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const temporary = `${path}.tahoe-part-${process.pid}`;
  try {
    await pipeline(parts, createWriteStream(temporary, { flags: 'w' }));
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
