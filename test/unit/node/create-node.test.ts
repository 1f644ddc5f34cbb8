import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { createClient, createGrid } from '../../../src/node/create-node.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { NodeDirectory } from '../../../src/node/node-directory.js';
import { NodeEntropy } from '../../../src/node/node-entropy.js';
import { startStorageNode } from '../../../src/node/storage-node.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { connectServer, parseServersYaml } from '../../../src/storage-client/server-list.js';

const encoding = { sharesNeeded: 2, sharesHappy: 3, sharesTotal: 3 };

async function temporaryDirectory(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-create-'));
  t.teardown(() => rm(path, { recursive: true }));
  return path;
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777;
}

test('a new grid has a client that knows the addresses of its servers', async (t) => {
  const root = join(await temporaryDirectory(t), 'grid');
  await createGrid(root, { servers: 3, encoding });
  t.deepEqual((await readdir(root)).sort(), ['client', 'server-0', 'server-1', 'server-2']);
  const yaml = await readFile(join(root, 'client/private/servers.yaml'), 'utf8');
  const announced = parseServersYaml(yaml, silentLogger);
  t.deepEqual(announced.map(({ nickname }) => nickname).sort(), ['server-0', 'server-1', 'server-2']);
  const client = await new NodeDirectory(join(root, 'client')).config();
  t.like(client.encoding, encoding);
  t.true(client.sftp.enabled);
  t.is(await modeOf(join(root, 'client/private')), 0o700);
  t.is(await modeOf(join(root, 'server-0/private/node.pem')), 0o600);
});

test('a server of the grid answers at its announced address, keeps its identity, and cannot run twice', async (t) => {
  const root = join(await temporaryDirectory(t), 'grid');
  await createGrid(root, { servers: 1, encoding: { sharesNeeded: 1, sharesHappy: 1, sharesTotal: 1 } });
  const path = join(root, 'server-0');
  const options = { warn: (line: string) => t.fail(line) };
  const first = await startStorageNode(path, options);
  const error = await t.throwsAsync(startStorageNode(path, options));
  t.true(isTahoeError(error, 'busy'));
  const yaml = await readFile(join(root, 'client/private/servers.yaml'), 'utf8');
  const [announcement] = parseServersYaml(yaml, silentLogger);
  const server = connectServer(announcement!, new NodeClock());
  t.teardown(() => server.close());
  t.regex((await server.version()).applicationVersion, /^tahoe-ts\//);
  await first.stop();
  const second = await startStorageNode(path, options);
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
