/** Makes the list of steps of a failing run short: delta debugging, each candidate a run of its own. */
import type { Script, Step } from './script.js';
import { type RunOptions, runScript, type Violation } from './simulation.js';

export interface Shrunk {
  readonly script: Script;
  readonly violation: Violation;
  readonly runs: number;
}

/** The shortest list found within `runsMax` runs that violates the same invariant. */
export async function shrink(
  script: Script,
  violation: Violation,
  options: RunOptions,
  runsMax: number,
): Promise<Shrunk> {
  let best: Shrunk = { script, violation, runs: 0 };
  let runs = 0;
  const fails = async (candidate: Script): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs++;
    const outcome = await runScript(candidate, options);
    if (outcome.violation?.invariant !== violation.invariant) return false;
    best = { script: candidate, violation: outcome.violation, runs };
    return true;
  };
  if (violation.step !== undefined) await fails({ ...script, steps: script.steps.slice(0, violation.step + 1) });
  await fails({ ...best.script, noise: 0 });
  for (let size = Math.ceil(best.script.steps.length / 2); size >= 1 && runs < runsMax; ) {
    let hasShrunk = false;
    for (let at = 0; at < best.script.steps.length; ) {
      const steps = withoutSteps(best.script.steps, at, size);
      if (await fails({ ...best.script, steps })) hasShrunk = true;
      else at += size;
    }
    if (size === 1 && !hasShrunk) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return { ...best, runs };
}

/** The time of those left out passes before the next. */
function withoutSteps(steps: readonly Step[], at: number, size: number): Step[] {
  const removed = steps.slice(at, at + size);
  const rest = steps.slice(at + size);
  const gapMs = removed.reduce((sum, step) => sum + step.gapMs, 0);
  const [next, ...later] = rest;
  const joined = next === undefined ? [] : [{ ...next, gapMs: next.gapMs + gapMs }, ...later];
  return [...steps.slice(0, at), ...joined];
}
