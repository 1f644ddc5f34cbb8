/** What has been proven about one immutable file: its parameters and the hash trees all its shares have in common. */
import type { ChkReadCap } from '../caps/cap.js';
import { chkStorageIndex, uebHash } from '../crypto/derivations.js';
import type { StorageIndex } from '../encoding/brands.js';
import { bytesEqual } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import { IncompleteHashTree } from '../hashtree/hash-tree.js';
import { type ChkGeometry, chkGeometry, uploadGeometry } from '../share-layout/chk-geometry.js';
import { parseUeb } from '../share-layout/chk-ueb.js';
import { ShareProblem } from './share-problem.js';

/** What writers use unless told otherwise; only a guess at what to read before the truth is known. */
const USUAL_SEGMENT_SIZE = 1 << 20;
/** Larger segments could not be held in memory several times. Nobody writes them. */
const MAXIMUM_SEGMENT_SIZE = 256 << 20;

export interface VerifiedParameters {
  readonly geometry: ChkGeometry;
  readonly crypttextTree: IncompleteHashTree;
  readonly shareTree: IncompleteHashTree;
}

export class VerifiedFile {
  readonly cap: ChkReadCap;
  readonly storageIndex: StorageIndex;
  readonly #guess: ChkGeometry;
  #parameters: VerifiedParameters | undefined;

  /** Kind `bad-cap` if the numbers in the capability are impossible. */
  constructor(cap: ChkReadCap) {
    this.cap = cap;
    this.storageIndex = chkStorageIndex(cap.key);
    try {
      this.#guess = uploadGeometry(cap, USUAL_SEGMENT_SIZE);
    } catch (cause) {
      throw new TahoeError('a capability with impossible numbers', { kind: 'bad-cap', op: 'immutable.open', cause });
    }
  }

  /** Undefined until a valid URI extension block has been seen. */
  get parameters(): VerifiedParameters | undefined {
    return this.#parameters;
  }

  /** The true geometry, or before it is known what it probably is. */
  get likelyGeometry(): ChkGeometry {
    return this.#parameters?.geometry ?? this.#guess;
  }

  /** Learns a URI extension block. A ShareProblem if it is not the one that the capability names. */
  learnUeb(bytes: Uint8Array): VerifiedParameters {
    if (this.#parameters !== undefined) return this.#parameters;
    if (!bytesEqual(uebHash(bytes), this.cap.uebHash)) {
      throw new ShareProblem('corrupt-share', 'the URI extension block does not have the hash in the capability');
    }
    this.#parameters = this.#parseParameters(bytes);
    return this.#parameters;
  }

  /** Kind `corrupt` if the block is the right one and yet nonsense: every share would say the same. */
  #parseParameters(bytes: Uint8Array): VerifiedParameters {
    try {
      const ueb = parseUeb(bytes);
      const geometry = chkGeometry(this.cap, ueb.segmentSize);
      if (geometry.segmentSize > MAXIMUM_SEGMENT_SIZE) throw unusable('its segments are too large');
      return {
        geometry,
        crypttextTree: new IncompleteHashTree(geometry.segmentCount, ueb.crypttextRootHash),
        shareTree: new IncompleteHashTree(geometry.sharesTotal, ueb.shareRootHash),
      };
    } catch (cause) {
      if (isTahoeError(cause, 'corrupt', 'invalid')) throw unusable('its URI extension block makes no sense', cause);
      throw cause;
    }
  }
}

function unusable(message: string, cause?: unknown): TahoeError {
  return new TahoeError(`the file cannot be read: ${message}`, { kind: 'corrupt', op: 'immutable.read', cause });
}
