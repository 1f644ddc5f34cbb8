import { setMaxListeners } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { configNamed, configs } from '../sim/config.js';
import { defectNamed, defects } from '../sim/defects.js';
import { makeScript, type Script } from '../sim/script.js';
import { shrink } from '../sim/shrink.js';
import { runScript } from '../sim/simulation.js';

const REGRESSIONS = 'test/sim/regressions';

// one signal may be listened to by as many calls as there are servers
setMaxListeners(0);

test.serial(
  'seeded runs with crashes, losses of power, partitions and damaged messages keep every promise',
  async (t) => {
    const steps = 100;
    for (let seed = 1; seed <= 18; seed++) {
      const script = makeScript(`suite ${seed}`, steps, configs[seed % configs.length]!);
      const { violation } = await runScript(script);
      t.is(violation, undefined, `seed "suite ${seed}" of ${steps} steps, ${script.config}`);
    }
  },
);

test.serial('the same seed gives the same run, message by message', async (t) => {
  const script = makeScript('twice', 60, configNamed('2-of-4')!);
  const first = await runScript(script);
  const second = await runScript(script);
  t.is(second.traceHash, first.traceHash);
  t.not((await runScript(makeScript('thrice', 60, configNamed('2-of-4')!))).traceHash, first.traceHash);
});

test.serial('what the simulation has found once is not found again', async (t) => {
  const names = readdirSync(REGRESSIONS);
  for (const name of names) {
    t.is((await runScript(scriptIn(`${REGRESSIONS}/${name}`))).violation, undefined, name);
  }
  t.true(names.length > 0);
});

test.serial('deliberate defects are found, and what shows them is made short', async (t) => {
  t.timeout(300_000);
  t.true(defects.length >= 16);
  for (const name of ['lost-snapshot', 'fsync-of-the-journal-only', 'name-before-contents']) {
    t.truthy(await firstFound({ seams: defectNamed(name)!.seams }), name);
  }
  const options = { seams: defectNamed('key-used-twice')!.seams };
  const found = await firstFound(options);
  const shrunk = await shrink(found!.script, found!.violation, options, 12);
  t.true(shrunk.script.steps.length < found!.script.steps.length / 2, `${shrunk.script.steps.length} steps`);
  t.is((await runScript(shrunk.script, options)).violation?.invariant, found!.violation.invariant);
});

test.serial(
  'deliberate defects that no seed comes to are found by a script, which shows nothing without them',
  async (t) => {
    let scripts = 0;
    for (const { name, script: path, seams } of defects) {
      if (path === undefined) continue;
      scripts++;
      const script = scriptIn(path);
      t.is((await runScript(script, { seams })).violation?.invariant, 'nothing vanishes', name);
      t.is((await runScript(script)).violation, undefined, name);
    }
    t.true(scripts > 0);
  },
);

function scriptIn(path: string): Script {
  return JSON.parse(readFileSync(path, 'utf8'));
}

async function firstFound(options: Parameters<typeof runScript>[1]) {
  for (let seed = 1; seed <= 6; seed++) {
    const script = makeScript(String(seed), 200, configNamed('2-of-4')!);
    const { violation } = await runScript(script, options);
    if (violation !== undefined) return { script, violation };
  }
  return undefined;
}
