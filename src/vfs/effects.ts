/**
 * What each record of the journal does to the tree: the same when a change is accepted (ledger.ts) and when it is read
 * again after a start (replay.ts). Nothing here writes records.
 */
import type { ChkReadCap, LitCap } from '../caps/cap.js';
import { bytesEqual, optionalBytesEqual } from '../encoding/bytes.js';
import { assert } from '../errors/tahoe-error.js';
import type { VersionKey } from '../mutable/lineage.js';
import { newSlot } from '../mutable/slot-keys.js';
import type { Clock } from '../platform/clock.js';
import {
  contentSize,
  type Directory,
  type Inode,
  type MutableVersion,
  type OpenAttempt,
  type SlotAttempt,
} from './inode.js';
import type { Log } from './journal/log.js';
import type { KeyPair } from './key-pool.js';
import { Overlay } from './overlay.js';
import type { StoredContent } from './receipts.js';
import type { Tree } from './tree.js';

/** Older ones are forgotten: if one of them stands somewhere after all it is merged like anybody else's. */
const ATTEMPTS_MAX = 16;

export class Effects {
  readonly log: Log;
  readonly tree: Tree;
  readonly #clock: Clock;

  constructor(log: Log, tree: Tree, clock: Clock) {
    this.log = log;
    this.tree = tree;
    this.#clock = clock;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Bytes of a file that has no name any more and no handle, or that are on the grid: nobody will ask for them. */
  dropContent(inode: Inode): void {
    const { content } = inode;
    if (content === undefined) return;
    content.snapshot?.release();
    content.overlay?.clear();
    content.kept?.clear();
    content.snapshot = undefined;
    content.overlay = undefined;
    content.kept = undefined;
    content.whole = undefined;
    this.tree.dirtyFiles.delete(inode);
  }

  startOverlay(inode: Inode): void {
    const content = inode.content!;
    content.overlay = new Overlay(this.log, content.sizeBytes);
    const isOnGrid = content.generation > 0 || inode.provenPlace !== undefined;
    content.generation = 0;
    // until the next snapshot the base is the newest content that may be published
    content.uploaded = isOnGrid ? { generation: 0, cap: content.base } : undefined;
    content.failure = undefined;
    content.dirtySinceMs = this.nowMs();
    this.tree.dirtyFiles.add(inode);
  }

  /** Where the journal has bytes of a mutable base, as far as it has them. */
  keptBase(inode: Inode): Overlay {
    const content = inode.content!;
    content.kept ??= new Overlay(this.log, contentSize(content.base));
    return content.kept;
  }

  noteUnsnapshotted(inode: Inode): void {
    inode.content!.hasUnsnapshotted = true;
    inode.content!.contentNumber++;
  }

  snapshot(inode: Inode, generation: number): void {
    const content = inode.content!;
    content.isNew = false;
    content.snapshot?.release();
    content.snapshot = content.overlay!.snapshot();
    content.generation = generation;
    content.hasUnsnapshotted = false;
    content.failure = undefined;
  }

  /** Returns true if nothing newer is waiting. */
  uploaded(inode: Inode, generation: number, cap: ChkReadCap | LitCap, stored?: StoredContent): boolean {
    const { content } = inode;
    if (content !== undefined && stored !== undefined) content.stored = { cap, content: stored };
    if (content?.overlay === undefined || generation > content.generation) return false;
    if (generation < content.generation || content.hasUnsnapshotted) {
      content.uploaded = { generation, cap };
      return false;
    }
    content.base = cap;
    content.uploaded = undefined;
    content.dirtySinceMs = undefined;
    this.dropContent(inode);
    return true;
  }

  slotAttempt(inode: Inode, attempt: SlotAttempt): void {
    const content = inode.content!;
    if (content.base.type !== 'mutable') return;
    content.base = { ...content.base, attempts: [...content.base.attempts, attempt] };
  }

  /** Returns true if nothing newer is waiting. */
  slotStands(inode: Inode, generation: number, stands: Pick<MutableVersion, 'version' | 'sizeBytes'>): boolean {
    const { content } = inode;
    if (content?.overlay === undefined || content.base.type !== 'mutable') return false;
    // where the overlay lets its base show through, this version has the same bytes
    content.base = { ...content.base, ...stands, attempts: [] };
    if (generation < content.generation || content.hasUnsnapshotted) {
      content.uploaded = { generation, cap: content.base };
      return false;
    }
    content.uploaded = undefined;
    content.dirtySinceMs = undefined;
    this.dropContent(inode);
    return true;
  }

  /** Of one that has a key already, and was never proven, what was sent under that is forgotten. */
  directoryKey(directory: Directory, pair: KeyPair): void {
    const slot = newSlot(pair.privateKeyDer, pair.publicKeyDer);
    directory.attempts.length = 0;
    for (const dirty of directory.dirty.values()) dirty.carried = [];
    directory.unreadable.clear();
    directory.history = undefined;
    this.tree.setDirectoryCap(directory, { type: 'directory', inner: slot.cap });
    directory.signing = slot.signing;
    directory.newKey = pair;
  }

  attempt(directory: Directory, open: OpenAttempt): void {
    const { attempts, dirty } = directory;
    const { version, key, base, lineage } = open.attempt;
    // an attempt that is made again has the same contents: they are kept once
    const same = attempts.find(({ attempt }) => bytesEqual(attempt.content, open.attempt.content));
    const content = same?.attempt.content ?? open.attempt.content;
    attempts.push({ attempt: { version, key, base, lineage, content }, names: open.names });
    if (attempts.length > ATTEMPTS_MAX) attempts.shift();
    for (const { name, change, entry, isSuperseded } of open.names) {
      const carried = isSuperseded ? undefined : dirty.get(name)?.carried;
      const isKnown = carried?.some((known) => known.change === change && optionalBytesEqual(known.entry, entry));
      if (isKnown === false) carried?.push({ change, entry });
    }
    this.tree.notePending(directory);
  }

  proven(directory: Directory, version: VersionKey): void {
    const open = directory.attempts.find(({ attempt }) => attempt.key === version);
    assert(open !== undefined, 'a proof of an attempt that was recorded');
    directory.attempts.length = 0;
    directory.proven = open.attempt.version;
    directory.newKey = undefined;
    this.tree.applyProven(directory, open.names);
  }
}
