/** As much of DER as a certificate needs. Each function gives one complete element. */
import { concatBytes, encodeAscii } from '../encoding/bytes.js';

export function derElement(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(contents);
  return concatBytes([new Uint8Array([tag, ...lengthBytes(body.length)]), body]);
}

export function derSequence(...items: readonly Uint8Array[]): Uint8Array {
  return derElement(0x30, ...items);
}

export function derSet(...items: readonly Uint8Array[]): Uint8Array {
  return derElement(0x31, ...items);
}

/** A non-negative integer from its big-endian bytes. */
export function derInteger(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const body = bytes.subarray(start);
  const needsSign = ((body[0] ?? 0) & 0x80) !== 0;
  return derElement(0x02, needsSign ? concatBytes([new Uint8Array(1), body]) : body);
}

/** From the dotted form. */
export function derObjectId(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return derElement(0x06, new Uint8Array(bytes));
}

export function derUtf8String(text: string): Uint8Array {
  return derElement(0x0c, new TextEncoder().encode(text));
}

/** A bit string of whole bytes. */
export function derBitString(bytes: Uint8Array): Uint8Array {
  return derElement(0x03, new Uint8Array(1), bytes);
}

/** UTCTime until 2049, GeneralizedTime after, as RFC 5280 4.1.2.5 wants. */
export function derTime(date: Date): Uint8Array {
  const digits = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? derElement(0x17, encodeAscii(digits.slice(2)))
    : derElement(0x18, encodeAscii(digits));
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) bytes.unshift(left & 0xff);
  return [0x80 | bytes.length, ...bytes];
}
