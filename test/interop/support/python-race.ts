/**
 * One directory, two writers at once: a client of the Python implementation, which changes directories without asking
 * whether anybody else does, and ours. Each adds files; at the end every one that was acknowledged is looked for.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Conflict } from '../../../src/vfs/vfs.js';
import type { Cleanup } from '../../support/cleanup.js';
import { capsIn, type Listing, listDirectory } from './directory-listing.js';
import { type MatrixGrid, MatrixGrids } from './matrix-grid.js';
import { ask, type WebApi } from './web-api.js';

/** How many requests each client has open at a time. */
const LANES = 4;
/** Of so many names one is added by both. */
const SAME_NAME_EVERY = 20;
/** After so long our client looks at a directory again when it is asked for it. */
const FRESHNESS_MS = 5_500;

export interface PythonRaceOptions {
  readonly format: string;
  /** Of each of the two. */
  readonly additions: number;
  /** Nothing is in the directory at first: a Python client takes it for empty again in each of its repetitions. */
  readonly isEmpty: boolean;
}

export interface Side {
  readonly acknowledged: number;
  /** What was answered instead, and how often. */
  readonly errors: Readonly<Record<string, number>>;
  /** Acknowledged and not there. */
  readonly lost: readonly string[];
}

export interface PythonRaceReport {
  readonly python: Side;
  /** `lost`: without a word. What has a copy, is listed as missing or was replaced by somebody who saw it is not lost. */
  readonly ours: Side & {
    readonly listed: readonly string[];
    readonly addedAgain: number;
    readonly publishes: number;
    readonly conflicts: number;
  };
  readonly names: ReadonlySet<string>;
  readonly seenByPython: Record<string, unknown>;
  readonly seenByUs: Record<string, unknown>;
}

interface Answer {
  readonly name: string;
  readonly isAccepted: boolean;
  /** The capability, or what is said instead. */
  readonly text: string;
}

/** Adds files, each before the other writer is far ahead; the answers in the order in which they came. */
class Writer {
  readonly answers: Answer[] = [];
  readonly #client: WebApi;
  readonly #prefix: string;

  constructor(client: WebApi, prefix: string) {
    this.#client = client;
    this.#prefix = prefix;
  }

  /** With another writer: keeps step with it. */
  async addAll(cap: string, additions: number, other: Writer | undefined): Promise<void> {
    const names = Array.from({ length: additions }, (_, number) =>
      number % SAME_NAME_EVERY === SAME_NAME_EVERY / 2 ? `both ${number}` : `${this.#prefix} ${number}`,
    );
    const lane = async () => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        while (other !== undefined && this.answers.length > other.answers.length + LANES) await delay(5);
        const path = `uri/${cap}/${encodeURIComponent(name)}`;
        const response = await this.#client.fetch(path, { method: 'PUT', body: `${name}, by ${this.#prefix}` });
        this.answers.push({ name, isAccepted: response.ok, text: (await response.text()).trim() });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  accepted(): Answer[] {
    return this.answers.filter(({ isAccepted }) => isAccepted);
  }

  errors(): Record<string, number> {
    const errors: Record<string, number> = {};
    for (const { isAccepted, text } of this.answers) {
      if (isAccepted) continue;
      const name = /\w+Error/.exec(text)?.[0] ?? text.slice(0, 100);
      errors[name] = (errors[name] ?? 0) + 1;
    }
    return errors;
  }
}

const capOf = (listing: Listing, name: string) => listing[name]?.[1].ro_uri;
/** Python keeps what it does not know when it changes an entry that it has seen. */
const isMadeFromOurs = (listing: Listing, name: string) =>
  (listing[name]?.[1].metadata as { readonly unix?: unknown } | undefined)?.unix !== undefined;

export async function raceForDirectory(
  { python, ours }: MatrixGrid,
  { format, additions, isEmpty }: PythonRaceOptions,
): Promise<PythonRaceReport> {
  const cap = await ask(python, 'POST', `uri?t=mkdir&format=${format}`);
  if (!isEmpty) await ask(python, 'PUT', `uri/${cap}/first`, 'not empty');
  const logPath = join(ours.directory, 'logs/tahoe.log');
  const logBefore = (await readFile(logPath, 'utf8')).length;
  const before = await pendingOf(ours);
  const [theirs, own] = [new Writer(python, 'theirs'), new Writer(ours, 'ours')];
  const [theirStep, ownStep] = isEmpty ? [undefined, undefined] : [own, theirs];
  await Promise.all([theirs.addAll(cap, additions, theirStep), own.addAll(cap, additions, ownStep)]);
  // Synced is what was true then: what Python overwrote later is found, and added again, at the next look.
  await ours.output('sync', '--timeout', '60');
  await delay(FRESHNESS_MS);
  await listDirectory(ours, cap);
  await ours.output('sync', '--timeout', '60');
  const listing = await listDirectory(python, cap);

  const after = await pendingOf(ours);
  const conflicts = JSON.parse(await ours.output('conflicts', 'list', '--json')) as readonly Conflict[];
  const kept = new Set(conflicts.map(({ keptCap }) => keptCap));
  const there = new Set(Object.keys(listing).map((name) => capOf(listing, name)));
  const log = (await readFile(logPath, 'utf8')).slice(logBefore).split('\n');
  const gone = own.accepted().filter(({ text, name }) => !there.has(text) && !isMadeFromOurs(listing, name));
  return {
    python: {
      acknowledged: theirs.accepted().length,
      errors: theirs.errors(),
      // ours may have taken a name of both after it had seen theirs
      lost: theirs
        .accepted()
        .filter(({ name, text }) => name.startsWith('theirs') && capOf(listing, name) !== text)
        .map(({ name }) => name),
    },
    ours: {
      acknowledged: own.accepted().length,
      errors: own.errors(),
      lost: gone.filter(({ text }) => !kept.has(text)).map(({ name }) => name),
      listed: gone.filter(({ text }) => kept.has(text)).map(({ name }) => name),
      addedAgain: namesIn(log, 'another program has overwritten names that were synced; added again'),
      publishes: after.publishes - before.publishes,
      conflicts: after.conflictsFound - before.conflictsFound,
    },
    names: new Set(Object.keys(listing)),
    seenByPython: capsIn(listing),
    seenByUs: capsIn(await listDirectory(ours, cap)),
  };
}

async function pendingOf(ours: MatrixGrid['ours']): Promise<{ publishes: number; conflictsFound: number }> {
  const status = JSON.parse(await ours.output('status', '--json')) as {
    pending: { publishes: number; conflictsFound: number };
  };
  return status.pending;
}

function namesIn(log: readonly string[], message: string): number {
  const lines = log.filter((line) => line.includes(message)).map((line) => JSON.parse(line) as { names: number });
  return lines.reduce((sum, { names }) => sum + names, 0);
}

export function describeRace({ python, ours }: PythonRaceReport): [what: string, python: string, ours: string][] {
  const errors = (side: Side) =>
    Object.entries(side.errors)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || '0';
  return [
    ['additions acknowledged', `${python.acknowledged}`, `${ours.acknowledged}`],
    ['refused', errors(python), errors(ours)],
    ['overwritten by Python, added again', '-', `${ours.addedAgain}`],
    ['gone, listed in tahoe conflicts', '-', `${ours.listed.length}`],
    ['lost without a word', `${python.lost.length}`, `${ours.lost.length}`],
  ];
}

/** A grid of its own, one race, and a table. True if something of ours was lost without a word. */
export async function raceWithPython(
  scope: Cleanup,
  options: PythonRaceOptions,
  say: (line: string) => void,
): Promise<boolean> {
  const grids = new MatrixGrids();
  scope.teardown(() => grids.close());
  const grid = await grids.open({ servers: 'five servers of each', introducer: 'a Python introducer' });
  const report = await raceForDirectory(grid, options);
  const row = (...cells: readonly string[]) =>
    say(cells.map((cell, index) => (index === 0 ? cell.padEnd(38) : cell.padEnd(24))).join(''));
  row(`${options.additions} additions of each, ${options.format}`, 'Python', 'ours');
  for (const cells of describeRace(report)) row(...cells);
  row('publishes; conflicts', '-', `${report.ours.publishes}; ${report.ours.conflicts}`);
  for (const name of [...report.ours.lost, ...report.python.lost]) say(`lost: ${name}`);
  return report.ours.lost.length > 0;
}
