/** Works in the directory that only this node changes, and knows at any time what must be there. */
import type { FileHandle, InodeNumber } from '../../src/vfs/vfs.js';
import type { IsAsGood, Seen } from './grid-reader.js';
import {
  difference,
  type Entry,
  type FileEntry,
  type Found,
  isUnclosed,
  OwnModel,
  type TreeState,
} from './own-model.js';
import { renamed, withEntry, without } from './own-tree.js';
import type { Operation } from './script.js';
import { processDied } from './sim-node.js';
import { User } from './user.js';
import {
  inodeAt,
  isGridError,
  newDirectory,
  newFile,
  newLink,
  parentOf,
  placeAt,
  resized,
  spliced,
  toBytes,
  walk,
} from './vfs-calls.js';

/** Whole walks are made after this many operations. */
const WALK_EVERY = 10;

export class OwnUser extends User {
  readonly model = new OwnModel();
  readonly #held: { readonly object: number; readonly handle: FileHandle }[] = [];
  #operations = 0;
  /** After a loss of the disk: what the lost node had begun may still become true or not, so nothing is certain here. */
  isOver = false;

  get home(): string {
    return `/own${this.node.index}`;
  }

  died(how: 'kill' | 'power'): void {
    this.#held.length = 0;
    this.model.crash(how);
  }

  lostDisk(): void {
    this.#held.length = 0;
    this.isOver = true;
  }

  /** After a start: what is there must be what may be there. False if it cannot be seen yet. */
  async recognise(): Promise<boolean> {
    if (this.model.isKnown || this.isOver) return true;
    const found = await this.#walk();
    if (found === undefined) return false;
    const wrong = this.model.recognise(found);
    if (wrong !== undefined) this.world.violate('acknowledged survives a crash', `${this.node.name} ${wrong}`);
    return true;
  }

  async perform(step: Operation): Promise<void> {
    if (this.isOver) return;
    const label = `${this.node.name}.${this.#operations++}`;
    switch (step.do) {
      case 'write':
        return this.#write(step.path, this.newContent(label, step.size), step.at, false);
      case 'hold':
        return this.#write(step.path, this.newContent(label, step.size), null, true);
      case 'held-write':
      case 'held-flush':
      case 'held-close':
        return this.#onHeld(step.do, step.which, this.newContent(label, step.size));
      case 'truncate':
        return this.#truncate(step.path, step.size);
      case 'unlink':
        return this.#unlink(step.path);
      case 'mkdir':
      case 'symlink':
        return this.#make(step.path, step.do === 'symlink' ? step.target : undefined);
      case 'rmdir':
        return this.#removeDirectory(step.path);
      case 'rename':
        return this.#rename(step);
      case 'chmod':
        return this.#chmod(step.path, step.mode);
      case 'read':
      case 'list':
        return this.check();
      case 'fsync':
      case 'fsync-directory':
        return this.#fsync(step.path);
    }
  }

  /** The whole view against the model. */
  async check(): Promise<void> {
    const found = await this.#walk();
    const wrong = found === undefined ? undefined : difference(this.model.now, found);
    if (wrong !== undefined) this.world.violate('own view', `${this.node.name} ${wrong}`);
  }

  async closeAll(): Promise<void> {
    for (let left = this.#held.length; left > 0; left--) await this.#onHeld('held-close', 0, '');
  }

  // operations

  async #write(path: string, content: string, at: number | null, isHeld: boolean): Promise<void> {
    const rel = this.#rel(path);
    const standing = this.model.now.get(rel);
    const isPossible = this.#isDirectory(parentOf(rel)) && (standing === undefined || standing.kind === 'file');
    await this.#attempt(`write ${path}`, isPossible, async () => {
      const handle = await this.#create(path, standing, at === null);
      let entry = this.#entry(rel);
      this.world.oracle.supersede(entry.closed);
      this.world.oracle.supersede(entry.live);
      const live = at === null ? content : spliced(entry.live, at, content);
      const next = { ...entry, live, wasWritten: entry.wasWritten || content !== '' };
      this.world.oracle.noteWritten(next.live);
      await this.#effect([withEntry(this.model.now, rel, next)], handle.write(at ?? 0, toBytes(content)));
      if (isHeld) {
        this.#held.push({ object: next.object, handle });
        return;
      }
      entry = this.#entry(rel);
      await this.#flush(handle, rel, entry);
      await this.alive(handle.release());
    });
    await this.#checkOften();
  }

  async #create(path: string, standing: Entry | undefined, truncate: boolean): Promise<FileHandle> {
    const rel = this.#rel(path);
    const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
    const states: TreeState[] = [];
    if (standing === undefined) {
      const entry: FileEntry = {
        kind: 'file',
        object: this.model.newObject(),
        live: '',
        closed: undefined,
        wasWritten: false,
        mode: 0o644,
      };
      states.push(withEntry(this.model.now, rel, entry));
    } else if (truncate && standing.kind === 'file') {
      states.push(withEntry(this.model.now, rel, { ...standing, live: '' }));
    }
    const created = this.vfs.create(parent, name, newFile, { read: true, write: true, truncate });
    return (await this.#effect(states, created)).handle;
  }

  /** A close: what was written is a content that may be seen, and must not get lost. */
  async #flush(handle: FileHandle, rel: string, entry: FileEntry): Promise<void> {
    const { oracle } = this.world;
    oracle.noteCloseBegun(entry.live);
    if (entry.closed !== entry.live) oracle.supersede(entry.closed);
    const version = oracle.begin(entry.live, this.node.index, this.home + rel);
    const mark = this.model.mark;
    await this.#effect([withEntry(this.model.now, rel, { ...entry, closed: entry.live })], handle.flush());
    version.isClosed = true;
    this.model.durableTo(Math.max(mark, this.model.mark));
  }

  async #onHeld(what: 'held-write' | 'held-flush' | 'held-close', which: number, content: string): Promise<void> {
    const held = this.#held[which % this.#held.length];
    if (held === undefined) return;
    const { handle, object } = held;
    const rel = this.#pathOf(object);
    await this.#attempt(what, true, async () => {
      if (what === 'held-write') {
        if (rel === undefined) return this.alive(handle.write(0, toBytes(content)));
        const entry = this.#entry(rel);
        const next = { ...entry, live: entry.live + content, wasWritten: true };
        this.world.oracle.noteWritten(next.live);
        return this.#effect([withEntry(this.model.now, rel, next)], handle.write(entry.live.length, toBytes(content)));
      }
      if (rel === undefined) await this.alive(handle.flush());
      else await this.#flush(handle, rel, this.#entry(rel));
      if (what === 'held-flush') return;
      this.#held.splice(this.#held.indexOf(held), 1);
      await this.alive(handle.release());
    });
  }

  async #truncate(path: string, size: number): Promise<void> {
    const rel = this.#rel(path);
    const standing = this.model.now.get(rel);
    await this.#attempt(`truncate ${path}`, standing?.kind === 'file', async () => {
      const inode = await this.#inode(path);
      if (standing?.kind !== 'file') return this.alive(this.vfs.setAttributes(inode, { sizeBytes: size }));
      const entry = { ...standing, live: resized(standing.live, size) };
      const { oracle } = this.world;
      oracle.noteWritten(entry.live);
      oracle.supersede(standing.live);
      oracle.supersede(standing.closed);
      const states = [withEntry(this.model.now, rel, entry)];
      const isOpen = this.#held.some(({ object }) => object === entry.object);
      if (!isOpen) {
        oracle.noteCloseBegun(entry.live);
        states.push(withEntry(this.model.now, rel, { ...entry, closed: entry.live }));
      }
      await this.#effect(states, this.vfs.setAttributes(inode, { sizeBytes: size }));
      if (isOpen) return undefined;
      oracle.begin(entry.live, this.node.index, path).isClosed = true;
      this.model.durableTo(this.model.mark);
      return undefined;
    });
    await this.#checkOften();
  }

  async #unlink(path: string): Promise<void> {
    const rel = this.#rel(path);
    const standing = this.model.now.get(rel);
    await this.#attempt(`unlink ${path}`, standing !== undefined && standing.kind !== 'directory', async () => {
      const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
      this.#supersede(standing);
      await this.#effect([without(this.model.now, rel)], this.vfs.unlink(parent, name));
    });
    await this.#checkOften();
  }

  async #make(path: string, target: string | undefined): Promise<void> {
    const rel = this.#rel(path);
    const isPossible = !this.model.now.has(rel) && this.#isDirectory(parentOf(rel));
    await this.#attempt(`make ${path}`, isPossible, async () => {
      const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
      const entry: Entry =
        target === undefined ? { kind: 'directory', mode: 0o755 } : { kind: 'symlink', target, mode: 0o777 };
      const made =
        target === undefined
          ? this.vfs.makeDirectory(parent, name, newDirectory)
          : this.vfs.makeSymlink(parent, name, target, newLink);
      await this.#effect([withEntry(this.model.now, rel, entry)], made);
    });
    await this.#checkOften();
  }

  async #removeDirectory(path: string): Promise<void> {
    const rel = this.#rel(path);
    const isPossible = this.#isDirectory(rel) && ![...this.model.now.keys()].some((key) => key.startsWith(`${rel}/`));
    await this.#attempt(`rmdir ${path}`, isPossible, async () => {
      const { parent, name } = await this.alive(placeAt(this.vfs, this.root, path));
      await this.#effect([without(this.model.now, rel)], this.vfs.removeDirectory(parent, name));
    });
    await this.#checkOften();
  }

  async #rename({ path, to, mode }: Extract<Operation, { do: 'rename' }>): Promise<void> {
    const [from, target] = [this.#rel(path), this.#rel(to)];
    const flushed = from === target ? [] : this.#flushedByRename(mode === 'exchange' ? [from, target] : [from]);
    const next = renamed(flushed.at(-1)?.state ?? this.model.now, from, target, mode);
    await this.#attempt(`rename ${path} ${to} ${mode}`, next !== undefined, async () => {
      const source = await this.alive(placeAt(this.vfs, this.root, path));
      const place = await this.alive(placeAt(this.vfs, this.root, to));
      if (mode === 'replace' && from !== target) this.#supersede(this.model.now.get(target));
      if (next === undefined) return this.alive(this.vfs.rename(source, place, mode));
      for (const { entry } of flushed) this.world.oracle.noteCloseBegun(entry.live);
      await this.#effect([...flushed.map(({ state }) => state), next], this.vfs.rename(source, place, mode));
      for (const { entry } of flushed) this.world.oracle.supersede(entry.closed);
      return undefined;
    });
    await this.#checkOften();
  }

  /** A rename is a close for what has been written by then. */
  #flushedByRename(paths: readonly string[]): { entry: FileEntry; state: TreeState }[] {
    const flushed: { entry: FileEntry; state: TreeState }[] = [];
    for (const path of paths) {
      const entry = this.model.now.get(path);
      if (entry?.kind !== 'file' || !isUnclosed(entry)) continue;
      const state = withEntry(flushed.at(-1)?.state ?? this.model.now, path, { ...entry, closed: entry.live });
      flushed.push({ entry, state });
    }
    return flushed;
  }

  async #chmod(path: string, mode: number): Promise<void> {
    const rel = this.#rel(path);
    const standing = this.model.now.get(rel);
    await this.#attempt(`chmod ${path}`, standing !== undefined, async () => {
      const inode = await this.#inode(path);
      const states = standing === undefined ? [] : [withEntry(this.model.now, rel, { ...standing, mode })];
      await this.#effect(states, this.vfs.setAttributes(inode, { mode }));
    });
    await this.#checkOften();
  }

  // fsync

  /** Begins it and goes on; when it succeeds, the grid must have what was there when it was called, or what came after. */
  async #fsync(path: string): Promise<void> {
    const rel = this.#rel(path);
    const standing = this.model.now.get(rel);
    if (standing === undefined || standing.kind === 'symlink') return;
    await this.#attempt(`begin fsync ${path}`, true, async () => {
      for (const { object, handle } of [...this.#held]) {
        const open = this.#pathOf(object);
        if (open === rel || (open !== undefined && parentOf(open) === rel))
          await this.#flush(handle, open, this.#entry(open));
      }
      const inode = await this.#inode(path);
      const { mark } = this.model;
      this.world.note(`${this.node.name} fsync ${path} begins`);
      if (standing.kind === 'directory') {
        this.#inBackground(path, this.vfs.fsyncDirectory(inode), () => this.#checkDirectory(rel, mark));
        return;
      }
      const handle = await this.alive(this.vfs.open(inode, { read: true, write: false }));
      const synced = handle.fsync().finally(() => handle.release());
      this.#inBackground(path, synced, () => this.#checkFile(standing.object, mark));
    });
  }

  #inBackground(path: string, work: Promise<void>, check: () => Promise<void>): void {
    const { mark } = this.model;
    const finish = async (): Promise<void> => {
      try {
        await this.alive(work);
        this.model.durableTo(mark);
        this.world.note(`${this.node.name} fsync ${path} succeeded`);
        await check();
      } catch (error) {
        if (error === processDied) return;
        this.checkError(`fsync ${path}`, error);
        this.world.note(`${this.node.name} fsync ${path} failed: ${error instanceof Error ? error.message : ''}`);
      }
    };
    void finish();
  }

  async #checkDirectory(rel: string, mark: number): Promise<void> {
    const states = this.model.since(mark);
    const names = [...states[0]!].filter(([path]) => path !== rel && parentOf(path) === rel);
    for (const [path, entry] of names) {
      // what was moved elsewhere meanwhile is no name of this directory any more
      const isThere = states.every((state) => state.get(path)?.kind === entry.kind);
      const isSame = states.every((state) => state.get(path) === entry);
      if (entry.kind === 'file' && isThere) await this.#checkFile(entry.object, mark);
      else if (isSame) {
        const seen = await this.#seenAt(path);
        if (seen === undefined || seen.kind === 'unreadable')
          this.world.violate('synced is readable elsewhere', `${path}: ${describe(seen)}`);
      }
    }
  }

  async #checkFile(object: number, mark: number): Promise<void> {
    const places = new Set<string>();
    const contents = new Set<string>();
    for (const state of this.model.since(mark)) {
      const place = [...state].find(([, entry]) => entry.kind === 'file' && entry.object === object);
      // removed or replaced since
      if (place === undefined) return;
      const entry = place[1] as FileEntry;
      places.add(place[0]);
      contents.add(entry.closed ?? '');
      const version = this.world.oracle.versionOf(entry.closed ?? '');
      if (version !== undefined && state === this.model.since(mark)[0]) version.isSynced = true;
    }
    const found: string[] = [];
    const isRight = (seen?: Seen | Unreadable) => seen?.kind === 'file' && contents.has(seen.content);
    for (const path of places) {
      const seen = await this.#seenAt(path, isRight);
      if (isRight(seen)) return;
      found.push(`${path}: ${describe(seen)}`);
    }
    const expected = [...contents].map((content) => JSON.stringify(content.slice(0, 30))).join(' or ');
    this.world.violate('synced is readable elsewhere', `${this.node.name} ${found.join(', ')}; not ${expected}`);
  }

  /** A file that was moved meanwhile may be unreadable in one place, if it is readable in another. */
  async #seenAt(rel: string, isAsGood?: IsAsGood): Promise<Seen | Unreadable | undefined> {
    try {
      return await this.world.reader().at(this.home + rel, isAsGood);
    } catch (error) {
      return { kind: 'unreadable', reason: String(error) };
    }
  }

  // helpers

  /** One effect of an operation, of which after a crash there may be any part. */
  async #effect<Value>(states: readonly TreeState[], work: Promise<Value>): Promise<Value> {
    this.model.begin(states);
    const value = await this.alive(work);
    this.model.done();
    return value;
  }

  async #attempt(what: string, isPossible: boolean, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error === processDied) throw error;
      this.model.undone();
      if (isGridError(error)) return;
      if (isPossible) this.world.violate('own view', `${what} failed: ${error instanceof Error ? error.stack : ''}`);
      else this.checkError(what, error);
      return;
    }
    if (!isPossible) this.world.violate('own view', `${what} should have failed`);
  }

  async #checkOften(): Promise<void> {
    if (this.#operations % WALK_EVERY === 0) await this.check();
  }

  async #walk(): Promise<Map<string, Found> | undefined> {
    try {
      return await this.alive(inodeAt(this.vfs, this.root, this.home).then((home) => walk(this.vfs, home)));
    } catch (error) {
      if (error === processDied) throw error;
      if (!isGridError(error)) this.checkError('walk', error);
      return undefined;
    }
  }

  #supersede(entry: Entry | undefined): void {
    if (entry?.kind !== 'file') return;
    this.world.oracle.supersede(entry.closed);
    this.world.oracle.supersede(entry.live);
  }

  #inode(path: string): Promise<InodeNumber> {
    return this.alive(inodeAt(this.vfs, this.root, path));
  }

  #rel(path: string): string {
    return path.slice(this.home.length);
  }

  #isDirectory(rel: string): boolean {
    return this.model.now.get(rel)?.kind === 'directory';
  }

  #entry(rel: string): FileEntry {
    const entry = this.model.now.get(rel);
    if (entry?.kind !== 'file') throw new Error(`the model has no file ${rel}`);
    return entry;
  }

  #pathOf(object: number): string | undefined {
    return [...this.model.now].find(([, entry]) => entry.kind === 'file' && entry.object === object)?.[0];
  }
}

interface Unreadable {
  readonly kind: 'unreadable';
  readonly reason: string;
}

function describe(seen: Seen | Unreadable | undefined): string {
  if (seen?.kind === 'file') return JSON.stringify(seen.content.slice(0, 30));
  return seen?.kind === 'unreadable' ? seen.reason : (seen?.kind ?? 'nothing');
}
