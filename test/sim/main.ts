/**
 * `npm run sim -- --seed N --steps M [--runs R] [--config NAME] [--bug NAME] [--trace] [--no-shrink]`: runs R seeds from N
 * on; prints what a seed found, with the short list of steps that shows it, and exits with 1 if there was anything.
 * `--script FILE` runs a list of steps that was printed. `--list-bugs` names the deliberate defects.
 */
import { setMaxListeners } from 'node:events';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { configNamed, configs } from './config.js';
import { type Defect, defectNamed, defects } from './defects.js';
import { makeScript, type Script } from './script.js';
import { shrink } from './shrink.js';
import { type RunOptions, runScript } from './simulation.js';

const SHRINK_RUNS_MAX = 300;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    steps: { type: 'string', default: '200' },
    runs: { type: 'string', default: '1' },
    nodes: { type: 'string' },
    config: { type: 'string' },
    bug: { type: 'string' },
    script: { type: 'string' },
    trace: { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    'list-bugs': { type: 'boolean', default: false },
  },
});

// one signal may be listened to by as many calls as there are servers
setMaxListeners(0);
process.exitCode = await main();

async function main(): Promise<number> {
  if (values['list-bugs']) {
    for (const { name, seeds, what } of defects)
      print(`${name.padEnd(34)} ${String(seeds).padStart(4)} seeds  ${what}`);
    return 0;
  }
  const defect = values.bug === undefined ? undefined : defectNamed(values.bug);
  if (values.bug !== undefined && defect === undefined) throw new Error(`no defect ${values.bug}: see --list-bugs`);
  const options: RunOptions = {
    ...(defect === undefined ? {} : { seams: defect.seams }),
    ...(values.trace ? { onLine: print } : {}),
  };
  if (values.script !== undefined) {
    const script: Script = JSON.parse(readFileSync(values.script, 'utf8'));
    return (await runOne(script, options)) ? 1 : 0;
  }
  return runSeeds(options, defect);
}

async function runSeeds(options: RunOptions, defect: Defect | undefined): Promise<number> {
  const first = Number(values.seed);
  const runs = Number(values.runs);
  const cpu = process.cpuUsage();
  let found = 0;
  let operations = 0;
  for (let seed = first; seed < first + runs; seed++) {
    const config = configOf(seed, defect);
    const script = makeScript(String(seed), Number(values.steps), config);
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
    if (Number(values.runs) === 1)
      print(`${about}: trace ${traceHash}, ${virtualSeconds} s, ${JSON.stringify(counts)}`);
    return false;
  }
  print(`${about}: trace ${traceHash}, step ${violation.step ?? 'end'}: ${violation.invariant}: ${violation.what}`);
  if (values['no-shrink']) return true;
  const { onLine: _, ...quiet } = options;
  const shrunk = await shrink(script, violation, quiet, SHRINK_RUNS_MAX);
  print(`${shrunk.script.steps.length} steps left after ${shrunk.runs} runs: ${shrunk.violation.what}`);
  print(JSON.stringify(shrunk.script));
  return true;
}

function configOf(seed: number, defect: Defect | undefined) {
  const name = values.config ?? defect?.config;
  const config = name === undefined ? configs[seed % configs.length]! : configNamed(name);
  if (config === undefined) throw new Error(`no configuration ${name}: ${configs.map((each) => each.name).join(', ')}`);
  return values.nodes === undefined ? config : { ...config, nodes: Number(values.nodes) };
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
