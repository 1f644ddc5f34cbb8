/** Key pairs made once for all tests, each given out once in a run. */
import { readFileSync } from 'node:fs';
import type { KeyPair, KeySource } from '../../src/vfs/key-pool.js';

let made: KeyPair[] | undefined;

function madeKeys(): readonly KeyPair[] {
  if (made !== undefined) return made;
  const texts: { private: string; public: string }[] = JSON.parse(
    readFileSync('test/vectors/keys/rsa-2048.json', 'utf8'),
  );
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));
  made = texts.map((pair) => ({ privateKeyDer: bytes(pair.private), publicKeyDer: bytes(pair.public) }));
  return made;
}

export class SimKeys implements KeySource {
  #taken = 0;

  async take(): Promise<KeyPair> {
    const pair = madeKeys()[this.#taken++];
    if (pair === undefined) throw new Error('a run makes fewer directories than there are keys');
    return pair;
  }

  async close(): Promise<void> {}
}
