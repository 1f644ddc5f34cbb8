import { TahoeError } from '../../src/errors/tahoe-error.js';
import type {
  Attributes,
  FileHandle,
  FileKind,
  InodeNumber,
  NewNode,
  OpenFlags,
  Timestamp,
} from '../../src/vfs/vfs.js';
import { SparseBytes } from './sparse-bytes.js';

/** One file, directory or link of the memory file system. */
export interface MemoryNode {
  readonly inode: InodeNumber;
  readonly kind: FileKind;
  mode: number;
  uid: number;
  gid: number;
  readonly rdev: number;
  accessed: Timestamp;
  modified: Timestamp;
  changed: Timestamp;
  readonly content: SparseBytes;
  readonly target: string;
  readonly children: Map<string, MemoryNode>;
  readonly extendedAttributes: Map<string, Uint8Array>;
  parent: MemoryNode | undefined;
  linked: boolean;
  subdirectories: number;
  openHandles: number;
  remembered: number;
  contentNumber: number;
  synced: boolean;
}

export function newMemoryNode(
  inode: number,
  kind: FileKind,
  node: NewNode,
  now: Timestamp,
  extra: { readonly rdev?: number; readonly target?: string } = {},
): MemoryNode {
  return {
    inode: inode as InodeNumber,
    kind,
    mode: node.mode & 0o7777,
    uid: node.uid,
    gid: node.gid,
    rdev: extra.rdev ?? 0,
    accessed: now,
    modified: now,
    changed: now,
    content: new SparseBytes(),
    target: extra.target ?? '',
    children: new Map(),
    extendedAttributes: new Map(),
    parent: undefined,
    linked: true,
    subdirectories: 0,
    openHandles: 0,
    remembered: 0,
    contentNumber: 1,
    synced: false,
  };
}

export function attributesOf(node: MemoryNode): Attributes {
  return {
    inode: node.inode,
    kind: node.kind,
    mode: node.mode,
    uid: node.uid,
    gid: node.gid,
    links: linksOf(node),
    sizeBytes: node.kind === 'symlink' ? Buffer.byteLength(node.target) : node.content.sizeBytes,
    rdev: node.rdev,
    accessed: node.accessed,
    modified: node.modified,
    changed: node.changed,
  };
}

function linksOf(node: MemoryNode): number {
  if (!node.linked) return 0;
  if (node.kind !== 'directory') return 1;
  return 2 + node.subdirectories;
}

/** What a handle needs of its file system. */
export interface MemoryHandleOwner {
  enter(operation: string, signal?: AbortSignal): Promise<void> | undefined;
  contentChanged(node: MemoryNode): void;
  closed(node: MemoryNode): void;
}

/** An open file of the memory file system; effects happen at the call, so that calls keep their order. */
export class MemoryHandle implements FileHandle {
  readonly #node: MemoryNode;
  readonly #flags: OpenFlags;
  readonly #owner: MemoryHandleOwner;
  #released = false;

  constructor(node: MemoryNode, flags: OpenFlags, owner: MemoryHandleOwner) {
    this.#node = node;
    this.#flags = flags;
    this.#owner = owner;
    node.openHandles++;
  }

  get inode(): InodeNumber {
    return this.#node.inode;
  }

  get contentNumber(): number {
    return this.#node.contentNumber;
  }

  async read(offset: number, length: number, options?: { readonly signal?: AbortSignal | undefined }) {
    this.#check('vfs.read', this.#flags.read);
    const waiting = this.#owner.enter('read', options?.signal);
    if (waiting !== undefined) await waiting;
    return this.#node.content.read(offset, length);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#check('vfs.write', this.#flags.write);
    const waiting = this.#owner.enter('write');
    if (waiting !== undefined) await waiting;
    if (data.length === 0) return;
    this.#node.content.write(this.#flags.append ? this.#node.content.sizeBytes : offset, data);
    this.#owner.contentChanged(this.#node);
  }

  async flush(): Promise<void> {
    this.#check('vfs.flush', true);
    await this.#owner.enter('flush');
  }

  async fsync(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    this.#check('vfs.fsync', true);
    await this.#owner.enter('fsync', options?.signal);
    this.#node.synced = true;
  }

  async release(): Promise<void> {
    this.#check('vfs.release', true);
    this.#released = true;
    this.#node.openHandles--;
    this.#owner.closed(this.#node);
    await this.#owner.enter('release');
  }

  #check(op: string, allowed: boolean): void {
    if (this.#released) throw new TahoeError('the handle was released', { kind: 'closed', op });
    if (!allowed) throw new TahoeError('the handle was not opened for this', { kind: 'permission', op });
  }
}
