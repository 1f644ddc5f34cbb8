import { decodeBase32, encodeBase32 } from '../../encoding/base32.js';
import { decodeUtf8, encodeAscii } from '../../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../../errors/tahoe-error.js';
import type { Entropy } from '../../platform/entropy.js';
import type { FileStore } from '../../platform/file-store.js';
import { replaceFile } from './replace-file.js';

const KEY_BYTES = 32;

/**
 * The 32-byte master key of the journal from `path`, made there if the file does not exist: base32 and a newline,
 * readable by the owner only (the file store's mode for new files). Kind `corrupt` if the file holds anything else:
 * a new key would make what is pending unreadable.
 */
export async function loadOrCreateJournalKey(files: FileStore, path: string, entropy: Entropy): Promise<Uint8Array> {
  let text: Uint8Array;
  try {
    text = await files.readFile(path);
  } catch (error) {
    if (!isTahoeError(error, 'not-found')) throw error;
    return createKey(files, path, entropy);
  }
  return parseKey(text, path);
}

async function createKey(files: FileStore, path: string, entropy: Entropy): Promise<Uint8Array> {
  const key = entropy.bytes(KEY_BYTES);
  const slash = path.lastIndexOf('/');
  await files.makeDirectory(path.slice(0, slash));
  await replaceFile(files, path.slice(0, slash), path.slice(slash + 1), encodeAscii(`${encodeBase32(key)}\n`));
  return key;
}

function parseKey(text: Uint8Array, path: string): Uint8Array {
  try {
    const key = decodeBase32(decodeUtf8(text).trimEnd());
    if (key.length === KEY_BYTES) return key;
  } catch (cause) {
    throw notKey(path, cause);
  }
  throw notKey(path, undefined);
}

function notKey(path: string, cause: unknown): TahoeError {
  return new TahoeError('not a journal key', { kind: 'corrupt', op: 'journal.key', subject: path, cause });
}
