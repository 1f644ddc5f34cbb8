/** Mutable files of other programs as this node's frontends see them: to be read only. */
import { isMutableFile, serializeCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { MutableFile } from '../grid/grid.js';
import type { VfsCore } from './core.js';
import type { HandleOwner } from './file-handle.js';
import type { Inode } from './inode.js';
import type { FileHandle, InodeNumber } from './vfs.js';

/** Up to this size a version is fetched whole when it is opened, so that no writer can take it away. */
const WHOLE_BYTES = 16 * 1024 * 1024;

/** The version that stands now; undefined for an inode that is no mutable file. */
export async function openMutableFile(core: VfsCore, { other }: Inode): Promise<MutableFile | undefined> {
  if (other?.type !== 'known' || !isMutableFile(other.cap)) return undefined;
  return core.grid.openMutable(serializeCap(other.cap));
}

/** One verified version, the one that stood when it was opened. A large one becomes `stale` when it is overwritten. */
export class MutableFileHandle implements FileHandle {
  readonly #inode: Inode;
  readonly #file: MutableFile;
  readonly #whole: Uint8Array | undefined;
  readonly #owner: HandleOwner;
  #isReleased = false;

  static async open(core: VfsCore, owner: HandleOwner, inode: Inode): Promise<MutableFileHandle> {
    const file = await openMutableFile(core, inode);
    if (file === undefined) {
      throw new TahoeError('a file of a kind that this version cannot read', { kind: 'unsupported', op: 'vfs.open' });
    }
    const { sizeBytes } = file;
    const whole = sizeBytes <= WHOLE_BYTES ? await file.read(0, sizeBytes) : undefined;
    return new MutableFileHandle(owner, inode, file, whole);
  }

  private constructor(owner: HandleOwner, inode: Inode, file: MutableFile, whole: Uint8Array | undefined) {
    this.#owner = owner;
    this.#inode = inode;
    this.#file = file;
    this.#whole = whole;
    inode.handles++;
    inode.otherSizeBytes = file.sizeBytes;
  }

  get inode(): InodeNumber {
    return this.#inode.number;
  }

  get contentNumber(): number {
    return this.#file.contentNumber;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#whole?.slice(offset, offset + length) ?? this.#file.read(offset, length);
  }

  async write(): Promise<void> {
    throw new TahoeError('mutable files are read only here', { kind: 'permission', op: 'vfs.write' });
  }

  async flush(): Promise<void> {}

  async fsync(): Promise<void> {}

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#inode.handles--;
    await this.#owner.released(this.#inode, false);
  }
}
