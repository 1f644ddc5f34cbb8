/** Puts a receipt together: the content, the directory that names it, and every directory above it up to a root. */
import {
  isMutableFile,
  type MutableReadCap,
  type MutableWriteCap,
  readCapOf,
  serializeCap,
  storageIndexOf,
  verifyCapOf,
} from '../caps/cap.js';
import { type PackedEntry, parseDirectory } from '../dirnode/packing.js';
import { encodeBase32 } from '../encoding/base32.js';
import { bytesEqual, fromHex, toHex } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { type VersionKey, versionKey } from '../mutable/lineage.js';
import { parseCheckstring } from '../share-layout/checkstring.js';
import type { VfsCore } from './core.js';
import { readEntry } from './entry-codec.js';
import type { Directory, Inode } from './inode.js';
import type { Namespace } from './namespace.js';
import { pathOf } from './paths.js';
import { contentId, type ProvenDirectory } from './receipts.js';
import type { DirectoryReceipt, NoReceipt, Receipt, SharePlacement, SyncState } from './vfs.js';

/** One directory as it was proven here, or as it was last read if this node never published it. */
interface DirectoryState {
  readonly receipt: DirectoryReceipt;
  readonly entries: ReadonlyMap<string, PackedEntry>;
  readonly book: ProvenDirectory | undefined;
}

export class ReceiptReader {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #stateOf: (inode: Inode) => SyncState;

  constructor(core: VfsCore, namespace: Namespace, stateOf: (inode: Inode) => SyncState) {
    this.#core = core;
    this.#namespace = namespace;
    this.#stateOf = stateOf;
  }

  /** See Vfs.receipt. */
  async read(inode: Inode): Promise<Receipt | NoReceipt> {
    const { place, directory } = inode;
    if (place === undefined) {
      if (directory?.isRoot !== true) throw new TahoeError('it has no name', { kind: 'stale', op: 'vfs.receipt' });
      return this.#receiptOfDirectory(directory, []);
    }
    const chain = await this.#chainOf(place.directory);
    const entry = chain?.[0]?.entries.get(place.name);
    if (chain === undefined || entry === undefined) return notYet;
    const directories = chain.map(({ receipt }) => receipt);
    if (directory !== undefined) {
      return isEntryOf(entry, directory) ? this.#receiptOfDirectory(directory, directories) : notYet;
    }
    const { other } = inode;
    if (other?.type === 'known' && isMutableFile(other.cap))
      return this.#receiptOfMutable(inode, other.cap, directories);
    const shares = placementOf(entry, chain[0]?.book);
    if (shares === undefined) return notShown;
    const stands = place.directory.base?.entries.get(place.name)?.raw;
    const isSame = stands === undefined || bytesEqual(stands, entry.raw);
    return {
      kind: 'receipt',
      cap: entry.readCap,
      ...shares,
      directories,
      isCurrent: isSame && this.#stateOf(inode).state === 'grid',
    };
  }

  async #receiptOfMutable(inode: Inode, cap: MutableWriteCap | MutableReadCap, directories: DirectoryReceipt[]) {
    const proof = await this.#core.receipts.of(toHex(storageIndexOf(cap)));
    if (proof === undefined) return notShown;
    const { version, shares, provenMs } = proof;
    const base = inode.content?.base;
    const isReplaced = base?.type === 'mutable' && base.version !== version;
    return {
      kind: 'receipt',
      cap: serializeCap(readCapOf(cap)),
      version: versionNumbers(version),
      shares,
      storedMs: provenMs,
      directories,
      isCurrent: !isReplaced && this.#stateOf(inode).state === 'grid',
    } as const;
  }

  async #receiptOfDirectory(directory: Directory, above: DirectoryReceipt[]): Promise<Receipt | NoReceipt> {
    const state = await this.#stateOfDirectory(directory);
    if (state === undefined) return notYet;
    const { receipt } = state;
    if (receipt.provenMs === undefined) return notShown;
    return {
      kind: 'receipt',
      cap: serializeCap(readCapOf(directory.cap!)!),
      shares: receipt.shares,
      storedMs: receipt.provenMs,
      directories: [receipt, ...above],
      isCurrent: this.#stateOf(directory.inode).state === 'grid',
    };
  }

  /** From the directory up to a root; undefined if one of them is not in the one above it on the grid. */
  async #chainOf(first: Directory): Promise<DirectoryState[] | undefined> {
    const chain: DirectoryState[] = [];
    for (let directory: Directory | undefined = first, below: Directory | undefined; directory !== undefined; ) {
      const state = await this.#stateOfDirectory(directory);
      if (state === undefined) return undefined;
      const name = below?.inode.place?.name;
      const link = name === undefined ? undefined : state.entries.get(name);
      if (below !== undefined && (link === undefined || !isEntryOf(link, below))) return undefined;
      chain.push(state);
      below = directory;
      directory = directory.inode.place?.directory;
    }
    return chain;
  }

  async #stateOfDirectory(directory: Directory): Promise<DirectoryState | undefined> {
    const { keys } = directory;
    if (!directory.isBorn || directory.cap === undefined) return undefined;
    const book = keys === undefined ? undefined : await this.#core.receipts.of(toHex(keys.storageIndex));
    const proven = book === undefined ? undefined : await this.#entriesOf(directory, book);
    if (book !== undefined && proven !== undefined) {
      const { provenMs, shares } = book;
      const receipt = { ...this.#identity(directory, book.version), how: 'published', provenMs, shares } as const;
      return { receipt, entries: proven, book };
    }
    await this.#namespace.load(directory);
    const { version, entries } = directory.base!;
    const identity = this.#identity(directory, version === undefined ? undefined : versionKey(version));
    const how = version === undefined ? 'immutable' : 'read';
    return { receipt: { ...identity, how, provenMs: undefined, shares: [] }, entries, book: undefined };
  }

  /** The entries of exactly the version that was proven, if they are still known. */
  async #entriesOf(directory: Directory, book: ProvenDirectory): Promise<ReadonlyMap<string, PackedEntry> | undefined> {
    const { base } = directory;
    if (base?.version !== undefined && versionKey(base.version) === book.version) return base.entries;
    const remembered = await this.#core.remembered.get(directory);
    if (remembered === undefined || versionKey(remembered.version) !== book.version) return undefined;
    return parseDirectory(remembered.content, { deepImmutable: false });
  }

  #identity(directory: Directory, key: string | undefined) {
    const version = key === undefined ? undefined : versionNumbers(key);
    return {
      path: pathOf(directory.inode),
      storageIndex: directory.keys === undefined ? undefined : encodeBase32(directory.keys.storageIndex),
      sequenceNumber: version?.sequenceNumber,
      rootHash: version?.rootHash,
    };
  }
}

function versionNumbers(key: VersionKey) {
  const { sequenceNumber, rootHash } = parseCheckstring(fromHex(key));
  return { sequenceNumber, rootHash: encodeBase32(rootHash) };
}

const notYet: NoReceipt = { kind: 'none', reason: 'local', message: 'nothing of it was proven on the grid yet' };
const notShown: NoReceipt = {
  kind: 'none',
  reason: 'not-stored-here',
  message:
    'it is on the grid, but it was not this node that stored it: which servers hold its shares was never shown here',
};

function placementOf(
  { readCap }: PackedEntry,
  book: ProvenDirectory | undefined,
): { readonly shares: SharePlacement; readonly storedMs: number } | undefined {
  if (book === undefined) return undefined;
  const id = contentId(readCap);
  if (id !== undefined) return book.contents.get(id);
  // the capability holds the content itself: it is stored where the directory is
  return readCap.startsWith('URI:LIT:') ? { shares: [], storedMs: book.provenMs } : undefined;
}

/** True if the entry leads to the directory. */
function isEntryOf(entry: PackedEntry, directory: Directory): boolean {
  const { child } = readEntry(entry, undefined, directory.keys === undefined);
  if (child.type !== 'known' || directory.cap === undefined) return false;
  const [a, b] = [verifyCapOf(child.cap), verifyCapOf(directory.cap)];
  if (a === undefined || b === undefined) return serializeCap(child.cap) === serializeCap(directory.cap);
  return serializeCap(a) === serializeCap(b);
}
