/** The mounts of a running node. */
import { realpath } from 'node:fs/promises';
import type { FuseMount } from '../../mount/fuse-mount.js';
import { mountFuseNative } from '../../mount/fuse-native-driver.js';
import { type FuseMountOptions, mountFuse } from '../../mount/mount.js';
import { describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Logger } from '../platform/logger.js';
import type { Attributes, InodeNumber, Vfs } from '../vfs/vfs.js';
import type { MountRequest, MountStatus } from '../web/node-control.js';
import { type Restrictions, restrictVfs } from './restricted-vfs.js';

interface Mounted {
  readonly root: InodeNumber;
  readonly mount: FuseMount;
  readonly status: MountStatus;
}

export class MountManager {
  /** Gives each mount its own view, so that it hears of changes made through the others. */
  readonly #view: () => Vfs;
  readonly #log: Logger;
  readonly #mounts = new Map<string, Mounted>();

  constructor(view: () => Vfs, log: Logger) {
    this.#view = view;
    this.#log = log;
  }

  list(): readonly MountStatus[] {
    return [...this.#mounts.values()].map(({ status }) => status);
  }

  async mount(request: MountRequest): Promise<MountStatus> {
    const { restrictions, fuse, driver } = parseMountOptions(request.options);
    const vfs = restrictVfs(this.#view(), restrictions);
    const root = await findDirectory(vfs, request);
    vfs.remember(root.inode);
    try {
      const mount = await drivers[driver](vfs, root.inode, request.mountpoint, { ...fuse, log: this.#log });
      const status = { mountpoint: mount.mountpoint, options: request.options };
      this.#mounts.set(mount.mountpoint, { root: root.inode, mount, status });
      void this.#untilClosed(vfs, root, mount);
      return status;
    } catch (error) {
      vfs.forget(root.inode, 1);
      throw error;
    }
  }

  /** See NodeControl. */
  locate(path: string): { readonly root: InodeNumber; readonly path: readonly string[] } {
    const above = [...this.#mounts].filter(([mountpoint]) => path === mountpoint || path.startsWith(`${mountpoint}/`));
    const [mountpoint, mounted] = above.sort(([a], [b]) => b.length - a.length)[0] ?? [];
    if (mountpoint === undefined || mounted === undefined) {
      throw new TahoeError(`${path} is not in a folder that this node has mounted`, {
        kind: 'not-found',
        op: 'mount.locate',
        subject: path,
      });
    }
    const names = path.slice(mountpoint.length).split('/');
    return { root: mounted.root, path: names.filter((name) => name !== '') };
  }

  /** Kinds `not-found`, `busy`. */
  async unmount(mountpoint: string): Promise<void> {
    const mounted = this.#mounts.get(mountpoint) ?? this.#mounts.get(await realPathOf(mountpoint));
    if (mounted === undefined) {
      throw new TahoeError(`this node has nothing mounted on ${mountpoint} (see: tahoe status)`, {
        kind: 'not-found',
        op: 'mount.unmount',
        subject: mountpoint,
      });
    }
    await mounted.mount.unmount();
  }

  /** For the end of the node: what programs still use is detached from them. */
  async close(): Promise<void> {
    for (const { mount } of [...this.#mounts.values()]) await mount.unmount({ force: true });
  }

  async #untilClosed(vfs: Vfs, root: Attributes, mount: FuseMount): Promise<void> {
    try {
      await mount.closed;
    } catch (error) {
      this.#log.warn('a mount ended', { mountpoint: mount.mountpoint, error: describeError(error) });
    } finally {
      this.#mounts.delete(mount.mountpoint);
      vfs.forget(root.inode, 1);
    }
  }
}

async function findDirectory(vfs: Vfs, { cap, path }: MountRequest): Promise<Attributes> {
  let found = await vfs.openRoot(cap);
  for (const name of path) found = await vfs.lookup(found.inode, name);
  if (found.kind === 'directory') return found;
  throw new TahoeError(`${path.join('/')} is not a directory: only directories can be mounted`, {
    kind: 'not-a-directory',
    op: 'mount',
  });
}

/** The path as the kernel names it; as given where that cannot be asked (the mount does not answer, or is gone). */
async function realPathOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (cause) {
    throw new TahoeError(`there is no mount point ${path}`, { kind: 'not-found', op: 'mount.unmount', cause });
  }
}

/** The kernel protocol spoken here; and libfuse 2 for systems where that cannot be done, with the limits that its file names. */
const drivers = { kernel: mountFuse, 'fuse-native': mountFuseNative } as const;

interface ParsedOptions {
  readonly restrictions: Restrictions;
  readonly fuse: Omit<FuseMountOptions, 'log'>;
  readonly driver: keyof typeof drivers;
}

/** Kind `invalid` for an option that means nothing here. */
export function parseMountOptions(options: readonly string[]): ParsedOptions {
  const known = new Set([
    'ro',
    'rw',
    'fsync=grid',
    'fsync=journal',
    'allow_other',
    'nonempty',
    'writeback',
    'driver=fuse-native',
  ]);
  const unknown = options.find((option) => !known.has(option));
  if (unknown !== undefined) {
    throw new TahoeError(`unknown mount option ${unknown}: this mount knows ${[...known].join(', ')}`, {
      kind: 'invalid',
      op: 'mount',
      subject: unknown,
    });
  }
  const has = (option: string) => options.includes(option);
  return {
    driver: has('driver=fuse-native') ? 'fuse-native' : 'kernel',
    restrictions: { readOnly: has('ro'), fsyncToJournal: has('fsync=journal') },
    fuse: {
      nonempty: has('nonempty'),
      readOnly: has('ro'),
      writeback: has('writeback'),
      ...(has('allow_other') ? { allowOther: true } : {}),
    },
  };
}
