import type { Command } from 'commander';
import { isDirectory, isWriteable, parseKnownCap, readCapOf, serializeCap } from '../../caps/cap.js';
import { action } from '../action.js';
import { addAlias, readAliases } from '../aliases.js';
import { type CliContext, usageError, withNode } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';
import { findNodeDirectory } from '../node-client.js';

export function addAliasCommands(program: Command): void {
  program
    .command('create-alias <name>')
    .description('make a new directory on the grid and give it a name here')
    .action(action(createAlias));
  program
    .command('add-alias <name> <cap>')
    .description('give a directory capability a name here')
    .action(action(addAliasTo));
  program
    .command('list-aliases')
    .description('show the names and their capabilities')
    .option('--readonly-uri', 'show capabilities that only read')
    .option('--json', 'as JSON')
    .action(action(listAliases));
}

async function createAlias(context: CliContext, name: string): Promise<number> {
  return withNode(context, async ({ node, terminal }) => {
    const cap = await node.text('POST', 'uri?t=mkdir');
    await addAlias(node.directory, name.replace(/:$/, ''), cap);
    terminal.print(`Alias '${name.replace(/:$/, '')}' created`);
    return EXIT_OK;
  });
}

async function addAliasTo(context: CliContext, name: string, cap: string): Promise<number> {
  if (!isDirectory(parseKnownCap(cap)))
    throw usageError('an alias names a directory: this is the capability of a file');
  const directory = await findNodeDirectory(context.nodeDirectory);
  await addAlias(directory, name.replace(/:$/, ''), cap);
  context.terminal.print(`Alias '${name.replace(/:$/, '')}' added`);
  return EXIT_OK;
}

async function listAliases(
  { nodeDirectory, terminal }: CliContext,
  options: { readonly readonlyUri?: boolean; readonly json?: boolean },
): Promise<number> {
  const aliases = await readAliases(await findNodeDirectory(nodeDirectory));
  const rows = [...aliases].map(([name, text]) => {
    const cap = parseKnownCap(text);
    const read = readCapOf(cap);
    const readonly = read === undefined ? null : serializeCap(read);
    return { name, readwrite: isWriteable(cap) ? text : null, readonly };
  });
  if (options.json === true) {
    const entries = rows.map(({ name, readwrite, readonly }) => [name, { readwrite, readonly }]);
    terminal.print(JSON.stringify(Object.fromEntries(entries), null, 1));
    return EXIT_OK;
  }
  const width = Math.max(0, ...rows.map(({ name }) => name.length));
  for (const { name, readwrite, readonly } of rows) {
    const cap = options.readonlyUri === true ? readonly : (readwrite ?? readonly);
    terminal.print(`${name.padStart(width)}: ${cap}`);
  }
  return EXIT_OK;
}
