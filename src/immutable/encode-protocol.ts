/** Messages between the main thread and the encode worker. Every request gets one answer, in the order of the requests. */
import type { ChkKey } from '../encoding/brands.js';
import type { KernelMemory } from '../encoding/web-assembly.js';
import type { ChkGeometry } from '../share-layout/chk-geometry.js';
import type { EncodedTrees } from './segment-encoder.js';

export type EncodeRequest =
  | {
      readonly step: 'open';
      readonly job: number;
      readonly memory: KernelMemory;
      readonly geometry: ChkGeometry;
      /** Tag under which the plaintext is hashed to the key. */
      readonly keyTag: Uint8Array;
    }
  /** The next plaintext of the first pass lies in `slot`. */
  | { readonly step: 'hash'; readonly job: number; readonly slot: number; readonly length: number }
  /** The end of the first pass; answers with the key. */
  | { readonly step: 'key'; readonly job: number }
  | { readonly step: 'encode'; readonly job: number; readonly segment: number; readonly slot: number }
  | { readonly step: 'finish'; readonly job: number }
  | { readonly step: 'block-tree'; readonly job: number; readonly share: number }
  | { readonly step: 'close'; readonly job: number };

export interface EncodeAnswers {
  readonly open: undefined;
  readonly hash: undefined;
  readonly key: ChkKey;
  readonly encode: undefined;
  readonly finish: EncodedTrees;
  readonly 'block-tree': Uint8Array;
  readonly close: undefined;
}

export type EncodeAnswer = { readonly value: EncodeAnswers[keyof EncodeAnswers] } | { readonly failure: string };
