/**
 * Rounds of: programs work on the mount, kill -9 of the node at a random moment, perhaps again while it starts or while
 * it brings to the grid what was pending, start and mount again. What was acknowledged must be there: what fsync
 * acknowledged on the grid before the node is started again, everything on the mount of the restarted node, and after a
 * sync the same whole folder on the grid, for a node that has never seen it. The servers keep running.
 *
 * A killed process leaves what it has written to the kernel, synced or not: the loss of power is another test's matter
 * (test/suites, crash-file-store.ts).
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createGrid } from '../../src/node/create-node.js';
import { GridReader } from './grid-reader.js';
import { type Door, KillClient, NodeProcess } from './kill-client.js';
import { type Folder, FolderCopy, folderOnDisk } from './kill-folder.js';
import { startFsync } from './kill-fsync.js';
import { startGit } from './kill-git.js';
import { type JournalAtKill, journalAtKill } from './kill-journal.js';
import { writePrimes } from './kill-keys.js';
import { startRsync } from './kill-rsync.js';
import type { Claim, Work, WorkName, WorkPlace } from './kill-work.js';

export interface KillReport {
  readonly door: Door;
  readonly work: WorkName;
  readonly killedAfterMs: number;
  /** In the middle of a change of the journal, not by the clock. */
  readonly isInChange: boolean;
  readonly journal: JournalAtKill;
  /** Acknowledgements of each kind, all of them verified. */
  readonly acknowledged: Readonly<Record<Claim['kind'], number>>;
  /** Of these, what the grid did not have at the kill: only the journal knew it. */
  readonly onlyHere: number;
  /** More kills before it was up again: while it started, or (`wasReady`) while it brought to the grid what was pending. */
  readonly again: readonly { readonly wasReady: boolean; readonly journal: JournalAtKill }[];
  readonly seconds: Readonly<Record<string, number>>;
}

const works: Readonly<Record<WorkName, (place: WorkPlace) => Promise<Work>>> = {
  rsync: startRsync,
  git: startGit,
  fsync: startFsync,
};
export const encodings = [
  { sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 },
  { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4 },
] as const;
const ROUNDS_PER_FOLDER = 40;
/** So often the moment of the kill is counted from the first acknowledgement, otherwise from the start. */
const AFTER_ACKNOWLEDGEMENT = 0.8;
/** So often the kill is in the middle of a change of the journal, if one comes in time. */
const IN_CHANGE = 0.2;
const CHANGES_OF_WORK = 150;
/** So often a node is killed once more before it is up again. */
const AGAIN = 0.3;
const AGAIN_MAX = 3;
const CHANGES_OF_START = 200;
const RESUME_MS = 900;
const BEGUN_LIMIT_MS = 120_000;
const PRIMES = 'primes';
const TAHOE = 'dist/src/cli/tahoe.cjs';

export class KillHarness {
  readonly #directory: string;
  readonly #servers: NodeProcess;
  readonly #reader: GridReader;
  readonly #client: KillClient;
  #round = 0;
  #startMs = 500;

  private constructor(directory: string, servers: NodeProcess, reader: GridReader) {
    this.#directory = directory;
    this.#servers = servers;
    this.#reader = reader;
    const client = join(directory, 'grid', 'client');
    this.#client = new KillClient(client, join(directory, 'mount'), join(directory, PRIMES));
  }

  /** `directory` is empty and stays behind. */
  static async start(directory: string, encoding: (typeof encodings)[number]): Promise<KillHarness> {
    const grid = join(directory, 'grid');
    await createGrid(grid, { servers: encoding.sharesTotal, encoding });
    await writePrimes(join(directory, PRIMES));
    // the root directory is made when a whole grid is run for the first time
    await (await new NodeProcess(TAHOE, 'run', grid).ready()).kill('SIGTERM');
    const servers = await new NodeProcess('dist/test/support/server-process.js', grid).ready();
    const reader = await GridReader.open(join(grid, 'client'), join(directory, 'reader'));
    return new KillHarness(directory, servers, reader);
  }

  /** Undefined if nothing was pending at the kill: such a round shows nothing. Throws if anything acknowledged is lost. */
  async round(door: Door, workName: WorkName, random: () => number): Promise<KillReport | undefined> {
    const round = ++this.#round;
    const client = this.#client;
    const time = new Stopwatch();
    if (!client.isRunning) await client.start();
    await client.mount(door);
    const names = [`b${Math.floor(round / ROUNDS_PER_FOLDER)}`, `r${round}`];
    const target = join(client.mountpoint, ...names);
    const scratch = join(this.#directory, 'scratch', String(round));
    await mkdir(scratch, { recursive: true });
    await mkdir(target, { recursive: true });
    time.lap('prepare');
    const { work, ...moment } = await this.#workAndKill(
      await works[workName]({ round, door, target, scratch }),
      random,
    );
    const claims = work.claims();
    time.lap('work');

    const [onlyHere, journal] = await Promise.all([
      this.#lookAtKill(names, claims),
      journalAtKill(client.directory, scratch),
    ]);
    time.lap('look');
    const again: KillReport['again'][number][] = [];
    while (again.length < AGAIN_MAX && random() < AGAIN) {
      const wasReady = await this.#killAgain(random);
      again.push({ wasReady, journal: await journalAtKill(client.directory, scratch) });
    }
    time.lap('again');
    await client.start();
    this.#startMs = time.lap('start');
    await client.mount(door);
    time.lap('mount');
    const here = await FolderCopy.of(folderOnDisk(target));
    await verify(here, claims, 'on the mount');
    time.lap('here');
    await client.sync();
    time.lap('sync');
    const there = await FolderCopy.of(await this.#reader.folder(names));
    await verify(there, claims, 'on the grid');
    // SFTP has whole seconds
    const differences = here.differences(there, door === 'fuse' ? 'nanoseconds' : 'seconds');
    if (differences.length > 0) throw new Error(`the grid is not as the mount was: ${differences.join('; ')}`);
    time.lap('grid');
    await rm(scratch, { recursive: true });
    if (!isPending(journal)) return undefined;
    const acknowledged = counted(claims);
    return { door, work: workName, ...moment, journal, acknowledged, onlyHere, again, seconds: time.seconds };
  }

  async close(): Promise<void> {
    await this.#client.close();
    await this.#reader.close();
    await this.#servers.kill();
  }

  async #workAndKill(work: Work, random: () => number) {
    const beganMs = performance.now();
    if (random() < AFTER_ACKNOWLEDGEMENT) {
      const isLate = await Promise.race([work.begun(), setTimeout(BEGUN_LIMIT_MS, true, { ref: false })]);
      if (isLate === true) throw new Error(`nothing was acknowledged in ${BEGUN_LIMIT_MS / 1000} s`);
    }
    await sleep(random() * work.killWithinMs);
    await work.note();
    if (work.complaints() !== '') throw new Error(`before the kill: ${work.complaints()}`);
    let isInChange = false;
    if (random() < IN_CHANGE) {
      const dead = this.#client.dieIn(1 + Math.floor(random() * CHANGES_OF_WORK)).then(() => {
        isInChange = true;
      });
      await Promise.race([dead, sleep(work.killWithinMs / 2)]);
    } else await sleep(random() * 50);
    const killedAfterMs = Math.round(performance.now() - beganMs);
    const moment = { killedAfterMs, isInChange };
    await this.#client.kill();
    await work.ended();
    return { work, ...moment };
  }

  /** Before the node runs again: what fsync acknowledged is on the grid. Returns how much of the rest is not. */
  async #lookAtKill(names: readonly string[], claims: readonly Claim[]): Promise<number> {
    const folder = await this.#reader.folder(names);
    await verify(
      folder,
      claims.filter(({ promised }) => promised === 'grid'),
      'on the grid at the kill',
    );
    const later = claims.filter(({ promised }) => promised === 'computer');
    const complaints = await Promise.all(later.map((claim) => claim.check(folder)));
    return later.reduce((sum, { count }, index) => sum + (complaints[index] === undefined ? 0 : count), 0);
  }

  /** By the clock or in a change of the journal while it starts, or some time after. True if it was ready already. */
  async #killAgain(random: () => number): Promise<boolean> {
    const node = this.#client.begin();
    const way = random();
    const moment = random();
    if (way < 1 / 3) {
      const dead = node.dieIn(1 + Math.floor(moment * CHANGES_OF_START));
      await node.start();
      await Promise.race([dead, sleep(RESUME_MS)]);
    } else if (way < 2 / 3) {
      await node.start();
      await node.ready();
      // what is pending goes to the grid at once, and is cut off
      const cut = random() < 1 / 2 ? this.#client.sync().catch(() => undefined) : undefined;
      await Promise.race([cut ?? sleep(RESUME_MS), sleep(moment * RESUME_MS)]);
    } else await Promise.race([node.start(), sleep(moment * this.#startMs)]);
    await this.#client.kill();
    return node.isReady;
  }
}

async function verify(folder: Folder, claims: readonly Claim[], where: string): Promise<void> {
  const found = await Promise.all(claims.map((claim) => claim.check(folder)));
  const complaints = found.filter((complaint) => complaint !== undefined);
  if (complaints.length > 0) throw new Error(`${where}: ${complaints.length} lost or wrong: ${complaints.join('; ')}`);
}

export function isPending({ files, names, directories }: JournalAtKill): boolean {
  return files + names + directories > 0;
}

function counted(claims: readonly Claim[]): Record<Claim['kind'], number> {
  const counts = { files: 0, fsyncs: 0, commits: 0, names: 0, writes: 0 };
  for (const { kind, count } of claims) counts[kind] += count;
  return counts;
}

function sleep(ms: number): Promise<void> {
  return setTimeout(ms);
}

class Stopwatch {
  readonly seconds: Record<string, number> = {};
  #sinceMs = performance.now();

  /** Milliseconds since the last one. */
  lap(name: string): number {
    const nowMs = performance.now();
    const lapMs = nowMs - this.#sinceMs;
    this.seconds[name] = Math.round(lapMs) / 1000;
    this.#sinceMs = nowMs;
    return lapMs;
  }
}
