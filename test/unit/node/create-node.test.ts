import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { ServerId } from '../../../src/encoding/brands.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { createClient, createGrid, createStorageNode } from '../../../src/node/create-node.js';
import { startNode } from '../../../src/node/node.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeDirectory } from '../../../src/node/node-directory.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { connectServer, parseAnnouncement } from '../../../src/storage-client/server-list.js';

const encoding = { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 3 };

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-create-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test('a new grid has an introducer that its servers and its client know', async (t) => {
  const root = join(await temporaryDirectory(t), 'grid');
  await createGrid(root, { servers: 3, encoding });
  t.deepEqual((await readdir(root)).sort(), ['client', 'introducer', 'server-0', 'server-1', 'server-2']);
  const furl = (await readFile(join(root, 'introducer/private/introducer.furl'), 'utf8')).trim();
  t.regex(furl, /^pb:\/\/[a-z2-7]{32}@tcp:127\.0\.0\.1:\d+\/[a-z2-7]{32}$/);
  for (const name of ['client', 'server-0', 'server-1', 'server-2']) {
    const yaml = await readFile(join(root, name, 'private/introducers.yaml'), 'utf8');
    t.is(yaml, `introducers:\n  default:\n    furl: ${furl}\n`);
  }
  const client = await new NodeDirectory(join(root, 'client')).config();
  t.like(client.encoding, encoding);
  t.true(client.sftp.enabled);
  t.is(await modeOf(join(root, 'client/private')), 0o700);
  t.is(await modeOf(join(root, 'introducer/private/node.pem')), 0o600);
});

test('a storage server answers at its address, keeps its identity, and cannot run twice', async (t) => {
  const path = await createStorageNode(join(await temporaryDirectory(t), 'server'), {});
  const options = { warn: (line: string) => t.fail(line) };
  const first = await startNode(path, options);
  const error = await t.throwsAsync(startNode(path, options));
  t.true(isTahoeError(error, 'busy'));
  const file = async (name: string) => (await readFile(join(path, name), 'utf8')).trim();
  const announcement = parseAnnouncement((await file('node.pubkey')).replace(/^pub-/, '') as ServerId, {
    'anonymous-storage-FURL': await file('private/storage.furl'),
    'anonymous-storage-NURLs': [await file('private/storage.nurl')],
  });
  const server = connectServer(announcement, new NodeClock());
  t.teardown(() => server.close());
  t.regex((await server.version()).applicationVersion, /^tahoe-ts\//);
  await first.stop();
  const second = await startNode(path, options);
  t.is(second.description, first.description);
  await second.stop();
});

test('nothing is created in a directory that is not empty', async (t) => {
  const path = await temporaryDirectory(t);
  await writeFile(join(path, 'mine'), 'text');
  for (const create of [() => createGrid(path, { servers: 1, encoding }), () => createClient(path, { encoding })]) {
    const error = await t.throwsAsync(create());
    t.true(isTahoeError(error, 'not-empty'));
  }
  t.deepEqual(await readdir(path), ['mine']);
});

test('a directory without tahoe.cfg says what to do', async (t) => {
  const path = await temporaryDirectory(t);
  await t.throwsAsync(new NodeDirectory(path).config(), { message: /is not a node directory.*tahoe create-client/ });
});

test('secrets are made once, readable by the owner only', async (t) => {
  const directory = await NodeDirectory.create(join(await temporaryDirectory(t), 'node'), '');
  const entropy = new NodeEntropy();
  const secret = await directory.secret('convergence', entropy);
  t.is(secret.length, 32);
  t.deepEqual(await directory.secret('convergence', entropy), secret);
  t.regex((await directory.read('private', 'convergence')) ?? '', /^[a-z2-7]{52}\n$/);
  t.is(await modeOf(directory.file('private', 'convergence')), 0o600);
});

test('a directory with storage and a web port runs as both, on a port that it keeps', async (t) => {
  const path = join(await temporaryDirectory(t), 'node');
  const config = '[node]\nnickname = both\nweb.port = tcp:0:interface=127.0.0.1\n[storage]\nreserved_space = 1\n';
  const directory = await NodeDirectory.create(path, config);
  const warnings: string[] = [];
  const options = { warn: (line: string) => void warnings.push(line) };
  const first = await startNode(path, options);
  t.regex(first.description, /^both: pb:\/\/\S+, http:\/\/127\.0\.0\.1:\d+\/$/);
  t.deepEqual(warnings, [
    'there are no storage servers: write introducers into private/introducers.yaml, or servers into private/servers.yaml',
  ]);
  const url = (await directory.read('node.url'))?.trim() ?? '';
  t.is((await fetch(`${url}uri`, { method: 'PUT', body: 'small' })).status, 200);
  t.regex((await directory.read('client.port')) ?? '', /^tcp:\d+\n$/);
  const address = /@\S+,/.exec(first.description)?.[0];
  await first.stop();
  const second = await startNode(path, options);
  t.is(/@\S+,/.exec(second.description)?.[0], address);
  await second.stop();
});

test('settings in files of their own, as very old nodes had them, are refused', async (t) => {
  const directory = await NodeDirectory.create(join(await temporaryDirectory(t), 'node'), '');
  await directory.write('nickname', 'me\n');
  await t.throwsAsync(directory.config(), { message: /files of their own \(nickname\).*tahoe\.cfg/ });
});

test('a mistake is named with the whole path of its file', async (t) => {
  const directory = await NodeDirectory.create(join(await temporaryDirectory(t), 'node'), '[node]\nnick = me\n');
  const error = await t.throwsAsync(directory.config());
  t.is(error?.message, `${directory.file('tahoe.cfg')}:2: [node] nick is not a key of this section`);
});

test('an empty convergence secret is one, and anything but base32 is named', async (t) => {
  const directory = await NodeDirectory.create(join(await temporaryDirectory(t), 'node'), '');
  const entropy = new NodeEntropy();
  await directory.write('private/convergence', '\n');
  t.is((await directory.secret('convergence', entropy)).length, 0);
  await directory.write('private/secret', 'not base32!\n');
  await t.throwsAsync(directory.secret('secret', entropy), { message: /private\/secret does not hold base32/ });
});
