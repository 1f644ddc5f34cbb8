import type { Command } from 'commander';
import type { CliContext } from './cli-context.js';
import { EXIT_OK } from './exit-codes.js';
import { ProcessTerminal } from './terminal.js';

/** A command's action: gets what the global options say, and returns an exit status other than 0 if it wants one. */
export type Action<Arguments extends unknown[]> = (
  context: CliContext,
  ...args: Arguments
) => Promise<number | undefined>;

/** Adapts an action to commander, which appends the command itself to the arguments. */
export function action<Arguments extends unknown[]>(run: Action<Arguments>): (...args: unknown[]) => Promise<void> {
  return async (...args) => {
    const command = args.pop() as Command;
    const globals = command.optsWithGlobals<{ nodeDirectory?: string; nodeUrl?: string; quiet?: boolean }>();
    const context: CliContext = {
      nodeDirectory: globals.nodeDirectory,
      nodeUrl: globals.nodeUrl,
      terminal: new ProcessTerminal({ quiet: globals.quiet ?? false }),
    };
    const code = await run(context, ...(args as Arguments));
    if (code !== undefined && code !== EXIT_OK) process.exitCode = code;
  };
}
