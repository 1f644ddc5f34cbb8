/** `node kill-rounds.js --help`: see test/mount/kill-rounds. */
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Door } from './kill-client.js';
import { encodings, KillHarness, type KillReport } from './kill-harness.js';
import { killTable } from './kill-table.js';
import type { WorkName } from './kill-work.js';
import { seededFraction } from './log-owner.js';
import { naturalNumber } from './natural-number.js';

/** A line of the log. Without a report nothing was pending at the kill. */
interface Entry {
  readonly seed: number;
  readonly cell: string;
  /** Of all kills of this cell. */
  readonly number: number;
  readonly report?: KillReport;
}

/** So many of one kind before the next one has its turn, and so many before there is a new grid. */
const IN_A_ROW = 20;
const ROUNDS_PER_GRID = 40;

interface Options {
  readonly rounds: number;
  readonly through: readonly Door[];
  readonly work: readonly WorkName[];
  readonly seed: number;
  readonly log?: string;
  readonly verbose: boolean;
}

const allDoors: readonly Door[] = ['fuse', 'sshfs'];
const allWorks: readonly WorkName[] = ['rsync', 'git', 'fsync'];
const {
  rounds,
  through: doors,
  work: works,
  seed,
  log,
  verbose,
} = new Command('test/mount/kill-rounds')
  .option('--rounds <number>', 'kills of each kind of mount and work', naturalNumber, 3)
  .addOption(
    new Option('--through <mounts>', 'fuse, sshfs or both, with a comma between')
      .argParser(listOf(allDoors))
      .default(allDoors, 'both'),
  )
  .addOption(
    new Option('--work <kinds>', 'some of rsync, git and fsync, with commas between')
      .argParser(listOf(allWorks))
      .default(allWorks, 'all'),
  )
  .addOption(
    new Option('--seed <number>', 'chooses the moments of the kills')
      .argParser(naturalNumber)
      .default(Date.now() % 1_000_000, 'another one each time'),
  )
  .option('--log <file>', 'each kill is a line of it; with the same seed the next run goes on behind them')
  .option('--verbose', 'prints these lines too', false)
  .parse()
  .opts<Options>();
const cells = doors.flatMap((door) => works.map((work) => ({ door, work, name: `${work} through ${door}` })));
const say = (line: string) => process.stdout.write(`${line}\n`);
const entries: Entry[] = (await readLog(log)).filter((entry) => entry.seed === seed);

class Grids {
  #directory = '';
  #harness: KillHarness | undefined;
  #rounds = 0;
  #grids = 0;

  /** A fresh one now and then, so that nothing grows for ever. */
  async next(): Promise<KillHarness> {
    if (this.#harness !== undefined && this.#rounds >= ROUNDS_PER_GRID) await this.close({ keep: false });
    if (this.#harness === undefined) {
      this.#directory = await mkdtemp(join(tmpdir(), 'tahoe-kill-'));
      this.#harness = await KillHarness.start(this.#directory, encodings[this.#grids++ % encodings.length]!);
      this.#rounds = 0;
    }
    this.#rounds++;
    return this.#harness;
  }

  async close({ keep }: { keep: boolean }): Promise<void> {
    const harness = this.#harness;
    this.#harness = undefined;
    await harness?.close();
    if (keep) say(`everything is left in ${this.#directory}`);
    else await rm(this.#directory, { recursive: true, force: true });
  }
}

const grids = new Grids();
let current = '';
let isInterrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    isInterrupted = true;
    void grids.close({ keep: false }).finally(() => process.exit(1));
  });
}
try {
  while (cells.some(({ name }) => shown(name).length < rounds)) {
    for (const cell of cells) {
      for (let turn = 0; turn < IN_A_ROW && shown(cell.name).length < rounds; turn++) await killOnce(cell);
    }
  }
} catch (error) {
  // what a signal takes away is missed by whoever uses it
  if (isInterrupted) await new Promise(() => {});
  say(`FAILED in ${current}: ${error instanceof Error ? error.message : String(error)}`);
  await grids.close({ keep: true });
  process.exit(1);
}
await grids.close({ keep: false });
for (const line of killTable(
  cells.map(({ name }) => ({ name, reports: shown(name), idle: of(name).length - shown(name).length })),
))
  say(line);
process.exit(0);

async function killOnce({ door, work, name }: (typeof cells)[number]): Promise<void> {
  const number = of(name).length;
  current = `${name}, kill ${number} of seed ${seed}`;
  const report = await (await grids.next()).round(door, work, seededFraction(hash(`${seed} ${name} ${number}`)));
  const entry: Entry = { seed, cell: name, number, ...(report === undefined ? {} : { report }) };
  entries.push(entry);
  const line = JSON.stringify(entry);
  if (log !== undefined) await appendFile(log, `${line}\n`);
  if (verbose) say(line);
  const idle = number + 1 - shown(name).length;
  if (idle > rounds / 2 + 3) throw new Error('nothing was pending at most of the kills: this shows nothing');
}

function of(name: string): Entry[] {
  return entries.filter(({ cell }) => cell === name);
}

function shown(name: string): KillReport[] {
  return of(name).flatMap(({ report }) => (report === undefined ? [] : [report]));
}

async function readLog(path: string | undefined): Promise<Entry[]> {
  if (path === undefined) return [];
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Entry);
}

function listOf<Name extends string>(names: readonly Name[]): (text: string) => Name[] {
  return (text) =>
    text.split(',').map((each) => {
      const name = names.find((known) => known === each);
      if (name === undefined) throw new InvalidArgumentError(`${each} is none of ${names.join(', ')}`);
      return name;
    });
}

function hash(text: string): number {
  let mixed = 0x811c9dc5;
  for (const character of text) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193);
  return mixed >>> 0;
}
