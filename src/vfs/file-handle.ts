/** Open files: the handles of one inode share its overlay, so that each sees at once what any of them wrote. */

import { TahoeError } from '../errors/tahoe-error.js';
import type { ReadOptions } from './content-reader.js';
import type { VfsCore } from './core.js';
import { writeFile } from './file-writer.js';
import type { Inode } from './inode.js';
import type { FileHandle, InodeNumber, OpenFlags } from './vfs.js';

export interface HandleOwner {
  /** A close: snapshot if there is something new, durable when it resolves. */
  flush(inode: Inode): Promise<void>;
  fsync(inode: Inode, signal: AbortSignal | undefined): Promise<void>;
  /** Throws once if another writer has changed the same name. */
  report(inode: Inode): void;
  /** The handle is gone. */
  released(inode: Inode, wasWriter: boolean): Promise<void>;
}

export class OpenFile implements FileHandle {
  readonly #core: VfsCore;
  readonly #owner: HandleOwner;
  readonly #inode: Inode;
  readonly #flags: OpenFlags;
  #isReleased = false;

  constructor(core: VfsCore, owner: HandleOwner, inode: Inode, flags: OpenFlags) {
    this.#core = core;
    this.#owner = owner;
    this.#inode = inode;
    this.#flags = flags;
    inode.handles++;
    if (flags.write) inode.content!.writers++;
  }

  get inode(): InodeNumber {
    return this.#inode.number;
  }

  get contentNumber(): number {
    return this.#inode.content!.contentNumber;
  }

  async read(offset: number, length: number, options: ReadOptions = {}): Promise<Uint8Array> {
    this.#check(this.#flags.read, 'reading');
    this.#core.activity.note();
    const content = this.#inode.content!;
    if (content.overlay !== undefined)
      return this.#core.contents.read(content.overlay, content, offset, length, options);
    return this.#core.contents.readBase(content, offset, length, options);
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    this.#check(this.#flags.write, 'writing');
    this.#owner.report(this.#inode);
    this.#core.activity.note();
    await writeFile(this.#core, this.#inode, this.#flags.append ? undefined : offset, data);
  }

  async flush(): Promise<void> {
    this.#check(true, 'anything');
    if (!this.#flags.write) return;
    await this.#owner.flush(this.#inode);
    this.#owner.report(this.#inode);
  }

  async fsync(options: ReadOptions = {}): Promise<void> {
    this.#check(true, 'anything');
    await this.#owner.fsync(this.#inode, options.signal);
  }

  async release(): Promise<void> {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { content } = this.#inode;
    if (this.#flags.write) content!.writers--;
    this.#inode.handles--;
    await this.#owner.released(this.#inode, this.#flags.write);
  }

  #check(isAllowed: boolean, what: string): void {
    if (this.#isReleased) throw new TahoeError('the file is closed', { kind: 'closed', op: 'vfs.handle' });
    if (!isAllowed) throw new TahoeError(`the file is not open for ${what}`, { kind: 'permission', op: 'vfs.handle' });
  }
}
