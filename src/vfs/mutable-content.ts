/** Mutable files while they are open: one version, which stays what it was as far as it can be held here. */
import { isMutableFile, isWriteable, serializeCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { MutableFile } from '../grid/grid.js';
import type { VfsCore } from './core.js';
import { contentNumberOf, type Inode } from './inode.js';

/** Up to this size a version is fetched whole when it is opened, so that no writer can take it away. */
const WHOLE_BYTES = 16 * 1024 * 1024;

/** The version that stands now; undefined for an inode that is no mutable file. */
export async function openMutableFile(core: VfsCore, { other }: Inode): Promise<MutableFile | undefined> {
  if (other?.type !== 'known' || !isMutableFile(other.cap)) return undefined;
  return core.grid.openMutable(serializeCap(other.cap));
}

/**
 * Gives the inode the content that stands now, unless it has changes of its own. The caller keeps a handle on it
 * meanwhile. `bytes`: they will be read, not only replaced. Kinds `unsupported`, `permission` (to write with a
 * capability to read).
 */
export async function openMutableContent(
  core: VfsCore,
  inode: Inode,
  use: { readonly write: boolean; readonly bytes: boolean },
): Promise<void> {
  const { other } = inode;
  if (other?.type !== 'known' || !isMutableFile(other.cap)) {
    throw new TahoeError('a file of a kind that this version cannot read', { kind: 'unsupported', op: 'vfs.open' });
  }
  if (use.write && !isWriteable(other.cap)) {
    throw new TahoeError('the capability of the file does not allow writing', { kind: 'permission', op: 'vfs.open' });
  }
  if (inode.content?.overlay !== undefined) return;
  const base = await core.contents.newestVersion(other.cap);
  const isSmall = base.sizeBytes <= WHOLE_BYTES;
  const whole =
    use.bytes && isSmall ? await core.contents.readBase({ base, whole: undefined }, 0, base.sizeBytes) : undefined;
  const { content } = inode;
  if (content === undefined) {
    core.tree.addContent(inode, base).whole = whole;
    return;
  }
  // written, or opened and kept whole, meanwhile
  if (content.overlay !== undefined || content.base.type !== 'mutable') return;
  if (content.base.version === base.version) {
    content.whole ??= whole;
    return;
  }
  content.base = base;
  content.whole = whole;
  content.contentNumber = contentNumberOf(base);
  core.notify({ what: 'content', inode: inode.number });
}
