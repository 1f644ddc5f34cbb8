import * as fs from 'node:fs/promises';
import * as os from 'node:os';
import * as path from 'node:path';
import test from 'ava';
import ssh2 from 'ssh2';
import { openAccountsFile, parseAccounts } from '../../../sftp/accounts.js';
import { loadOrCreateHostKey, parseHostKey } from '../../../sftp/host-key.js';
import { longName, parseOwnerNames } from '../../../sftp/long-name.js';
import { generateSshKeyPair } from '../../../sftp/ssh-key-pair.js';
import { NodeFileStore } from '../../../src/node/node-file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import type { Attributes, InodeNumber } from '../../../src/vfs/vfs.js';
import { run } from '../../support/sftp-fixture.js';

function keyText(type: string, body = 'key'): string {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(type.length);
  return `${type} ${Buffer.concat([length, Buffer.from(type), Buffer.from(body)]).toString('base64')}`;
}

test('an account has all the keys of its lines, of every type, with or without comments', (t) => {
  const types = ['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'];
  const keyTypes = [...types, 'sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'];
  const lines = keyTypes.map((type) => `  alice\t${keyText(type)} some words here URI:DIR2:a:b \r`);
  const text = ['# a comment', '', ...lines, `bob ${keyText('ssh-rsa')} URI:DIR2-RO:c:d`].join('\n');
  const accounts = parseAccounts(text);
  t.deepEqual([...accounts.keys()], ['alice', 'bob']);
  t.deepEqual(
    accounts.get('alice')?.keys.map(({ type }) => type),
    keyTypes,
  );
  t.is(accounts.get('alice')?.rootCap, 'URI:DIR2:a:b');
  t.is(accounts.get('bob')?.rootCap, 'URI:DIR2-RO:c:d');
});

test('a malformed line is refused with its number and the reason', (t) => {
  const good = `alice ${keyText('ssh-rsa')} URI:DIR2:a:b`;
  const cases: readonly (readonly [string, RegExp])[] = [
    ['bob', /line 3: no public key/],
    ['bob password URI:DIR2:a:b', /line 3: .*passwords are not supported/],
    [`bob ${keyText('ssh-dss')} URI:DIR2:a:b`, /line 3: .*key type/],
    [`bob ${keyText('ssh-rsa')}`, /line 3: the last word is not a directory capability/],
    [`bob ${keyText('ssh-rsa')} a comment`, /line 3: the last word/],
    ['bob ssh-rsa !!!! URI:DIR2:a:b', /line 3: .*base64/],
    [`bob ssh-rsa ${keyText('ssh-ed25519').split(' ')[1]} URI:DIR2:a:b`, /line 3: .*type ssh-rsa/],
    ['bob ssh-rsa AAAA URI:DIR2:a:b', /line 3: .*type ssh-rsa/],
    [`alice ${keyText('ssh-ed25519')} URI:DIR2:other:b`, /line 3: .*different root/],
  ];
  for (const [line, message] of cases) t.throws(() => parseAccounts(`${good}\n\n${line}\n`), { message }, line);
});

test('the accounts file is read again when it has changed, and locks everybody out while it is wrong', async (t) => {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-accounts-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'accounts');
  const line = (name: string) => `${name} ${keyText('ssh-rsa')} URI:DIR2:a:b\n`;
  const files = new NodeFileStore();
  await t.throwsAsync(openAccountsFile(files, file, silentLogger), { message: /accounts/ });
  await fs.writeFile(file, 'nonsense');
  await t.throwsAsync(openAccountsFile(files, file, silentLogger), { message: /line 1/ });
  await fs.writeFile(file, line('alice'));
  const accounts = await openAccountsFile(files, file, silentLogger);
  t.is((await accounts.find('alice'))?.username, 'alice');
  t.is(await accounts.find('bob'), undefined);
  await fs.writeFile(file, line('alice') + line('bob'));
  t.is((await accounts.find('bob'))?.username, 'bob');
  await fs.writeFile(file, `${line('alice')}nonsense`);
  await t.throwsAsync(accounts.find('alice'), { message: /line 2/ });
  await fs.rm(file);
  await t.throwsAsync(accounts.find('alice'));
  await fs.writeFile(file, line('carol'));
  t.is(await accounts.find('alice'), undefined);
  t.is((await accounts.find('carol'))?.username, 'carol');
});

test('a host key is made once, private, and its fingerprint is what ssh-keygen shows', async (t) => {
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'tahoe-hostkey-'));
  t.teardown(() => fs.rm(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'ssh_host_ed25519_key');
  const made = await loadOrCreateHostKey(new NodeFileStore(), file);
  t.deepEqual(await loadOrCreateHostKey(new NodeFileStore(), file), made);
  t.is((await fs.stat(file)).mode & 0o777, 0o600);
  for (const name of [file, `${file}.pub`]) {
    const shown = await run('ssh-keygen', ['-l', '-f', name]);
    t.is(shown.stdout.split(' ')[1], made.fingerprint, shown.stderr);
  }
  t.throws(() => parseHostKey('nonsense'), { message: /not a private key/ });
  await fs.copyFile(`${file}.pub`, file);
  await t.throwsAsync(loadOrCreateHostKey(new NodeFileStore(), file), { message: /not a private key/ });
});

test('the long name is a line of ls -l', (t) => {
  const time = { seconds: 1_600_000_000, nanoseconds: 0 };
  const attributes: Attributes = {
    ...{ inode: 1 as InodeNumber, kind: 'directory', mode: 0o3755, uid: 0, gid: 1234, links: 2, sizeBytes: 99 },
    ...{ rdev: 0, accessed: time, modified: time, changed: time },
  };
  const names = parseOwnerNames('root:x:0:0\nbad line\nother:x:zero:0\n', '');
  const old = longName('n a m e', attributes, names, 1_700_000_000_000);
  t.regex(old, /^drwxr-sr-t {4}2 root {5}1234 {11}99 Sep 1[34] {2}2020 n a m e$/);
  const recent = longName('x', { ...attributes, kind: 'file', mode: 0o4640 }, names, 1_600_000_100_000);
  t.regex(recent, /^-rwSr----- .* Sep 1[34] \d\d:\d\d x$/);
});

test('every generated key pair can be read again', (t) => {
  for (let count = 0; count < 1000; count++) {
    const { privateKey, publicKey } = generateSshKeyPair('a comment');
    const key = ssh2.utils.parseKey(privateKey);
    if (key instanceof Error) return t.fail(key.message);
    if (count % 100 === 0) t.true(publicKey.includes(key.getPublicSSH().toString('base64')));
  }
});
