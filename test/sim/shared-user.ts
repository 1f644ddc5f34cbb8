/**
 * Works in the directory that all nodes change. What must be there is not known, but what may not get lost is: before a
 * change the user looks what it replaces, and that is not missed any more.
 */
import { parseKnownCap } from '../../src/caps/cap.js';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import type { Version } from './oracle.js';
import type { Operation } from './script.js';
import { processDied } from './sim-node.js';
import { User } from './user.js';
import {
  close,
  contentOf,
  inodeAt,
  newDirectory,
  newFile,
  parentOf,
  placeAt,
  resized,
  spliced,
  toBytes,
  toContent,
  walk,
} from './vfs-calls.js';

interface Standing {
  readonly inode: InodeNumber;
  readonly isFile: boolean;
  /** Undefined if it is not known. */
  readonly content: string | undefined;
}

export class SharedUser extends User {
  /** What this node has closed and may not have on the grid yet; undefined if that is not certain. */
  readonly #own = new Map<InodeNumber, string | undefined>();
  #operations = 0;

  lostDisk(): void {
    this.#own.clear();
  }

  async perform(step: Operation): Promise<void> {
    const label = `${this.node.name}.s${this.#operations++}`;
    try {
      await this.#perform(step, label);
    } catch (error) {
      this.checkError(`${step.do}`, error);
    }
  }

  #perform(step: Operation, label: string): Promise<void> {
    switch (step.do) {
      case 'write':
        return this.#write(step.path, this.newContent(label, step.size), step.at);
      case 'truncate':
        return this.#truncate(step.path, step.size);
      case 'unlink':
        return this.#unlink(step.path);
      case 'rename':
        return this.#rename(step.path, step.to);
      case 'mkdir':
        return this.#makeDirectory(step.path);
      case 'rmdir':
        return this.#removeDirectory(step.path);
      case 'read':
        return this.#read(step.path);
      case 'list':
        return this.#list(step.path);
      case 'fsync':
        return this.#fsync(step.path);
      case 'fsync-directory':
        return this.#fsyncDirectory(step.path);
      default:
        throw new Error(`${step.do} is not for shared directories`);
    }
  }

  async #write(path: string, data: string, at: number | null): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    const standing = await this.#standing(parent, name, path);
    const isPartial = at !== null && standing?.content !== undefined;
    const content = isPartial ? spliced(standing.content, at, data) : data;
    const { oracle } = this.world;
    oracle.noteWritten('').noteWritten(content);
    this.#supersede(standing, path);
    const created = await this.alive(
      this.vfs.create(parent, name, newFile, { read: true, write: true, truncate: !isPartial }),
    );
    const { inode } = created.attributes;
    this.#own.set(inode, undefined);
    await this.alive(created.handle.write(isPartial ? at : 0, toBytes(data)));
    oracle.noteCloseBegun(content);
    const version = oracle.begin(content, this.node.index, path);
    await this.alive(close(created.handle));
    version.isClosed = true;
    this.#own.set(inode, content);
  }

  async #truncate(path: string, size: number): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    const standing = await this.#standing(parent, name, path);
    if (standing?.content === undefined) return;
    const content = resized(standing.content, size);
    this.world.oracle.noteCloseBegun(content);
    const version = this.world.oracle.begin(content, this.node.index, path);
    if (content !== standing.content) this.#supersede(standing, path);
    this.#own.set(standing.inode, undefined);
    await this.alive(this.vfs.setAttributes(standing.inode, { sizeBytes: size }));
    version.isClosed = true;
    this.#own.set(standing.inode, content);
  }

  async #unlink(path: string): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    const standing = await this.#standing(parent, name, path);
    if (standing?.isFile) this.#supersede(standing, path);
    await this.alive(this.vfs.unlink(parent, name));
  }

  async #rename(path: string, to: string): Promise<void> {
    const from = await this.alive(placeAt(this.vfs, this.root, path));
    const target = await this.alive(placeAt(this.vfs, this.root, to));
    const moved = await this.#standing(from.parent, from.name, path);
    const standing = await this.#standing(target.parent, target.name, to);
    if (moved === undefined || moved.inode === standing?.inode) return;
    if (!moved.isFile) {
      // what is in it is nowhere else, and a file is not replaced by a directory
      await this.alive(this.vfs.rename(from, target, 'replace'));
      return;
    }
    const version = moved.content === undefined ? undefined : this.world.oracle.versionOf(moved.content);
    if (version !== undefined) version.path = to;
    this.#supersede(standing, to);
    await this.alive(this.vfs.rename(from, target, 'replace'));
  }

  async #makeDirectory(path: string): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    await this.alive(this.vfs.makeDirectory(parent, name, newDirectory));
  }

  async #removeDirectory(path: string): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    await this.alive(this.vfs.removeDirectory(parent, name));
  }

  /** Anybody's file, here or in another node's directory: old or new, never a mixture. */
  async #read(path: string): Promise<void> {
    const inode = await this.alive(inodeAt(this.vfs, this.root, path));
    const { kind } = await this.alive(this.vfs.attributes(inode));
    if (kind !== 'file') return;
    this.#checkLegal(path, await this.alive(contentOf(this.vfs, inode)));
  }

  async #list(path: string): Promise<void> {
    const inode = await this.alive(inodeAt(this.vfs, this.root, path));
    const found = await this.alive(walk(this.vfs, inode, path));
    for (const [place, each] of found) if (each.kind === 'file') this.#checkLegal(place, each.content);
  }

  #checkLegal(path: string, content: string): void {
    if (this.world.oracle.isLegal(content, path)) return;
    this.world.violate('whole files only', `${this.node.name} read ${path}: ${JSON.stringify(content.slice(0, 60))}`);
  }

  async #fsync(path: string): Promise<void> {
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    const standing = await this.#standing(parent, name, path);
    if (standing === undefined || !standing.isFile) return;
    const { content } = standing;
    const handle = await this.alive(this.vfs.open(standing.inode, { read: true, write: false }));
    const synced = handle.fsync().finally(() => handle.release());
    const ofFile = () => true;
    this.#inBackground(path, synced, content === undefined ? [] : [content], ofFile);
  }

  async #fsyncDirectory(path: string): Promise<void> {
    const inode = await this.alive(inodeAt(this.vfs, this.root, path));
    const contents: string[] = [];
    for (const { name, attributes } of await this.alive(this.vfs.readDirectory(inode))) {
      if (attributes.kind !== 'file') continue;
      const content = (await this.#standing(inode, name, `${path}/${name}`))?.content;
      if (content !== undefined) contents.push(content);
    }
    // what was moved elsewhere meanwhile is no name of this directory any more
    this.#inBackground(path, this.vfs.fsyncDirectory(inode), contents, (version) => parentOf(version.path) === path);
  }

  #inBackground(
    path: string,
    work: Promise<void>,
    contents: readonly string[],
    isMeant: (version: Version) => boolean,
  ): void {
    this.world.note(`${this.node.name} fsync ${path} begins`);
    const finish = async (): Promise<void> => {
      try {
        await this.alive(work);
        this.world.note(`${this.node.name} fsync ${path} succeeded`);
      } catch (error) {
        if (error === processDied) return;
        this.checkError(`fsync ${path}`, error);
        this.world.note(`${this.node.name} fsync ${path} failed: ${error instanceof Error ? error.message : ''}`);
        return;
      }
      await this.#checkSynced(path, contents, isMeant);
    };
    void finish();
  }

  async #checkSynced(path: string, contents: readonly string[], isMeant: (version: Version) => boolean): Promise<void> {
    const { oracle } = this.world;
    const versions = contents.flatMap((content) => oracle.versionOf(content) ?? []).filter(isMeant);
    for (const version of versions) version.isSynced = true;
    let seen: Set<string>;
    try {
      seen = await this.world.reader().contentsBelow('/shared');
    } catch (error) {
      this.world.violate('synced is readable elsewhere', `${path}: ${String(error)}`);
      return;
    }
    for (const { content, isSuperseded } of versions) {
      if (isSuperseded || seen.has(content)) continue;
      this.world.violate(
        'synced is readable elsewhere',
        `${this.node.name} ${path}: ${content.slice(0, 30)} is not there`,
      );
    }
  }

  /** What this node's view has under a name; asks for nothing that it has not loaded for that. */
  async #standing(parent: InodeNumber, name: string, path: string): Promise<Standing | undefined> {
    let inode: InodeNumber;
    let kind: string;
    try {
      ({ inode, kind } = await this.alive(this.vfs.lookup(parent, name)));
    } catch (error) {
      if (isTahoeError(error, 'not-found')) return undefined;
      throw error;
    }
    if (kind !== 'file') return { inode, isFile: false, content: undefined };
    const cap = await this.node.engine.capOf(inode);
    if (cap === undefined) return { inode, isFile: true, content: this.#own.get(inode) };
    const parsed = parseKnownCap(cap);
    const content = parsed.type === 'lit' ? toContent(parsed.data) : this.world.oracle.contentOfCap(cap);
    if (content !== undefined) this.#checkLegal(path, content);
    return { inode, isFile: true, content };
  }

  #supersede(standing: Standing | undefined, path: string): void {
    if (standing === undefined) return;
    if (standing.content === undefined) this.world.oracle.supersedeAllAt(path);
    else this.world.oracle.supersede(standing.content);
  }
}
