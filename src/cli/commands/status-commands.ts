import type { Command } from 'commander';
import type { NodeStatus, PathState } from '../../web/node-control.js';
import { action } from '../action.js';
import { type CliContext, withNode } from '../cli-context.js';
import { EXIT_LEFT_BEHIND, EXIT_OK } from '../exit-codes.js';
import { objectQuery } from '../named-object.js';
import { formatBytes } from '../progress.js';
import { describePending, waitForGrid } from '../sync.js';
import type { Terminal } from '../terminal.js';
import { printable } from './list-command.js';
import { seconds } from './mount-commands.js';

export function addStatusCommands(program: Command): void {
  program
    .command('status [path]')
    .description('what is on this computer only, mounts, servers, SFTP; or where one path is')
    .option('--json', 'as JSON')
    .action(action(showStatus));
  program
    .command('sync')
    .description('wait until everything written is on the grid')
    .option('--timeout <seconds>', 'stop waiting after this long', seconds)
    .option('--json', 'print what is left, as JSON')
    .action(action(sync));
}

async function showStatus(context: CliContext, path: string | undefined, options: { readonly json?: boolean }) {
  return path === undefined ? showNode(context, options) : showPath(context, path, options);
}

/** `grid`, `local`, `uploading`, `conflict (...)` or `failed (...)`, as `user.tahoe.state` has it. */
async function showPath(context: CliContext, text: string, options: { readonly json?: boolean }) {
  return withNode(context, async (session) => {
    const query = await objectQuery(session, text);
    const answer = (await session.node.json('GET', `private/state?${query}`, { authorized: true })) as PathState;
    session.terminal.print(
      options.json === true ? JSON.stringify(answer, null, 1) : `${answer.state}${reasonOf(answer.reason)}`,
    );
    return EXIT_OK;
  });
}

async function showNode(context: CliContext, options: { readonly json?: boolean }) {
  return withNode(context, async ({ node, terminal }) => {
    const status = await node.json('GET', 'private/status', { authorized: true });
    if (options.json === true) terminal.print(JSON.stringify(status, null, 1));
    else for (const line of describeStatus(status as NodeStatus)) terminal.print(line);
    return EXIT_OK;
  });
}

async function sync(context: CliContext, options: { readonly json?: boolean; readonly timeout?: number }) {
  return withNode(context, async (session) => {
    const { left, reason } = await waitForGrid(session, options);
    if (options.json === true) session.terminal.print(JSON.stringify({ done: reason === undefined, reason, left }));
    if (reason === undefined) {
      session.terminal.note('everything is on the grid');
      return EXIT_OK;
    }
    session.terminal.note(`${describePending(left)} are on this computer only: ${reason}`);
    noteProblems(session.terminal, left.problems);
    return EXIT_LEFT_BEHIND;
  });
}

function noteProblems(terminal: Terminal, problems: NodeStatus['pending']['problems']): void {
  for (const { path, state } of problems)
    terminal.note(`  ${state.state}: ${printable(path)}${reasonOf(state.reason)}`);
}

function describeStatus(status: NodeStatus): string[] {
  const { pending, servers, encoding, alarm } = status;
  const connected = servers.filter((server) => server.state === 'connected').length;
  const waiting = pending.filesPending + pending.directoriesPending > 0;
  return [
    `node ${status.nickname} (process ${status.pid}) in ${status.directory}`,
    waiting
      ? `on this computer only: ${describePending(pending)}, the oldest for ${Math.round(pending.oldestPendingSeconds)} s`
      : 'everything written is on the grid',
    ...status.notices.map((notice) => `NOTICE: ${notice}`),
    ...(pending.directoriesFromMemory === 0 ? [] : [describeMemory(pending.directoriesFromMemory)]),
    ...(alarm === undefined ? [] : [`ALARM: ${alarm}`]),
    ...(pending.conflicts === 0 ? [] : [`conflicts: ${pending.conflicts} (see: tahoe conflicts)`]),
    ...pending.problems.map(({ path, state }) => `  ${state.state}: ${printable(path)}${reasonOf(state.reason)}`),
    `journal: ${formatBytes(pending.journalBytes)} used, ${formatBytes(pending.journalFreeBytes)} free`,
    ...status.mounts.map(({ mountpoint, options }) => `mounted: ${mountpoint} ${options.join(',')}`.trimEnd()),
    `servers: ${connected} of ${servers.length} connected (${encoding.sharesNeeded} of ${encoding.sharesTotal} shares rebuild a file, ` +
      `a write needs ${encoding.sharesHappy} servers)`,
    ...status.introducers.map(describeIntroducer),
    ...servers
      .filter(({ state }) => state !== 'connected')
      .map((server) => `  ${server.nickname}: ${server.reason ?? server.state}`),
    ...(status.sftp === undefined
      ? []
      : [
          `sftp: ${status.sftp.address}, host key ${status.sftp.hostKeyFingerprint}`,
          `  ${status.sftp.sshfs} MOUNTPOINT`,
        ]),
  ];
}

function describeMemory(count: number): string {
  const what = count === 1 ? '1 directory is shown as it was' : `${count} directories are shown as they were`;
  return `NOTICE: ${what} when this node proved it last: the grid could not be asked since the start`;
}

function describeIntroducer({ petname, state, address, reason, announcements }: NodeStatus['introducers'][number]) {
  const known = `${announcements} ${announcements === 1 ? 'server' : 'servers'} announced`;
  if (state === 'connected') return `introducer ${petname}: connected to ${address}, ${known}`;
  return `introducer ${petname}: not connected${reasonOf(reason ?? 'no answer yet')}, ${known}`;
}

function reasonOf(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason})`;
}
