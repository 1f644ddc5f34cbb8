/** From here to the grid and how far it has come: close, fsync, drain, state of a path, status, resuming after a start. */
import { serializeCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import { ChainProof, versionShown } from './chain-proof.js';
import type { ConflictBook } from './conflict-book.js';
import type { VfsCore } from './core.js';
import type { HandleOwner } from './file-handle.js';
import type { Directory, Inode } from './inode.js';
import type { NameOperations } from './name-operations.js';
import type { Namespace } from './namespace.js';
import { setAsideOpenFiles } from './open-at-crash.js';
import { DEPTH_MAX, pathOf, upwards } from './paths.js';
import type { FileSystemStatistics, SyncState, VfsStatus } from './vfs.js';
import type { WriteBack } from './write-back.js';

/** What is reported when no server says how much room it has: large, never full. */
const UNKNOWN_SPACE_BYTES = 2 ** 50;
const INODES = 2 ** 40;
const NAME_LENGTH_MAX = 255;

export class SyncOperations implements HandleOwner {
  readonly #core: VfsCore;
  readonly #namespace: Namespace;
  readonly #names: NameOperations;
  readonly #writeBack: WriteBack;
  readonly #conflicts: ConflictBook;
  readonly #chains: ChainProof;

  constructor(
    core: VfsCore,
    namespace: Namespace,
    names: NameOperations,
    writeBack: WriteBack,
    conflicts: ConflictBook,
  ) {
    this.#core = core;
    this.#namespace = namespace;
    this.#names = names;
    this.#writeBack = writeBack;
    this.#conflicts = conflicts;
    this.#chains = new ChainProof(namespace, writeBack);
  }

  // close and fsync

  async flush(inode: Inode): Promise<void> {
    await this.#settleWrites(inode);
    this.snapshotIfDirty(inode);
    await this.#core.ledger.sync();
  }

  report(inode: Inode): void {
    this.#conflicts.report(inode);
  }

  async released(inode: Inode, wasWriter: boolean): Promise<void> {
    if (this.dropIfOrphan(inode)) return;
    if (inode.content?.hasUnsnapshotted === false) inode.content.isNew = false;
    if (!wasWriter) {
      this.#core.tree.closeIfUnused(inode);
      return;
    }
    if (inode.content!.hasUnsnapshotted) await this.flush(inode);
    this.#core.tree.closeIfUnused(inode);
    this.#writeBack.poke();
  }

  /**
   * Forgets a file that has no name if nobody can ask for its bytes any more. A frontend that remembers the inode still
   * can: a program looks a name up, the name is replaced, and only then the program opens what it found.
   */
  dropIfOrphan(inode: Inode): boolean {
    const { place, handles, remembered, content } = inode;
    if (place !== undefined || handles > 0 || remembered > 0) return false;
    if (content !== undefined) this.#writeBack.dropFile(inode);
    this.#core.tree.dropIfUnused(inode);
    return true;
  }

  fsync(inode: Inode, signal: AbortSignal | undefined): Promise<void> {
    return this.#counted(() => this.#fsync(inode, signal));
  }

  fsyncDirectory(directory: Directory, signal: AbortSignal | undefined): Promise<void> {
    return this.#counted(() => this.#fsyncDirectory(directory, signal));
  }

  async #counted(fsync: () => Promise<void>): Promise<void> {
    const { counters, platform } = this.#core;
    const startedMs = platform.clock.monotonicMs();
    try {
      await fsync();
    } catch (error) {
      counters.fsyncFailures++;
      throw error;
    }
    counters.noteFsync((platform.clock.monotonicMs() - startedMs) / 1000);
  }

  async #fsync(inode: Inode, signal: AbortSignal | undefined): Promise<void> {
    const shown = versionShown(inode);
    await this.flush(inode);
    this.report(inode);
    // no name: there is nothing that could be synced
    if (inode.place === undefined || this.#core.settings.fsync === 'journal') return;
    const { content } = inode;
    const generation = content?.generation ?? 0;
    const isUploaded = () => {
      if (content?.overlay === undefined) return true;
      return (content.uploaded?.generation ?? 0) >= generation;
    };
    await this.#writeBack.waitFor(isUploaded, { inodes: [inode], directories: [] }, signal);
    await this.#publishChain(inode, signal);
    shown?.checkKept();
  }

  async #fsyncDirectory(directory: Directory, signal: AbortSignal | undefined): Promise<void> {
    const shown = versionShown(directory.inode);
    const opened = [...directory.dirty.values()].flatMap(({ child }) => (child?.content?.writers ? [child] : []));
    for (const inode of opened) {
      await this.#settleWrites(inode);
      this.snapshotIfDirty(inode);
    }
    await this.#core.ledger.sync();
    if (this.#core.settings.fsync === 'journal') return;
    const accepted = [...directory.dirty.values()].map(({ name, change, child }) => ({ name, change, child }));
    const isPublished = () =>
      directory.isBorn &&
      !accepted.some(
        ({ name, change, child }) => isStillDirty(directory, name, change) || isElsewhere(directory, name, child),
      );
    // names wait for their contents and for directories below that were never published
    const below = [...directory.dirty.values()].flatMap(({ child }) =>
      child?.directory === undefined ? [] : [child.directory],
    );
    await this.#writeBack.waitFor(isPublished, { inodes: opened, directories: [directory, ...below] }, signal);
    this.#conflicts.reportIn(directory);
    await this.#publishChain(directory.inode, signal);
    // what was put into it is published there
    const successor = this.#core.tree.successor(directory);
    if (successor !== undefined) return this.#fsyncDirectory(successor, signal);
    shown?.checkKept();
  }

  /** Waits until every directory from the inode up to the first proven one, and so to a root, is published. */
  async #publishChain(inode: Inode, signal: AbortSignal | undefined): Promise<void> {
    for (let current = inode, depth = 0; depth < DEPTH_MAX; depth++) {
      if (current.place === undefined) {
        // given up meanwhile for what another node has made under the same name: there it has to be published again
        if (current === inode || current.directory?.isDiscarded !== true) break;
        current = inode;
        continue;
      }
      const { directory, name } = current.place;
      const change = directory.dirty.get(name)?.change;
      if (change !== undefined) {
        const isProven = () => !isAt(current, directory, name) || !isStillDirty(directory, name, change);
        await this.#writeBack.waitFor(isProven, { inodes: [current], directories: [directory] }, signal);
      }
      this.#conflicts.report(current);
      // renamed meanwhile: then the new name is what has to be there
      if (isAt(current, directory, name)) current = directory.inode;
    }
    await this.#chains.prove(inode, signal);
  }

  /** What has been written so far becomes the content of the name, as by a close, when the journal is durable. */
  snapshotIfDirty(inode: Inode): void {
    const { content } = inode;
    if (content === undefined) return;
    content.isNew = false;
    if (!content.hasUnsnapshotted || content.overlay === undefined) return;
    // in this order: a crash between the two must not leave a content that no name will be published for
    this.#names.renewEntry(inode);
    this.#core.ledger.snapshot(inode);
    this.#writeBack.noteSnapshot(inode);
  }

  async #settleWrites(inode: Inode): Promise<void> {
    while (inode.content?.blocked !== undefined) await inode.content.blocked;
  }

  // everything

  async drain(options: {
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: (status: VfsStatus) => void;
  }): Promise<void> {
    const { tree } = this.#core;
    const opened = [...tree.dirtyFiles].filter((inode) => inode.place !== undefined && inode.content!.writers > 0);
    for (const inode of opened) this.snapshotIfDirty(inode);
    await this.#core.ledger.sync();
    const isDone = () => {
      const files = [...tree.dirtyFiles].filter(isWaiting);
      if (tree.pending.size === 0 && files.length === 0) return true;
      const reason = this.#stuckReason(files);
      if (reason !== undefined) throw new TahoeError(reason, { kind: 'unrecoverable', op: 'vfs.drain' });
      return false;
    };
    await this.#writeBack.drain(isDone, () => options.onProgress?.(this.status()), options.signal);
  }

  /** Why nothing goes on any more, if all that is pending is in directories that need somebody's help. */
  #stuckReason(files: readonly Inode[]): string | undefined {
    let reason: string | undefined;
    for (const { problem } of this.#core.tree.pending) {
      if (problem === undefined) return undefined;
      reason = problem.reason;
    }
    return files.length === 0 ? reason : undefined;
  }

  async createUnlinkedDirectory(): Promise<string> {
    const { tree, platform, settings } = this.#core;
    const inode = tree.addInode(this.#namespace.inodes.newNumber(), 'directory');
    inode.mode = 0o755;
    inode.uid = settings.defaultUid;
    inode.gid = settings.defaultGid;
    const directory = tree.addDirectory(inode, undefined, platform.clock.monotonicMs());
    directory.isRoot = true;
    this.#namespace.isLoadDue(directory);
    this.#core.ledger.describeDirectory(directory);
    await this.#writeBack.waitFor(() => directory.isBorn, { directories: [directory] });
    tree.forgetDirectory(directory);
    return serializeCap(directory.cap!);
  }

  /** After replay: uploads and publishes go on; what no name leads to is dropped. */
  async resume(): Promise<void> {
    const { tree, platform } = this.#core;
    setAsideOpenFiles(this.#core, () => this.#namespace.inodes.newNumber());
    const files = tree.dirtyFiles.size;
    if (files + tree.pending.size > 0)
      platform.log.info('resuming what was pending', { files, directories: tree.pending.size });
    await this.#core.ledger.checkpoint();
    for (const inode of tree.dirtyFiles) this.#writeBack.noteSnapshot(inode);
    this.#writeBack.poke();
  }

  // where things are

  stateOf(inode: Inode): SyncState {
    let worst: SyncState = worse(this.#contentState(inode), this.#conflicts.stateOf(inode) ?? { state: 'grid' });
    // what a directory holds are its names
    if (inode.directory !== undefined && inode.directory.dirty.size > 0) worst = worse(worst, { state: 'uploading' });
    for (const { place, directory } of upwards(inode)) {
      if (directory?.problem !== undefined) worst = worse(worst, directory.problem);
      if (directory !== undefined && !directory.isBorn) worst = worse(worst, { state: 'local' });
      const dirty = place?.directory.dirty.get(place.name);
      if (dirty !== undefined)
        worst = worse(worst, { state: this.#contentState(inode).state === 'local' ? 'local' : 'uploading' });
    }
    return worst;
  }

  status(): VfsStatus {
    const { tree, ledger, platform } = this.#core;
    const nowMs = platform.clock.monotonicMs();
    const named = [...tree.dirtyFiles].filter(({ place }) => place !== undefined);
    const files = new Set<Inode>(named);
    let bytes = 0;
    let oldestMs = nowMs;
    let oldest: Inode | undefined;
    const waits = (inode: Inode, sinceMs: number) => {
      if (sinceMs >= oldestMs) return;
      oldestMs = sinceMs;
      oldest = inode;
    };
    for (const inode of named) {
      bytes += inode.content!.sizeBytes;
      waits(inode, inode.content!.dirtySinceMs ?? nowMs);
    }
    const problems = this.#conflicts.problems();
    for (const directory of tree.pending) {
      for (const { child, sinceMs } of directory.dirty.values()) {
        waits(child ?? directory.inode, sinceMs);
        if (child !== undefined && child.directory === undefined) files.add(child);
      }
      if (directory.problem !== undefined) problems.push({ path: pathOf(directory.inode), state: directory.problem });
    }
    for (const inode of named) {
      const reason = inode.content!.failure;
      if (reason !== undefined) problems.push({ path: pathOf(inode), state: { state: 'local', reason } });
    }
    const usage = ledger.log.usage();
    return {
      filesPending: files.size,
      bytesPending: bytes,
      directoriesPending: tree.pending.size,
      directoriesFromMemory: tree.fromMemory.size,
      oldestPendingSeconds: (nowMs - oldestMs) / 1000,
      oldestPending: oldest === undefined ? undefined : { path: pathOf(oldest), state: this.stateOf(oldest) },
      idleSeconds: (nowMs - this.#writeBack.lastMoveMs) / 1000,
      publishes: this.#writeBack.publishesDone,
      uploads: this.#writeBack.uploadsDone,
      journalBytes: usage.bytes,
      journalFreeBytes: usage.freeBytes,
      conflicts: tree.conflicts.size,
      conflictsFound: this.#core.counters.conflictsFound,
      uncoordinatedWriteErrors: this.#core.counters.uncoordinatedWriteErrors,
      problems,
    };
  }

  /** Room for plaintext: what the servers have, in the proportion of the encoding. */
  statistics(blockSizeBytes: number): FileSystemStatistics {
    const { sharesNeeded, sharesTotal } = this.#core.quorums;
    const known = this.#core.grid
      .servers()
      .flatMap(({ availableSpace }) => (availableSpace === undefined ? [] : [availableSpace]));
    // the fullest servers decide once fewer than all of a file's shares fit
    const sum = known.reduce((total, space) => total + space, 0);
    const freeBytes =
      known.length === 0 ? UNKNOWN_SPACE_BYTES : Math.min(UNKNOWN_SPACE_BYTES, (sum * sharesNeeded) / sharesTotal);
    const blocksFree = Math.floor(freeBytes / blockSizeBytes);
    return {
      blockSizeBytes,
      // what is taken is not known: the whole is what is free
      blocks: blocksFree,
      blocksFree,
      inodes: INODES,
      inodesFree: INODES - this.#core.tree.inodes.size,
      nameLengthMax: NAME_LENGTH_MAX,
    };
  }

  #contentState({ content }: Inode): SyncState {
    if (content?.overlay === undefined) return { state: 'grid' };
    const reason = content.failure;
    if (content.upload !== undefined) return { state: 'uploading' };
    return reason === undefined ? { state: 'local' } : { state: 'local', reason };
  }
}

/** Of a file that stays open only what was closed or synced is waited for. */
function isWaiting({ place, content }: Inode): boolean {
  if (place === undefined) return false;
  const { writers, uploaded, generation, snapshot } = content!;
  if (writers === 0) return true;
  return snapshot !== undefined && uploaded?.generation !== generation;
}

function isAt({ place }: Inode, directory: Directory, name: string): boolean {
  return place?.directory === directory && place.name === name;
}

/** It has another name of the directory since, as that of a conflict copy, and stands under none on the grid. */
function isElsewhere(directory: Directory, name: string, child: Inode | undefined): boolean {
  const { place } = child ?? {};
  if (place === undefined || isAt(child!, directory, name) || place.directory !== directory) return false;
  return directory.dirty.get(place.name)?.provenChange === 0;
}

function isStillDirty(directory: Directory, name: string, change: number): boolean {
  const dirty = directory.dirty.get(name);
  if (dirty === undefined) return false;
  // changed again since, but what it was then has been proven on the way
  return dirty.provenChange < change;
}

const order: readonly SyncState['state'][] = ['failed', 'conflict', 'local', 'uploading', 'grid'];

function worse(a: SyncState, b: SyncState): SyncState {
  return order.indexOf(b.state) < order.indexOf(a.state) ? b : a;
}
