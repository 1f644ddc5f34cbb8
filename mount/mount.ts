import fs from 'node:fs/promises';
import { describeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';
import { type Connection, connectAsRoot, connectThroughFusermount } from './connect.js';
import type { DeviceReader } from './device.js';
import type { FuseMount } from './fuse-mount.js';
import { mountedAt } from './mount-table.js';
import { checkMountpoint } from './mountpoint.js';
import { MountOperations } from './operations.js';

export interface FuseMountOptions {
  readonly log: Logger;
  /** How long the kernel may use names and attributes without asking; default 1000, at most 5000. */
  readonly entryTimeoutMs?: number;
  readonly attributeTimeoutMs?: number;
  /** The kernel answers writes before this program has seen them: faster, and only close and fsync protect. */
  readonly writeback?: boolean;
  /** Mount over a directory that is not empty. */
  readonly nonempty?: boolean;
  /** The kernel itself refuses writes. */
  readonly readOnly?: boolean;
  /** Other users may use the mount, as far as modes allow; default for root. */
  readonly allowOther?: boolean;
  /** What df shows in its first column; default `tahoe`. */
  readonly fileSystemName?: string;
  /** How the kernel's requests are read; chosen by itself when absent. Root only. */
  readonly reader?: DeviceReader;
}

/** Directory contents count as fresh for this long. */
const timeoutMaxMs = 5000;
const readAheadKib = 1024;

/**
 * Mounts a directory of a Vfs through the Linux kernel: by mount(8) as root, else through fusermount3. The Vfs must be
 * this frontend's own view of the files, so that `watch` reports only what others change.
 *
 * Nothing in this process may touch the mount synchronously: it would wait for itself.
 *
 * Kinds: those of the mount point (`not-found`, `not-a-directory`, `not-empty`, `busy`), `permission` when mounting is
 * refused, `unsupported` without FUSE or with a kernel before 4.20.
 */
export async function mountFuse(
  vfs: Vfs,
  root: InodeNumber,
  mountpoint: string,
  options: FuseMountOptions,
): Promise<FuseMount> {
  const isRoot = process.geteuid?.() === 0;
  const path = await checkMountpoint(mountpoint, { nonempty: options.nonempty ?? false });
  const connect = isRoot ? connectAsRoot : connectThroughFusermount;
  const connection = await connect(path, {
    fileSystemName: (options.fileSystemName ?? 'tahoe').replace(/[^\w.:@+-]/g, '_'),
    allowOther: options.allowOther ?? isRoot,
    readOnly: options.readOnly ?? false,
    reader: options.reader,
    log: options.log,
  });
  return serve(vfs, root, path, connection, options, isRoot);
}

async function serve(
  vfs: Vfs,
  root: InodeNumber,
  path: string,
  connection: Connection,
  options: FuseMountOptions,
  isRoot: boolean,
): Promise<FuseMount> {
  const { device } = connection;
  const operations = new MountOperations(vfs, root, device, {
    timeouts: {
      entryMs: Math.min(options.entryTimeoutMs ?? 1000, timeoutMaxMs),
      attributesMs: Math.min(options.attributeTimeoutMs ?? 1000, timeoutMaxMs),
    },
    writeback: options.writeback ?? false,
    log: options.log,
  });
  const atExit = () => connection.unmountAtExit();
  process.once('exit', atExit);
  const closed = device.closed.finally(async () => {
    process.removeListener('exit', atExit);
    await operations.shutdown();
  });
  closed.catch((error: unknown) =>
    options.log.error('a mount broke', { mountpoint: path, error: describeError(error) }),
  );
  try {
    device.start((message) => operations.handle(message));
    const version = await operations.initialized;
    options.log.info('mounted', { mountpoint: path, kernelProtocol: `${version.major}.${version.minor}` });
  } catch (error) {
    await connection.unmount({ force: true });
    throw error;
  }
  if (isRoot) await setReadAhead(path, options.log);
  return { mountpoint: path, closed, unmount: ({ force = false } = {}) => unmount(path, connection, closed, force) };
}

async function unmount(path: string, connection: Connection, closed: Promise<void>, force: boolean): Promise<void> {
  const result = await connection.unmount({ force });
  if (result.status !== 0 && (await mountedAt(path))?.type === 'fuse.tahoe') {
    throw new TahoeError(`${path} cannot be unmounted, a program is using it: ${result.message}`, {
      kind: 'busy',
      op: 'mount.unmount',
      subject: path,
    });
  }
  await closed;
}

/** The kernel reads ahead 128 KiB unless told otherwise; larger requests are answered at a better rate. */
async function setReadAhead(path: string, log: Logger): Promise<void> {
  const mounted = await mountedAt(path);
  if (mounted === undefined) return;
  try {
    await fs.writeFile(`/sys/class/bdi/${mounted.device}/read_ahead_kb`, `${readAheadKib}\n`);
  } catch (error) {
    log.info('the read-ahead of the mount could not be set', { mountpoint: path, error: describeError(error) });
  }
}
