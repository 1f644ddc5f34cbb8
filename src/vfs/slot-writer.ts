/**
 * Write-back of mutable files: the content goes into the slot that the file has. Contents are never merged: if another
 * writer has changed the file, theirs stays and ours becomes an immutable file beside it (vfs blueprint 10).
 */
import { toHex } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { UploadSource } from '../immutable/immutable.js';
import { changeSlot, type ExpectedVersion, type NewVersion } from '../mutable/change-slot.js';
import { slotKeysOf } from '../mutable/slot-keys.js';
import type { VfsCore } from './core.js';
import { inodeSide } from './delta-merge.js';
import type { Inode, MutableVersion } from './inode.js';
import { newConflict } from './new-conflict.js';
import type { OverlayView } from './overlay.js';
import { sharePlacement } from './receipts.js';

export interface SlotWrite {
  readonly base: MutableVersion;
  readonly generation: number;
  readonly snapshot: OverlayView;
  /** Reads the snapshot. */
  readonly source: UploadSource;
  readonly signal: AbortSignal;
}

/**
 * Publishes a snapshot and returns true if nothing newer is waiting. False also after another writer's change: then the
 * content is that of a copy, to be uploaded like any file. Kinds as changeSlot.
 */
export async function writeSlot(core: VfsCore, inode: Inode, write: SlotWrite): Promise<boolean> {
  const { base, generation, source, signal } = write;
  const { slots, quorums, sharesHappy, ledger, tree, receipts, platform } = core;
  const expected: ExpectedVersion = {
    version: base.version,
    attempts: base.attempts.map((each) => ({ ...each, hasChange: each.generation === generation })),
    onAttempt: async (attempt) => {
      // its bytes are in the journal since it was closed
      if (!tree.dirtyFiles.has(inode))
        throw new TahoeError('not needed any more', { kind: 'cancelled', op: 'vfs.upload' });
      ledger.slotAttempt(inode, { ...attempt, generation });
      await ledger.sync();
    },
  };
  const change = { kind: 'version', ...changedRange(write.snapshot), ...readerOf(source) } as const;
  try {
    const options = { quorums, sharesHappy, expected, signal };
    const keys = slotKeysOf(base.cap);
    const { version, shares } = await changeSlot(slots, keys, change, options);
    if (shares !== undefined) {
      const proof = { version, shares: sharePlacement(shares), provenMs: platform.clock.wallMs() };
      await receipts.provedFile(toHex(keys.storageIndex), proof);
    }
    const isNewest = ledger.slotStands(inode, generation, version, source.sizeBytes);
    tree.closeIfUnused(inode);
    return isNewest;
  } catch (error) {
    if (!isTahoeError(error, 'uncoordinated-write')) throw error;
    if (inode.place !== undefined && tree.dirtyFiles.has(inode)) leaveSlot(core, inode, inode.place);
    return false;
  }
}

/** Everything outside of it is as in the base. */
function changedRange(snapshot: OverlayView): Pick<NewVersion, 'sizeBytes' | 'offset' | 'length'> {
  const { sizeBytes, baseBytes } = snapshot;
  let start = Math.min(baseBytes, sizeBytes);
  let end = baseBytes < sizeBytes ? sizeBytes : 0;
  for (const extent of snapshot.extents()) {
    start = Math.min(start, extent.start);
    end = Math.max(end, extent.end);
  }
  return { sizeBytes, offset: start, length: Math.max(0, end - start) };
}

function readerOf(source: UploadSource): Pick<NewVersion, 'read'> {
  return {
    read: async (offset, length) => {
      const target = new Uint8Array(length);
      await source.read(offset, target);
      return target;
    },
  };
}

/** The name stays with the mutable file. Ours goes beside it, and with it the inode and its handles. */
function leaveSlot(core: VfsCore, inode: Inode, { directory, name }: Inode['place'] & object): void {
  const { ledger, platform, notify } = core;
  const conflict = newConflict(core, {
    kind: 'changed',
    directory,
    name,
    ours: inodeSide(inode),
    theirs: undefined,
    isOfMutable: true,
    isReported: false,
  });
  ledger.conflict(conflict);
  for (const each of [name, conflict.copyName]) notify({ what: 'entry', parent: directory.inode.number, name: each });
  platform.log.error('UncoordinatedWriteError: another writer has changed a mutable file; ours is beside it', {
    directory: directory.inode.number,
    conflict: conflict.id,
  });
}
