/**
 * `npm run fuzz -- --help`: damaged inputs for every parser of outside bytes, each parser in a process of its own. What is not a result or a typed refusal, takes more than a second, or
 * makes the process larger than 512 MiB is a defect: it is printed, and the exit code is 1. The same seed makes the same
 * inputs; `--from I --inputs 1` runs one of them again and prints it whole.
 */
import { spawnSync } from 'node:child_process';
import { Command, Option } from 'commander';
import { naturalNumber } from '../support/natural-number.js';
import { RandomInputs } from './random-input.js';
import { fuzzTargets } from './targets.js';
import { type WatchedResult, watchedRun } from './watched-run.js';

interface Options {
  readonly parser: readonly string[];
  readonly inputs: number;
  readonly seed: number;
  readonly from: number;
  readonly alone?: string;
}

const names = fuzzTargets.map(({ name }) => name);
const { parser, inputs, seed, from, alone } = new Command('npm run fuzz --')
  .addOption(new Option('--parser <name...>', 'these parsers only').choices(names).default(names, 'all'))
  .option('--inputs <number>', 'for each parser', naturalNumber, 100_000)
  .option('--seed <number>', 'the same seed makes the same inputs', naturalNumber, 1)
  .option('--from <number>', 'the first input', naturalNumber, 0)
  .addOption(new Option('--alone <name>', 'what this program calls itself with').hideHelp())
  .parse()
  .opts<Options>();

if (alone !== undefined) {
  const result = await watchedRun(alone, seed, from, from + inputs);
  process.stdout.write(JSON.stringify(result));
} else {
  process.exitCode = runAll();
}

function runAll(): number {
  console.log(row('parser', 'inputs', 'accepted', 'refused', 'per s', 'slowest ms', 'peak MiB', 'defects'));
  let defects = 0;
  for (const name of parser) defects += runOne(name);
  if (inputs === 1) for (const name of parser) showInput(name);
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
