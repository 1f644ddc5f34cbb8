/**
 * A process of its own that mounts a MemoryVfs, so that tests may use the mount in any way without waiting for
 * themselves. Started by `startMount` with the options as JSON; answers commands over the process channel.
 */

import { mountFuseNative } from '../../mount/fuse-native-driver.js';
import { mountFuse } from '../../mount/mount.js';
import { isTahoeError, TahoeError } from '../../src/errors/tahoe-error.js';
import { type Logger, silentLogger } from '../../src/platform/logger.js';
import type { InodeNumber } from '../../src/vfs/vfs.js';
import { MemoryVfs } from './memory-vfs.js';
import type { MountCommand, MountServerOptions } from './mount-fixture.js';

const options = JSON.parse(process.argv[2] ?? '{}') as MountServerOptions;
const problems: string[] = [];
const held = new Set<() => void>();
let holding = '';
let breaking = '';

const vfs = new MemoryVfs({
  onOperation: (operation, signal) => {
    if (operation === breaking) throw new RangeError('broken by the test');
    return operation === holding ? hold(operation, signal) : undefined;
  },
});
const other = vfs.view();
const root = (await vfs.openRoot('root')).inode;
await vfs.setAttributes(root, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
const log: Logger = { ...silentLogger, warn: note, error: note };
const mount = await (options.driver === 'fuse-native' ? mountFuseNative : mountFuse)(vfs.view(), root, options.path, {
  log,
  ...options.mount,
}).catch((error: unknown) => {
  process.send?.({ refused: isTahoeError(error) ? error.kind : 'other', message: String(error) });
  process.exit(1);
});

process.on('message', (command: MountCommand) => {
  run(command).then(
    (value) => process.send?.({ id: command.id, value }),
    (error: unknown) => process.send?.({ id: command.id, error: isTahoeError(error) ? error.kind : String(error) }),
  );
});
process.on('disconnect', () => process.exit(1));
process.send?.({ ready: true });

async function run(command: MountCommand): Promise<unknown> {
  switch (command.what) {
    case 'unmount':
      await mount.unmount({ force: command.force ?? false });
      await mount.closed;
      return { remembered: vfs.rememberedCount(), openHandles: vfs.openHandleCount(), problems };
    case 'hold':
      holding = command.operation;
      if (holding === '') for (const release of held) release();
      return undefined;
    case 'break':
      breaking = command.operation;
      return problems;
    case 'write-elsewhere':
      return writeElsewhere(command.name, command.text);
    case 'unlink-elsewhere':
      return other.unlink(root, command.name);
    case 'state':
      return vfs.state((await other.lookup(root, command.name)).inode);
  }
}

async function writeElsewhere(name: string, text: string): Promise<void> {
  const node = { mode: 0o644, uid: 0, gid: 0 };
  const { handle } = await other.create(root as InodeNumber, name, node, { read: false, write: true, truncate: true });
  await handle.write(0, new TextEncoder().encode(text));
  await handle.release();
}

function hold(operation: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    held.add(resolve);
    signal?.addEventListener('abort', () => reject(new TahoeError('stopped', { kind: 'cancelled', op: operation })));
  });
}

function note(message: string, fields?: unknown): void {
  problems.push(`${message} ${JSON.stringify(fields)}`);
}
