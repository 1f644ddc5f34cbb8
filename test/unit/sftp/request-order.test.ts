import test from 'ava';
import { type Claim, RequestOrder } from '../../../sftp/request-order.js';

/** Which of the claims, each still running, the last one waits for: nothing, or something. */
async function waits(earlier: Claim, later: Claim): Promise<boolean> {
  const order = new RequestOrder();
  let finish: () => void = () => undefined;
  const first = order.run(earlier, () => new Promise((resolve) => (finish = resolve)));
  let begun = false;
  const second = order.run(later, async () => {
    begun = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  const waited = !begun;
  finish();
  await Promise.all([first, second]);
  if (!begun || order.size > 0) throw new Error('a request was forgotten');
  return waited;
}

const look = (name: string): Claim => ({ path: { name, access: 'look' } });
const change = (name: string): Claim => ({ path: { name, access: 'change' } });
const object = {};
const handle = (access: 'look' | 'transfer' | 'write' | 'exclusive', of = object): Claim => ({
  handle: { object: of, path: '/f', access },
});

test('a change of a name holds up what is at, above and below it, and nothing else', async (t) => {
  for (const name of ['/a/b', '/a', '/', '/a/b/c']) {
    t.true(await waits(change('/a/b'), look(name)), name);
    t.true(await waits(look(name), change('/a/b')), name);
    t.false(await waits(look('/a/b'), look(name)), name);
  }
  for (const name of ['/a/bc', '/a/c', '/b', '/a/c/b']) t.false(await waits(change('/a/b'), change(name)), name);
  t.true(await waits({ ...change('/x'), also: change('/y') }, look('/y/z')));
  t.true(await waits(look('/y/z'), { ...change('/x'), also: change('/y') }));
});

test('transfers of one handle run together, the rest keeps its order', async (t) => {
  t.false(await waits(handle('write'), handle('transfer')));
  t.false(await waits(handle('write'), handle('write')));
  t.true(await waits(handle('write'), handle('look')));
  t.false(await waits(handle('transfer'), handle('look')));
  t.true(await waits(handle('transfer'), handle('exclusive')));
  t.true(await waits(handle('exclusive'), handle('transfer')));
  t.false(await waits(handle('exclusive'), handle('exclusive', {})));
});

test('a question about a name waits for the writes to a file opened by it, not for its close', async (t) => {
  t.true(await waits(handle('write'), look('/f')));
  t.false(await waits(handle('write'), look('/g')));
  t.false(await waits(handle('exclusive'), look('/f')));
  t.false(await waits(change('/f'), handle('write')));
});
