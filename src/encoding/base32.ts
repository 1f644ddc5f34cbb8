/** Base32 of immutable spec 1.1: the RFC 4648 alphabet in lower case, most significant bit first, no padding. */
import { TahoeError } from '../errors/tahoe-error.js';

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** Value of each ASCII code, 0xff for those outside the alphabet. */
const values = new Uint8Array(128).fill(0xff);
for (let value = 0; value < alphabet.length; value++) values[alphabet.charCodeAt(value)] = value;

/** ceil(8 * length / 5) characters; the empty string for no bytes. */
export function encodeBase32(bytes: Uint8Array): string {
  let text = '';
  let pending = 0;
  let pendingBits = 0;
  for (const byte of bytes) {
    pending = (pending << 8) | byte;
    pendingBits += 8;
    while (pendingBits >= 5) {
      pendingBits -= 5;
      text += alphabet[(pending >>> pendingBits) & 31]!;
    }
    pending &= (1 << pendingBits) - 1;
  }
  if (pendingBits > 0) text += alphabet[(pending << (5 - pendingBits)) & 31]!;
  return text;
}

/**
 * The bytes whose encoding is exactly `text`. Kind `invalid` for anything else: upper case, padding, a length no
 * encoding has, or bits set beyond the last byte.
 */
export function decodeBase32(text: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let pending = 0;
  let pendingBits = 0;
  let filled = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    const value = code < 128 ? values[code]! : 0xff;
    if (value === 0xff) throw notBase32('a character outside the alphabet');
    pending = ((pending << 5) | value) & 0xfff;
    pendingBits += 5;
    if (pendingBits >= 8) {
      pendingBits -= 8;
      bytes[filled++] = (pending >>> pendingBits) & 0xff;
    }
  }
  if (pendingBits >= 5) throw notBase32('an impossible length');
  if ((pending & ((1 << pendingBits) - 1)) !== 0) throw notBase32('stray bits at the end');
  return bytes;
}

function notBase32(reason: string): TahoeError {
  return new TahoeError(`not base32: ${reason}`, { kind: 'invalid', op: 'base32.decode' });
}
