/** Extended attributes: those that users set, kept with the name, and those of tahoe itself, which are read only. */
import { encodeUtf8 } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { Inode } from './inode.js';
import type { ReceiptReader } from './receipt-reader.js';
import type { SyncState } from './vfs.js';

const VALUE_BYTES_MAX = 16 * 1024;
const TOTAL_BYTES_MAX = 32 * 1024;
const STATE = 'user.tahoe.state';
const RECEIPT = 'user.tahoe.receipt';

/** All methods: kind `unsupported` for a name outside of the user namespace. */
export class ExtendedAttributes {
  readonly #stateOf: (inode: Inode) => SyncState;
  readonly #receipts: ReceiptReader;

  constructor(stateOf: (inode: Inode) => SyncState, receipts: ReceiptReader) {
    this.#stateOf = stateOf;
    this.#receipts = receipts;
  }

  /** Kind `no-attribute`. */
  async get(inode: Inode, name: string): Promise<Uint8Array> {
    checkName(name);
    if (name === STATE) {
      const { state, reason } = this.#stateOf(inode);
      return encodeUtf8(reason === undefined ? state : `${state} (${reason})`);
    }
    if (name === RECEIPT) return encodeUtf8(JSON.stringify(await this.#receipts.read(inode)));
    const value = inode.extended.get(name);
    if (value === undefined) throw noAttribute();
    return value;
  }

  /** Without the receipt, which costs requests: programs that copy attributes would ask for it. */
  list(inode: Inode): readonly string[] {
    return [STATE, ...inode.extended.keys()];
  }

  /** Kinds `permission` (one of tahoe's own), `exists` and `no-attribute` (as the mode has it), `too-large`. */
  set(inode: Inode, name: string, value: Uint8Array, mode: 'any' | 'create' | 'replace'): void {
    checkName(name);
    if (name === STATE || name === RECEIPT)
      throw new TahoeError('it is read only', { kind: 'permission', op: 'vfs.set-xattr' });
    const isThere = inode.extended.has(name);
    if (mode === 'create' && isThere)
      throw new TahoeError('the attribute exists', { kind: 'exists', op: 'vfs.set-xattr' });
    if (mode === 'replace' && !isThere) throw noAttribute();
    let totalBytes = value.length;
    for (const [other, bytes] of inode.extended) if (other !== name) totalBytes += bytes.length;
    if (value.length > VALUE_BYTES_MAX || totalBytes > TOTAL_BYTES_MAX) {
      throw new TahoeError('the extended attributes would be too large', { kind: 'too-large', op: 'vfs.set-xattr' });
    }
    inode.extended.set(name, value.slice());
  }

  /** Kind `no-attribute`. */
  remove(inode: Inode, name: string): void {
    checkName(name);
    if (!inode.extended.delete(name)) throw noAttribute();
  }
}

function checkName(name: string): void {
  if (name.startsWith('user.') && name.length > 5 && encodeUtf8(name).length <= 255) return;
  throw new TahoeError('only attributes in the user namespace are kept', { kind: 'unsupported', op: 'vfs.xattr' });
}

function noAttribute(): TahoeError {
  return new TahoeError('no such attribute', { kind: 'no-attribute', op: 'vfs.xattr' });
}
