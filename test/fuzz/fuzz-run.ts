import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { FuzzTarget } from './fuzz-target.js';
import { RandomInputs } from './random-input.js';

/** No input may take longer. */
export const SLOWEST_MS = 1000;
/** The same defect is found many times; a few of its inputs are enough. */
const DEFECTS_MAX = 20;

export interface FuzzDefect {
  readonly index: number;
  readonly what: string;
  readonly hex: string;
}

export interface FuzzResult {
  inputs: number;
  accepted: number;
  refused: number;
  slowestMs: number;
  slowestIndex: number;
  readonly defects: FuzzDefect[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Called with the number of each input before it is parsed. */
  readonly onInput?: (index: number) => void;
}

export function emptyResult(): FuzzResult {
  return { inputs: 0, accepted: 0, refused: 0, slowestMs: 0, slowestIndex: 0, defects: [] };
}

/** Parses the inputs with numbers [from, to). */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzResult> {
  const inputs = new RandomInputs(target, options.seed);
  const result = emptyResult();
  const seen = new Set<string>();
  for (let index = options.from; index < options.to; index++) {
    const input = inputs.at(index);
    options.onInput?.(index);
    const startedMs = performance.now();
    // waiting for what is not a promise would cost more than most parsers do
    let outcome = parseOnce(target, input);
    if (outcome instanceof Promise) outcome = await outcome;
    const tookMs = performance.now() - startedMs;
    result.inputs++;
    if (outcome === undefined) result.accepted++;
    else if (isTahoeError(outcome.error, ...target.refusals)) result.refused++;
    else note(result, seen, index, inputs, describe(outcome.error));
    if (tookMs > result.slowestMs) {
      const ms = tookMs > SLOWEST_MS / 4 ? Math.min(tookMs, await timeAgain(target, inputs, index)) : tookMs;
      if (ms > result.slowestMs) {
        result.slowestMs = ms;
        result.slowestIndex = index;
      }
      if (ms > SLOWEST_MS) note(result, seen, index, inputs, `took ${Math.round(ms)} ms`);
    }
  }
  return result;
}

type Outcome = { readonly error: unknown } | undefined;

function parseOnce(target: FuzzTarget, input: Uint8Array): Outcome | Promise<Outcome> {
  try {
    const parsed = target.parse(input);
    if (!(parsed instanceof Promise)) return undefined;
    return parsed.then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
  } catch (error) {
    return { error };
  }
}

/** A machine that is busy with something else is not the parser's fault: the best of two more times counts. */
async function timeAgain(target: FuzzTarget, inputs: RandomInputs, index: number): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 2; round++) {
    const input = inputs.at(index);
    const startedMs = performance.now();
    await parseOnce(target, input);
    best = Math.min(best, performance.now() - startedMs);
  }
  return best;
}

function note(result: FuzzResult, seen: Set<string>, index: number, inputs: RandomInputs, what: string): void {
  if (seen.has(what) || result.defects.length >= DEFECTS_MAX) return;
  seen.add(what);
  result.defects.push({ index, what, hex: shortHex(inputs.at(index)) });
}

export function shortHex(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.subarray(0, 120)).toString('hex');
  return bytes.length > 120 ? `${hex}... (${bytes.length} bytes)` : hex;
}

function describe(error: unknown): string {
  if (isTahoeError(error)) return `TahoeError of kind ${error.kind}: ${error.message}`;
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const [, ...frames] = (error.stack ?? '').split('\n');
  const frame = frames.find((line) => line.includes('/dist/'))?.trim() ?? '';
  return `${error.name}: ${error.message.slice(0, 200)} ${frame}`;
}
