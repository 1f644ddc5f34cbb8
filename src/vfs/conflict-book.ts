/**
 * What this node and another writer both changed: the list, telling whoever is concerned, and settling. The merge itself
 * is in delta-merge.ts.
 */
import { isMutableFile } from '../caps/cap.js';
import { parseEntry } from '../dirnode/packing.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Directory, Inode, OpenConflict } from './inode.js';
import { LostNames } from './lost-names.js';
import type { NameOperations } from './name-operations.js';
import type { Namespace } from './namespace.js';
import { joinPath, pathOf } from './paths.js';
import type { Conflict, ConflictChoice, FileHandle, OpenFlags, SyncState } from './vfs.js';

export type OpenInode = (inode: Inode, flags: OpenFlags) => Promise<FileHandle>;

const COPY_BYTES = 1024 * 1024;

export class ConflictBook {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #names: NameOperations;
  readonly #open: OpenInode;
  readonly #lost: LostNames;

  constructor(core: VfsCore, namespace: Namespace, names: NameOperations, open: OpenInode) {
    this.#core = core;
    this.#namespace = namespace;
    this.#names = names;
    this.#open = open;
    this.#lost = new LostNames(core, namespace);
  }

  list(): Conflict[] {
    return [...this.#core.tree.conflicts.values()].map(describe).sort((a, b) => a.id - b.id);
  }

  /**
   * Throws UncoordinatedWriteError if the inode stands under one of the two names of a conflict that nobody has been
   * told of. Once: whoever comes next goes on.
   */
  report(inode: Inode): void {
    const { place } = inode;
    for (const conflict of place?.directory.conflicts ?? []) {
      if (!conflict.isReported && (conflict.copyName === place!.name || conflict.name === place!.name))
        this.#throw(conflict);
    }
  }

  /** The same for all names of a directory. */
  reportIn(directory: Directory): void {
    for (const conflict of directory.conflicts) if (!conflict.isReported) this.#throw(conflict);
  }

  /** The state of a copy that nobody has decided about. */
  stateOf({ place }: Inode): SyncState | undefined {
    for (const conflict of place?.directory.conflicts ?? []) {
      if (conflict.copyName === place!.name) return { state: 'conflict', reason: explain(conflict) };
    }
    return undefined;
  }

  problems(): { path: string; state: SyncState }[] {
    return this.list().map((conflict) => ({
      path: conflict.conflictPath ?? conflict.path,
      state: { state: 'conflict', reason: explain(this.#core.tree.conflicts.get(conflict.id)!) },
    }));
  }

  /** See Vfs.resolveConflict. */
  async resolve(id: number, choice: ConflictChoice): Promise<void> {
    const { tree, ledger } = this.#core;
    const conflict = tree.conflicts.get(id);
    if (conflict === undefined) throw new TahoeError('no such conflict', { kind: 'not-found', op: 'vfs.resolve' });
    const { kept } = conflict;
    if (kept !== undefined) await this.#settleMissing({ ...conflict, kept }, choice);
    else if (choice === 'theirs') await this.#removeCopy(conflict);
    else if (choice === 'ours') await this.#replaceTheirs(conflict);
    // removing or renaming the copy has settled it already
    if (tree.conflicts.has(id)) ledger.conflictResolved(conflict);
    await ledger.sync();
  }

  async #settleMissing(conflict: OpenConflict & { readonly kept: Uint8Array }, choice: ConflictChoice): Promise<void> {
    if (choice === 'theirs') return;
    const { directory, name } = conflict;
    await this.#names.writeable(directory.inode.number);
    this.#lost.bringBack(conflict);
    const isFree = this.#namespace.child(directory, name) === undefined;
    if (choice === 'ours' || isFree) await this.#replaceTheirs(conflict);
  }

  async #removeCopy({ directory, copyName }: OpenConflict): Promise<void> {
    await this.#namespace.load(directory);
    if (this.#namespace.child(directory, copyName) === undefined) return;
    await this.#names.detach(directory.inode.number, copyName);
  }

  async #replaceTheirs(conflict: OpenConflict): Promise<void> {
    const { directory, name, copyName } = conflict;
    const parent = directory.inode.number;
    await this.#namespace.load(directory);
    const theirs = this.#namespace.child(directory, name);
    const ours = this.#namespace.child(directory, copyName);
    if (conflict.isOfMutable === true && ours?.kind === 'file' && isMutable(theirs)) {
      if (!conflict.isReported) this.#core.ledger.conflictReported(conflict);
      await this.#copyContent(ours, theirs);
      await this.#names.detach(parent, copyName);
      return;
    }
    if (theirs !== undefined && (theirs.kind === 'directory' || ours?.kind === 'directory'))
      await this.#names.detach(parent, name);
    await this.#names.rename({ parent, name: copyName }, { parent, name }, 'replace');
  }

  /** The mutable file keeps its capability. */
  async #copyContent(from: Inode, to: Inode): Promise<void> {
    const source = await this.#open(from, { read: true, write: false });
    try {
      const target = await this.#open(to, { read: false, write: true, truncate: true });
      try {
        for (let offset = 0; ; ) {
          const piece = await source.read(offset, COPY_BYTES);
          if (piece.length === 0) break;
          await target.write(offset, piece);
          offset += piece.length;
        }
        await target.flush();
      } finally {
        await target.release();
      }
    } finally {
      await source.release();
    }
  }

  #throw(conflict: OpenConflict): never {
    this.#core.ledger.conflictReported(conflict);
    this.#core.counters.uncoordinatedWriteErrors++;
    const { path } = describe(conflict);
    throw new TahoeError(explain(conflict), { kind: 'uncoordinated-write', op: 'vfs.guard', subject: path });
  }
}

function describe(conflict: OpenConflict): Conflict {
  const { id, kind, directory, name, copyName, whenMs, ours, theirs, kept } = conflict;
  // after a start it is not known where the directory is until somebody has gone there
  const isPlaced = directory.inode.place !== undefined || directory.isRoot;
  const above = isPlaced ? pathOf(directory.inode) : parentPath(conflict.path);
  const path = joinPath(above, name);
  if (kept === undefined) return { id, kind, path, conflictPath: joinPath(above, copyName), whenMs, ours, theirs };
  return { id, kind, path, conflictPath: undefined, whenMs, ours, theirs, keptCap: parseEntry(kept).readCap };
}

function explain({ name, copyName, kind }: OpenConflict): string {
  if (kind === 'fork') {
    return `UncoordinatedWriteError: two versions of the directory had "${name}"; one of them is "${copyName}" now`;
  }
  if (kind === 'missing') {
    return `UncoordinatedWriteError: "${name}" was synced here and is gone: another program has overwritten or removed it`;
  }
  const what = kind === 'removed-above' ? 'was replaced' : 'was changed';
  return `UncoordinatedWriteError: "${name}" ${what} by another writer as well; what was written here is "${copyName}" now`;
}

function isMutable(inode: Inode | undefined): inode is Inode {
  return inode?.other?.type === 'known' && isMutableFile(inode.other.cap);
}

function parentPath(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}
