/** A node directory made by one implementation is run by the other, with its settings, secrets, identity and aliases. */
import { execFile } from 'node:child_process';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { freePorts } from '../../src/node/endpoint.js';
import { parseTahoeConfig } from '../../src/node/tahoe-config.js';
import { CleanupStack } from '../support/cleanup.js';
import { pythonCapsContent } from '../support/python-caps.js';
import { runTahoe, tahoe, tahoeOutput, temporaryDirectory } from '../support/running-tahoe.js';
import { type OurClient, runOurClient } from './support/our-client.js';
import { type PythonClient, runPythonClient, runPythonServer, startPythonGrid } from './support/python-grid.js';
import { pythonInterpreter, pythonOutput, pythonTahoe } from './support/python-node.js';
import { readShares } from './support/share-files.js';
import { ask, request } from './support/web-api.js';

const SERVERS = 3;
const scope = new CleanupStack();
test.after.always(() => scope.close());
const grid = startPythonGrid(scope, { servers: SERVERS, encoding: { needed: 1, happy: 1, total: 3 } });

const ENCODING = ['--shares-needed=1', '--shares-happy=2', '--shares-total=3'];
const LOCAL_WEB = '--webport=tcp:0:interface=127.0.0.1';
const content = pythonCapsContent(5000);

/** What makes a client the one it is. */
async function secretsOf(directory: string): Promise<string[]> {
  const names = ['private/secret', 'private/convergence', 'private/aliases'];
  return Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
}

async function stopped<Result>(
  run: (t: CleanupStack) => Promise<Result>,
  use: (running: Result) => Promise<void>,
): Promise<void> {
  const own = new CleanupStack();
  try {
    await use(await run(own));
  } finally {
    await own.close();
  }
}

const asPython = (directory: string, use: (client: PythonClient) => Promise<void>) =>
  stopped((own) => runPythonClient(own, directory, SERVERS), use);
const asOurs = (directory: string, use: (client: OurClient) => Promise<void>) =>
  stopped(
    (own) => runOurClient(own, directory),
    async (client) => {
      await use(client);
      await client.running.stop();
    },
  );

test('a directory of Python create-client, used by Python, is run by us and by Python again', async (t) => {
  const { introducer } = await grid;
  const directory = join(await temporaryDirectory(t), 'node');
  await pythonOutput(
    'create-client',
    '--nickname=nöde',
    `--introducer=${introducer.furl}`,
    LOCAL_WEB,
    ...ENCODING,
    directory,
  );
  let cap = '';
  await asPython(directory, async (python) => {
    await python.output('create-alias', 'tahoe');
    await python.output('create-alias', 'wörk');
    cap = await ask(python, 'PUT', 'uri', content);
    await writeFile(join(directory, 'file'), 'by Python');
    await python.output('put', join(directory, 'file'), 'tahoe:from Python');
  });
  const secrets = await secretsOf(directory);
  await asOurs(directory, async (ours) => {
    t.is(await ask(ours, 'PUT', 'uri', content), cap, 'the same convergence secret and encoding');
    t.is(await ours.output('get', 'tahoe:from Python'), 'by Python');
    await writeFile(join(directory, 'file'), 'by us');
    await ours.output('put', join(directory, 'file'), 'wörk:from us');
    const status = JSON.parse(await ours.output('status', '--json')) as { nickname: string };
    t.is(status.nickname, 'nöde');
  });
  t.deepEqual(await secretsOf(directory), secrets);
  await asPython(directory, async (python) => {
    t.is(await python.output('get', 'wörk:from us'), 'by us');
    t.is(await ask(python, 'PUT', 'uri', content), cap);
  });
});

test('a directory of our create-client, used by us, is run by Python and by us again', async (t) => {
  const { client } = await grid;
  const work = await temporaryDirectory(t);
  const directory = join(work, 'node');
  await writeFile(join(work, 'servers.yaml'), await client.serversYaml());
  const root = await ask(client, 'POST', 'uri?t=mkdir');
  const servers = ['--servers-file', join(work, 'servers.yaml')];
  // With a root it has an SFTP server too.
  await tahoeOutput(
    'create-client',
    directory,
    ...servers,
    '--nickname',
    '50% möglich',
    '--root',
    root,
    LOCAL_WEB,
    ...ENCODING,
  );
  let cap = '';
  await asOurs(directory, async (ours) => {
    await ours.output('create-alias', 'wörk');
    cap = await ask(ours, 'PUT', 'uri', content);
    await writeFile(join(directory, 'file'), 'by us');
    await ours.output('put', join(directory, 'file'), 'tahoe:from us');
  });
  const secrets = await secretsOf(directory);
  await asPython(directory, async (python) => {
    t.is(await python.output('get', 'tahoe:from us'), 'by us');
    t.is(await ask(python, 'PUT', 'uri', content), cap);
    await writeFile(join(directory, 'file'), 'by Python');
    await python.output('put', join(directory, 'file'), 'wörk:from Python');
    const welcome = (await (await python.fetch('')).text()).replace(/\s+/g, ' ');
    t.true(welcome.includes('50% möglich'));
  });
  t.deepEqual(await secretsOf(directory), secrets);
  await asOurs(directory, async (ours) => {
    t.is(await ours.output('get', 'wörk:from Python'), 'by Python');
  });
});

/** What makes a storage server the one that its clients know. */
async function identityOf(directory: string): Promise<Record<string, string>> {
  const names = [
    'private/node.pem',
    'private/node.privkey',
    'node.pubkey',
    'my_nodeid',
    'permutation-seed',
    'private/storage.furl',
  ];
  const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
  return Object.fromEntries(names.map((name, index) => [name, texts[index]?.trim() ?? '']));
}

async function createOurServer(t: ExecutionContext): Promise<string> {
  const directory = join(await temporaryDirectory(t), 'node');
  await tahoeOutput('create-node', directory, '--nickname', 'ours');
  return directory;
}

async function createPythonServer(t: ExecutionContext): Promise<string> {
  const directory = join(await temporaryDirectory(t), 'node');
  const [port] = await freePorts(1);
  const place = [`--port=tcp:${port}:interface=127.0.0.1`, `--location=tcp:127.0.0.1:${port}`];
  await pythonOutput('create-node', '--nickname=theirs', '--webport=none', ...place, directory);
  return directory;
}

for (const [maker, create] of [
  ['Python', createPythonServer],
  ['our', createOurServer],
] as const) {
  test(`a storage server in a directory of ${maker} create-node keeps its identity and shares under both programs`, async (t) => {
    const directory = await create(t);
    const identities: Record<string, string>[] = [];
    const found: number[] = [];
    const look = async () => {
      identities.push(await identityOf(directory));
      found.push((await readShares(join(directory, 'storage', 'shares'))).size);
    };
    const runs = {
      Python: () => stopped((own) => runPythonServer(own, directory), look),
      our: () => stopped((own) => runTahoe(own, directory), look),
    };
    for (const program of maker === 'Python'
      ? (['Python', 'our', 'Python'] as const)
      : (['our', 'Python', 'our'] as const)) {
      await runs[program]();
    }
    t.deepEqual(identities[1], identities[0]);
    t.deepEqual(identities[2], identities[0]);
    t.deepEqual(found, [0, 0, 0]);
  });
}

test('a directory of Python create-node with a web port is client and storage server when we run it', async (t) => {
  const { client, introducer } = await grid;
  const directory = join(await temporaryDirectory(t), 'node');
  const [port] = await freePorts(1);
  const place = [`--port=tcp:${port}:interface=127.0.0.1`, `--location=tcp:127.0.0.1:${port}`];
  await pythonOutput(
    'create-node',
    '--nickname=both',
    `--introducer=${introducer.furl}`,
    LOCAL_WEB,
    ...place,
    ...ENCODING,
    directory,
  );
  const ours = await runOurClient(t, directory);
  const cap = await ask(ours, 'PUT', 'uri', content);
  t.deepEqual(await request(client, 'GET', `uri/${cap}`), content);
  const furl = await readFile(join(directory, 'private', 'storage.furl'), 'utf8');
  t.true(furl.includes(`@tcp:127.0.0.1:${port}/`));
});

test('both programs refuse a tahoe.cfg with an unknown key or an unknown section', async (t) => {
  for (const [mistake, message] of [
    ['[node]\nnickame = x\n', /nickame/],
    ['[nodes]\n', /nodes/],
  ] as const) {
    const directory = join(await temporaryDirectory(t), 'node');
    await pythonOutput('create-client', LOCAL_WEB, directory);
    await appendFile(join(directory, 'tahoe.cfg'), mistake);
    const ours = await tahoe('run', directory);
    t.true(ours.code !== 0 && message.test(ours.stderr), `${mistake}: ${ours.stderr}`);
    const python = await pythonTahoe('run', directory);
    t.regex(`${python.stdout}${python.stderr}`, message);
  }
});

test('every key of the installed Python implementation is known here', async (t) => {
  const program = `import json; from allmydata.client import _valid_config; print(json.dumps(_valid_config()._static_valid_sections))`;
  const { stdout } = await promisify(execFile)(pythonInterpreter(), ['-c', program]);
  const sections = JSON.parse(stdout) as Record<string, string[]>;
  t.true(Object.keys(sections).length >= 8);
  for (const [section, keys] of Object.entries(sections)) {
    for (const key of keys) {
      t.notRegex(problemOf(`[${section}]\n${key} = x\n`), /is not a (key|section)/);
    }
  }
});

function problemOf(config: string): string {
  try {
    parseTahoeConfig(config);
    return '';
  } catch (error) {
    return String(error);
  }
}
