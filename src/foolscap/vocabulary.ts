/** Words that a token may name by number: initial vocabulary table 1 of introducer spec 6. */
import { createHash } from 'node:crypto';
import { encodeAscii } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';

const WORDS = [
  ...['none', 'boolean', 'reference', 'dict', 'list', 'tuple', 'set', 'immutable-set', 'unicode', 'set-vocab'],
  ...['add-vocab', 'call', 'arguments', 'answer', 'error', 'my-reference', 'your-reference', 'their-reference'],
  ...['copyable', 'instance', 'module', 'class', 'method', 'function', 'attrdict'],
] as const;

const ENCODED = WORDS.map((word) => encodeAscii(word));
const INDEXES: ReadonlyMap<string, number> = new Map(WORDS.map((word, index) => [word, index]));
const LONGEST_WORD = Math.max(...WORDS.map((word) => word.length));

/** What both sides compare: the table's number, and the first four digits of the SHA-1 of its words joined by NUL. */
export const VOCABULARY_HASH = createHash('sha1').update(WORDS.join('\0')).digest('hex').slice(0, 4);

/** Kind `protocol` for a number without a word. */
export function vocabularyWord(index: number): Uint8Array {
  const word = ENCODED[index];
  if (word === undefined) {
    throw new TahoeError(`the peer sent word ${index}, which is in no vocabulary`, {
      kind: 'protocol',
      op: 'banana.decode',
    });
  }
  return word;
}

export function vocabularyIndex(bytes: Uint8Array): number | undefined {
  return bytes.length > LONGEST_WORD ? undefined : INDEXES.get(Buffer.from(bytes).toString('latin1'));
}
