/**
 * The second driver, for systems where the first cannot run: the npm package fuse-native over libfuse 2.
 *
 * What it cannot do, all of it for reasons in the library: it works on paths, each looked up from the root; names that
 * are not UTF-8 arrive damaged; times have milliseconds, and the modification time set by a program is replaced by its
 * access time (rsync copies everything again); new files belong to the user of this process, whoever made them; lookups
 * in one directory wait for each other; an unlinked open file shows as `.fuse_hidden...`; no exchange of names, no
 * holes, no invalidation: others' changes show after the timeouts; block counts of df end at 2^32; unmounting always
 * detaches, even when busy; an unmount by somebody else is not noticed.
 */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';
import { deferred } from './deferred.js';
import type { FuseMount } from './fuse-mount.js';
import { type FuseNative, loadFuseNative } from './fuse-native-library.js';
import { fuseNativeOperations } from './fuse-native-operations.js';
import type { FuseMountOptions } from './mount.js';
import { checkMountpoint } from './mountpoint.js';

/** Larger reads than the kernel's 4 KiB pages, and writes up to 128 KiB. */
const fixedOptions = ['big_writes', 'max_read=131072', 'default_permissions', 'subtype=tahoe'];

/**
 * As `mountFuse`, of whose options it takes timeouts, `nonempty`, `readOnly`, `allowOther` and `fileSystemName`.
 * Kinds: those of the mount point, `unsupported` when the library is missing, `permission` when mounting is refused.
 */
export async function mountFuseNative(
  vfs: Vfs,
  root: InodeNumber,
  mountpoint: string,
  options: FuseMountOptions,
): Promise<FuseMount> {
  const Fuse = loadFuseNative();
  const path = await checkMountpoint(mountpoint, { nonempty: options.nonempty ?? false });
  // the library hands the path to a shell between double quotes
  if (/["$`\\!]/.test(path)) throw failure('invalid', `${path} has characters that this driver cannot take`);
  const owner = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 };
  const { operations, releaseAll } = fuseNativeOperations(vfs, root, owner, options.log);
  const fuse = new Fuse(path, operations, { timeout: false });
  fuse._fuseOptions = () => `-o${optionsOf(options, owner.uid === 0).join(',')}`;
  vfs.remember(root);
  await mount(fuse, path);
  const closed = deferred<void>();
  return {
    mountpoint: path,
    closed: closed.promise,
    unmount: async () => {
      await close(fuse, path);
      await releaseAll();
      vfs.forget(root, 1);
      closed.resolve();
    },
  };
}

function optionsOf(options: FuseMountOptions, isRoot: boolean): string[] {
  const name = (options.fileSystemName ?? 'tahoe').replace(/[^\w.:@+-]/g, '_');
  const entrySeconds = Math.min((options.entryTimeoutMs ?? 1000) / 1000, 5);
  const attributeSeconds = Math.min((options.attributeTimeoutMs ?? 1000) / 1000, 5);
  const result = [
    ...fixedOptions,
    `fsname=${name}`,
    `entry_timeout=${entrySeconds}`,
    `attr_timeout=${attributeSeconds}`,
  ];
  if (options.allowOther ?? isRoot) result.push('allow_other');
  if (options.nonempty) result.push('nonempty');
  if (options.readOnly) result.push('ro');
  return result;
}

function mount(fuse: FuseNative, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fuse.mount((error) => (error ? reject(failure('permission', `mounting on ${path} failed`, error)) : resolve()));
  });
}

function close(fuse: FuseNative, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fuse.close((error) => (error ? reject(failure('busy', `${path} cannot be unmounted`, error)) : resolve()));
  });
}

function failure(kind: 'invalid' | 'permission' | 'busy', message: string, cause?: unknown): TahoeError {
  return new TahoeError(message, { kind, op: 'mount.fuseNative', cause });
}
