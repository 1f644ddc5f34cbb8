import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import {
  generateRsaKeyDer,
  importPrivateKey,
  importPublicKey,
  publicKeyDerOf,
  signPss,
  verifyPss,
} from '../../../src/crypto/rsa.js';
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
