import { isTahoeError } from '../../src/errors/tahoe-error.js';
import type { Clock } from '../../src/platform/clock.js';

/** Nothing may wait for the time. */
export const standingClock: Clock = { wallMs: () => 0, monotonicMs: () => 0, setTimer: () => ({ cancel() {} }) };

/** For targets in which being refused is a result and not the end. */
export function unlessRefused<Value>(
  parse: () => Value,
  ...kinds: Parameters<typeof isTahoeError>[1][]
): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (isTahoeError(error, ...kinds)) return undefined;
    throw error;
  }
}
