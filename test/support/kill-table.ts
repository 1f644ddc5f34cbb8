import type { KillReport } from './kill-harness.js';

interface Cell {
  readonly name: string;
  readonly reports: readonly KillReport[];
  /** Kills at which nothing was pending. */
  readonly idle: number;
}

const HEAD = [
  ...['work', 'kills', 'pending', 'local', 'in write', '+starting', '+resuming', 'publish', 'checkpoint'],
  ...['files', 'fsyncs', 'commits', 'names', 'writes', 'lost', 's/round'],
];

/**
 * One line for each kind of work. `kills`: under the work. Of these with something pending (`pending`), with something
 * acknowledged that only the journal knew (`local`), in the middle of a change of the journal's files. More kills while the
 * node was starting again, and after that. Of all these, how many cut off a publish, or a checkpoint. Then what was
 * acknowledged and verified.
 */
export function killTable(cells: readonly Cell[]): string[] {
  const rows = cells.map(({ name, reports, idle }) => [name, ...figures(reports, idle)]);
  const all = cells.flatMap(({ reports }) => reports);
  const idle = cells.reduce((sum, cell) => sum + cell.idle, 0);
  const table = [HEAD, ...rows, ['together', ...figures(all, idle)]];
  const widths = HEAD.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map((row) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!))).join('  '),
  );
}

function figures(reports: readonly KillReport[], idle: number): string[] {
  const count = (is: (report: KillReport) => boolean) => reports.filter(is).length;
  const sum = (of: (report: KillReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const seconds = sum((report) => Object.values(report.seconds).reduce((total, each) => total + each, 0));
  const journals = reports.flatMap(({ journal, again }) => [journal, ...again.map((each) => each.journal)]);
  const again = reports.flatMap((report) => report.again);
  const numbers = [
    reports.length + idle,
    reports.length,
    count(({ onlyHere }) => onlyHere > 0),
    count(({ isInChange }) => isInChange),
    again.filter(({ wasReady }) => !wasReady).length,
    again.filter(({ wasReady }) => wasReady).length,
    journals.filter(({ publishing }) => publishing > 0).length,
    journals.filter(({ isCheckpointing }) => isCheckpointing).length,
    sum(({ acknowledged }) => acknowledged.files),
    sum(({ acknowledged }) => acknowledged.fsyncs),
    sum(({ acknowledged }) => acknowledged.commits),
    sum(({ acknowledged }) => acknowledged.names),
    sum(({ acknowledged }) => acknowledged.writes),
    0,
  ];
  return [...numbers.map(String), (seconds / Math.max(1, reports.length)).toFixed(1)];
}
