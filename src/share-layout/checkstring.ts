/** The checkstring of a share of either format; its first byte says which. */

import { mdmfVersion, parseMdmfCheckstring, serializeMdmfCheckstring } from './mdmf-share.js';
import type { Checkstring } from './mutable-share.js';
import { parseSdmfCheckstring, sdmfCheckstringLength, serializeSdmfCheckstring } from './sdmf-share.js';

/** As much of a share as holds the checkstring of either format. */
export const checkstringLengthMax = sdmfCheckstringLength;

export function serializeCheckstring(checkstring: Checkstring): Uint8Array {
  const { iv } = checkstring;
  return iv === undefined ? serializeMdmfCheckstring(checkstring) : serializeSdmfCheckstring({ ...checkstring, iv });
}

/** From the beginning of a share, or of anything that begins with a checkstring. Kind `corrupt`. */
export function parseCheckstring(bytes: Uint8Array): Checkstring {
  return bytes[0] === mdmfVersion ? parseMdmfCheckstring(bytes) : parseSdmfCheckstring(bytes);
}
