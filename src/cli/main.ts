/** The command line: options, commands, and what a failure says and returns. */
import { Command, CommanderError } from 'commander';
import { asTahoeError, describeError, type TahoeError } from '../errors/tahoe-error.js';
import { readVersion } from '../node/version.js';
import { addAliasCommands } from './commands/alias-commands.js';
import { addConflictCommands } from './commands/conflict-commands.js';
import { addCopyCommand } from './commands/copy-command.js';
import { addCreateCommands } from './commands/create-commands.js';
import { addDirectoryCommands } from './commands/directory-commands.js';
import { addFileCommands } from './commands/file-commands.js';
import { addListCommand } from './commands/list-command.js';
import { addMountCommands } from './commands/mount-commands.js';
import { addReceiptCommand } from './commands/receipt-command.js';
import { addRunCommand } from './commands/run-command.js';
import { addStatusCommands } from './commands/status-commands.js';
import { EXIT_FAILURE, EXIT_OK, exitCodeOf } from './exit-codes.js';

/** Runs one command and sets the exit status. */
export async function main(argv: readonly string[]): Promise<void> {
  // A reader that has seen enough (`tahoe ls | head`) is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT_OK);
    throw error;
  });
  const program = buildProgram(await readVersion());
  try {
    await program.parseAsync(argv as string[]);
  } catch (error) {
    process.exitCode = report(error);
  }
}

function buildProgram(version: string): Command {
  const program = new Command('tahoe')
    .description('A secure decentralised storage grid as an ordinary file system')
    .version(version, '-V, --version')
    .option('-d, --node-directory <dir>', 'the node to speak to (default: ~/.tahoe)')
    .option('-u, --node-url <url>', 'where its web API answers (default: what it wrote into its directory)')
    .option('-q, --quiet', 'say nothing but results and errors')
    .showHelpAfterError('(see: tahoe --help, tahoe COMMAND --help)')
    .exitOverride();
  const add = [
    addCreateCommands,
    addRunCommand,
    addMountCommands,
    addStatusCommands,
    addReceiptCommand,
    addConflictCommands,
    addFileCommands,
    addListCommand,
    addDirectoryCommands,
    addCopyCommand,
    addAliasCommands,
  ];
  for (const addTo of add) addTo(program);
  return program;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_FAILURE;
  const failure: TahoeError = asTahoeError(error, 'cli');
  process.stderr.write(`tahoe: ${describeError(failure)}\n`);
  if (failure.kind === 'internal' && error instanceof Error && process.env.TAHOE_DEBUG !== undefined) {
    process.stderr.write(`${error.stack ?? ''}\n`);
  }
  return exitCodeOf(failure.kind);
}
