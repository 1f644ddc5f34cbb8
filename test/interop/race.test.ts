/**
 * One directory, two writers at once: a client of the Python implementation, which changes directories without asking
 * whether anybody else does, and ours.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { capsIn, type Listing, listDirectory } from './support/directory-listing.js';
import { MatrixGrids } from './support/matrix-grid.js';
import { ask, type WebApi } from './support/web-api.js';

const ADDITIONS = 100;
/** Names that both add, among the others. */
const SAME_NAMES = 5;
/** How many requests each client has open at a time. */
const LANES = 4;
/** After so long our client looks at a directory again when it is asked for it. */
const FRESHNESS_MS = 5_500;

const grids = new MatrixGrids();
test.after.always(() => grids.close());

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

  async addAll(cap: string, other: Writer): Promise<void> {
    const names = Array.from({ length: ADDITIONS }, (_, number) => `${this.#prefix} ${number}`);
    for (let number = 0; number < SAME_NAMES; number++) names.splice(number * 20 + 10, 0, `both ${number}`);
    const lane = async () => {
      for (let name = names.shift(); name !== undefined; name = names.shift()) {
        while (this.answers.length > other.answers.length + LANES) await delay(5);
        const path = `uri/${cap}/${encodeURIComponent(name)}`;
        const response = await this.#client.fetch(path, { method: 'PUT', body: `${name}, by ${this.#prefix}` });
        this.answers.push({ name, isAccepted: response.ok, text: (await response.text()).trim() });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  /** Of the names that only this one adds. */
  accepted(): Answer[] {
    return this.answers.filter(({ name, isAccepted }) => isAccepted && name.startsWith(this.#prefix));
  }

  /** What went wrong, by the name of the error, and how often. */
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

const missing = (answers: readonly Answer[], listing: Listing) =>
  answers.filter(({ name, text }) => listing[name]?.[1].ro_uri !== text).map(({ name }) => name);

async function race(t: ExecutionContext, format: string): Promise<void> {
  const { python, ours } = await grids.open({ servers: 'five servers of each', introducer: 'a Python introducer' });
  const cap = await ask(python, 'POST', `uri?t=mkdir&format=${format}`);
  // A Python client that begins with an empty directory takes it for empty again in each of its repetitions.
  await ask(python, 'PUT', `uri/${cap}/first`, 'not empty');
  const [theirs, own] = [new Writer(python, 'theirs'), new Writer(ours, 'ours')];
  await Promise.all([theirs.addAll(cap, own), own.addAll(cap, theirs)]);
  // Synced is what was true then: what Python overwrote later is found, and added again, at the next look.
  await ours.output('sync', '--timeout', '60');
  await delay(FRESHNESS_MS);
  await listDirectory(ours, cap);
  await ours.output('sync', '--timeout', '60');

  const listing = await listDirectory(python, cap);
  t.deepEqual(capsIn(await listDirectory(ours, cap)), capsIn(listing), 'both read the same');
  const status = JSON.parse(await ours.output('status', '--json')) as { pending: Record<string, unknown> };
  t.log(
    `${format}: Python acknowledged ${theirs.accepted().length}, of these lost ${missing(theirs.accepted(), listing).length};`,
    'its errors',
    theirs.errors(),
  );
  const log = await readFile(join(ours.directory, 'logs/tahoe.log'), 'utf8');
  const overwrites = log.split('\n').filter((line) => line.includes('another program has overwritten')).length;
  t.log(
    `ours acknowledged ${own.accepted().length}, of these lost ${missing(own.accepted(), listing).length};`,
    `${status.pending.publishes} publishes so far, ${status.pending.conflictsFound} conflicts, overwritten by Python ${overwrites} times; errors`,
    own.errors(),
  );
  t.deepEqual(missing(own.accepted(), listing), [], 'acknowledged by ours and not there');
  for (let number = 0; number < SAME_NAMES; number++) t.true(Object.hasOwn(listing, `both ${number}`));
  t.true(Object.hasOwn(listing, 'first'));
  t.is(own.answers.length, ADDITIONS + SAME_NAMES);
  t.true(own.accepted().length > ADDITIONS / 2, 'somebody gets on');
}

for (const format of ['sdmf', 'mdmf']) {
  test.serial(
    `200 additions to one ${format.toUpperCase()} directory by a Python client and ours: what ours acknowledged is there`,
    async (t) => {
      t.timeout(240_000);
      await race(t, format);
    },
  );
}
