import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import test from 'ava';
import { isSecurityKeyType, verifySecurityKeySignature } from '../../../sftp/security-key-signature.js';
import { mutate, randomSource } from '../../support/mutations.js';

const message = Buffer.from('session id and request');
const application = 'ssh:';

function field(bytes: Uint8Array | string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, Buffer.from(bytes as string)]);
}

function trailer(flags: number): Buffer {
  return Buffer.from([flags, 0, 0, 0, 42]);
}

function signedBytes(flags: number): Buffer {
  const sha256 = (data: Uint8Array | string) => createHash('sha256').update(data).digest();
  return Buffer.concat([sha256(application), trailer(flags), sha256(message)]);
}

function coordinates(key: KeyObject): Buffer[] {
  const { x, y } = key.export({ format: 'jwk' });
  return [x, y].filter((value) => value !== undefined).map((value) => Buffer.from(value, 'base64url'));
}

function ed25519() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const blob = Buffer.concat(['sk-ssh-ed25519@openssh.com', coordinates(publicKey)[0]!, application].map(field));
  return { blob, sign: (flags: number) => Buffer.concat([sign(null, signedBytes(flags), privateKey), trailer(flags)]) };
}

function ecdsa() {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = Buffer.concat([Buffer.of(4), ...coordinates(publicKey)]);
  const blob = Buffer.concat(['sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', point, application].map(field));
  const signFlags = (flags: number) => {
    const raw = sign('sha256', signedBytes(flags), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    // as SSH writes numbers: no leading zeros but one where the sign bit would be set
    const number = (digits: Buffer) => {
      const bare = digits.subarray(digits.findIndex((digit) => digit !== 0));
      return field((bare[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), bare]) : bare);
    };
    return Buffer.concat([number(raw.subarray(0, 32)), number(raw.subarray(32)), trailer(flags)]);
  };
  return { blob, sign: signFlags };
}

for (const [name, make] of [['ed25519', ed25519] as const, ['ecdsa', ecdsa] as const]) {
  test(`a ${name} security key proves itself when it was touched, and only over this message`, (t) => {
    for (let round = 0; round < 20; round++) {
      const key = make();
      t.true(verifySecurityKeySignature(key.blob, message, key.sign(1)));
      t.false(verifySecurityKeySignature(key.blob, message, key.sign(0)), 'not touched');
      t.false(verifySecurityKeySignature(key.blob, Buffer.from('other'), key.sign(1)));
      t.false(verifySecurityKeySignature(make().blob, message, key.sign(1)), 'another key');
    }
  });

  test(`damaged ${name} security key signatures and keys are refused without an exception`, (t) => {
    const random = randomSource(7);
    const key = make();
    const good = key.sign(1);
    for (let round = 0; round < 500; round++) {
      const damaged = mutate(good, random);
      if (!Buffer.from(damaged).equals(good)) t.false(verifySecurityKeySignature(key.blob, message, damaged));
      const blob = mutate(key.blob, random);
      if (!Buffer.from(blob).equals(key.blob)) t.is(typeof verifySecurityKeySignature(blob, message, good), 'boolean');
    }
  });
}

test('only the two security key types are taken for such', (t) => {
  t.true(isSecurityKeyType('sk-ssh-ed25519@openssh.com'));
  t.false(isSecurityKeyType('ssh-ed25519'));
});
