import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import test, { type ExecutionContext } from 'ava';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { loadOrCreateJournalKey } from '../../../src/vfs/journal/key.js';
import { SealedStore, type SealedStoreOptions } from '../../../src/vfs/journal/sealed-store.js';
import { openXchacha, sealXchacha } from '../../../src/vfs/journal/xchacha.js';

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-sealed-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  return directory;
}

async function makeStore(
  t: ExecutionContext,
): Promise<{ store: SealedStore; options: SealedStoreOptions; warnings: string[] }> {
  const warnings: string[] = [];
  const options = {
    files: new NodeFileStore(),
    directory: path.join(await temporaryDirectory(t), 'sealed'),
    masterKey: new Uint8Array(32).fill(1),
    entropy: new NodeEntropy(),
    log: { ...silentLogger, warn: (message: string) => void warnings.push(message) },
  };
  return { store: new SealedStore(options), options, warnings };
}

test('XChaCha20-Poly1305 is byte for byte that of noble', (t) => {
  for (const length of [0, 1, 63, 64, 65, 5000]) {
    const [key, nonce, bound, data] = [randomBytes(32), randomBytes(24), randomBytes(9), randomBytes(length)];
    const sealed = sealXchacha(key, nonce, data, bound);
    t.deepEqual(sealed, xchacha20poly1305(key, nonce, bound).encrypt(data));
    t.deepEqual(openXchacha(key, nonce, sealed, bound), new Uint8Array(data));
    t.is(openXchacha(key, nonce, sealed, new Uint8Array(1)), undefined);
  }
});

test('keeps, replaces and deletes contents, and survives a new start', async (t) => {
  const { store, options } = await makeStore(t);
  t.is(await store.get('a'), undefined);
  const puts = [1, 2, 3].map((value) => store.put('a', new Uint8Array(value * 100).fill(value)));
  t.deepEqual(await store.get('a'), new Uint8Array(300).fill(3));
  await Promise.all(puts);
  await store.put('b', new Uint8Array(0));
  const again = new SealedStore(options);
  t.deepEqual(await again.get('a'), new Uint8Array(300).fill(3));
  t.deepEqual(await again.get('b'), new Uint8Array(0));
  await again.delete('a');
  await again.delete('a');
  t.is(await store.get('a'), undefined);
});

test('a damaged file, a file moved to another name and a foreign key are the same as nothing', async (t) => {
  const { store, options, warnings } = await makeStore(t);
  await store.put('a', new Uint8Array(100));
  await store.put('b', new Uint8Array(200));
  const names = (await fs.readdir(options.directory, { recursive: true })).filter((name) => name.includes(path.sep));
  const [first, second] = names.map((name) => path.join(options.directory, name));
  t.is(names.length, 2);
  t.is(await new SealedStore({ ...options, masterKey: new Uint8Array(32).fill(2) }).get('a'), undefined);
  await fs.copyFile(first!, second!);
  const found = [await store.get('a'), await store.get('b')];
  t.is(found.filter((contents) => contents === undefined).length, 1);
  const bytes = await fs.readFile(first!);
  for (const length of [0, 5, 31, 32, 47, bytes.length - 1]) {
    await fs.writeFile(first!, bytes.subarray(0, length));
    t.true([await store.get('a'), await store.get('b')].every((contents) => contents === undefined));
  }
  t.is(warnings.length, 1 + 6 * 2);
});

test('the journal key is made once, readable by the owner only, and never replaced', async (t) => {
  const file = path.join(await temporaryDirectory(t), 'private', 'journal.key');
  const files = new NodeFileStore();
  const key = await loadOrCreateJournalKey(files, file, new NodeEntropy());
  t.is(key.length, 32);
  t.deepEqual(await loadOrCreateJournalKey(files, file, new NodeEntropy()), key);
  t.regex(await fs.readFile(file, 'latin1'), /^[a-z2-7]{52}\n$/);
  t.is((await fs.stat(file)).mode & 0o777, 0o600);
  await fs.writeFile(file, 'short\n');
  const error = await t.throwsAsync(loadOrCreateJournalKey(files, file, new NodeEntropy()));
  t.true(error instanceof TahoeError && error.kind === 'corrupt');
});
