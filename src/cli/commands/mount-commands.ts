import { resolve as resolvePath } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { NodeStatus } from '../../web/node-control.js';
import { action } from '../action.js';
import { DEFAULT_ALIAS } from '../aliases.js';
import { type CliContext, usageError, withNode } from '../cli-context.js';
import { EXIT_LEFT_BEHIND, EXIT_OK } from '../exit-codes.js';
import { describePending, waitForGrid } from '../sync.js';

export function addMountCommands(program: Command): void {
  program
    .command('mount <args...>')
    .usage('[CAP | ALIAS: | ALIAS:path] MOUNTPOINT [-o options]')
    .description('show a directory of the grid as a folder of this computer (default: the alias tahoe:)')
    .option('-o <options>', 'mount options, separated by commas: ro, fsync=journal, allow_other, ...', collect, [])
    .option('--driver <name>', 'how the kernel is spoken to: kernel (default), or fuse-native (libfuse 2, slower)')
    .action(action(mount));
  program
    .command('unmount <mountpoint>')
    .alias('umount')
    .description('take a folder away and wait until everything written is on the grid')
    .option('--timeout <seconds>', 'stop waiting after this long', seconds)
    .option('--now', 'do not wait: what is not on the grid stays in the journal')
    .action(action(unmount));
  program
    .command('stop')
    .description('take all folders away, wait until everything written is on the grid, and end the node')
    .option('--timeout <seconds>', 'stop waiting after this long', seconds)
    .option('--now', 'do not wait: what is not on the grid stays in the journal')
    .action(action(stop));
}

interface WaitOptions {
  readonly timeout?: number;
  readonly now?: boolean;
}

interface MountOptions {
  readonly o: readonly string[];
  readonly driver?: string;
}

async function mount(context: CliContext, args: readonly string[], { o, driver = 'kernel' }: MountOptions) {
  if (args.length > 2) throw usageError('mount takes what to mount (or nothing) and one mount point');
  return withNode(context, async (session) => {
    const { cap, path } = session.resolve(args.length === 2 ? args[0]! : `${DEFAULT_ALIAS}:`);
    const mountpoint = resolvePath(args.at(-1)!);
    const chosen = driver === 'kernel' ? [] : [`driver=${driver}`];
    const body = JSON.stringify({ cap, path, mountpoint, options: [...o, ...chosen] });
    await session.node.json('POST', 'private/mounts', { authorized: true, body });
    session.terminal.note(`mounted on ${mountpoint}. Take it away with: tahoe unmount ${mountpoint}`);
    return EXIT_OK;
  });
}

async function unmount(context: CliContext, mountpoint: string, options: WaitOptions) {
  return withNode(context, async (session) => {
    const query = new URLSearchParams({ mountpoint: resolvePath(mountpoint) });
    // First, so that nothing new is written while the rest goes to the grid.
    await session.node.text('DELETE', `private/mounts?${query}`, { authorized: true });
    const { left, reason } = await waitForGrid(session, options);
    if (reason === undefined) return EXIT_OK;
    session.terminal.note(
      `unmounted, but ${describePending(left)} are on this computer only: ${reason}. ` +
        'The node keeps them and goes on by itself; see: tahoe status, tahoe sync',
    );
    return EXIT_LEFT_BEHIND;
  });
}

/** The node ends in any case; what has not arrived stays in its journal. */
async function stop(context: CliContext, options: WaitOptions) {
  return withNode(context, async (session) => {
    const { node, terminal } = session;
    const status = (await node.json('GET', 'private/status', { authorized: true })) as NodeStatus;
    for (const { mountpoint } of status.mounts) {
      await node.text('DELETE', `private/mounts?${new URLSearchParams({ mountpoint })}`, { authorized: true });
    }
    const { left, reason } = await waitForGrid(session, options);
    await node.text('POST', 'private/stop', { authorized: true });
    await untilEnded(status.pid);
    if (reason === undefined) return EXIT_OK;
    terminal.note(
      `stopped, but ${describePending(left)} are on this computer only: ${reason}. ` +
        'The journal keeps them, and they go on at the next start',
    );
    return EXIT_LEFT_BEHIND;
  });
}

/** A node runs on the computer whose directory it was found in. */
async function untilEnded(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      // the one thing that signal 0 reports: there is no such process any more
      return;
    }
    await sleep(50);
  }
}

function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, ...value.split(',').filter((option) => option !== '')];
}

/** A number of seconds on the command line. Kind `invalid`. */
export function seconds(value: string): number {
  const number = Number(value);
  if (!(number >= 0)) throw usageError(`not a number of seconds: ${value}`);
  return number;
}
