/**
 * The small file `checkpoint` that says where replay begins: magic (8) || u64 position of the checkpoint's first record
 * || u64 position of its end || MAC (16). Replaced atomically, after the checkpoint itself is durable.
 */
import { encodeAscii, readU64, writeU64 } from '../../encoding/bytes.js';
import { isTahoeError } from '../../errors/tahoe-error.js';
import type { FileStore } from '../../platform/file-store.js';
import type { LogPosition } from './log.js';
import { replaceFile } from './replace-file.js';
import type { JournalKeys } from './segment.js';

const NAME = 'checkpoint';
const MAGIC = encodeAscii('tahoeCp1');
const SIGNED_BYTES = 24;
const SIZE_BYTES = 40;

export interface Checkpoint {
  readonly begin: LogPosition;
  readonly end: LogPosition;
}

/** `sealed`: made under another key, or damaged. */
export async function readCheckpoint(
  files: FileStore,
  directory: string,
  keys: JournalKeys,
): Promise<Checkpoint | 'none' | 'sealed'> {
  let bytes: Uint8Array;
  try {
    bytes = await files.readFile(`${directory}/${NAME}`);
  } catch (error) {
    if (isTahoeError(error, 'not-found')) return 'none';
    throw error;
  }
  const signed = bytes.subarray(0, SIGNED_BYTES);
  if (bytes.length !== SIZE_BYTES || !keys.verifies(signed, bytes.subarray(SIGNED_BYTES))) return 'sealed';
  return { begin: readU64(signed, 8), end: readU64(signed, 16) };
}

export async function writeCheckpoint(
  files: FileStore,
  directory: string,
  keys: JournalKeys,
  checkpoint: Checkpoint,
): Promise<void> {
  const bytes = new Uint8Array(SIZE_BYTES);
  bytes.set(MAGIC);
  writeU64(bytes, 8, checkpoint.begin);
  writeU64(bytes, 16, checkpoint.end);
  bytes.set(keys.mac(bytes.subarray(0, SIGNED_BYTES)), SIGNED_BYTES);
  await replaceFile(files, directory, NAME, bytes);
}
