/**
 * An RSA-2048 key from two primes, with the checks that a key generator owes (PKCS #1 and FIPS 186 appendix A.1.1).
 * The arithmetic does not take constant time: for the making of a key on the machine that keeps it, nothing else.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto';

const publicExponent = 65537n;
const primeBits = 1024n;
const leastSquare = 1n << (2n * primeBits - 1n);
const leastDistance = 1n << (primeBits - 100n);
const leastPrivateExponent = 1n << primeBits;

/** The numbers of a private key as PKCS #1 has them: p > q. */
export interface RsaNumbers {
  readonly n: bigint;
  readonly e: bigint;
  readonly d: bigint;
  readonly p: bigint;
  readonly q: bigint;
  readonly dp: bigint;
  readonly dq: bigint;
  /** The inverse of q modulo p. */
  readonly qi: bigint;
}

/**
 * The key of two primes, or undefined if they do not make a good one: each must be 1024 bits long and its square 2048,
 * so that n has all its bits; they must lie far apart; e must have an inverse, and that must be large. That they are
 * prime is the caller's word.
 */
export function rsaNumbers(one: bigint, other: bigint): RsaNumbers | undefined {
  const [p, q] = one > other ? [one, other] : [other, one];
  if (p >> primeBits !== 0n || q * q < leastSquare || p - q <= leastDistance) return undefined;
  const e = publicExponent;
  const order = ((p - 1n) * (q - 1n)) / greatestCommonDivisor(p - 1n, q - 1n);
  const d = inverse(e, order);
  const qi = inverse(q, p);
  if (d === undefined || d <= leastPrivateExponent || qi === undefined) return undefined;
  return { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi };
}

/** The numbers as a key of node:crypto, which writes its DER. */
export function rsaKeyObject(numbers: RsaNumbers): KeyObject {
  const { n, e, d, p, q, dp, dq, qi } = numbers;
  const parts = { n, e, d, p, q, dp, dq, qi };
  const texts = Object.fromEntries(Object.entries(parts).map(([name, value]) => [name, base64Url(value)]));
  return createPrivateKey({ key: { kty: 'RSA', ...texts }, format: 'jwk' });
}

function greatestCommonDivisor(one: bigint, other: bigint): bigint {
  let [a, b] = [one, other];
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}

/** Of `value` modulo `modulus`, by Euclid; undefined if they have a common divisor. */
function inverse(value: bigint, modulus: bigint): bigint | undefined {
  let [remainder, nextRemainder] = [modulus, value % modulus];
  let [factor, nextFactor] = [0n, 1n];
  while (nextRemainder !== 0n) {
    const quotient = remainder / nextRemainder;
    [remainder, nextRemainder] = [nextRemainder, remainder - quotient * nextRemainder];
    [factor, nextFactor] = [nextFactor, factor - quotient * nextFactor];
  }
  if (remainder !== 1n) return undefined;
  return factor < 0n ? factor + modulus : factor;
}

/** Big-endian without leading zeros (RFC 7518, 6.3). */
function base64Url(value: bigint): string {
  const digits = value.toString(16);
  return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex').toString('base64url');
}
