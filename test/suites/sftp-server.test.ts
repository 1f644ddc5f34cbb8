import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as net from 'node:net';
import test, { type ExecutionContext } from 'ava';
import ssh2, { type Client, type SFTPWrapper } from 'ssh2';
import { loadOrCreateHostKey } from '../../sftp/host-key.js';
import { startSftpServer } from '../../sftp/server.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import { generateKey, rootCap, type SftpFixture, sftpBatch, startFixture } from '../support/sftp-fixture.js';

async function connect(
  t: ExecutionContext,
  fixture: SftpFixture,
  options: Partial<ssh2.ConnectConfig> = {},
): Promise<Client> {
  const client = new ssh2.Client();
  t.teardown(() => client.end());
  const privateKey = await fs.readFile(fixture.keyPath);
  const { port } = fixture.server.address;
  await new Promise<void>((resolve, reject) => {
    client.on('ready', resolve).on('error', reject);
    client.connect({ host: '127.0.0.1', port, username: 'alice', privateKey, ...options });
  });
  return client;
}

function sftpOf(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => client.sftp((error, sftp) => (error ? reject(error) : resolve(sftp))));
}

/** Calls a method of the ssh2 client and promises its result. */
function call<T>(start: (done: (error: Error | undefined | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a second make of client agrees about files, attributes, links and listings', async (t) => {
  const fixture = await startFixture(t);
  const sftp = await sftpOf(await connect(t, fixture));
  const content = randomBytes(1_500_000);
  await call<void>((done) => sftp.writeFile('/file', content, (error) => done(error, undefined)));
  t.deepEqual(await call<Buffer>((done) => sftp.readFile('/file', done)), content);
  await call<void>((done) => sftp.utimes('/file', 1000, 2000, (error) => done(error, undefined)));
  await call<void>((done) => sftp.chmod('/file', 0o640, (error) => done(error, undefined)));
  await call<void>((done) => sftp.mkdir('/dir', { mode: 0o711 }, (error) => done(error, undefined)));
  await call<void>((done) => sftp.symlink('../file', '/dir/link', (error) => done(error, undefined)));
  t.is(await call<string>((done) => sftp.readlink('/dir/link', done)), '../file');
  const stats = await call<ssh2.Stats>((done) => sftp.stat('/dir/link', done));
  t.like(stats, { size: 1_500_000, mode: 0o100640, mtime: 2000, atime: 1000 });
  t.true((await call<ssh2.Stats>((done) => sftp.lstat('/dir/link', done))).isSymbolicLink());
  await call<void>((done) => sftp.ext_openssh_rename('/file', '/dir/file', (error) => done(error, undefined)));
  const list = await call<ssh2.FileEntryWithStats[]>((done) => sftp.readdir('/dir', done));
  t.deepEqual(
    list.map(({ filename }) => filename).filter((name) => !name.startsWith('.')),
    ['file', 'link'],
  );
  await t.throwsAsync(
    call<ssh2.Stats>((done) => sftp.stat('/file', done)),
    { code: 2 } as never,
  );
});

test('transfers of many files at once in several sessions of one connection arrive whole', async (t) => {
  const fixture = await startFixture(t);
  const client = await connect(t, fixture);
  const sessions = await Promise.all([sftpOf(client), sftpOf(client), sftpOf(client)]);
  t.is(fixture.server.sessionCount, 3);
  const contents = Array.from({ length: 30 }, (_, index) => randomBytes(index * 20_000));
  const at = (index: number) => sessions[index % sessions.length]!;
  await Promise.all(
    contents.map((content, index) =>
      call<void>((done) => at(index).writeFile(`/${index}`, content, (e) => done(e, undefined))),
    ),
  );
  const read = await Promise.all(
    contents.map((_, index) => call<Buffer>((done) => at(index + 1).readFile(`/${index}`, done))),
  );
  t.true(read.every((bytes, index) => bytes.equals(contents[index]!)));
});

test('when the connection is cut, what was written is kept and nothing stays open', async (t) => {
  const fixture = await startFixture(t);
  const client = await connect(t, fixture);
  const sftp = await sftpOf(client);
  const handle = await call<Buffer>((done) => sftp.open('/cut', 'w', done));
  await call<void>((done) => sftp.write(handle, Buffer.from('kept'), 0, 4, 0, (error) => done(error, undefined)));
  t.is(fixture.vfs.openHandleCount(), 1);
  client.destroy();
  await until(() => fixture.server.sessionCount === 0);
  t.is(fixture.vfs.openHandleCount(), 0);
  const root = (await fixture.vfs.openRoot(rootCap)).inode;
  t.is((await fixture.vfs.lookup(root, 'cut')).sizeBytes, 4);
});

test('close flushes what is open in live sessions and ends the connections', async (t) => {
  const fixture = await startFixture(t);
  const client = await connect(t, fixture);
  const gone = new Promise((resolve) => client.on('close', () => resolve(undefined)));
  const sftp = await sftpOf(client);
  await call<Buffer>((done) => sftp.open('/open', 'w', done));
  await fixture.server.close();
  t.is(fixture.server.sessionCount, 0);
  t.is(fixture.vfs.openHandleCount(), 0);
  await gone;
  await t.throwsAsync(connect(t, fixture));
});

test('passwords, strangers, wrong keys and SHA-1 signatures are refused', async (t) => {
  const fixture = await startFixture(t, { keyType: ['-t', 'rsa', '-b', '2048'] });
  const other = `${fixture.directory}/other`;
  await generateKey(other);
  await t.throwsAsync(connect(t, fixture, { password: 'secret', privateKey: undefined as never }));
  await t.throwsAsync(connect(t, fixture, { username: 'mallory' }));
  await t.throwsAsync(connect(t, fixture, { privateKey: await fs.readFile(other) }));
  const result = await sftpBatch(
    { ...fixture, sshOptions: [...fixture.sshOptions, '-o', 'PubkeyAcceptedAlgorithms=ssh-rsa'] },
    ['ls'],
  );
  t.is(result.code, 255);
  t.truthy(await sftpOf(await connect(t, fixture)));
});

test('a client that tries too many keys is cut off', async (t) => {
  const fixture = await startFixture(t, { limits: { attemptsMax: 2 } });
  const others = [0, 1, 2].map((index) => `${fixture.directory}/other${index}`);
  for (const other of others) await generateKey(other);
  const offered = others.flatMap((other) => ['-o', `IdentityFile=${other}`]);
  const result = await sftpBatch({ ...fixture, sshOptions: [...offered, ...fixture.sshOptions] }, ['ls']);
  t.is(result.code, 255);
  t.notRegex(result.stderr, /Permission denied/);
  t.is((await sftpBatch(fixture, ['ls'])).code, 0);
});

test('a change of the accounts file counts at the next login', async (t) => {
  const fixture = await startFixture(t);
  await connect(t, fixture);
  const text = await fs.readFile(fixture.accountsPath, 'utf8');
  await fs.writeFile(fixture.accountsPath, `# nobody\n`);
  await t.throwsAsync(connect(t, fixture));
  await fs.writeFile(fixture.accountsPath, `${text}${text.replace('alice', 'bob')}`);
  t.truthy(await connect(t, fixture, { username: 'bob' }));
});

test('silent connections are limited in number and in time', async (t) => {
  const limits = { unauthenticatedMax: 3, loginGraceMs: 2000 };
  const fixture = await startFixture(t, { limits });
  const closedAfter = (socket: net.Socket) => {
    const start = performance.now();
    return new Promise<number>((resolve) => {
      socket.on('error', () => undefined).on('close', () => resolve(performance.now() - start));
      socket.resume();
    });
  };
  const { host, port } = fixture.server.address;
  const open = () => net.connect(port, host);
  const quiet = [open(), open(), open()];
  await Promise.all(quiet.map((socket) => new Promise((resolve) => socket.once('data', resolve))));
  const closing = quiet.map(closedAfter);
  t.true((await closedAfter(open())) < 1000);
  await Promise.all(closing);
  // the places are free again
  t.truthy(await sftpOf(await connect(t, fixture)));
});

test('a connection has a limited number of sessions, and no other subsystem', async (t) => {
  const fixture = await startFixture(t, { limits: { sessionsPerConnectionMax: 2 } });
  const client = await connect(t, fixture);
  const first = await sftpOf(client);
  await sftpOf(client);
  await t.throwsAsync(sftpOf(client));
  first.end();
  await until(() => fixture.server.sessionCount === 1);
  t.truthy(await sftpOf(client));
  const other = await connect(t, fixture);
  await t.throwsAsync(call((done) => other.subsys('netconf', done)));
});

test('bytes that are not SSH or not SFTP end that connection and no other', async (t) => {
  const fixture = await startFixture(t);
  const { host, port } = fixture.server.address;
  const well = await sftpOf(await connect(t, fixture));
  for (const bytes of [
    randomBytes(5000),
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from('SSH-2.0-x\r\n\xff\xff\xff\xff\xff\xff', 'latin1'),
  ]) {
    const socket = net.connect(port, host);
    const closed = new Promise((resolve) => socket.on('error', () => undefined).on('close', resolve));
    socket.resume();
    socket.end(bytes);
    await closed;
  }
  const client = await connect(t, fixture);
  const channel = await call<ssh2.ClientChannel>((done) => client.subsys('sftp', done));
  const ended = new Promise((resolve) => channel.on('close', resolve));
  channel.resume();
  channel.write(randomBytes(1000).fill(0xff, 0, 1));
  await ended;
  t.is(fixture.server.sessionCount, 1);
  t.true((await call<ssh2.Stats>((done) => well.stat('/', done))).isDirectory());
});

test('a port that is taken is reported as unreachable', async (t) => {
  const fixture = await startFixture(t);
  const options = { ...(await serverOptions(fixture)), listen: fixture.server.address };
  await t.throwsAsync(startSftpServer(options), { message: /cannot listen/ });
});

async function serverOptions(fixture: SftpFixture) {
  return {
    vfs: fixture.vfs,
    hostKey: await loadOrCreateHostKey(new NodeFileStore(), `${fixture.directory}/host_key`),
    accounts: { find: async () => undefined },
    clock: new NodeClock(),
    entropy: new NodeEntropy(),
    log: silentLogger,
    names: { user: () => undefined, group: () => undefined },
    owner: { uid: 0, gid: 0 },
  };
}
