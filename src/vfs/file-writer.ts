/** Writes into the journal in the order in which they are made, slowed down by the disk and not by the grid. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Inode } from './inode.js';

/** Offsets beyond this do not fit a share. */
const FILE_BYTES_MAX = 2 ** 53 - 1;
/** A mutable file may have to be written whole, out of memory. */
const MUTABLE_BYTES_MAX = 2 ** 30;
/** Up to this size the base of a mutable file is kept in the journal while it is being changed. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/** Writes all of `data` at `offset`, or at the end of the file if that is undefined. */
export async function writeFile(
  core: VfsCore,
  inode: Inode,
  offset: number | undefined,
  data: Uint8Array,
): Promise<void> {
  // there is no record of nothing, and it does not extend the file
  if (data.length === 0) return;
  const content = inode.content!;
  await readyToChange(core, inode);
  const start = offset ?? content.sizeBytes;
  if (start + data.length > (inode.other === undefined ? FILE_BYTES_MAX : MUTABLE_BYTES_MAX)) throw tooLarge();
  const ready = core.ledger.log.whenReady();
  const done = ready === undefined ? core.ledger.write(inode, start, data) : 0;
  if (done === data.length) return;
  await blocking(inode, writeRest(core, inode, start + done, data.subarray(done)));
}

/** Earlier writes are in the journal, and what a change leaves of the base of a small mutable file is too. */
export async function readyToChange(core: VfsCore, inode: Inode, newSizeBytes?: number): Promise<void> {
  const content = inode.content!;
  while (content.blocked !== undefined) await content.blocked;
  if (newSizeBytes !== undefined && inode.other !== undefined && newSizeBytes > MUTABLE_BYTES_MAX) throw tooLarge();
  // nothing of it is left
  if (newSizeBytes === 0) return;
  const isToKeep = inode.other !== undefined && content.base.type === 'mutable' && content.overlay === undefined;
  const { sizeBytes } = content;
  if (isToKeep && sizeBytes > 0 && sizeBytes <= KEPT_BYTES_MAX) await blocking(inode, keepBase(core, inode, sizeBytes));
}

async function keepBase(core: VfsCore, inode: Inode, sizeBytes: number): Promise<void> {
  const { ledger, contents } = core;
  const bytes = await contents.readBase(inode.content!, 0, sizeBytes);
  try {
    for (let done = 0; done < bytes.length; ) {
      await ledger.log.whenReady();
      done += ledger.keepBase(inode, done, bytes.subarray(done));
    }
  } catch (error) {
    ledger.dropIfUntouched(inode);
    throw error;
  }
}

/** Other writes come after this. */
async function blocking({ content }: Inode, work: Promise<void>): Promise<void> {
  content!.blocked = work.then(
    () => undefined,
    () => undefined,
  );
  try {
    await work;
  } finally {
    content!.blocked = undefined;
  }
}

async function writeRest(core: VfsCore, inode: Inode, offset: number, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length; ) {
    await core.ledger.log.whenReady();
    done += core.ledger.write(inode, offset + done, data.subarray(done));
  }
}

function tooLarge(): TahoeError {
  return new TahoeError('the file would be too large', { kind: 'too-large', op: 'vfs.write' });
}
