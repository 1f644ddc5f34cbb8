import { TahoeError } from '../errors/tahoe-error.js';
import { type Aliases, DEFAULT_ALIAS, type GridPath, parseGridPath, readAliases } from './aliases.js';
import { NodeClient } from './node-client.js';
import type { Terminal } from './terminal.js';

/** What the global options say, and what a command answers besides its output: its exit status. */
export interface CliContext {
  /** `-d`; undefined: `~/.tahoe`. */
  readonly nodeDirectory: string | undefined;
  /** `--node-url`: instead of what the node wrote into its directory. */
  readonly nodeUrl: string | undefined;
  readonly terminal: Terminal;
}

/** A running node with the aliases of its directory. */
export interface NodeSession {
  readonly node: NodeClient;
  readonly terminal: Terminal;
  readonly aliases: Aliases;
  resolve(text: string): GridPath;
}

/** Runs `use` with a connection to the node and closes it afterwards. `dirCap` replaces the default alias. */
export async function withNode<Result>(
  context: CliContext,
  use: (session: NodeSession) => Promise<Result>,
  options: { readonly dirCap?: string | undefined } = {},
): Promise<Result> {
  const node = await NodeClient.open(context.nodeDirectory, context.nodeUrl);
  try {
    const aliases = new Map(await readAliases(node.directory));
    if (options.dirCap !== undefined) aliases.set(DEFAULT_ALIAS, options.dirCap);
    return await use({
      node,
      terminal: context.terminal,
      aliases,
      resolve: (text) => parseGridPath(text, aliases),
    });
  } finally {
    await node.close();
  }
}

/** Kind `invalid`: the command was not written as it must be. */
export function usageError(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'cli.usage' });
}
