/** Points in time as POSIX keeps them: whole seconds since the epoch and nanoseconds. */
import type { Timestamp } from './vfs.js';

export function timestampFromMs(wallMs: number): Timestamp {
  const seconds = Math.floor(wallMs / 1000);
  return { seconds, nanoseconds: Math.min(999_999_999, Math.round((wallMs - seconds * 1000) * 1e6)) };
}

export function timestampToSeconds({ seconds, nanoseconds }: Timestamp): number {
  return seconds + nanoseconds / 1e9;
}

export function later(one: Timestamp, two: Timestamp | undefined): Timestamp {
  if (two === undefined) return one;
  const isLater = two.seconds - one.seconds || two.nanoseconds - one.nanoseconds;
  return isLater > 0 ? two : one;
}

export const epoch: Timestamp = { seconds: 0, nanoseconds: 0 };
