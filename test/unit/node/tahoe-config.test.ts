import test from 'ava';
import fc from 'fast-check';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { parseEndpoint, serializeEndpoint } from '../../../src/node/endpoint.js';
import { clientConfigText, storageConfigText } from '../../../src/node/node-config-text.js';
import { parseSize, parseTahoeConfig, serializeTahoeConfig } from '../../../src/node/tahoe-config.js';

test('a tahoe.cfg as the reference writes it is read', (t) => {
  const config = parseTahoeConfig(`# -*- mode: conf; coding: utf-8 -*-

# This file controls the configuration of the Tahoe node that
[node]
nickname = my n\u00f6de
reveal-IP-address = true
web.port = tcp:3456:interface=127.0.0.1
web.static = public_html
tub.port = tcp:34014:interface=127.0.0.1
tub.location = tcp:127.0.0.1:34014

[client]
#helper.furl =
shares.needed = 2
shares.happy = 3
shares.total = 4

[storage]
enabled = true
reserved_space = 1G

[helper]
enabled = false
`);
  t.is(config.nickname, 'my n\u00f6de');
  t.deepEqual(config.webPort, { port: 3456, host: '127.0.0.1' });
  t.deepEqual(config.tubPort, { port: 34014, host: '127.0.0.1' });
  t.is(config.tubLocation, '127.0.0.1:34014');
  t.deepEqual(config.encoding, { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 4, maximumSegmentSize: 1_048_576 });
  t.is(config.storage.reservedBytes, 1_000_000_000);
  t.true(config.storage.enabled);
  t.false(config.sftp.enabled);
});

test('an empty tahoe.cfg has the defaults of the reference', (t) => {
  const config = parseTahoeConfig('');
  t.is(config.webPort, undefined);
  t.is(config.encoding.sharesNeeded, 3);
  t.is(config.encoding.sharesHappy, 7);
  t.is(config.encoding.sharesTotal, 10);
  t.is(config.storage.directory, 'storage');
});

test('what is written for a new client or server is read back the same', (t) => {
  const encoding = { sharesNeeded: 1, sharesHappy: 2, sharesTotal: 3 };
  const sftpPort = { port: 2222, host: '127.0.0.1' };
  const client = parseTahoeConfig(
    clientConfigText({ nickname: '100% mine', webPort: 'tcp:0:interface=127.0.0.1', encoding, sftpPort }),
  );
  t.is(client.nickname, '100% mine');
  t.like(client.encoding, encoding);
  t.deepEqual(client.sftp, { enabled: true, port: sftpPort, accountsFile: 'private/accounts' });
  t.false(client.storage.enabled);
  const port = { port: 4000, host: undefined };
  const server = parseTahoeConfig(
    storageConfigText({ nickname: 's', port, hostname: 'example.net', reservedSpace: '5MiB' }),
  );
  t.is(server.tubLocation, 'example.net:4000');
  t.is(server.storage.reservedBytes, 5 * 1024 * 1024);
});

test('any value survives writing and reading', (t) => {
  const value = fc.stringMatching(/^[\x21-\x7e][\x20-\x7e]{0,30}$/).map((text) => text.trim());
  fc.assert(
    fc.property(value, (nickname) => {
      t.is(parseTahoeConfig(serializeTahoeConfig({ node: { nickname } })).nickname, nickname);
    }),
  );
});

const mistakes: readonly [string, RegExp][] = [
  ['[client]\nshares.needed = three\n', /shares\.needed is not a whole number: three/],
  ['[client]\nshares.needed = 11\n', /shares\.needed <= shares\.total/],
  ['[client]\nshares.happy = 11\n', /shares\.happy must be from 1 to shares\.total/],
  ['[storage]\nenabled = maybe\n', /\[storage\]enabled is not true or false: maybe/],
  ['[storage]\nreserved_space = 1 G\n', /not a size/],
  ['[node]\nweb.port = unix:/tmp/x\n', /write tcp:PORT:interface=127\.0\.0\.1/],
  ['[node]\nnickname = 50%\n', /write %% for a percent sign/],
  ['nickname = before any section\n', /line 1 is not/],
];

for (const [text, message] of mistakes) {
  test(`a mistake is named: ${JSON.stringify(text)}`, (t) => {
    const error = t.throws(() => parseTahoeConfig(text));
    t.true(isTahoeError(error, 'invalid'));
    t.regex(error?.message ?? '', message);
  });
}

test('arbitrary text gives a configuration or a typed error', (t) => {
  const line = fc.oneof(fc.string(), fc.constantFrom('[node]', '[client]', 'a = b', ' continued', 'web.port = 0'));
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      try {
        parseTahoeConfig(lines.join('\n'));
      } catch (error) {
        t.true(isTahoeError(error, 'invalid'));
      }
    }),
  );
});

test('endpoints are read and written as strports', (t) => {
  t.deepEqual(parseEndpoint('3456'), { port: 3456, host: undefined });
  t.deepEqual(parseEndpoint('tcp:0:interface=::1'.replaceAll('::1', '\\:\\:1')), { port: 0, host: '::1' });
  for (const text of ['tcp:1:interface=127.0.0.1', 'tcp:65535', 'tcp:0:interface=\\:\\:1']) {
    t.is(serializeEndpoint(parseEndpoint(text)), text);
  }
  for (const text of ['', 'tcp:65536', 'tcp:-1', 'ssl:443', 'tcp:80:interface=', 'tcp:1:2']) {
    t.throws(() => parseEndpoint(text), { message: /cannot listen/ }, text);
  }
});

test('sizes have the units of the reference', (t) => {
  t.is(parseSize('10'), 10);
  t.is(parseSize('5kB'), 5000);
  t.is(parseSize('2Gi'), 2 * 1024 ** 3);
  t.throws(() => parseSize('5 kB'));
  t.throws(() => parseSize('-1'));
});
