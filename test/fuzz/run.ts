/**
 * `npm run fuzz -- [--parser NAME]... [--inputs N] [--seed S] [--from I]`: damaged inputs for every parser of outside
 * bytes, each parser in a process of its own. What is not a result or a typed refusal, takes more than a second, or
 * makes the process larger than 512 MiB is a defect: it is printed, and the exit code is 1. The same seed makes the same
 * inputs; `--from I --inputs 1` runs one of them again and prints it whole.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { RandomInputs } from './random-input.js';
import { fuzzTargets } from './targets.js';
import { type WatchedResult, watchedRun } from './watched-run.js';

const { values } = parseArgs({
  options: {
    parser: { type: 'string', multiple: true },
    inputs: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    /** What this program calls itself with. */
    alone: { type: 'string' },
  },
});
const seed = Number(values.seed);
const from = Number(values.from);
const inputs = Number(values.inputs);

if (values.alone !== undefined) {
  const result = await watchedRun(values.alone, seed, from, from + inputs);
  process.stdout.write(JSON.stringify(result));
} else {
  process.exitCode = runAll();
}

function runAll(): number {
  const wanted = values.parser ?? fuzzTargets.map(({ name }) => name);
  const unknown = wanted.find((name) => !fuzzTargets.some((target) => target.name === name));
  if (unknown !== undefined || ![seed, from, inputs].every((number) => Number.isSafeInteger(number) && number >= 0)) {
    console.error(`usage: npm run fuzz -- [--parser NAME]... [--inputs N] [--seed S] [--from I]`);
    console.error(`parsers: ${fuzzTargets.map(({ name }) => name).join(' ')}`);
    return 2;
  }
  console.log(row('parser', 'inputs', 'accepted', 'refused', 'per s', 'slowest ms', 'peak MiB', 'defects'));
  let defects = 0;
  for (const name of wanted) defects += runOne(name);
  if (inputs === 1) for (const name of wanted) showInput(name);
  return defects === 0 ? 0 : 1;
}

function runOne(name: string): number {
  const startedMs = performance.now();
  const args = ['--alone', name, '--seed', String(seed), '--from', String(from), '--inputs', String(inputs)];
  const child = spawnSync(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 1 << 26,
    encoding: 'utf8',
  });
  if (child.status !== 0) {
    console.log(`${name}: the process ended with ${child.signal ?? child.status}`);
    return 1;
  }
  const result = JSON.parse(child.stdout) as WatchedResult;
  const perSecond = Math.round((1000 * result.inputs) / (performance.now() - startedMs));
  const { accepted, refused, slowestMs, peakBytes } = result;
  const figures = [result.inputs, accepted, refused, perSecond, slowestMs.toFixed(1), peakBytes >> 20];
  console.log(row(name, ...figures.map(String), String(result.defects.length)));
  for (const { index, what, hex } of result.defects) console.log(`  seed ${seed} input ${index}: ${what}\n    ${hex}`);
  return result.defects.length;
}

function showInput(name: string): void {
  const target = fuzzTargets.find((candidate) => candidate.name === name)!;
  const input = new RandomInputs(target, seed).at(from);
  console.log(
    `${name}: ${Buffer.from(input).toString('hex')}\n${JSON.stringify(Buffer.from(input).toString('latin1'))}`,
  );
}

function row(name: string, ...figures: readonly string[]): string {
  return `${name.padEnd(24)}${figures.map((figure) => figure.padStart(11)).join('')}`;
}
