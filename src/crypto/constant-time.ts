import { timingSafeEqual } from 'node:crypto';

/** For secrets: the time does not depend on where they differ. */
export function secretsEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
