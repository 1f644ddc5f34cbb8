/** The two ways to a mounted connection: mount(8) for root, fusermount3 for everybody else. */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import { deferred } from './deferred.js';
import { type DeviceReader, openDevice } from './device.js';
import type { FuseDevice } from './fuse-device.js';
import { PumpDevice } from './pump-device.js';
import { type CommandResult, runCommand } from './run-command.js';

export interface Connection {
  readonly device: FuseDevice;
  unmount(options: { readonly force: boolean }): Promise<CommandResult>;
  /** Starts the unmounting without waiting for it, when this process ends. */
  unmountAtExit(): void;
}

export interface ConnectOptions {
  readonly fileSystemName: string;
  readonly allowOther: boolean;
  readonly readOnly: boolean;
  readonly reader: DeviceReader | undefined;
  readonly log: Logger;
}

export async function connectAsRoot(mountpoint: string, options: ConnectOptions): Promise<Connection> {
  const fd = openFuseDevice();
  const names = ['fd=3', 'rootmode=40000', 'user_id=0', 'group_id=0', 'default_permissions', 'nosuid', 'nodev'];
  if (options.allowOther) names.push('allow_other');
  if (options.readOnly) names.push('ro');
  const args = ['-i', '-t', 'fuse.tahoe', '-o', names.join(','), '--', options.fileSystemName, mountpoint];
  const result = await runCommand('mount', args, fd);
  if (result.status !== 0) {
    fs.closeSync(fd);
    throw mountFailure(mountpoint, result.message);
  }
  return {
    device: openDevice(fd, options.log, options.reader),
    unmount: ({ force }) => runCommand('umount', force ? ['-f', '-l', '--', mountpoint] : ['--', mountpoint]),
    unmountAtExit: () => startDetached('umount', ['-l', '--', mountpoint]),
  };
}

/** Resolves at the first message of the kernel, which shows that the mount stands. */
export async function connectThroughFusermount(mountpoint: string, options: ConnectOptions): Promise<Connection> {
  const access = options.readOnly ? 'ro' : 'rw';
  const names = [access, 'nosuid', 'nodev', 'default_permissions', 'subtype=tahoe', `fsname=${options.fileSystemName}`];
  if (options.allowOther) names.push('allow_other');
  const helper = fileURLToPath(new URL('../../mount/receive-fd.pl', import.meta.url));
  const pump = fileURLToPath(new URL('./pump.js', import.meta.url));
  const child = spawn('perl', [helper, names.join(','), mountpoint, process.execPath, pump, mountpoint], {
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    cwd: '/',
  });
  const link = child.stdio[3] as Duplex;
  const errors: Uint8Array[] = [];
  child.stderr?.on('data', (chunk: Uint8Array) => errors.push(chunk));
  const ready = deferred<void>();
  child.on('error', (error) => ready.reject(mountFailure(mountpoint, error.message, error)));
  child.on('close', () => ready.reject(mountFailure(mountpoint, Buffer.concat(errors).toString().trim())));
  link.once('readable', () => ready.resolve());
  const device = new PumpDevice(link);
  await ready.promise;
  return {
    device,
    unmount: async ({ force }) => {
      const result = await runCommand('fusermount3', force ? ['-u', '-z', '--', mountpoint] : ['-u', '--', mountpoint]);
      if (force) link.destroy();
      return result;
    },
    unmountAtExit: () => link.destroy(), // the pump unmounts when the link is gone
  };
}

function openFuseDevice(): number {
  try {
    return fs.openSync('/dev/fuse', 'r+');
  } catch (error) {
    throw new TahoeError('/dev/fuse cannot be opened', { kind: 'unsupported', op: 'mount', cause: error });
  }
}

/** Outlives this process: what it waits for may be this process. */
function startDetached(command: string, args: readonly string[]): void {
  spawn(command, args, { stdio: 'ignore', detached: true }).unref();
}

function mountFailure(mountpoint: string, message: string, cause?: unknown): TahoeError {
  const why = message === '' ? 'the helper ended without a reason' : message;
  return new TahoeError(`mounting on ${mountpoint} failed: ${why}`, {
    kind: 'permission',
    op: 'mount',
    subject: mountpoint,
    cause,
  });
}
