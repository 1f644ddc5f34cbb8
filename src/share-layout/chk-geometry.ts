/** How an immutable file is cut into segments and blocks (immutable spec 3.1). */
import { TahoeError } from '../errors/tahoe-error.js';

export interface ChkGeometry {
  /** Bytes of the file, plaintext and ciphertext alike. */
  readonly sizeBytes: number;
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
  /** A multiple of sharesNeeded; may exceed the file. */
  readonly segmentSize: number;
  readonly segmentCount: number;
  /** Bytes of the last segment without its padding. */
  readonly tailSize: number;
  /** The same rounded up to a multiple of sharesNeeded. */
  readonly tailPadded: number;
  readonly blockSize: number;
  readonly tailBlockSize: number;
  /** Bytes of all blocks of one share. */
  readonly shareDataLength: number;
}

export interface ChkParameters {
  readonly sizeBytes: number;
  readonly sharesNeeded: number;
  readonly sharesTotal: number;
}

/** What an uploader makes of a file with a limit on the segment size. Kind `invalid` for numbers outside the format. */
export function uploadGeometry(parameters: ChkParameters, maximumSegmentSize: number): ChkGeometry {
  const largest = Math.min(maximumSegmentSize, parameters.sizeBytes);
  return chkGeometry(parameters, Math.ceil(largest / parameters.sharesNeeded) * parameters.sharesNeeded);
}

/** The same from a known segment size. Kind `invalid` for numbers outside the format. */
export function chkGeometry(parameters: ChkParameters, segmentSize: number): ChkGeometry {
  const { sizeBytes, sharesNeeded, sharesTotal } = parameters;
  const valid =
    isCount(sizeBytes) &&
    isCount(sharesNeeded) &&
    isCount(segmentSize) &&
    sharesNeeded <= sharesTotal &&
    sharesTotal <= 256 &&
    Number.isInteger(sharesTotal) &&
    segmentSize % sharesNeeded === 0;
  if (!valid) {
    const what = `${sizeBytes} bytes, ${sharesNeeded} of ${sharesTotal} shares, segments of ${segmentSize}`;
    throw new TahoeError(`no immutable file has ${what}`, { kind: 'invalid', op: 'chk-geometry' });
  }
  const segmentCount = Math.ceil(sizeBytes / segmentSize);
  const tailSize = sizeBytes - (segmentCount - 1) * segmentSize;
  const tailBlockSize = Math.ceil(tailSize / sharesNeeded);
  const blockSize = segmentSize / sharesNeeded;
  return {
    sizeBytes,
    sharesNeeded,
    sharesTotal,
    segmentSize,
    segmentCount,
    tailSize,
    tailPadded: tailBlockSize * sharesNeeded,
    blockSize,
    tailBlockSize,
    shareDataLength: (segmentCount - 1) * blockSize + tailBlockSize,
  };
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

/** Unpadded bytes of one segment. */
export function segmentLength(geometry: ChkGeometry, segment: number): number {
  return segment === geometry.segmentCount - 1 ? geometry.tailSize : geometry.segmentSize;
}

/** Bytes of each block of one segment. */
export function blockLength(geometry: ChkGeometry, segment: number): number {
  return segment === geometry.segmentCount - 1 ? geometry.tailBlockSize : geometry.blockSize;
}
