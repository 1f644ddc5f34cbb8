import test from 'ava';
import fc from 'fast-check';
import { errno, errnoOf } from '../../../mount/errno.js';
import type { FuseDevice } from '../../../mount/fuse-device.js';
import { initFlag, opcode, requestHeaderBytes } from '../../../mount/kernel-constants.js';
import { MountOperations } from '../../../mount/operations.js';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { silentLogger } from '../../../src/platform/logger.js';
import type { InodeNumber } from '../../../src/vfs/vfs.js';
import { MemoryVfs } from '../../support/memory-vfs.js';

const readWrite = { read: true, write: true };

class FakeDevice implements FuseDevice {
  readonly closed = new Promise<void>(() => undefined);
  readonly replies: Buffer[] = [];
  readonly notifications: Buffer[] = [];
  start(): void {}
  reply(message: Uint8Array, data?: Uint8Array): void {
    this.replies.push(Buffer.concat(data === undefined ? [message] : [message, data]));
  }
  async notify(message: Uint8Array): Promise<void> {
    this.notifications.push(Buffer.from(message));
  }
}

async function serving(options: { readonly rootInode?: 'not first' } = {}) {
  const vfs = new MemoryVfs();
  if (options.rootInode === 'not first') await vfs.openRoot('another');
  const root = (await vfs.openRoot('root')).inode;
  const device = new FakeDevice();
  const timeouts = { entryMs: 1000, attributesMs: 1000 };
  const operations = new MountOperations(vfs.view(), root, device, { timeouts, writeback: false, log: silentLogger });
  let unique = 2;
  const ask = async (code: number, nodeId: number, body: Uint8Array): Promise<Buffer> => {
    const message = Buffer.alloc(requestHeaderBytes + body.length);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt32LE(code, 4);
    message.writeBigUInt64LE(BigInt(unique), 8);
    message.writeBigUInt64LE(BigInt(nodeId), 16);
    message.set(body, requestHeaderBytes);
    unique += 2;
    const before = device.replies.length;
    await operations.handle(message);
    for (let i = 0; i < 50 && device.replies.length === before; i++) await Promise.resolve();
    return device.replies[before] ?? Buffer.alloc(0);
  };
  return { vfs, root, device, operations, ask };
}

function u32(...values: number[]): Buffer {
  return Buffer.concat(values.map((value) => Buffer.from(Uint32Array.of(value).buffer)));
}

test('INIT takes what the kernel offers of what is wanted, never writeback unasked', async (t) => {
  const { ask, operations } = await serving();
  const offered = initFlag.bigWrites | initFlag.writebackCache | initFlag.maxPages | (1 << 1);
  const reply = await ask(opcode.init, 0, u32(7, 45, 131072, offered, ...Array<number>(12).fill(0)));
  t.is(reply.length, 16 + 64);
  t.is(reply.readUInt32LE(16), 7);
  t.is(reply.readUInt32LE(28), initFlag.bigWrites | initFlag.maxPages);
  t.is(reply.readUInt32LE(36), 1 << 20);
  t.deepEqual(await operations.initialized, { major: 7, minor: 45 });
});

test('a kernel of a later major version is told ours, one that is too old is refused', async (t) => {
  const later = await serving();
  t.is((await later.ask(opcode.init, 0, u32(8, 0))).readUInt32LE(16), 7);
  const older = await serving();
  t.is((await older.ask(opcode.init, 0, u32(7, 12, 0, 0))).readInt32LE(4), -errno.EIO);
  await t.throwsAsync(older.operations.initialized, { message: /7\.12/ });
});

test('the root is node 1 and inode 1 elsewhere is still reached', async (t) => {
  const { ask, root, vfs } = await serving({ rootInode: 'not first' });
  t.not(root, 1 as InodeNumber);
  const reply = await ask(opcode.getAttributes, 1, Buffer.alloc(16));
  t.is(Number(reply.readBigUInt64LE(32)), root);
  const other = await ask(opcode.getAttributes, root, Buffer.alloc(16));
  t.is(other.readBigUInt64LE(32), 1n);
  t.is(vfs.rememberedCount(), 1);
});

test('unknown operations and handles are answered', async (t) => {
  const { ask } = await serving();
  t.is((await ask(999, 1, Buffer.alloc(0))).readInt32LE(4), -errno.ENOSYS);
  t.is((await ask(opcode.flush, 1, Buffer.alloc(24, 9))).readInt32LE(4), -errno.EFBIG);
  t.is((await ask(opcode.flush, 1, u32(77, 0, 0, 0, 0, 0))).readInt32LE(4), -errno.EBADF);
  t.is((await ask(opcode.link, 1, Buffer.concat([u32(5, 0), Buffer.from('x\0')]))).readInt32LE(4), -errno.EPERM);
});

test('every lookup is remembered once and forgotten when the kernel forgets or goes', async (t) => {
  const { ask, vfs, root, operations } = await serving();
  const made = await vfs.makeDirectory(root, 'd', { mode: 0o755, uid: 0, gid: 0 });
  for (let i = 0; i < 3; i++) await ask(opcode.lookup, 1, Buffer.from('d\0'));
  t.is(vfs.rememberedCount(), 4);
  await ask(opcode.forget, made.inode, u32(2, 0));
  t.is(vfs.rememberedCount(), 2);
  await ask(opcode.forget, made.inode, u32(1000, 0));
  t.is(vfs.rememberedCount(), 1, 'the kernel cannot forget more than it was given');
  await operations.shutdown();
  t.is(vfs.rememberedCount(), 0);
});

test('changes of others are told once each, and only where the kernel knows the place', async (t) => {
  const { vfs, root, device } = await serving();
  const node = { mode: 0o644, uid: 0, gid: 0 };
  await vfs.makeDirectory(root, 'd', node);
  const { inode } = await vfs.lookup(root, 'd');
  for (let i = 0; i < 10; i++) {
    await vfs.makeDirectory(inode, `unknown-${i}`, node);
  }
  for (let i = 0; i < 20; i++) await Promise.resolve();
  t.is(device.notifications.length, 1);
});

test('pages are kept from open to open until somebody else changes the file', async (t) => {
  const { ask, vfs, root } = await serving();
  const { attributes, handle } = await vfs.create(root, 'file', { mode: 0o644, uid: 0, gid: 0 }, readWrite);
  await ask(opcode.lookup, 1, Buffer.from('file\0'));
  const open = async () => {
    const reply = await ask(opcode.open, attributes.inode, u32(2, 0));
    return { fileId: reply.readUInt32LE(16), keeps: reply.readUInt32LE(24) === 2 };
  };
  t.false((await open()).keeps);
  const { fileId, keeps } = await open();
  t.true(keeps);
  const written = Buffer.concat([u32(fileId, 0, 0, 0, 3, 0, 0, 0, 0, 0), Buffer.from('own')]);
  t.is((await ask(opcode.write, attributes.inode, written)).readUInt32LE(16), 3);
  t.true((await open()).keeps, 'what this kernel wrote is what it has');
  await handle.write(0, Buffer.from('other'));
  t.false((await open()).keeps);
});

test('random requests get at most one reply each and never throw', async (t) => {
  const { ask, device } = await serving();
  const codes = Object.values(opcode).filter((code) => code !== opcode.forget && code !== opcode.batchForget);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...codes.filter((code) => code !== opcode.interrupt)),
      fc.integer({ min: 0, max: 5 }),
      fc.oneof(fc.uint8Array({ maxLength: 120 }), fc.constantFrom(Buffer.from('a\0b\0'), Buffer.alloc(100))),
      async (code, nodeId, body) => {
        const before = device.replies.length;
        const reply = await ask(code, nodeId, body);
        t.is(device.replies.length, before + 1);
        t.is(reply.readUInt32LE(0), reply.length);
      },
    ),
    { numRuns: 1000 },
  );
});

test('every kind of error has an errno', (t) => {
  t.is(errnoOf(new TahoeError('', { kind: 'stale', op: '' })), 116);
  t.is(errnoOf(new TahoeError('', { kind: 'name-too-long', op: '' })), 36);
  t.is(errnoOf(new TahoeError('', { kind: 'no-attribute', op: '' })), 61);
  t.is(errnoOf(new RangeError('a bug')), 5);
});
