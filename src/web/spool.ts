/**
 * A request body kept until the upload has read it twice: small ones in memory, large ones in a temporary file that has
 * no name any more, so that nothing of it stays behind whatever happens to the process.
 */
import { encodeBase32 } from '../encoding/base32.js';
import { assert } from '../errors/tahoe-error.js';
import type { UploadSource } from '../immutable/immutable.js';
import type { OpenedFile } from '../platform/file-store.js';
import type { Platform } from '../platform/platform.js';

const MEMORY_LIMIT_BYTES = 256 * 1024;

export interface SpooledBody extends UploadSource {
  close(): Promise<void>;
}

/** Reads all of `body`. `directory` is where large bodies go; it must exist. Kind `no-space`. */
export async function spoolBody(
  platform: Platform,
  directory: string,
  body: AsyncIterable<Uint8Array>,
): Promise<SpooledBody> {
  const parts: Uint8Array[] = [];
  let pendingBytes = 0;
  let sizeBytes = 0;
  let file: OpenedFile | undefined;
  try {
    for await (const part of body) {
      parts.push(part);
      pendingBytes += part.length;
      if (pendingBytes < MEMORY_LIMIT_BYTES) continue;
      file ??= await openNameless(platform, directory);
      await file.write(sizeBytes, parts.splice(0));
      sizeBytes += pendingBytes;
      pendingBytes = 0;
    }
    if (file === undefined) return new MemoryBody(Buffer.concat(parts, pendingBytes));
    await file.write(sizeBytes, parts);
    return new FileBody(file, sizeBytes + pendingBytes);
  } catch (error) {
    await file?.close();
    throw error;
  }
}

async function openNameless(platform: Platform, directory: string): Promise<OpenedFile> {
  const path = `${directory}/upload-${encodeBase32(platform.entropy.bytes(16))}`;
  const file = await platform.files.open(path, 'create-new');
  await platform.files.remove(path);
  return file;
}

class MemoryBody implements SpooledBody {
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.sizeBytes = bytes.length;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    target.set(this.#bytes.subarray(offset, offset + target.length));
  }

  async close(): Promise<void> {}
}

class FileBody implements SpooledBody {
  readonly sizeBytes: number;
  readonly #file: OpenedFile;

  constructor(file: OpenedFile, sizeBytes: number) {
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    const count = await this.#file.readInto(target, offset);
    assert(count === target.length, 'a spooled body is shorter than it was');
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
