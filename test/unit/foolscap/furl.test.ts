import test from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { parseFurl, parseTcpHint, serializeFurl, serializeTcpHint } from '../../../src/foolscap/furl.js';

const TUB = 'fhipdelcm4izjtvm4os7hzcz5hkxdwws';

test('a FURL has a tub, hints and a name', (t) => {
  const text = `pb://${TUB}@tcp:127.0.0.1:34101,tor:abc.onion:1,[::1]:5/introswissnum`;
  const furl = parseFurl(text);
  t.deepEqual(furl, {
    tubId: TUB,
    hints: ['tcp:127.0.0.1:34101', 'tor:abc.onion:1', '[::1]:5'],
    name: 'introswissnum',
  });
  t.is(serializeFurl(furl), text);
  t.deepEqual(
    furl.hints.map((hint) => parseTcpHint(hint)),
    [{ host: '127.0.0.1', port: 34101 }, undefined, { host: '::1', port: 5 }],
  );
  t.is(serializeTcpHint({ host: '::1', port: 5 }), 'tcp:[::1]:5');
});

test('only the first 32 characters of the tub count, and hints may be missing', (t) => {
  t.deepEqual(parseFurl(`pb://${TUB}abc@/name\n`), { tubId: TUB, hints: [], name: 'name' });
});

test('anything else is kind invalid, and no secret stands in the message', (t) => {
  const wrong = ['', `pb://${TUB}@tcp:h:1`, `pb://${TUB}@tcp:h:1/`, `http://${TUB}@h/n`, `pb://${TUB.slice(1)}@h:1/n`];
  for (const text of [...wrong, `pb://${TUB}@${'a'.repeat(5000)}/secret`]) {
    const error = t.throws(() => parseFurl(text), undefined, text);
    t.true(isTahoeError(error, 'invalid'));
    t.false(error?.message.includes('secret'));
  }
  for (const hint of ['tcp:h:0', 'tcp:h:65536', 'tcp:h', 'i2p:abc', 'tcp:a b:1']) t.is(parseTcpHint(hint), undefined);
});
