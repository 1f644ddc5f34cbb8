import { createHash, X509Certificate } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import test from 'ava';
import { decodeBase32, encodeBase32 } from '../../../src/encoding/base32.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { parseNurl } from '../../../src/storage-protocol/nurl.js';
import { openIdentity, publishAddresses } from '../../../src/storage-server/identity.js';
import { temporaryDirectory } from '../../support/storage-servers.js';

const platform = { files: new NodeFileStore(), entropy: new NodeEntropy(), clock: new NodeClock() };

test('an identity is made once, in the files of the reference, and stays', async (t) => {
  const directory = await temporaryDirectory(t);
  const read = (name: string) => fs.readFile(path.join(directory, name), 'utf8');
  const made = await openIdentity(platform, directory);
  const addresses = await publishAddresses(platform.files, directory, made, { host: '127.0.0.1', port: 4321 });
  t.deepEqual(await openIdentity(platform, directory), made);

  const certificate = new X509Certificate(await read('private/node.pem'));
  t.true(certificate.verify(certificate.publicKey));
  t.is(encodeBase32(made.tubId), createBase32Sha1(certificate.raw));
  t.is(await read('my_nodeid'), `${encodeBase32(made.tubId)}\n`);
  t.regex(await read('private/node.privkey'), /^priv-v0-[a-z2-7]{52}\n$/);
  t.is(await read('node.pubkey'), `pub-${made.serverId}\n`);
  const seed = (await read('permutation-seed')).trim();
  t.is(seed.length, 84);
  t.is(`v0-${Buffer.from(decodeBase32(seed)).toString()}`, made.serverId);
  t.is(await read('private/storage.furl'), `${addresses.furl}\n`);
  t.is(await read('private/storage.nurl'), `${addresses.nurl}\n`);
  const nurl = parseNurl(addresses.nurl);
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  t.is(nurl.spkiHash, createHash('sha256').update(spki).digest('base64url'));
  t.regex(nurl.swissnum, /^[a-z2-7]{32}$/);
  t.is(addresses.furl, `pb://${encodeBase32(made.tubId)}@tcp:127.0.0.1:4321/${nurl.swissnum}`);
  for (const name of ['private/node.pem', 'private/node.privkey', 'private/storage.nurl']) {
    t.is((await fs.stat(path.join(directory, name))).mode & 0o077, 0);
  }
});

test('files that hold something else are refused instead of replaced', async (t) => {
  for (const name of ['private/node.pem', 'private/node.privkey', 'private/storage.furl']) {
    const directory = await temporaryDirectory(t);
    await fs.mkdir(path.join(directory, 'private'));
    await fs.writeFile(path.join(directory, name), 'something else');
    await t.throwsAsync(openIdentity(platform, directory), { message: /does not hold/ });
    t.is(await fs.readFile(path.join(directory, name), 'utf8'), 'something else');
  }
});

function createBase32Sha1(bytes: Uint8Array): string {
  return encodeBase32(createHash('sha1').update(bytes).digest());
}
