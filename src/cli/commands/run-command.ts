import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { PendingWork, RunningNode } from '../../node/running-node.js';
import { action } from '../action.js';
import type { CliContext } from '../cli-context.js';
import { EXIT_FAILURE, EXIT_LEFT_BEHIND, EXIT_OK } from '../exit-codes.js';
import { describePending, describeProgress } from '../sync.js';
import type { Terminal } from '../terminal.js';
import { seconds } from './mount-commands.js';

const STOP_COMMAND = 'tahoe stop';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function addRunCommand(program: Command): void {
  program
    .command('run [dir]')
    .description('run a node, or a whole grid made by create-grid, until a signal')
    .option('--alarm-after <seconds>', 'say so when something is on this computer only for longer (600)', seconds)
    .action(action(run));
}

async function run(context: CliContext, directory: string | undefined, options: { readonly alarmAfter?: number }) {
  const { terminal } = context;
  const stopped = nextSignal();
  // Only now: the other commands start faster without a node in memory.
  const { runDirectory } = await import('../../node/run-directory.js');
  const running = await runDirectory(directory ?? context.nodeDirectory ?? join(homedir(), '.tahoe'), {
    warn: (line) => terminal.note(line),
    alarmAfterSeconds: options.alarmAfter,
  });
  terminal.print(`ready ${running.description}`);
  const reason = await Promise.race([stopped, ...requests(running)]);
  if (running.pending !== undefined) await settle(terminal, running.pending, reason);
  else terminal.note(`${reason}: stopping`);
  const left = running.pending?.status();
  const isLeft = left !== undefined && left.filesPending + left.directoriesPending > 0;
  // whoever does not want to wait for the rest either: nothing that was acknowledged depends on it
  void nextSignal().then(() => process.exit(isLeft ? EXIT_LEFT_BEHIND : EXIT_FAILURE));
  await running.stop();
  if (!isLeft) return EXIT_OK;
  terminal.note(
    `${describePending(left)} are on this computer only: the journal keeps them, and they go on at the next start`,
  );
  return EXIT_LEFT_BEHIND;
}

function requests({ pending }: RunningNode): Promise<string>[] {
  return pending === undefined ? [] : [pending.stopRequested.then(() => STOP_COMMAND)];
}

/** Until everything is on the grid, or a second signal says that it may stay in the journal. */
async function settle(terminal: Terminal, pending: PendingWork, reason: string): Promise<void> {
  const enough = new AbortController();
  // the command that asked has done the waiting
  if (reason === STOP_COMMAND) enough.abort();
  else void nextSignal().then(() => enough.abort());
  const { filesPending, directoriesPending, bytesPending } = pending.status();
  const waits = filesPending + directoriesPending > 0 && !enough.signal.aborted;
  terminal.note(
    waits
      ? `${reason}: taking ${describePending(pending.status())} to the grid (once more to leave them in the journal)`
      : `${reason}: stopping`,
  );
  await pending.settle(enough.signal, (status) => terminal.progress(describeProgress(status, bytesPending)));
  terminal.progress('');
}

function nextSignal(): Promise<string> {
  return new Promise((resolve) => {
    const onSignal = (signal: string) => {
      for (const name of SIGNALS) process.off(name, onSignal);
      resolve(signal);
    };
    for (const name of SIGNALS) process.on(name, onSignal);
  });
}
