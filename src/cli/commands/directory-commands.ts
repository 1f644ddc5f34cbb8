import type { Command } from 'commander';
import { TahoeError } from '../../errors/tahoe-error.js';
import { action } from '../action.js';
import type { GridPath } from '../aliases.js';
import { type CliContext, type NodeSession, usageError, withNode } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';
import { objectPath } from '../node-client.js';
import { fetchInfo } from '../node-json.js';

export function addDirectoryCommands(program: Command): void {
  program
    .command('mkdir [path]')
    .description('make a directory (with its parents) and print its capability')
    .option('--format <format>', 'SDMF or MDMF')
    .action(action(makeDirectory));
  program
    .command('rm <paths...>')
    .description('remove names; what they named stays on the grid as long as its leases last')
    .option('-r, --recursive', 'also directories that are not empty')
    .action(action(remove));
  program
    .command('unlink <path>')
    .description('remove one name, whatever it names')
    .action(action((context, path: string) => remove(context, [path], { recursive: true })));
  program.command('mv <from> <to>').description('rename or move').action(action(move));
}

async function makeDirectory(context: CliContext, path: string | undefined, { format }: { readonly format?: string }) {
  return withNode(context, async ({ node, terminal, resolve }) => {
    const target = path === undefined ? undefined : resolve(path);
    const query = { t: 'mkdir', ...(format === undefined ? {} : { format }) };
    const address =
      target === undefined ? `uri?${new URLSearchParams(query)}` : objectPath(target.cap, target.path, query);
    terminal.print(await node.text('POST', address));
    return EXIT_OK;
  });
}

async function remove(context: CliContext, paths: readonly string[], options: { readonly recursive?: boolean }) {
  return withNode(context, async (session) => {
    for (const text of paths) {
      const target = session.resolve(text);
      if (target.path.length === 0) {
        throw usageError(`"${text}" names a whole directory: write what is to be removed from it`);
      }
      if (options.recursive !== true) await refuseFullDirectory(session, target, text);
      await session.node.text('DELETE', objectPath(target.cap, target.path));
      session.terminal.note('200 OK');
    }
    return EXIT_OK;
  });
}

async function refuseFullDirectory(session: NodeSession, target: GridPath, text: string): Promise<void> {
  const { children } = await fetchInfo(session, target);
  if (children.size === 0) return;
  throw new TahoeError(
    `the directory "${text}" is not empty: to remove it with its ${children.size} entries write -r`,
    {
      kind: 'not-empty',
      op: 'cli.rm',
      subject: text,
    },
  );
}

async function move(context: CliContext, from: string, to: string) {
  return withNode(context, async (session) => {
    const source = session.resolve(from);
    const name = source.path.at(-1);
    if (name === undefined) throw usageError(`"${from}" names a whole directory: it has no name that could be changed`);
    const target = session.resolve(to);
    const intoDirectory = target.path.length === 0 || target.endsWithSlash;
    const directory = intoDirectory ? target.path : target.path.slice(0, -1);
    await session.node.text(
      'POST',
      objectPath(source.cap, source.path.slice(0, -1), {
        t: 'relink',
        from_name: name,
        to_dir: [target.cap, ...directory].join('/'),
        to_name: intoDirectory ? name : target.path.at(-1)!,
        replace: 'only-files',
      }),
    );
    session.terminal.note('OK');
    return EXIT_OK;
  });
}
