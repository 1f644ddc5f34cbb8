import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { action } from '../action.js';
import type { CliContext } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function addRunCommand(program: Command): void {
  program
    .command('run [dir]')
    .description('run a node, or a whole grid made by create-grid, until a signal')
    .action(action(run));
}

async function run(context: CliContext, directory: string | undefined) {
  const { terminal } = context;
  const stopped = nextSignal();
  // Only now: the other commands start faster without a node in memory.
  const { runDirectory } = await import('../../node/run-directory.js');
  const running = await runDirectory(directory ?? context.nodeDirectory ?? join(homedir(), '.tahoe'), {
    warn: (line) => terminal.note(line),
  });
  terminal.print(`ready ${running.description}`);
  const signal = await stopped;
  terminal.note(`${signal}: stopping (once more to stop at once; nothing that was written is lost)`);
  void nextSignal().then(() => process.exit(1));
  await running.stop();
  return EXIT_OK;
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
