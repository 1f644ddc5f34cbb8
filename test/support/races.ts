/**
 * `npm run races -- --help`: two nodes on one directory, over storage servers behind HTTPS.
 * The users of each, several at a time, write, replace, rename and remove files of the same names as the users of the
 * other, sync, and make directories. At the end every content that was closed must be somewhere, or have been replaced or
 * removed by a user who saw it. `--with python` lets a client of the Python implementation (TAHOE_PYTHON) add files to
 * one directory beside ours: see test/interop/support/shared-directory.ts. Fails if anything is lost without a word.
 */
import { writeFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { raceWithPython } from '../interop/support/python-race.js';
import { CleanupStack } from './cleanup.js';
import { positiveNumber } from './natural-number.js';
import { type Action, Race, type RaceReport } from './race.js';
import { startHttpsServer } from './storage-servers.js';

const SERVERS = 4;
const ACTIONS: readonly Action[] = ['write', 'write', 'write', 'save', 'move', 'remove', 'mkdir', 'sync'];

interface Options {
  readonly operations: number;
  readonly seed: number;
  readonly lanes: number;
  readonly with: 'ours' | 'python';
  readonly format: 'sdmf' | 'mdmf';
  readonly empty: boolean;
}

const given = new Command('npm run races --')
  .option('--operations <number>', 'of all users together', positiveNumber, 1000)
  .option('--seed <number>', 'which names and operations the users choose', positiveNumber, 1)
  .option('--lanes <number>', 'users of each node at a time', positiveNumber, 8)
  .addOption(
    new Option('--with <client>', 'who changes the same directory; python is the program that TAHOE_PYTHON names')
      .choices(['ours', 'python'])
      .default('ours'),
  )
  .addOption(
    new Option('--format <name>', 'of the directory; with python only').choices(['sdmf', 'mdmf']).default('sdmf'),
  )
  .option('--empty', 'the directory is empty at first; with python only', false)
  .parse()
  .opts<Options>();
const { operations, seed, lanes } = given;

const scope = new CleanupStack();
let isLost: boolean;
try {
  if (given.with === 'python') {
    const { format, empty: isEmpty } = given;
    isLost = await raceWithPython(scope, { format, isEmpty, additions: Math.ceil(operations / 2) }, console.log);
  } else isLost = await raceOfTwo();
} finally {
  await scope.close();
}
process.exit(isLost ? 1 : 0);

async function raceOfTwo(): Promise<boolean> {
  const remote = await Promise.all(Array.from({ length: SERVERS }, async () => (await startHttpsServer(scope)).client));
  const race = new Race(scope, seed, { remote });
  await race.start(2);
  const startedMs = performance.now();
  let told = 0;
  const tell = () => {
    if (race.operations < told + 1000) return;
    told = race.operations;
    console.error(`${told} operations, ${seconds(startedMs)} s`);
  };
  await Promise.all(
    race.users.flatMap((user) =>
      Array.from({ length: lanes }, async (_, lane) => {
        const names = [`a${lane}`, `b${lane}.txt`, `c${lane}`];
        while (race.operations < operations) {
          await user.act(names, ACTIONS);
          tell();
        }
      }),
    ),
  );
  const report = await race.end();
  print(report, seconds(startedMs));
  if (report.lost.length === 0) return report.problems.length > 0;
  const path = `races-seed-${seed}.txt`;
  await writeFile(path, [...report.lost.map((content) => `lost: ${content}`), ...race.story].join('\n'));
  console.log(`the story is in ${path}`);
  return true;
}

function print(report: RaceReport, tookSeconds: string): void {
  const refused = [...report.refused].map(([kind, count]) => `${kind} ${count}`).join(', ');
  const rows: readonly (readonly [string, string | number])[] = [
    ['operations', report.operations],
    ['seconds', tookSeconds],
    ['publishes made again on top of another', report.repeated],
    ['versions side by side, merged', report.forks],
    ['changes that gave way, or stood against a removal', report.decided],
    ['conflicts, each with a copy and an error', report.conflicts],
    ['operations refused', refused === '' ? 0 : refused],
    ['lost without a word', report.lost.length],
    ['nodes that do not show what the grid has', report.problems.length],
  ];
  for (const [what, count] of rows) console.log(`${what.padEnd(52)}${count}`);
  for (const line of [...report.lost, ...report.problems]) console.log(line);
}

function seconds(sinceMs: number): string {
  return ((performance.now() - sinceMs) / 1000).toFixed(0);
}
