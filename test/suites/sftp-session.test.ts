import test from 'ava';
import { decodeAttributes } from '../../sftp/attributes.js';
import type { PacketReader } from '../../sftp/packet-reader.js';
import { PacketWriter } from '../../sftp/packet-writer.js';
import { messageType, openFlag, statusCode } from '../../sftp/protocol.js';
import { TahoeError } from '../../src/errors/tahoe-error.js';
import type { Logger } from '../../src/platform/logger.js';
import { silentLogger } from '../../src/platform/logger.js';
import { MemoryVfs } from '../support/memory-vfs.js';
import { mutate, randomSource } from '../support/mutations.js';
import { dataOf, handleOf, RawSftpClient, statusOf } from '../support/raw-sftp-client.js';
import { rootCap } from '../support/sftp-fixture.js';

const { read, write, append, create, truncate, exclusive } = openFlag;
const { ok, eof, noSuchFile, permissionDenied, failure, badMessage, operationUnsupported } = statusCode;

async function contentOf(client: RawSftpClient, path: string): Promise<string> {
  const handle = await client.openHandle(path, read);
  const reply = await client.read(handle, 0, 100_000);
  await client.close(handle);
  return statusOf({ ...reply }) === eof ? '' : dataOf(reply);
}

async function put(client: RawSftpClient, path: string, text: string, permissions?: number): Promise<void> {
  const handle = await client.openHandle(path, write | create | truncate, permissions);
  if (text !== '') await client.write(handle, 0, text);
  await client.close(handle);
}

async function statOf(client: RawSftpClient, type: number, path: string) {
  const reply = await client.request(type, (writer) => writer.text(path));
  return reply.type === messageType.attrs ? decodeAttributes(reply.fields) : statusOf(reply);
}

async function namesIn(client: RawSftpClient, path: string): Promise<readonly string[]> {
  const handle = handleOf(await client.request(messageType.opendir, (writer) => writer.text(path)));
  const names: string[] = [];
  for (;;) {
    const { type, fields } = await client.request(messageType.readdir, (writer) => writer.bytes(handle));
    if (type !== messageType.name) break;
    for (let count = fields.u32(); count > 0; count--) names.push(nameIn(fields));
  }
  await client.close(handle);
  return names;
}

function nameIn(fields: PacketReader): string {
  const name = Buffer.from(fields.bytes()).toString();
  fields.bytes();
  decodeAttributes(fields);
  return name;
}

test('the flags of OPEN decide about creation, truncation and what the handle may do', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  // flags, the file existed: the status of OPEN (-1: a handle), and what the file holds after writing "new" at 0
  const cases: readonly (readonly [flags: number, exists: boolean, status: number, content: string | undefined])[] = [
    [read, true, -1, 'before'],
    [read, false, noSuchFile, undefined],
    [write, true, -1, 'newore'],
    [write, false, noSuchFile, undefined],
    [read | write, true, -1, 'newore'],
    [write | truncate, true, -1, 'new'],
    [write | truncate, false, noSuchFile, undefined],
    [write | create, true, -1, 'newore'],
    [write | create, false, -1, 'new'],
    [write | create | truncate, true, -1, 'new'],
    [write | create | exclusive, true, failure, 'before'],
    [write | create | exclusive, false, -1, 'new'],
    [write | append, true, -1, 'beforenew'],
    [read | create, false, -1, ''],
    [read | create, true, -1, 'before'],
    [read | truncate, true, -1, 'before'],
    [0, true, badMessage, 'before'],
    [create, false, badMessage, undefined],
    [append, true, badMessage, 'before'],
    [write | exclusive, true, badMessage, 'before'],
  ];
  for (const [index, [flags, exists, status, content]] of cases.entries()) {
    const path = `/case${index}`;
    if (exists) await put(client, path, 'before');
    const reply = await client.open(path, flags);
    t.is(statusOf({ ...reply }), status, path);
    if (status === -1) {
      const handle = reply.fields.bytes();
      t.is(statusOf(await client.write(handle, 0, 'new')), flags & write ? ok : permissionDenied, path);
      const got = await client.read(handle, 0, 100);
      if (!(flags & read)) t.is(statusOf(got), permissionDenied, path);
      t.is(statusOf(await client.close(handle)), ok, path);
    }
    if (content === undefined) t.is(await statOf(client, messageType.stat, path), noSuchFile, path);
    else t.is(await contentOf(client, path), content, path);
  }
});

test('attributes of OPEN and MKDIR are used for what is new and ignored for what is there', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  await put(client, '/f', 'x', 0o4751);
  await put(client, '/f', 'y', 0o600);
  const file = await statOf(client, messageType.stat, '/f');
  t.like(file, { permissions: 0o104751, ownership: { uid: 5, gid: 6 }, sizeBytes: 1 });
  await client.request(messageType.mkdir, (writer) => writer.text('/d').u32(4).u32(0o700));
  t.like(await statOf(client, messageType.stat, '/d'), { permissions: 0o040700 });
  t.is(await client.statusOfPath(messageType.mkdir, '/d'), failure);
  t.is(await client.statusOfPath(messageType.mkdir, '/no/such/parent'), noSuchFile);
  const timed = await client.request(messageType.open, (writer) =>
    writer
      .text('/t')
      .u32(write | create)
      .u32(8)
      .u32(111)
      .u32(222),
  );
  await client.close(handleOf(timed));
  t.like(await statOf(client, messageType.stat, '/t'), { times: { accessed: 111, modified: 222 } });
});

test('paths are normalised textually, links are followed inside the root', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  const link = (target: string, path: string) =>
    client.request(messageType.symlink, (writer) => writer.text(target).text(path));
  await client.statusOfPath(messageType.mkdir, '/d');
  await client.statusOfPath(messageType.mkdir, '/d/e');
  await put(client, 'd/e/f', 'content');
  await link('d/e', '/relative');
  await link('/d/e', '/d/absolute');
  await link('../../../../d/e/f', '/d/e/up');
  await link('loop', '/loop');
  await link('missing', '/dangling');
  for (const path of ['//d/./e//f/', 'x/../d/e/f', '/../../d/e/f', '/relative/f', '/d/absolute/f', '/relative/up']) {
    t.is(await contentOf(client, path), 'content', path);
  }
  // textual: the parent of the link, not of where it leads
  t.is(await statOf(client, messageType.stat, '/relative/../e'), noSuchFile);
  t.is(await statOf(client, messageType.stat, '/loop'), noSuchFile);
  t.is(await statOf(client, messageType.stat, '/d/e/f/x'), noSuchFile);
  t.like(await statOf(client, messageType.lstat, '/loop'), { permissions: 0o120777 });
  t.is(await client.statusOfPath(messageType.stat, '/relative\0', false), badMessage);
  const invalid = await client.request(messageType.stat, (writer) => writer.bytes(Uint8Array.of(0x2f, 0xff)));
  t.is(statusOf(invalid), noSuchFile);
  // creation through a dangling link makes its target; EXCL does not
  t.is(statusOf(await client.open('/dangling', write | create | exclusive)), failure);
  await put(client, '/dangling', 'made');
  t.is(await contentOf(client, '/missing'), 'made');
  const where = await client.request(messageType.realpath, (writer) => writer.text('a/.././/b/'));
  where.fields.u32();
  t.is(nameIn(where.fields), '/b');
  const home = await client.extended('expand-path@openssh.com', (writer) => writer.text('~/b'));
  home.fields.u32();
  t.is(nameIn(home.fields), '/b');
});

test('a directory is reached by its capability, and a child named uri comes first', async (t) => {
  const vfs = new MemoryVfs();
  const other = (await vfs.openRoot('URI:DIR2:other')).inode;
  await vfs.makeDirectory(other, 'inside', { mode: 0o755, uid: 0, gid: 0 });
  const client = await RawSftpClient.start(t, vfs);
  t.deepEqual(await namesIn(client, '/uri/URI:DIR2:other'), ['.', '..', 'inside']);
  t.is(await client.statusOfPath(messageType.rmdir, '/uri/URI:DIR2:other', false), permissionDenied);
  t.is(await statOf(client, messageType.stat, '/uri'), noSuchFile);
  t.is(await client.statusOfPath(messageType.mkdir, '/uri'), ok);
  t.is(await statOf(client, messageType.stat, '/uri/URI:DIR2:other'), noSuchFile);
});

test('names are changed as POSIX has it: no recursive mkdir, no rmdir of a full directory, two renames', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  await client.statusOfPath(messageType.mkdir, '/full');
  await put(client, '/full/f', 'in');
  await put(client, '/g', 'out');
  const rename = async (from: string, to: string) =>
    statusOf(await client.request(messageType.rename, (writer) => writer.text(from).text(to)));
  const posix = async (from: string, to: string) =>
    statusOf(await client.extended('posix-rename@openssh.com', (writer) => writer.text(from).text(to)));
  t.is(await client.statusOfPath(messageType.rmdir, '/full', false), failure);
  t.is(await client.statusOfPath(messageType.rmdir, '/g', false), noSuchFile);
  t.is(await client.statusOfPath(messageType.remove, '/full', false), failure);
  t.is(await client.statusOfPath(messageType.rmdir, '/', false), permissionDenied);
  t.is(await rename('/g', '/full/f'), failure);
  t.is(await rename('/g', '/g'), failure);
  t.is(await rename('/missing', '/x'), noSuchFile);
  t.is(await rename('/full', '/full/sub'), badMessage);
  t.is(await posix('/g', '/full/f'), ok);
  t.is(await contentOf(client, '/full/f'), 'out');
  t.is(await posix('/full/f', '/full'), failure);
  t.is(await rename('/full', '/moved'), ok);
  t.deepEqual(await namesIn(client, '/'), ['.', '..', 'moved']);
  t.is(
    statusOf(await client.extended('hardlink@openssh.com', (w) => w.text('/moved/f').text('/l'))),
    operationUnsupported,
  );
});

test('SETSTAT changes sizes and modes behind a link, times and owner of the link itself', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  await put(client, '/f', 'content');
  await client.request(messageType.symlink, (writer) => writer.text('f').text('/l'));
  const setstat = (fields: (writer: PacketWriter) => void) =>
    client.request(messageType.setstat, (writer) => fields(writer.text('/l')));
  t.is(statusOf(await setstat((writer) => writer.u32(5).u64(3).u32(0o4600))), ok);
  t.is(statusOf(await setstat((writer) => writer.u32(10).u32(7).u32(8).u32(1000).u32(2000))), ok);
  t.like(await statOf(client, messageType.stat, '/l'), {
    sizeBytes: 3,
    permissions: 0o104600,
    ownership: { uid: 5, gid: 6 },
  });
  const link = { permissions: 0o120777, ownership: { uid: 7, gid: 8 }, times: { accessed: 1000, modified: 2000 } };
  t.like(await statOf(client, messageType.lstat, '/l'), link);
  const lset = await client.extended('lsetstat@openssh.com', (w) => w.text('/l').u32(8).u32(1).u32(2));
  t.is(statusOf(lset), ok);
  t.like(await statOf(client, messageType.lstat, '/l'), { times: { accessed: 1, modified: 2 } });
  const handle = await client.openHandle('/f', read);
  const fsetstat = (fields: (writer: PacketWriter) => void) =>
    client.request(messageType.fsetstat, (writer) => fields(writer.bytes(handle)));
  t.is(statusOf(await fsetstat((writer) => writer.u32(1).u64(0))), permissionDenied);
  t.is(statusOf(await fsetstat((writer) => writer.u32(8).u32(3).u32(4))), ok);
  const reply = await client.request(messageType.fstat, (writer) => writer.bytes(handle));
  t.like(decodeAttributes(reply.fields), { sizeBytes: 3, times: { accessed: 3, modified: 4 } });
});

test('a read at or past the end is EOF, a read of nothing before it is empty data', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  await put(client, '/f', 'abc');
  const handle = await client.openHandle('/f', read);
  t.is(dataOf(await client.read(handle, 1, 10)), 'bc');
  t.is(dataOf(await client.read(handle, 0, 0)), '');
  for (const [offset, length] of [
    [3, 1],
    [3, 0],
    [1e12, 5],
  ] as const) {
    t.is(statusOf(await client.read(handle, offset, length)), eof, `${offset} ${length}`);
  }
  t.is(statusOf(await client.close(handle)), ok);
  t.is(statusOf(await client.close(handle)), badMessage);
  t.is(statusOf(await client.read(handle, 0, 1)), badMessage);
  t.is(statusOf(await client.read(new Uint8Array(3000), 0, 1)), badMessage);
});

test('a listing of many long names comes in several packets and is complete', async (t) => {
  const vfs = new MemoryVfs();
  const root = (await vfs.openRoot(rootCap)).inode;
  const names = Array.from({ length: 2000 }, (_, index) => `${'n'.repeat(200)}${String(index).padStart(5, '0')}`);
  for (const name of names) await vfs.makeNode(root, name, 'file', 0, { mode: 0o644, uid: 0, gid: 0 });
  const client = await RawSftpClient.start(t, vfs);
  t.deepEqual(await namesIn(client, '/'), ['.', '..', ...names]);
  t.is(await statOf(client, messageType.opendir, `/${names[0]}`), noSuchFile);
});

test('requests sent together take effect in their order, answers of others do not wait for a slow one', async (t) => {
  let releaseRead: () => void = () => undefined;
  const slow = new Promise<void>((resolve) => (releaseRead = resolve));
  const vfs = new MemoryVfs({ onOperation: (operation) => (operation === 'read' ? slow : undefined) });
  const client = await RawSftpClient.start(t, vfs);
  // as sshfs sends them: nothing is waited for
  const opening = client.open('/f', write | create);
  const stating = statOf(client, messageType.lstat, '/f');
  const making = client.statusOfPath(messageType.mkdir, '/d');
  const inside = client.statusOfPath(messageType.mkdir, '/d/e');
  const removing = client.statusOfPath(messageType.rmdir, '/d/e', false);
  const handle = handleOf(await opening);
  t.like(await stating, { sizeBytes: 0 });
  t.deepEqual(await Promise.all([making, inside, removing]), [ok, ok, ok]);
  const writing = [0, 1, 2, 3].map((index) => client.write(handle, index * 3, 'abc'));
  const sizing = client.request(messageType.fstat, (writer) => writer.bytes(handle));
  const closing = client.close(handle);
  t.is(decodeAttributes((await sizing).fields).sizeBytes, 12);
  t.deepEqual((await Promise.all(writing)).map(statusOf), [ok, ok, ok, ok]);
  t.is(statusOf(await closing), ok);
  const reading = await client.openHandle('/f', read);
  const stuck = client.read(reading, 0, 100);
  const stuckClose = client.close(reading);
  t.like(await statOf(client, messageType.stat, '/f'), { sizeBytes: 12 });
  releaseRead();
  t.is(dataOf(await stuck), 'abcabcabcabc');
  t.is(statusOf(await stuckClose), ok);
});

test('a client that does not wait for answers has 64 requests at work at once, and loses none', async (t) => {
  let running = 0;
  let most = 0;
  const vfs = new MemoryVfs({
    onOperation: async (operation) => {
      if (operation !== 'lookup') return;
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running--;
    },
  });
  const client = await RawSftpClient.start(t, vfs);
  const replies = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => statOf(client, messageType.stat, `/${index}`)),
  );
  t.true(replies.every((reply) => reply === noSuchFile));
  t.is(most, 64);
});

test('a client that does not take its answers is not read from, and its data is not fetched', async (t) => {
  let reads = 0;
  const vfs = new MemoryVfs({
    onOperation: (operation) => {
      if (operation === 'read') reads++;
      return undefined;
    },
  });
  const client = await RawSftpClient.start(t, vfs);
  const large = await client.openHandle('/large', read | write | create);
  await client.write(large, 0, new Uint8Array(250_000));
  client.output.pause();
  const answers = Array.from({ length: 400 }, () => client.read(large, 0, 250_000));
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.true(reads >= 20 && reads < 100, String(reads));
  client.output.resume();
  t.true((await Promise.all(answers)).every((answer) => dataOf(answer).length === 250_000));
  t.is(reads, 400);
});

test('CLOSE reports what could not be flushed, and fsync what is not on the grid', async (t) => {
  const vfs = new MemoryVfs({
    onOperation: async (operation) => {
      if (operation === 'flush') throw new TahoeError('the journal is full', { kind: 'no-space', op: 'test' });
      if (operation === 'fsync') throw new TahoeError('two of three servers', { kind: 'unhappy', op: 'test' });
    },
  });
  const client = await RawSftpClient.start(t, vfs);
  const handle = await client.openHandle('/f', write | create);
  const synced = await client.extended('fsync@openssh.com', (writer) => writer.bytes(handle));
  t.is(synced.fields.u32(), failure);
  t.is(Buffer.from(synced.fields.bytes()).toString(), 'two of three servers');
  t.is(statusOf(await client.close(handle)), failure);
  t.is(vfs.openHandleCount(), 0);
});

for (const how of ['goes away', 'breaks off in a packet', 'sends nonsense'] as const) {
  test(`what a client wrote is flushed when it ${how} with files open`, async (t) => {
    const flushed: string[] = [];
    const vfs = new MemoryVfs({
      onOperation: (operation, signal) => {
        if (operation === 'flush') flushed.push(operation);
        if (operation !== 'fsync') return undefined;
        return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      },
    });
    const client = new RawSftpClient(vfs);
    await client.init();
    const handles = [await client.openHandle('/a', write | create), await client.openHandle('/b', write | create)];
    await client.statusOfPath(messageType.opendir, '/', false);
    for (const handle of handles) await client.write(handle, 0, 'kept');
    void client.extended('fsync@openssh.com', (writer) => writer.bytes(handles[0]!));
    if (how === 'breaks off in a packet') client.input.write(Uint8Array.of(0, 0));
    if (how === 'sends nonsense') {
      client.input.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
      await t.throwsAsync(client.session, { message: /not allowed/ });
    } else {
      client.input.end();
      await client.session;
    }
    t.deepEqual(flushed, ['flush', 'flush']);
    t.is(vfs.openHandleCount(), 0);
    t.is(vfs.rememberedCount(), 0);
    const again = await RawSftpClient.start(t, vfs);
    t.is(await contentOf(again, '/b'), 'kept');
  });
}

test('a malformed request is answered and the session goes on; one before INIT ends it', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  t.is(statusOf(await client.request(messageType.open, (writer) => writer.u32(99))), badMessage);
  t.is(statusOf(await client.request(99, () => undefined)), operationUnsupported);
  t.is(statusOf(await client.extended('other@example.org', () => undefined)), operationUnsupported);
  t.is(await client.statusOfPath(messageType.mkdir, '/d'), ok);
  const early = new RawSftpClient(new MemoryVfs());
  void early.request(messageType.stat, (writer) => writer.text('/'));
  await t.throwsAsync(early.session, { message: /before INIT/ });
});

test('space, limits and owners are told, data is copied within the server', async (t) => {
  const client = await RawSftpClient.start(t, new MemoryVfs());
  const space = (await client.extended('statvfs@openssh.com', (writer) => writer.text('/'))).fields;
  t.deepEqual(
    [space.u64(), space.u64(), space.u64(), space.u64(), space.u64()],
    [4096, 4096, 2 ** 36, 2 ** 35, 2 ** 35],
  );
  const missing = await client.extended('statvfs@openssh.com', (writer) => writer.text('/missing'));
  t.is(statusOf(missing), noSuchFile);
  const limits = (await client.extended('limits@openssh.com', () => undefined)).fields;
  t.deepEqual([limits.u64(), limits.u64(), limits.u64(), limits.u64()], [263_168, 261_120, 261_120, 4096]);
  const ids = new PacketWriter(0).u32(0).u32(4242).finish().subarray(5);
  const owners = (await client.extended('users-groups-by-id@openssh.com', (w) => w.bytes(ids).bytes(ids))).fields;
  t.deepEqual(
    [owners.bytes(), owners.bytes()].map((list) => Buffer.from(list).toString()),
    ['\0\0\0\x04root\0\0\0\0', '\0\0\0\x05wheel\0\0\0\0'],
  );
  await put(client, '/from', '0123456789');
  const [from, to] = [await client.openHandle('/from', read), await client.openHandle('/to', write | create)];
  const copy = async (offset: number, length: number, target: Uint8Array, at: number) =>
    statusOf(await client.extended('copy-data', (w) => w.bytes(from).u64(offset).u64(length).bytes(target).u64(at)));
  t.is(await copy(2, 3, to, 1), ok);
  t.is(await copy(8, 0, to, 4), ok);
  t.is(await copy(0, 0, from, 0), badMessage);
  t.is(await contentOf(client, '/to'), '\x0023489');
});

test('20,000 damaged requests in sessions are answered or end them, and leave nothing open', async (t) => {
  const random = randomSource(31);
  const logged: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (message, fields) => logged.push(`${message} ${JSON.stringify(fields)}`),
  };
  const vfs = new MemoryVfs();
  let sent = 0;
  let sessions = 0;
  while (sent < 20_000) {
    const client = new RawSftpClient(vfs, { log });
    sessions++;
    await client.init();
    let ended = false;
    const end = client.session.then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof TahoeError && error.kind === 'protocol')) throw error;
        ended = true;
      },
    );
    const handle = await client.openHandle('/f', read | write | create);
    for (let round = 0; round < 500 && !ended; round++, sent++) {
      const type = 3 + random.below(19);
      const writer = new PacketWriter(type === 21 ? messageType.extended : type).u32(1000 + round);
      if (random.below(2) === 0) writer.bytes(handle).u64(random.below(1000)).u32(random.below(1000)).u32(0);
      else writer.text(['/f', '/d', '/d/e', 'l', '..'][random.below(5)]!).text('/d').u32(0x1b).u32(4).u32(0o755);
      const packet = writer.finish();
      // the length field stays right most of the time, so that the damage is inside
      const body = random.below(200) === 0 ? mutate(packet, random) : reframe(mutate(packet.subarray(4), random));
      client.input.write(body);
      if (round % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    client.input.end();
    await end;
    t.is(vfs.openHandleCount(), 0);
    t.is(vfs.rememberedCount(), 0);
  }
  t.true(sessions > 40, String(sessions));
  t.deepEqual(logged, []);
});

function reframe(body: Uint8Array): Uint8Array {
  const framed = new Uint8Array(4 + body.length);
  framed.set(new PacketWriter(0).u32(body.length).finish().subarray(5));
  framed.set(body, 4);
  return framed;
}
