import { homedir } from 'node:os';
import { join } from 'node:path';
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
  t.like(client.sftp, { enabled: true, port: sftpPort, accountsFile: 'private/accounts' });
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
  ['[client]\nshares.needed = three\n', /^tahoe\.cfg:2: \[client\] shares\.needed is not a whole number: three$/],
  ['[client]\nshares.needed = 11\n', /shares\.needed must be from 1 to shares\.total \(10\), found 11/],
  ['[client]\nshares.total = 257\n', /shares\.total must be from 1 to 256/],
  ['[client]\nshares.happy = 11\n', /shares\.happy must be from 1 to shares\.total/],
  ['[client]\nmutable.format = mutable\n', /mutable\.format must be sdmf or mdmf/],
  ['[storage]\nenabled = maybe\n', /\[storage\] enabled is not true or false: maybe/],
  ['[storage]\nreserved_space = 1 G\n', /not a size/],
  ['[node]\nweb.port = unix:/tmp/x\n', /write tcp:PORT:interface=127\.0\.0\.1/],
  ['[node]\nnickname = 50%\n', /write %%/],
  ['[node]\ntub.port = 0\n', /tub\.port cannot be 0/],
  ['[node]\ntub.port =\n', /cannot listen there/],
  ['[node]\ntub.port = disabled\n', /must be disabled together/],
  ['[node]\ntub.location = disabled\n', /must be disabled together/],
  ['[node]\ntub.location = tor:abc.onion:1\n', /has no tcp:HOST:PORT/],
  ['nickname = before any section\n', /^tahoe\.cfg:1: a \[section\] must come first/],
  ['[node]\n\n# comment\nnickame = me\n', /^tahoe\.cfg:4: \[node\] nickame is not a key of this section$/],
  ['[node]\n[nodes]\n', /^tahoe\.cfg:2: \[nodes\] is not a section/],
  ['[node]\nconstructor = x\n', /is not a key of this section/],
  ['[client]\nintroducer.furl = pb://x@y/z # mine\n', /introducer\.furl contains "#"/],
];

for (const [text, message] of mistakes) {
  test(`a mistake is named: ${JSON.stringify(text)}`, (t) => {
    const error = t.throws(() => parseTahoeConfig(text));
    t.true(isTahoeError(error, 'invalid'));
    t.regex(error?.message ?? '', message);
  });
}

/** Every section and key that the reference accepts, with a value that asks for nothing which we do not do. */
const EVERYTHING = `
[connections]
tcp = tcp
[node]
log_gatherer.furl = pb://a@tcp:b:1/c
nickname = n
reveal-IP-address = yes
tempdir = t
timeout.disconnect = 1800
timeout.keepalive = 240
tub.location = AUTO
tub.port = 1234
web.port =
web.static = public_html
[i2p]
enabled = false
i2p.configdir = x
i2p.executable = x
launch = false
sam.port = x
dest = false
dest.port = 1
dest.private_key_file = x
[tor]
control.port = x
enabled = false
launch = false
socks.port = x
tor.executable = x
onion = false
onion.local_port = 1
onion.external_port = 1
onion.private_key_file = x
[client]
helper.furl = pb://a@tcp:b:1/c
introducer.furl = pb://a@tcp:b:1/c
key_generator.furl =
mutable.format = MDMF
peers.preferred = v0-abc
shares.happy = 1
shares.needed = 1
shares.total = 1
shares._max_immutable_segment_size_for_testing = 131072
storage.plugins =
force_foolscap = False
[storage]
debug_discard = off
enabled = on
anonymous = true
expire.cutoff_date = 2009-03-18
expire.enabled = false
expire.immutable = true
expire.mode = age
expire.mutable = true
expire.override_lease_duration = 2 months
readonly = 1
reserved_space =
storage_dir = ~/shares
plugins =
grid_management = 0
force_foolscap = false
[sftpd]
accounts.file = private/accounts
enabled = false
host_privkey_file = private/host_key
host_pubkey_file = private/host_key.pub
port = tcp:8022:interface=127.0.0.1
[helper]
enabled = false
[storageserver.plugins.name-v1]
anything = at all
[storageclient.plugins.name-v1]
anything = at all
[grid_managers]
[grid_manager_certificates]
`;

test('every key of the reference is accepted', (t) => {
  const config = parseTahoeConfig(EVERYTHING);
  t.like(config, { temporaryDirectory: 't', introducerFurl: 'pb://a@tcp:b:1/c', mutableFormat: 'mdmf' });
  t.like(config, { tubLocation: undefined, webPort: undefined });
  t.deepEqual(config.storage, {
    enabled: true,
    readonly: true,
    reservedBytes: 0,
    directory: join(homedir(), 'shares'),
  });
  t.is(config.sftp.hostKeyFile, 'private/host_key');
});

const unsupported: readonly [string, string, string][] = [
  ['node', 'reveal-IP-address', 'false'],
  ['connections', 'tcp', 'tor'],
  ['connections', 'tcp', 'disabled'],
  ['tor', 'onion', 'true'],
  ['i2p', 'dest', 'true'],
  ['client', 'storage.plugins', 'name-v1'],
  ['client', 'force_foolscap', 'true'],
  ['storage', 'anonymous', 'false'],
  ['storage', 'debug_discard', 'true'],
  ['storage', 'expire.enabled', 'true'],
  ['storage', 'plugins', 'name-v1'],
  ['storage', 'grid_management', 'true'],
  ['storage', 'force_foolscap', 'true'],
  ['helper', 'enabled', 'true'],
  ['grid_managers', 'somebody', 'pub-v0-abc'],
  ['grid_manager_certificates', 'somebody', 'somebody.cert'],
];

for (const [section, key, value] of unsupported) {
  test(`what this program does not do is refused: [${section}] ${key} = ${value}`, (t) => {
    const error = t.throws(() => parseTahoeConfig(`[${section}]\n${key} = ${value}\n`, '/n/tahoe.cfg'));
    t.true(isTahoeError(error, 'unsupported'));
    t.true(error?.message.startsWith(`/n/tahoe.cfg:2: [${section}] ${key.toLowerCase()}`), error?.message);
  });
}

test('an introducer has no settings of a client', (t) => {
  t.notThrows(() => parseTahoeConfig('[node]\nnickname = i\n[tor]\n', 'f', 'introducer'));
  for (const section of ['client', 'storage', 'sftpd', 'helper', 'grid_managers', 'storageserver.plugins.x']) {
    t.throws(() => parseTahoeConfig(`[${section}]\n`, 'f', 'introducer'), { message: /is not a section/ }, section);
  }
});

test('where others reach the node is the first address over TCP', (t) => {
  const located = (location: string) =>
    parseTahoeConfig(`[node]\ntub.port = 1\ntub.location = ${location}\n`).tubLocation;
  t.is(located('tor:x.onion:80,tcp:example.net:1234,tcp:b:2'), 'example.net:1234');
  t.is(located('example.net:1234'), 'example.net:1234');
  t.is(located('tcp:[2001:db8::1]:1234'), '[2001:db8::1]:1234');
  t.is(located('AUTO,tcp:a:1'), undefined);
});

test('a value of two lines cannot become another key', (t) => {
  t.throws(() => serializeTahoeConfig({ node: { nickname: 'a\n[storage]' } }), { message: /single line/ });
});

test('arbitrary text gives a configuration or a typed error', (t) => {
  const line = fc.oneof(fc.string(), fc.constantFrom('[node]', '[client]', 'a = b', ' continued', 'web.port = 0'));
  fc.assert(
    fc.property(fc.array(line), (lines) => {
      try {
        parseTahoeConfig(lines.join('\n'));
      } catch (error) {
        t.true(isTahoeError(error, 'invalid') || isTahoeError(error, 'unsupported'));
      }
    }),
  );
});

test('endpoints are read and written as strports', (t) => {
  t.deepEqual(parseEndpoint('3456'), { port: 3456, host: undefined });
  t.deepEqual(parseEndpoint('tcp:0:interface=::1'.replaceAll('::1', '\\:\\:1')), { port: 0, host: '::1' });
  for (const text of ['tcp:1:interface=127.0.0.1', 'tcp:65535', 'tcp:0:interface=\\:\\:1']) {
    t.is(serializeEndpoint(parseEndpoint(text)!), text);
  }
  for (const text of ['', 'tcp:65536', 'tcp:-1', 'ssl:443', 'tcp:80:interface=', 'tcp:1:2']) {
    t.is(parseEndpoint(text), undefined, text);
  }
});

test('sizes have the units of the reference', (t) => {
  t.is(parseSize('10'), 10);
  t.is(parseSize('5kB'), 5000);
  t.is(parseSize('2Gi'), 2 * 1024 ** 3);
  t.is(parseSize('5 kB'), undefined);
  t.is(parseSize('-1'), undefined);
});
