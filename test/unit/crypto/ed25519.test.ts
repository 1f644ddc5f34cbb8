import test from 'ava';
import { ed25519PublicKey, ed25519Sign, ed25519Verify } from '../../../src/crypto/ed25519.js';
import { fromHex, toHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

// RFC 8032, 7.1, test 2.
const SEED = fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
const PUBLIC_KEY = fromHex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
const MESSAGE = fromHex('72');
const SIGNATURE =
  '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';

test('a seed has the public key and makes the signature of RFC 8032', (t) => {
  t.deepEqual(ed25519PublicKey(SEED), PUBLIC_KEY);
  t.is(toHex(ed25519Sign(SEED, MESSAGE)), SIGNATURE);
});

test('only the right signature of the right message by the right key is one', (t) => {
  const signature = fromHex(SIGNATURE);
  t.true(ed25519Verify(PUBLIC_KEY, MESSAGE, signature));
  t.false(ed25519Verify(PUBLIC_KEY, new Uint8Array(1), signature));
  t.false(ed25519Verify(PUBLIC_KEY, MESSAGE, new Uint8Array(64)));
  t.false(ed25519Verify(PUBLIC_KEY, MESSAGE, signature.subarray(1)));
  t.false(ed25519Verify(new Uint8Array(32).fill(0xff), MESSAGE, signature), 'no point of the curve');
});

test('a key of another length is kind invalid', (t) => {
  t.true(
    isTahoeError(
      t.throws(() => ed25519PublicKey(new Uint8Array(31))),
      'invalid',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => ed25519Verify(new Uint8Array(33), MESSAGE, new Uint8Array(64))),
      'invalid',
    ),
  );
});
