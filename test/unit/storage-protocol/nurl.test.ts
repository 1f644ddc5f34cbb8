import test from 'ava';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { parseNurl, serializeNurl } from '../../../src/storage-protocol/nurl.js';

const hash = 'rxCMBvPcrum_JNEEZshA_RuTp-9uvZgv2CNugV0N_0U';

test('a NURL of the reference, one behind Tor and one with IPv6 come back as they were', (t) => {
  const texts = [
    `pb://${hash}@127.0.0.1:34011/ekzb5t2c7rc4bnem5qeubeqvnpknwbed#v=1`,
    `pb+tor://${hash}@abcdefghij.onion:80/swiss#v=1`,
    `pb://${hash}@[2001:db8::1]:1/s#v=1`,
  ];
  for (const text of texts) t.is(serializeNurl(parseNurl(text)), text);
  t.deepEqual(parseNurl(texts[2] as string), {
    scheme: 'pb',
    spkiHash: hash,
    host: '2001:db8::1',
    port: 1,
    swissnum: 's',
  });
});

test('anything else is kind invalid, and the message does not repeat it', (t) => {
  const bad = [
    '',
    `pb://${hash}@h:1/swissnum`,
    `pb://${hash}@h:1/swissnum#v=2`,
    `pb://${hash.slice(1)}@h:1/swissnum#v=1`,
    `http://${hash}@h:1/swissnum#v=1`,
    `pb://${hash}@h/swissnum#v=1`,
    `pb://${hash}@h:0/swissnum#v=1`,
    `pb://${hash}@h:65536/swissnum#v=1`,
    `pb://${hash}@:1/swissnum#v=1`,
    `pb://${hash}@h:1/#v=1`,
    `pb://${hash}@h:1/swiss/num#v=1`,
    `pb://${hash}@2001:db8::1:1/swissnum#v=1`,
    `pb://${hash}@h\r\nX:1/swissnum#v=1`,
  ];
  for (const text of bad) {
    const error = t.throws(() => parseNurl(text), { instanceOf: TahoeError }, text);
    t.is(error?.kind, 'invalid');
    t.false(error?.message.includes('swissnum#'));
  }
});
