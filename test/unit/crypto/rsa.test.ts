import { checkPrimeSync, generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import {
  generateBuiltIn,
  generateFromPrimes,
  generateRsaKeyDer,
  importPrivateKey,
  importPublicKey,
  publicKeyDerOf,
  signPss,
  verifyPss,
} from '../../../src/crypto/rsa.js';
import { type RsaNumbers, rsaKeyObject, rsaNumbers } from '../../../src/crypto/rsa-from-primes.js';
import { encodeAscii } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

type MutableVectors = Record<string, { derived: { privkey_pkcs8_der_b64: string; pubkey_spki_der_b64: string } }>;
const [vector] = Object.values(readVectorJson<MutableVectors>('mutable/shares.json'));
const privateKeyDer = fromBase64(vector!.derived.privkey_pkcs8_der_b64);
const publicKeyDer = fromBase64(vector!.derived.pubkey_spki_der_b64);

test('a new key signs for its public half only', (t) => {
  const pair = generateRsaKeyDer();
  const key = importPrivateKey(pair.privateKeyDer);
  const message = encodeAscii('the prefix');
  const signature = signPss(key, message);
  t.is(signature.length, 256);
  t.deepEqual(publicKeyDerOf(key), pair.publicKeyDer);
  t.true(verifyPss(importPublicKey(pair.publicKeyDer), message, signature));
  t.false(verifyPss(importPublicKey(publicKeyDer), message, signature));
  t.false(verifyPss(importPublicKey(pair.publicKeyDer), encodeAscii('another'), signature));
  t.false(verifyPss(importPublicKey(pair.publicKeyDer), message, signature.subarray(1)));
});

function numbersOf(privateKeyDer: Uint8Array): Record<string, bigint> {
  const jwk = importPrivateKey(privateKeyDer).export({ format: 'jwk' });
  const entries = Object.entries(jwk).filter(([name]) => name !== 'kty');
  return Object.fromEntries(
    entries.map(([name, text]) => [name, BigInt(`0x${Buffer.from(String(text), 'base64url').toString('hex')}`)]),
  );
}

for (const generate of [generateBuiltIn, generateFromPrimes]) {
  test(`every key of ${generate.name} has the numbers of a sound RSA key and signs`, (t) => {
    const moduli = new Set<bigint>();
    for (let round = 0; round < (generate === generateFromPrimes ? 20 : 3); round++) {
      const pair = generate();
      const { n, e, d, p, q, dp, dq, qi } = numbersOf(pair.privateKeyDer) as Record<string, bigint> & RsaNumbers;
      moduli.add(n);
      t.is(n, p * q);
      t.is(n >> 2047n, 1n);
      t.is(e, 65537n);
      t.true(p > q && p - q > 1n << 924n);
      t.true(checkPrimeSync(p) && checkPrimeSync(q));
      t.is((d * e) % (p - 1n), 1n);
      t.is((d * e) % (q - 1n), 1n);
      t.true(d > 1n << 1024n && d < n);
      t.is(dp, d % (p - 1n));
      t.is(dq, d % (q - 1n));
      t.is((qi * q) % p, 1n);
      const key = importPrivateKey(pair.privateKeyDer);
      t.deepEqual(new Uint8Array(key.export({ type: 'pkcs8', format: 'der' })), pair.privateKeyDer);
      t.deepEqual(publicKeyDerOf(key), pair.publicKeyDer);
      const message = encodeAscii(`message ${round}`);
      t.true(verifyPss(importPublicKey(pair.publicKeyDer), message, signPss(key, message)));
    }
    t.is(moduli.size, generate === generateFromPrimes ? 20 : 3);
  });
}

test('the numbers of a known key follow from its primes, in either order', (t) => {
  const known = numbersOf(privateKeyDer);
  const { p, q } = known as unknown as RsaNumbers;
  const made = rsaNumbers(q, p);
  // what made the known key may have taken d modulo (p-1)(q-1): the same key all the same
  const { d: _, ...others } = known;
  t.like(made, p > q ? others : { n: others.n, e: others.e });
  const signature = signPss(rsaKeyObject(made!), encodeAscii('message'));
  t.true(verifyPss(importPublicKey(publicKeyDer), encodeAscii('message'), signature));
  t.deepEqual(rsaNumbers(p, q), made);
});

test('primes that would make a weak key are not used', (t) => {
  const { p, q } = numbersOf(privateKeyDer) as unknown as RsaNumbers;
  const close = nextPrime(p + (1n << 900n));
  const short = nextPrime((1n << 1022n) + 5n);
  const withCommonDivisor = nextPrime(65537n * ((7n << 1021n) / 65537n) + 1n, 65537n * 2n);
  t.is(withCommonDivisor % 65537n, 1n);
  for (const weak of [p, close, short, withCommonDivisor, nextPrime(1n << 1024n)]) {
    t.is(rsaNumbers(p, weak), undefined);
    t.is(rsaNumbers(weak, p), undefined);
  }
  t.truthy(rsaNumbers(p, q));
});

/** The first prime at or after `from` (made odd), in steps. */
function nextPrime(from: bigint, step = 2n): bigint {
  let candidate = from;
  if (candidate % 2n === 0n) candidate += step / 2n;
  while (!checkPrimeSync(candidate)) candidate += step;
  return candidate;
}

test('a key of the Python implementation exports to the same bytes', (t) => {
  const key = importPrivateKey(privateKeyDer);
  t.deepEqual(new Uint8Array(key.export({ type: 'pkcs8', format: 'der' })), privateKeyDer);
  t.deepEqual(publicKeyDerOf(key), publicKeyDer);
});

test('keys of other kinds and sizes are refused', (t) => {
  const small = generateKeyPairSync('rsa', {
    modulusLength: 1024,
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  });
  const curve = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    publicKeyEncoding: { type: 'spki', format: 'der' },
  });
  for (const pair of [small, curve]) {
    t.true(
      isTahoeError(
        t.throws(() => importPrivateKey(pair.privateKey)),
        'corrupt',
      ),
    );
    t.true(
      isTahoeError(
        t.throws(() => importPublicKey(pair.publicKey)),
        'corrupt',
      ),
    );
  }
});

test('damaged keys give a typed error or a key that does not verify', (t) => {
  const random = randomSource(7);
  const message = encodeAscii('message');
  const signature = signPss(importPrivateKey(privateKeyDer), message);
  let refused = 0;
  for (let round = 0; round < 500; round++) {
    try {
      verifyPss(importPublicKey(mutate(publicKeyDer, random)), message, signature);
    } catch (error) {
      t.true(isTahoeError(error, 'corrupt'));
      refused++;
    }
  }
  t.true(refused > 100);
});
