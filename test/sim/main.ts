/**
 * `npm run sim -- --help`: runs seeds one after the other; prints what a seed found, with the short list of steps that
 * shows it, and exits with 1 if there was anything.
 */
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { naturalNumber } from '../support/natural-number.js';
import { configNamed, configs } from './config.js';
import { type Defect, defectNamed, defects } from './defects.js';
import { makeScript, type Script } from './script.js';
import { shrink } from './shrink.js';
import { type RunOptions, runScript } from './simulation.js';

const SHRINK_RUNS_MAX = 300;

interface Options {
  readonly seed: number;
  readonly steps: number;
  readonly runs: number;
  readonly nodes?: number;
  readonly config?: string;
  readonly bug?: string;
  readonly script?: string;
  readonly trace: boolean;
  readonly shrink: boolean;
  readonly listBugs: boolean;
}

const configNames = configs.map(({ name }) => name);
const bugNames = defects.map(({ name }) => name);
const given = new Command('npm run sim --')
  .option('--seed <number>', 'the first seed', naturalNumber, 1)
  .option('--steps <number>', 'operations and faults of a run', naturalNumber, 200)
  .option('--runs <number>', 'how many seeds', naturalNumber, 1)
  .option('--nodes <number>', 'instead of those that the configuration has', naturalNumber)
  .addOption(new Option('--config <name>', 'one configuration; otherwise they take turns').choices(configNames))
  .addOption(
    new Option('--bug <name>', 'with a deliberate defect, until its script or a seed shows it').choices(bugNames),
  )
  .option(
    '--list-bugs',
    'the deliberate defects, each with the number of seeds or the script by which it is found',
    false,
  )
  .option('--script <file>', 'runs a list of steps that was printed')
  .option('--trace', 'prints what happens', false)
  .option('--no-shrink', 'does not look for the fewest steps')
  .parse()
  .opts<Options>();

// one signal may be listened to by as many calls as there are servers
setMaxListeners(0);
process.exitCode = await main();

async function main(): Promise<number> {
  if (given.listBugs) {
    for (const { name, seeds, what } of defects) {
      const shownBy = seeds === undefined ? 'its script' : `${seeds} seeds`;
      print(`${name.padEnd(34)} ${shownBy.padStart(10)}  ${what}`);
    }
    return 0;
  }
  const defect = given.bug === undefined ? undefined : defectNamed(given.bug);
  const options: RunOptions = {
    ...(defect === undefined ? {} : { seams: defect.seams }),
    ...(given.trace ? { onLine: print } : {}),
  };
  if (given.script !== undefined) return (await runOne(scriptIn(given.script), options)) ? 1 : 0;
  if (defect?.script !== undefined && (await runOne(scriptIn(defect.script), options))) return 1;
  return runSeeds(options, defect);
}

function scriptIn(path: string): Script {
  return JSON.parse(readFileSync(path, 'utf8'));
}

async function runSeeds(options: RunOptions, defect: Defect | undefined): Promise<number> {
  const { seed: first, runs } = given;
  const cpu = process.cpuUsage();
  let found = 0;
  let operations = 0;
  for (let seed = first; seed < first + runs; seed++) {
    const config = configOf(seed, defect);
    const script = makeScript(String(seed), given.steps, config);
    const outcome = await runOne(script, options);
    operations += script.steps.length;
    if (!outcome) continue;
    found++;
    if (defect !== undefined) break;
  }
  const used = process.cpuUsage(cpu);
  const each = (used.user + used.system) / 1000 / runs;
  print(`${runs} runs, ${operations} steps, ${found} with violations, ${each.toFixed(0)} ms of CPU each`);
  return found > 0 ? 1 : 0;
}

/** True if it found something. */
async function runOne(script: Script, options: RunOptions): Promise<boolean> {
  const { violation, traceHash, virtualSeconds, counts } = await runScript(script, options);
  const about = `seed ${script.seed} ${script.config}`;
  if (violation === undefined) {
    if (given.runs === 1) print(`${about}: trace ${traceHash}, ${virtualSeconds} s, ${JSON.stringify(counts)}`);
    return false;
  }
  print(`${about}: trace ${traceHash}, step ${violation.step ?? 'end'}: ${violation.invariant}: ${violation.what}`);
  if (!given.shrink) return true;
  const { onLine: _, ...quiet } = options;
  const shrunk = await shrink(script, violation, quiet, SHRINK_RUNS_MAX);
  print(`${shrunk.script.steps.length} steps left after ${shrunk.runs} runs: ${shrunk.violation.what}`);
  print(JSON.stringify(shrunk.script));
  return true;
}

function configOf(seed: number, defect: Defect | undefined) {
  const name = given.config ?? defect?.config;
  const config = name === undefined ? configs[seed % configs.length]! : configNamed(name)!;
  return given.nodes === undefined ? config : { ...config, nodes: given.nodes };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
