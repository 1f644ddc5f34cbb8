/** Runs one target in a thread of this process and watches it: hangs, crashes and memory are defects of the input at hand. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { emptyResult, type FuzzResult, shortHex } from './fuzz-run.js';
import type { FuzzWork } from './fuzz-worker.js';
import { RandomInputs } from './random-input.js';
import { fuzzTargets } from './targets.js';

export const MEMORY_LIMIT_BYTES = 512 * 1024 * 1024;
/** More than the time that an input may take: the machine may be busy. */
const HANG_MS = 15_000;
const LOOK_EVERY_MS = 50;
/** Enough for every parser; what wants more ends with an error that names the input. */
const HEAP_MB = 256;
const RESTARTS_MAX = 20;

export interface WatchedResult extends FuzzResult {
  readonly peakBytes: number;
}

type End = { readonly result: FuzzResult } | { readonly failedAt: number; readonly what: string };

export async function watchedRun(name: string, seed: number, from: number, to: number): Promise<WatchedResult> {
  const total = emptyResult();
  for (let start = from, restarts = 0; start < to && restarts <= RESTARTS_MAX; restarts++) {
    const end = await runUntilEnd({ name, seed, from: start, to });
    if ('result' in end) {
      add(total, end.result);
      break;
    }
    const target = fuzzTargets.find((candidate) => candidate.name === name)!;
    const hex = shortHex(new RandomInputs(target, seed).at(end.failedAt));
    total.defects.push({ index: end.failedAt, what: end.what, hex });
    // the counts of the thread that ended are lost with it
    total.inputs += end.failedAt - start + 1;
    start = end.failedAt + 1;
  }
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  if (peakBytes > MEMORY_LIMIT_BYTES) {
    total.defects.push({ index: -1, what: `${peakBytes >> 20} MiB of memory`, hex: '' });
  }
  return { ...total, peakBytes };
}

async function runUntilEnd(work: Omit<FuzzWork, 'progress'>): Promise<End> {
  const progress = new SharedArrayBuffer(4);
  const current = new Int32Array(progress);
  current[0] = work.from;
  const worker = new Worker(new URL('./fuzz-worker.js', import.meta.url), {
    workerData: { ...work, progress } satisfies FuzzWork,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
  });
  const failed = (what: string): End => ({ failedAt: current[0]!, what });
  const ends: Promise<End>[] = [
    once(worker, 'message').then(
      ([result]) => ({ result: result as FuzzResult }),
      (error: unknown) =>
        failed(`not caught: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`),
    ),
  ];
  let timer: NodeJS.Timeout | undefined;
  ends.push(
    new Promise((resolve) => {
      let seen = -1;
      let sinceMs = performance.now();
      timer = setInterval(() => {
        if (process.memoryUsage.rss() > MEMORY_LIMIT_BYTES) resolve(failed('too much memory'));
        if (current[0] !== seen) {
          seen = current[0]!;
          sinceMs = performance.now();
        } else if (performance.now() - sinceMs > HANG_MS) resolve(failed('hangs'));
      }, LOOK_EVERY_MS);
    }),
  );
  const end = await Promise.race(ends);
  clearInterval(timer);
  await worker.terminate();
  return end;
}

function add(total: FuzzResult, part: FuzzResult): void {
  total.inputs += part.inputs;
  total.accepted += part.accepted;
  total.refused += part.refused;
  if (part.slowestMs > total.slowestMs) {
    total.slowestMs = part.slowestMs;
    total.slowestIndex = part.slowestIndex;
  }
  total.defects.push(...part.defects);
}
