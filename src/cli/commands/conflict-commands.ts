import type { Command } from 'commander';
import type { Conflict, ConflictSide } from '../../vfs/vfs.js';
import { action } from '../action.js';
import { type CliContext, type NodeSession, usageError, withNode } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';
import { formatBytes } from '../progress.js';
import { printable } from './list-command.js';

const CHOICES = ['ours', 'theirs', 'both'] as const;

const KINDS: Readonly<Record<Conflict['kind'], string>> = {
  created: 'both made the name',
  changed: 'both changed what stood there',
  'removed-above': 'they replaced a directory above it',
  fork: 'two versions of the whole directory had it',
  missing: 'synced here, then overwritten or removed by another program',
};

export function addConflictCommands(program: Command): void {
  const conflicts = program.command('conflicts').description('what this node and another writer both changed');
  conflicts
    .command('list', { isDefault: true })
    .description('all that nobody has settled yet')
    .option('--json', 'as JSON')
    .action(action(list));
  conflicts.command('show <id>').description('one of them').option('--json', 'as JSON').action(action(show));
  conflicts
    .command('resolve <id> <choice>')
    .description('settle it: "ours" replaces theirs, "theirs" drops ours, "both" keeps ours under its own name')
    .action(action(resolveOne));
}

async function list(context: CliContext, options: { readonly json?: boolean }) {
  return withNode(context, async (session) => {
    const { terminal } = session;
    const found = await fetchConflicts(session);
    if (options.json === true) terminal.print(JSON.stringify(found, null, 1));
    else
      for (const { id, path, conflictPath } of found)
        terminal.print(`${id}  ${printable(path)}  ${keptAt(conflictPath)}`);
    if (found.length === 0) terminal.note('there are no conflicts');
    return EXIT_OK;
  });
}

async function show(context: CliContext, id: string, options: { readonly json?: boolean }) {
  return withNode(context, async (session) => {
    const number = parseId(id);
    const conflict = (await fetchConflicts(session)).find((each) => each.id === number);
    if (conflict === undefined) throw usageError(`there is no conflict ${id} (see: tahoe conflicts)`);
    const { terminal } = session;
    if (options.json === true) terminal.print(JSON.stringify(conflict, null, 1));
    else for (const line of describeConflict(conflict)) terminal.print(line);
    return EXIT_OK;
  });
}

async function resolveOne(context: CliContext, id: string, choice: string) {
  const chosen = CHOICES.find((each) => each === choice);
  if (chosen === undefined) throw usageError(`"${choice}" is none of: ${CHOICES.join(', ')}`);
  return withNode(context, async ({ node, terminal }) => {
    const query = new URLSearchParams({ id: String(parseId(id)), choice: chosen });
    await node.text('POST', `private/conflicts?${query}`, { authorized: true });
    terminal.note(`conflict ${id} is settled; what that changed goes to the grid like any change`);
    return EXIT_OK;
  });
}

async function fetchConflicts({ node }: NodeSession): Promise<readonly Conflict[]> {
  return (await node.json('GET', 'private/conflicts', { authorized: true })) as readonly Conflict[];
}

function describeConflict({ id, kind, path, conflictPath, whenMs, ours, theirs, keptCap }: Conflict): string[] {
  const isNothing = kind === 'missing' && theirs === undefined;
  return [
    `conflict ${id}: ${printable(path)} (${KINDS[kind]}), found ${new Date(whenMs).toISOString()}`,
    `ours:   ${describeSide(ours)}, ${keptAt(conflictPath)}`,
    ...(keptCap === undefined ? [] : [`        ${keptCap}`]),
    isNothing ? 'theirs: nothing has the name' : `theirs: ${describeSide(theirs)}, on the grid under the name`,
    `settle it with: tahoe conflicts resolve ${id} ours | theirs | both`,
  ];
}

function describeSide(side: ConflictSide | undefined): string {
  if (side === undefined) return 'not known';
  const { kind, sizeBytes, modified } = side;
  return `${kind} of ${formatBytes(sizeBytes)}, modified ${new Date(modified.seconds * 1000).toISOString()}`;
}

function keptAt(conflictPath: string | undefined): string {
  return conflictPath === undefined ? "ours is in this node's journal" : `ours is ${printable(conflictPath)}`;
}

function parseId(text: string): number {
  const id = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(id)) throw usageError(`not the number of a conflict: ${text}`);
  return id;
}
