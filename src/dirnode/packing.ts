/**
 * The table in a directory's file: mutable spec 12.1 to 12.3. One netstring for each child, of four netstrings: name,
 * read capability, encrypted write capability, metadata in JSON.
 *
 * Entries that nobody changed are copied byte for byte, whatever is in them. Large directories are common: parsing makes
 * no copies, and decodes nothing but the names.
 */
import { aes128Ctr } from '../crypto/aes-ctr.js';
import { dirnodeChildKey, dirnodeChildMac, dirnodeChildSalt } from '../crypto/derivations.js';
import type { WriteKey } from '../encoding/brands.js';
import { bytesEqual, concatBytes, decodeUtf8, encodeUtf8 } from '../encoding/bytes.js';
import { encodeNetstring, encodeNetstrings, NetstringReader } from '../encoding/netstring.js';
import { TahoeError } from '../errors/tahoe-error.js';

const saltLength = 16;
const macLength = 32;
const space = 0x20;

/** Tolerates what is not UTF-8: such a capability is unknown, and its entry stays as it is. */
const lenientDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** One child as stored. Byte strings are views of the bytes it was made from. */
export class PackedEntry {
  /** In Unicode normal form C, whatever is stored. */
  readonly name: string;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  readonly #readCapEnd: number;
  readonly #readCapLength: number;
  readonly #writeCapEnd: number;
  readonly #writeCapLength: number;
  readonly #metadataEnd: number;
  readonly #metadataLength: number;

  /** Reads the entry that begins at the reader's position. Kind `corrupt`. */
  constructor(bytes: Uint8Array, decodeName: NameDecoder, reader: NetstringReader) {
    this.#bytes = bytes;
    this.#start = reader.position;
    const length = reader.skip();
    this.#end = reader.position;
    const fields = new NetstringReader(bytes, this.#end - 1 - length, this.#end - 1);
    const nameLength = fields.skip();
    this.name = decodeName(fields.position - 1 - nameLength, fields.position - 1);
    this.#readCapLength = fields.skip();
    this.#readCapEnd = fields.position - 1;
    this.#writeCapLength = fields.skip();
    this.#writeCapEnd = fields.position - 1;
    this.#metadataLength = fields.skip();
    this.#metadataEnd = fields.position - 1;
    if (!fields.atEnd) throw badTable('an entry of more than four fields');
  }

  /** All of it as it stands in the table. */
  get raw(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Without the spaces that old writers padded it with; empty if there is none. */
  get readCap(): string {
    return capText(this.#bytes.subarray(this.#readCapEnd - this.#readCapLength, this.#readCapEnd));
  }

  /** See decryptWriteCap; empty in immutable directories. */
  get encryptedWriteCap(): Uint8Array {
    return this.#bytes.subarray(this.#writeCapEnd - this.#writeCapLength, this.#writeCapEnd);
  }

  /** JSON, not looked at. */
  get metadataJson(): Uint8Array {
    return this.#bytes.subarray(this.#metadataEnd - this.#metadataLength, this.#metadataEnd);
  }

  /** The same entry with other metadata. */
  withMetadata(metadataJson: Uint8Array): PackedEntry {
    const rawReadCap = this.#bytes.subarray(this.#readCapEnd - this.#readCapLength, this.#readCapEnd);
    return assembleEntry(this.name, rawReadCap, this.encryptedWriteCap, metadataJson);
  }

  /** True if both refer to the same object with the same rights. */
  refersToSame(other: PackedEntry): boolean {
    return this.readCap === other.readCap && bytesEqual(this.encryptedWriteCap, other.encryptedWriteCap);
  }

  /** The same entry under another name, in the same directory. Kind `invalid` if the name is not well-formed Unicode. */
  renamed(name: string): PackedEntry {
    const rawReadCap = this.#bytes.subarray(this.#readCapEnd - this.#readCapLength, this.#readCapEnd);
    return assembleEntry(name, rawReadCap, this.encryptedWriteCap, this.metadataJson);
  }
}

/** The text of bytes [start, end) of the table. */
type NameDecoder = (start: number, end: number) => string;

/** One entry of a mutable directory as it was stored. Kind `corrupt` for anything else. */
export function parseEntry(raw: Uint8Array): PackedEntry {
  const [entry] = parseDirectory(raw, { deepImmutable: false }).values();
  if (entry === undefined) throw badTable('no entry');
  return entry;
}

/**
 * The entries by name, in the order of the table; of two entries with one name the later. Kind `corrupt` for anything
 * that is not exactly such a table, and for a write capability in an immutable directory.
 */
export function parseDirectory(
  bytes: Uint8Array,
  options: { readonly deepImmutable: boolean },
): Map<string, PackedEntry> {
  const entries = new Map<string, PackedEntry>();
  const reader = new NetstringReader(bytes);
  const decodeName = nameDecoder(bytes);
  while (!reader.atEnd) {
    const entry = new PackedEntry(bytes, decodeName, reader);
    if (options.deepImmutable && entry.encryptedWriteCap.length > 0) {
      throw badTable('a write capability in an immutable directory');
    }
    entries.set(entry.name, entry);
  }
  return entries;
}

/** The table of these entries, each name once, sorted as all writers sort it. */
export function packDirectory(entries: Iterable<PackedEntry>): Uint8Array {
  const sorted = [...entries];
  const inOrder = sorted.every((entry, index) => index === 0 || compareNames(sorted[index - 1]!.name, entry.name) < 0);
  if (!inOrder) sorted.sort((a, b) => compareNames(a.name, b.name));
  return concatBytes(sorted.map((entry) => entry.raw));
}

export interface EntryContents {
  /** Stored in normal form C. */
  readonly name: string;
  /** Texts as to be stored, empty for none. */
  readonly readCap: string;
  readonly writeCap: string;
  readonly metadataJson: Uint8Array;
}

/**
 * A new entry. `directoryWriteKey` is undefined for an immutable directory, which keeps no write capability (kind
 * `invalid` if there is one). Kind `invalid` also for a name that is not well-formed Unicode.
 */
export function packEntry(contents: EntryContents, directoryWriteKey: WriteKey | undefined): PackedEntry {
  const writeCap = encodeUtf8(contents.writeCap);
  if (directoryWriteKey === undefined && writeCap.length > 0) {
    throw new TahoeError('an immutable directory holds no write capability', { kind: 'invalid', op: 'directory.pack' });
  }
  const encrypted = directoryWriteKey === undefined ? new Uint8Array(0) : encryptWriteCap(writeCap, directoryWriteKey);
  return assembleEntry(contents.name, encodeUtf8(contents.readCap), encrypted, contents.metadataJson);
}

/** salt (16) || ciphertext || mac (32), also of an empty capability. */
export function encryptWriteCap(writeCap: Uint8Array, directoryWriteKey: WriteKey): Uint8Array {
  const salt = dirnodeChildSalt(writeCap);
  const key = dirnodeChildKey(salt, directoryWriteKey);
  const saltAndCiphertext = concatBytes([salt, aes128Ctr(key, writeCap)]);
  return concatBytes([saltAndCiphertext, dirnodeChildMac(key, saltAndCiphertext)]);
}

/**
 * The write capability of a child, empty if it has none. Kind `corrupt` if it was not encrypted under this write key.
 * The salt comes from the plaintext, so that it proves the key; the mac is not checked, as no reader does.
 */
export function decryptWriteCap(encrypted: Uint8Array, directoryWriteKey: WriteKey): string {
  if (encrypted.length === 0) return '';
  if (encrypted.length < saltLength + macLength) throw badTable('a cut-off write capability');
  const salt = encrypted.subarray(0, saltLength);
  const key = dirnodeChildKey(salt, directoryWriteKey);
  const writeCap = aes128Ctr(key, encrypted.subarray(saltLength, encrypted.length - macLength));
  if (!bytesEqual(dirnodeChildSalt(writeCap), salt)) throw badTable('a write capability under another key');
  return capText(writeCap);
}

/** Ascending by code point, which is the order of the UTF-8 bytes and not that of JavaScript. */
export function compareNames(a: string, b: string): number {
  const common = Math.min(a.length, b.length);
  for (let index = 0; index < common; index++) {
    const unitA = a.charCodeAt(index);
    const unitB = b.charCodeAt(index);
    if (unitA !== unitB) return codePointRank(unitA) - codePointRank(unitB);
  }
  return a.length - b.length;
}

/** Moves surrogates, which stand for code points above all others, behind the rest of the 16-bit units. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000;
}

function assembleEntry(
  name: string,
  readCap: Uint8Array,
  encrypted: Uint8Array,
  metadataJson: Uint8Array,
): PackedEntry {
  const fields = [encodeUtf8(name.normalize('NFC')), readCap, encrypted, metadataJson];
  const bytes = encodeNetstring(encodeNetstrings(fields));
  return new PackedEntry(bytes, nameDecoder(bytes), new NetstringReader(bytes));
}

function nameDecoder(bytes: Uint8Array): NameDecoder {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return (start, end) => {
    let index = start;
    while (index < end && bytes[index]! < 0x80) index++;
    // ASCII is the usual case, and needs neither decoding nor normalising
    return index === end
      ? buffer.toString('latin1', start, end)
      : decodeUtf8(bytes.subarray(start, end)).normalize('NFC');
  };
}

function capText(bytes: Uint8Array): string {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === space) end--;
  return lenientDecoder.decode(bytes.subarray(0, end));
}

function badTable(reason: string): TahoeError {
  return new TahoeError(`damaged directory: ${reason}`, { kind: 'corrupt', op: 'directory.parse' });
}
