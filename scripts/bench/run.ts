/**
 * Runs the benches and prints one table beside the bars and the figures of the Python implementation that they were set
 * against.
 *
 * node dist/scripts/bench/run.js [directory]
 */
import { execFile } from 'node:child_process';
import { cpus, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { BulkResults, Cost } from './bulk.js';
import type { MountResults } from './mount.js';

const run = promisify(execFile);
const LIMIT_MS = 900_000;

/** What was measured, here, the bar, with the reference. */
type Row = readonly [string, string, string, string];

async function bench<Results>(name: string, ...words: string[]): Promise<Results> {
  process.stderr.write(`${name}\n`);
  const script = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const { stdout } = await run(process.execPath, [script, '--json', ...words], { timeout: LIMIT_MS });
  return JSON.parse(stdout) as Results;
}

function bulkRows(results: BulkResults): Row[] {
  const { megabytes, upload, download, cold, warm, cached } = results;
  const speed = ({ wallMs }: Cost) => `${(megabytes / (wallMs / 1000)).toFixed(1)} MB/s`;
  const perMegabyte = (ms: number) => `${(ms / megabytes).toFixed(1)} ms/MB`;
  const range = ({ medianMs, bytesMoved }: BulkResults['cold']) =>
    `${medianMs.toFixed(1)} ms, ${(bytesMoved / 1000).toFixed(0)} kB`;
  return [
    [`upload, ${megabytes} MB`, speed(upload), '', '21.6 MB/s'],
    ['  CPU of the client', perMegabyte(upload.clientMs), '<= 15', '25 ms/MB'],
    ['  CPU of the servers', perMegabyte(upload.serversMs), '', '33 ms/MB'],
    [`download, ${megabytes} MB`, speed(download), '', '39.5 MB/s'],
    ['  CPU of the client', perMegabyte(download.clientMs), '<= 10', ''],
    ['  CPU of the servers', perMegabyte(download.serversMs), '', ''],
    ['64 KiB, knowing only the cap', range(cold), '', '163 ms'],
    ['64 KiB, of a file read before', range(warm), '<= 15 ms', ''],
    ['64 KiB, in the cache', range(cached), '', ''],
    ['peak memory of the client', `${results.peakMib.toFixed(0)} MiB`, '', ''],
  ];
}

function mountRows({ mkdirMs, smallFiles, tree, secondRsyncMs, warmListing, peakMib }: MountResults): Row[] {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  return [
    ['mkdir in the mount', `${mkdirMs.toFixed(2)} ms`, '<= 5 ms', '298 ms'],
    ['200 x 1 KiB into one directory', seconds(smallFiles.returnedMs), '', '121 s'],
    ['  until the grid has all', seconds(smallFiles.syncedMs), '', '121 s'],
    ['  publishes', String(smallFiles.publishes), '<= 20', ''],
    ['rsync of 1,200 files, 35 MB', seconds(tree.returnedMs), '<= 6 s', ''],
    ['  until the grid has all', seconds(tree.syncedMs), '<= 30 s', ''],
    ['  publishes (30 directories)', String(tree.publishes), '', ''],
    ['  again', seconds(secondRsyncMs), '', ''],
    ['ls -l of 200 files, warm', `${warmListing.tookMs.toFixed(0)} ms`, '', ''],
    ['  requests', String(warmListing.requests), '0', ''],
    ['peak memory, node and servers', `${peakMib.toFixed(0)} MiB`, '', ''],
  ];
}

function printTable(rows: readonly Row[]): void {
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: Row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  process.stdout.write(`${rows.map(line).join('\n')}\n`);
}

const directory = process.argv[2] ?? tmpdir();
const bulk = await bench<BulkResults>('bulk', '100', directory);
const mount = await bench<MountResults>('mount', directory);
const [cpu] = cpus();
process.stdout.write(
  `Node ${process.versions.node}, ${cpus().length} x ${cpu?.model ?? 'unknown'}, sha256 ${bulk.sha256MegabytesPerSecond.toFixed(0)} MB/s\n\n`,
);
printTable([['', 'here', 'bar', 'Python'], ...bulkRows(bulk), ...mountRows(mount)]);
