import type { Command } from 'commander';
import { action } from '../action.js';
import { type CliContext, withNode } from '../cli-context.js';
import { EXIT_OK } from '../exit-codes.js';
import { objectPath } from '../node-client.js';
import { capOf, type ObjectInfo, parseInfo } from '../node-json.js';

interface ListOptions {
  readonly long?: boolean;
  readonly uri?: boolean;
  readonly readonlyUri?: boolean;
  readonly classify?: boolean;
  readonly json?: boolean;
}

export function addListCommand(program: Command): void {
  program
    .command('ls [path]')
    .description('list a directory, or describe a file')
    .option('-l, --long', 'with mode, size and date')
    .option('--uri', 'with capabilities')
    .option('--readonly-uri', 'with capabilities that only read')
    .option('-F, --classify', 'mark directories with / and unknown objects with ?')
    .option('--json', 'what the node says, as JSON')
    .action(action(list));
}

async function list(context: CliContext, path: string | undefined, options: ListOptions) {
  return withNode(context, async ({ node, terminal, resolve }) => {
    const target = resolve(path ?? '');
    const answer = await node.json('GET', objectPath(target.cap, target.path, { t: 'json' }));
    if (options.json === true) {
      terminal.print(JSON.stringify(answer, null, 1));
      return EXIT_OK;
    }
    const info = parseInfo(answer);
    const name = target.path.at(-1) ?? target.cap;
    const entries = info.kind === 'dirnode' ? [...info.children].sort(byName) : [[name, info] as const];
    for (const row of alignColumns(entries.map(([entry, child]) => columnsOf(entry, child, options)))) {
      terminal.print(row);
    }
    return EXIT_OK;
  });
}

function byName([a]: readonly [string, ObjectInfo], [b]: readonly [string, ObjectInfo]): number {
  return a < b ? -1 : Number(a > b);
}

const MARKS = { filenode: '', dirnode: '/', unknown: '?' } as const;

function columnsOf(name: string, info: ObjectInfo, options: ListOptions): string[] {
  const columns: string[] = [];
  if (options.long === true) columns.push(modeOf(info), sizeOf(info), dateOf(info.linkCreated));
  columns.push(printable(name) + (options.classify === true ? MARKS[info.kind] : ''));
  if (options.uri === true) columns.push(capOf(info) ?? '-');
  if (options.readonlyUri === true) columns.push(info.readOnly ?? '-');
  return columns;
}

function modeOf(info: ObjectInfo): string {
  if (info.kind === 'unknown') return '?';
  const kind = info.kind === 'dirnode' ? 'd' : '-';
  const write = info.readWrite === undefined ? '-' : 'w';
  return `${kind}r${write}${info.kind === 'dirnode' ? 'x' : '-'}`;
}

function sizeOf(info: ObjectInfo): string {
  return info.kind === 'dirnode' ? '-' : String(info.sizeBytes ?? '?');
}

/** As the reference shows it: with the time of day for the last half year, with the year before. */
function dateOf(seconds: number | undefined): string {
  if (seconds === undefined) return '';
  const date = new Date(seconds * 1000);
  const day = date.toLocaleDateString('en-US', { month: 'short', day: '2-digit' });
  const recent = Date.now() - date.getTime() < 183 * 86_400_000;
  const time = `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
  return `${day} ${recent ? time : ` ${date.getFullYear()}`}`;
}

/** Names come from the grid: a terminal must not obey what is in them. */
export function printable(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u001f\u007f-\u009f]/.test(name) ? JSON.stringify(name) : name;
}

/** All columns but the last are padded; sizes to the right. */
function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(cell.length, all[i] ?? 0)), []);
  return rows.map((row) =>
    row
      .map((cell, i) => {
        if (i === row.length - 1) return cell;
        return /^[\d?-]+$/.test(cell) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!);
      })
      .join(' '),
  );
}
