/**
 * Every fault of a server on every message of upload, download, publish and retrieve, with so many servers that enough
 * are left and so many that they are not: the right answer or a typed error, in bounded time, and all is well when the
 * fault is gone. The time is virtual. An unhandled rejection fails the run.
 */
import test from 'ava';
import { isTahoeError } from '../../src/errors/tahoe-error.js';
import {
  FaultGrid,
  isBytes,
  mdmfScenarios,
  type Prepared,
  type Scenario,
  SERVERS,
  scenarios,
} from '../support/fault-matrix.js';
import type { ServerFault } from '../support/faulty-storage-server.js';
import type { Method } from '../support/memory-storage-server.js';

const faults: Readonly<Record<string, ServerFault>> = {
  'refuses connections': { kind: 'refuse' },
  hangs: { kind: 'hang' },
  'answers after a second': { kind: 'late-answer', delayMs: 1000 },
  'answers after everybody has given up': { kind: 'late-answer', delayMs: 70_000 },
  'receives requests after everybody has given up': { kind: 'late-request', delayMs: 70_000 },
  'loses the answer after the effect': { kind: 'lose-answer' },
  'never answers after the effect': { kind: 'swallow-answer' },
  'gets everything twice': { kind: 'duplicate', delayMs: 100 },
  'cuts answers off': { kind: 'truncate' },
  'turns a bit': { kind: 'flip-bit', fraction: 0.3 },
  'gives the wrong share': { kind: 'wrong-share' },
  'forgets what it is told': { kind: 'forget' },
  'has a full disk': { kind: 'disk-full' },
  'answers 500': { kind: 'error', error: 'protocol' },
  'answers what is not CBOR': { kind: 'error', error: 'protocol', afterEffect: true },
  'knows the client no more': { kind: 'error', error: 'permission' },
};

const COUNTS = [1, 4, 8, 9];
/** A write of an upload has 60 s, and servers are asked in rounds. */
const LIMIT_MS = 120_000;
/** Until servers that failed are asked again. */
const RECOVERY_MS = 300_000;

for (const scenario of [...scenarios, ...mdmfScenarios]) {
  for (const [name, fault] of Object.entries(faults)) {
    test(`${scenario.name}: a server ${name}`, async (t) => {
      const methods = await methodsOf(scenario);
      t.true(methods.length > 0);
      for (const method of methods) {
        for (const count of COUNTS) {
          const complaint = await runCell(scenario, method, fault, count);
          t.is(complaint, undefined, `${method} on ${count} of ${SERVERS} servers`);
        }
      }
    });
  }
}

/** The messages that it consists of. */
async function methodsOf(scenario: Scenario): Promise<readonly Method[]> {
  const grid = new FaultGrid();
  const prepared = await scenario.prepare(grid);
  grid.called.clear();
  await grid.run(prepared.operate);
  return [...grid.called];
}

/** Why the cell is not as it must be; undefined if it is. */
async function runCell(
  scenario: Scenario,
  method: Method,
  fault: ServerFault,
  count: number,
): Promise<string | undefined> {
  const grid = new FaultGrid();
  const prepared = await scenario.prepare(grid);
  grid.break(method, fault, count);
  const { value, error, tookMs } = await grid.run(prepared.operate);
  grid.repair();
  if (tookMs > LIMIT_MS) return `it took ${tookMs} ms`;
  if (error !== undefined) {
    const isEnough = SERVERS - count >= scenario.serversNeeded;
    if (isEnough || !isTahoeError(error, ...scenario.refusals)) return `it failed: ${String(error)}`;
  } else if (!prepared.isRight(value)) return 'a wrong answer';
  await grid.clock.runUntil(() => false, RECOVERY_MS);
  // nobody can keep what most servers have promised and not kept
  if (fault.kind === 'forget' && count >= 8 && scenario.serversNeeded > 2) return undefined;
  return afterwards(grid, prepared, { value, failed: error !== undefined });
}

/** What was acknowledged is there, what was not is there whole or not at all, and the operation succeeds now. */
async function afterwards(
  grid: FaultGrid,
  prepared: Prepared,
  { value, failed }: { readonly value: unknown; readonly failed: boolean },
): Promise<string | undefined> {
  const read = await grid.run(() => prepared.readAgain(value));
  if (read.error !== undefined) return `afterwards it cannot be read: ${String(read.error)}`;
  const possible = failed ? prepared.afterFailure : [prepared.written];
  const isPossible = read.value === undefined ? failed : possible.some((bytes) => isBytes(read.value, bytes));
  if (!isPossible) return 'afterwards something else is there';
  const again = await grid.run(prepared.operate);
  if (again.error !== undefined) return `afterwards it fails: ${String(again.error)}`;
  const last = await grid.run(() => prepared.readAgain(again.value));
  return isBytes(last.value, prepared.written) ? undefined : 'afterwards it does not do what it says';
}

for (const count of COUNTS) {
  test(`${count} of ${SERVERS} servers are put back to an older state: what is read is a whole version, the newest while enough are left`, async (t) => {
    const grid = new FaultGrid();
    const versions = ['one', 'two', 'three'].map((word) => new Uint8Array(Buffer.from(word.repeat(300))));
    const [one, two, three] = versions as [Uint8Array, Uint8Array, Uint8Array];
    const { value: cap } = await grid.run(() => grid.client().createMutable(one));
    await grid.run(() => grid.client().overwriteMutable(cap!, two));
    for (const server of grid.inner.slice(0, count)) server.rollBack(1);

    const read = await grid.run(() => grid.client().readMutable(cap!));
    t.true(isBytes(read.value, two) || (count >= 8 && isBytes(read.value, one)));
    const written = await grid.run(() => grid.client().overwriteMutable(cap!, three));
    if (written.error !== undefined) {
      t.true(count >= 8 && isTahoeError(written.error, 'unhappy', 'unrecoverable', 'uncoordinated-write'));
    }
    const last = await grid.run(() => grid.client().readMutable(cap!));
    const possible = written.error === undefined ? [three] : versions;
    t.true(possible.some((bytes) => isBytes(last.value, bytes)));
  });

  test(`${count} of ${SERVERS} servers lose their shares of a file: it is read from two that are left, or refused`, async (t) => {
    const download = scenarios.find(({ name }) => name === 'download')!;
    const grid = new FaultGrid();
    const prepared = await download.prepare(grid);
    for (const server of grid.inner.slice(0, count)) server.buckets.clear();
    const { value, error } = await grid.run(prepared.operate);
    if (count <= 8) t.true(prepared.isRight(value));
    else t.true(isTahoeError(error, 'unrecoverable'));
  });
}
