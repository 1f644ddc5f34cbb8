/**
 * What has been proven, kept for whoever asks for a receipt later: of each directory and mutable file the version that was
 * read back and from which servers, and for each file in a directory that this node uploaded the servers that took its
 * shares. Nothing is written here before it was shown, and a publish is answered only when it is written.
 */
import type { ServerId } from '../encoding/brands.js';
import { compareBytes, decodeUtf8, encodeUtf8 } from '../encoding/bytes.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { VersionKey } from '../mutable/lineage.js';
import type { Logger } from '../platform/logger.js';
import type { SealedStore } from './journal/sealed-store.js';
import type { SharePlacement } from './vfs.js';

/** The shares of one content, as the servers took them. */
export interface StoredContent {
  readonly shares: SharePlacement;
  /** Wall time. */
  readonly storedMs: number;
}

/** A version of a mutable file, as it was read back. */
export interface ProvenVersion {
  readonly version: VersionKey;
  readonly shares: SharePlacement;
  /** Wall time. */
  readonly provenMs: number;
}

export interface ProvenDirectory extends ProvenVersion {
  /** By contentId. */
  readonly contents: ReadonlyMap<string, StoredContent>;
}

export interface DirectoryProof extends ProvenVersion {
  /** Read capabilities in this version. */
  readonly readCaps: Iterable<string>;
  /** What this node uploaded for it, by contentId. */
  readonly stored: ReadonlyMap<string, StoredContent>;
  /** Storage indexes (hexadecimal) of directories out of which something was moved into this one. */
  readonly movedFrom: ReadonlySet<string>;
}

export class Receipts {
  readonly #store: SealedStore;
  readonly #log: Logger;

  constructor(store: SealedStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** `storageIndex` in hexadecimal. Durable when it resolves; a disk that refuses costs the receipt and nothing else. */
  async proved(storageIndex: string, proof: DirectoryProof): Promise<void> {
    const { version, shares, provenMs, readCaps, stored, movedFrom } = proof;
    await this.#keep(storageIndex, async () => {
      const books = await Promise.all([storageIndex, ...movedFrom].map((index) => this.of(index)));
      const contents = new Map<string, StoredContent>();
      for (const readCap of readCaps) {
        const id = contentId(readCap);
        if (id === undefined) continue;
        const known = stored.get(id) ?? books.find((book) => book?.contents.has(id))?.contents.get(id);
        if (known !== undefined) contents.set(id, known);
      }
      return { version, shares, provenMs, contents };
    });
  }

  /** The same for a mutable file. */
  async provedFile(storageIndex: string, proof: ProvenVersion): Promise<void> {
    await this.#keep(storageIndex, async () => ({ ...proof, contents: new Map() }));
  }

  /** The last proof of this directory or mutable file by this node; undefined if there was none. */
  async of(storageIndex: string): Promise<ProvenDirectory | undefined> {
    const bytes = await this.#store.get(keyOf(storageIndex));
    return bytes === undefined ? undefined : parseBook(bytes);
  }

  async #keep(storageIndex: string, makeBook: () => Promise<ProvenDirectory>): Promise<void> {
    try {
      await this.#store.put(keyOf(storageIndex), serializeBook(await makeBook()));
    } catch (error) {
      this.#log.warn('the receipt of a publish could not be kept', { error: describeError(error) });
    }
  }
}

/** Names a content within one directory: the beginning of its hash. Undefined if the capability is not of a CHK file. */
export function contentId(readCap: string): string | undefined {
  if (!readCap.startsWith('URI:CHK:')) return undefined;
  return readCap.split(':')[3]?.slice(0, 26);
}

/** Servers in the order of their ids, share numbers ascending. */
export function sharePlacement(servers: ReadonlyMap<number, ReadonlySet<ServerId>>): SharePlacement {
  const numbers = new Map<string, number[]>();
  for (const [number, ids] of servers) for (const id of ids) numbers.set(id, [...(numbers.get(id) ?? []), number]);
  return [...numbers]
    .sort(([a], [b]) => compareBytes(encodeUtf8(a), encodeUtf8(b)))
    .map(([server, shareNumbers]) => ({ server, shareNumbers: shareNumbers.sort((a, b) => a - b) }));
}

function keyOf(storageIndex: string): string {
  return `receipts ${storageIndex}`;
}

/** Servers by their place in a list: a directory of ten thousand files names each of them ten thousand times. */
type StoredPlacement = readonly (readonly [number, readonly number[]])[];

interface StoredBook {
  readonly version: VersionKey;
  readonly provenMs: number;
  readonly servers: readonly string[];
  readonly shares: StoredPlacement;
  readonly contents: Readonly<Record<string, readonly [number, StoredPlacement]>>;
}

function serializeBook({ version, provenMs, shares, contents }: ProvenDirectory): Uint8Array {
  const servers = new Map<string, number>();
  const indexOf = (server: string) => {
    const known = servers.get(server) ?? servers.size;
    servers.set(server, known);
    return known;
  };
  const packed = (placement: SharePlacement): StoredPlacement =>
    placement.map(({ server, shareNumbers }) => [indexOf(server), shareNumbers]);
  const stored = [...contents].map(([id, content]) => [id, [content.storedMs, packed(content.shares)]] as const);
  const book: StoredBook = {
    version,
    provenMs,
    shares: packed(shares),
    contents: Object.fromEntries(stored),
    servers: [...servers.keys()],
  };
  return encodeUtf8(JSON.stringify(book));
}

/** The store authenticates what it gives, so this is what serializeBook made. */
function parseBook(bytes: Uint8Array): ProvenDirectory {
  let book: StoredBook;
  try {
    book = JSON.parse(decodeUtf8(bytes)) as StoredBook;
  } catch (cause) {
    throw new TahoeError('a receipt that cannot be read', { kind: 'corrupt', op: 'vfs.receipt', cause });
  }
  const placement = (packed: StoredPlacement): SharePlacement =>
    packed.map(([server, shareNumbers]) => ({ server: book.servers[server]!, shareNumbers }));
  const contents = Object.entries(book.contents).map(
    ([id, [storedMs, shares]]) => [id, { storedMs, shares: placement(shares) }] as const,
  );
  return {
    version: book.version,
    provenMs: book.provenMs,
    shares: placement(book.shares),
    contents: new Map(contents),
  };
}
