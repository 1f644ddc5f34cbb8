/** Capabilities and share digests that the reference implementation made of a known sequence of bytes. */
import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/encoding/bytes.js';

export interface GoldenFile {
  readonly sizeBytes: number;
  readonly cap: string;
  readonly sha256: string;
  readonly maximumSegmentSize: number;
  /** SHA-256 of whole shares by share number, where known. */
  readonly shareSha256?: Readonly<Record<string, string>>;
}

export interface GoldenFiles {
  readonly convergenceSecret: Uint8Array;
  readonly files: readonly GoldenFile[];
}

export function loadGoldenFiles(): GoldenFiles {
  const parsed = JSON.parse(readFileSync('test/vectors/immutable/golden-files.json', 'utf8'));
  return { convergenceSecret: fromHex(parsed.convergenceSecretHex), files: parsed.files };
}

/** Byte i is (i * 167 + 13) mod 251, from `offset` on. */
export function fillGolden(target: Uint8Array, offset = 0): Uint8Array {
  for (let i = 0; i < target.length; i++) target[i] = ((offset + i) * 167 + 13) % 251;
  return target;
}

export function goldenPlaintext(sizeBytes: number): Uint8Array {
  return fillGolden(new Uint8Array(sizeBytes));
}
