import { readdirSync, readFileSync } from 'node:fs';
import test from 'ava';
import { importPrivateKey, publicKeyDerOf } from '../../../src/crypto/rsa.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { KeyPool } from '../../../src/vfs/key-pool.js';

test('nobody gets the key of somebody else, and each is a pair', async (t) => {
  const pool = new KeyPool();
  t.teardown(() => pool.close());
  const pairs = await Promise.all(Array.from({ length: 4 }, () => pool.take()));
  t.is(new Set(pairs.map(({ privateKeyDer }) => Buffer.from(privateKeyDer).toString('hex'))).size, 4);
  for (const { privateKeyDer, publicKeyDer } of pairs) {
    t.deepEqual(publicKeyDerOf(importPrivateKey(privateKeyDer)), publicKeyDer);
  }
});

test('whoever waits when the pool is closed is told, and so is whoever comes later', async (t) => {
  const pool = new KeyPool();
  const waiting = Promise.all(Array.from({ length: 100 }, () => pool.take()));
  const refused = t.throwsAsync(waiting);
  await pool.close();
  t.true(isTahoeError(await refused, 'closed'));
  t.true(isTahoeError(await t.throwsAsync(pool.take()), 'closed'));
});

// elsewhere priorities belong to whole processes
if (process.platform === 'linux') {
  test('keys are made by a thread that gives way to all others', async (t) => {
    const usual = niceOf('/proc/self/stat');
    const pool = new KeyPool();
    t.teardown(() => pool.close());
    await pool.take();
    const threads = readdirSync('/proc/self/task').map((id) => niceOf(`/proc/self/task/${id}/stat`));
    t.true(threads.includes(Math.max(usual, 10)));
    t.is(niceOf('/proc/self/stat'), usual);
  });
}

/** Field 19; counted from the end of the name, which may contain anything. */
function niceOf(statFile: string): number {
  const text = readFileSync(statFile, 'latin1');
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[16]);
}
