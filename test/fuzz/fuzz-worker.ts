/** Thread that parses; writes the number of the input at hand where the thread that watches it can see it. */
import { parentPort, workerData } from 'node:worker_threads';
import { fuzz } from './fuzz-run.js';
import { fuzzTargets } from './targets.js';

export interface FuzzWork {
  readonly name: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** One 32-bit number. */
  readonly progress: SharedArrayBuffer;
}

const { name, seed, from, to, progress } = workerData as FuzzWork;
const target = fuzzTargets.find((candidate) => candidate.name === name);
if (target === undefined) throw new Error(`no parser ${name}`);
const current = new Int32Array(progress);
// stacks cost more than most parsers; they are made when a defect is shown
Error.stackTraceLimit = 4;
const result = await fuzz(target, {
  seed,
  from,
  to,
  onInput: (index) => {
    current[0] = index;
  },
});
parentPort?.postMessage(result);
