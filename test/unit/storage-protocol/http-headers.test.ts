import test from 'ava';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import * as headers from '../../../src/storage-protocol/http-headers.js';

test('authorization is the base64 of the text of the swissnum', (t) => {
  const value = headers.serializeAuthorization('ekzb5t2c7rc4bnem5qeubeqvnpknwbed');
  t.is(value, 'Tahoe-LAFS ZWt6YjV0MmM3cmM0Ym5lbTVxZXViZXF2bnBrbndiZWQ=');
});

test('exactly the secrets of a route are taken', (t) => {
  const renew = headers.serializeSecret('lease-renew-secret', new Uint8Array(32).fill(1));
  const upload = headers.serializeSecret('upload-secret', new Uint8Array([1, 2]));
  const found = headers.parseSecrets([upload, renew], ['lease-renew-secret', 'upload-secret']);
  t.deepEqual(found.get('upload-secret'), new Uint8Array([1, 2]));
  const bad: [string[], headers.SecretName[]][] = [
    [[upload], []],
    [[], ['upload-secret']],
    [[upload, renew], ['upload-secret']],
    [['upload-secret '], ['upload-secret']],
    [['upload-secret'], ['upload-secret']],
    [['upload-secret !!!!'], ['upload-secret']],
    [['other-secret AAAA'], []],
    [['lease-renew-secret AAAA'], ['lease-renew-secret']],
  ];
  for (const [lines, names] of bad) {
    t.is(t.throws(() => headers.parseSecrets(lines, names), { instanceOf: TahoeError })?.kind, 'invalid');
  }
});

test('only closed single ranges are understood', (t) => {
  t.deepEqual(headers.parseRange('bytes=2-5'), { offset: 2, length: 4 });
  t.deepEqual(headers.parseRange(headers.serializeRange({ offset: 7, length: 1 })), { offset: 7, length: 1 });
  for (const bad of ['bytes=2-', 'bytes=-5', 'bytes=1-2,4-5', 'chars=1-2', 'bytes=5-2', 'bytes=', '', 'bytes=a-b']) {
    t.is(headers.parseRange(bad), undefined, bad);
  }
  for (const good of ['bytes 2-5/*', 'bytes 2-5/100']) {
    t.deepEqual(headers.parseContentRange(good), { offset: 2, length: 4 });
  }
  for (const bad of ['bytes 2-5', 'bytes */100', 'items 2-5/*', 'bytes 5-2/*', '']) {
    t.is(headers.parseContentRange(bad), undefined, bad);
  }
});

test('CBOR must be the best match of Accept', (t) => {
  for (const good of [undefined, 'application/cbor', 'application/json;q=0.5, application/cbor']) {
    t.true(headers.acceptsCbor(good), good);
  }
  for (const bad of ['*/*', 'application/json', 'application/json, application/cbor', 'application/cbor;q=0']) {
    t.false(headers.acceptsCbor(bad), bad);
  }
});
