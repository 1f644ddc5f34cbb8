/** The capabilities and shares of test/vectors/immutable/python-caps.json, and the content they belong to. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/encoding/bytes.js';

export const PYTHON_CAPS = 'test/vectors/immutable/python-caps.json';

export interface PythonCap {
  readonly needed: number;
  readonly total: number;
  readonly maximumSegmentSize: number;
  readonly size: number;
  readonly cap: string;
  /** Of the SHA-256s of all shares; none for a literal. */
  readonly sharesSha256?: string;
}

export interface PythonCaps {
  readonly convergenceSecret: Uint8Array;
  readonly files: readonly PythonCap[];
}

export function loadPythonCaps(): PythonCaps {
  const { convergenceSecret, files } = JSON.parse(readFileSync(PYTHON_CAPS, 'utf8')) as {
    convergenceSecret: string;
    files: PythonCap[];
  };
  return { convergenceSecret: fromHex(convergenceSecret), files };
}

/** The first bytes of SHA-256(0), SHA-256(1)... with the numbers as eight bytes. */
export function pythonCapsContent(size: number): Uint8Array {
  const content = new Uint8Array(Math.ceil(size / 32) * 32);
  const counter = Buffer.alloc(8);
  for (let at = 0; at < size; at += 32) {
    counter.writeBigUInt64BE(BigInt(at / 32));
    content.set(createHash('sha256').update(counter).digest(), at);
  }
  return content.subarray(0, size);
}
