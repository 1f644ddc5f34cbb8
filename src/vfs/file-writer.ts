/** Writes into the journal in the order in which they are made, slowed down by the disk and not by the grid. */
import { TahoeError } from '../errors/tahoe-error.js';
import type { VfsCore } from './core.js';
import type { Inode } from './inode.js';
import { timestampFromMs } from './timestamps.js';

/** Offsets beyond this do not fit a share. */
const FILE_BYTES_MAX = 2 ** 53 - 1;

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
  while (content.blocked !== undefined) await content.blocked;
  const start = offset ?? content.sizeBytes;
  if (start + data.length > FILE_BYTES_MAX)
    throw new TahoeError('the file would be too large', { kind: 'too-large', op: 'vfs.write' });
  const ready = core.ledger.log.whenReady();
  const done = ready === undefined ? core.ledger.write(inode, start, data) : 0;
  touch(core, inode);
  if (done === data.length) return;
  const rest = writeRest(core, inode, start + done, data.subarray(done));
  content.blocked = rest.then(
    () => undefined,
    () => undefined,
  );
  try {
    await rest;
  } finally {
    content.blocked = undefined;
  }
}

async function writeRest(core: VfsCore, inode: Inode, offset: number, data: Uint8Array): Promise<void> {
  for (let done = 0; done < data.length; ) {
    await core.ledger.log.whenReady();
    done += core.ledger.write(inode, offset + done, data.subarray(done));
  }
  touch(core, inode);
}

function touch(core: VfsCore, inode: Inode): void {
  inode.modified = timestampFromMs(core.platform.clock.wallMs());
  inode.changed = inode.modified;
}
