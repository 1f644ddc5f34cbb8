import { isReadable, parseKnownCap, readCapOf, serializeCap } from '../../src/caps/cap.js';

export const DirectoryCaps = {
  /** The same directory without the right to change it. */
  readOnly(capText: string): string {
    const cap = parseKnownCap(capText);
    if (!isReadable(cap)) throw new Error('a capability that can be read');
    return serializeCap(readCapOf(cap));
  },
};
