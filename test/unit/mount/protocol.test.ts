import test from 'ava';
import fc from 'fast-check';
import { fileType, opcode, requestHeaderBytes } from '../../../mount/kernel-constants.js';
import { MessageSplitter } from '../../../mount/message-splitter.js';
import { parseMountInfo } from '../../../mount/mount-table.js';
import { DirectoryPage, encodeAttributes, encodeEntry, encodeInvalidateEntry } from '../../../mount/reply.js';
import { decodeBody, decodeHeader } from '../../../mount/request.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import type { Attributes, FileKind, InodeNumber } from '../../../src/vfs/vfs.js';

const timeouts = { entryMs: 1500, attributesMs: 2250 };

function request(code: number, body: Uint8Array, nodeId = 7): Uint8Array {
  const message = Buffer.alloc(requestHeaderBytes + body.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt32LE(code, 4);
  message.writeBigUInt64LE(42n, 8);
  message.writeBigUInt64LE(BigInt(nodeId), 16);
  message.writeUInt32LE(1000, 24);
  message.writeUInt32LE(100, 28);
  message.set(body, requestHeaderBytes);
  return message;
}

function decode(message: Uint8Array) {
  return decodeBody(decodeHeader(message), message);
}

const attributes: Attributes = {
  inode: (2 ** 40 + 5) as InodeNumber,
  kind: 'file',
  mode: 0o4755,
  uid: 1,
  gid: 2,
  links: 3,
  sizeBytes: 2 ** 33 + 1,
  rdev: 0x103,
  accessed: { seconds: -1, nanoseconds: 999_999_999 },
  modified: { seconds: 2 ** 32 + 7, nanoseconds: 1 },
  changed: { seconds: 0, nanoseconds: 0 },
};

test('a header says who asks for what', (t) => {
  const message = request(opcode.lookup, Buffer.from('name\0'));
  t.deepEqual(decodeHeader(message), { opcode: 1, unique: 42, nodeId: 7, uid: 1000, gid: 100 });
  t.deepEqual(decode(message), { op: 'lookup', name: 'name' });
});

test('a byte order mark is part of a name, other encodings are refused', (t) => {
  t.deepEqual(decode(request(opcode.unlink, Buffer.from('\ufeffa\0'))), { op: 'unlink', name: '\ufeffa' });
  for (const bytes of [
    [0xff, 0],
    [0xc0, 0x80, 0],
    [0xed, 0xa0, 0x80, 0],
  ]) {
    const error = t.throws(() => decode(request(opcode.lookup, Uint8Array.from(bytes))));
    t.true(isTahoeError(error, 'invalid'));
  }
});

test('a name without its end is a protocol error', (t) => {
  for (const body of ['', 'name']) {
    t.true(
      isTahoeError(
        t.throws(() => decode(request(opcode.lookup, Buffer.from(body)))),
        'protocol',
      ),
    );
  }
});

test('the structure of WRITE refers to the message and must fit into it', (t) => {
  const body = Buffer.alloc(40 + 5);
  body.writeBigUInt64LE(3n, 0);
  body.writeBigUInt64LE(2n ** 40n, 8);
  body.writeUInt32LE(5, 16);
  body.write('hello', 40);
  const decoded = decode(request(opcode.write, body));
  t.like(decoded, { op: 'write', fileId: 3, offset: 2 ** 40, flags: 0 });
  t.is(decoded.op === 'write' && Buffer.from(decoded.data).toString(), 'hello');
  body.writeUInt32LE(6, 16);
  t.true(
    isTahoeError(
      t.throws(() => decode(request(opcode.write, body))),
      'protocol',
    ),
  );
  body.writeBigUInt64LE(2n ** 53n, 8);
  t.true(
    isTahoeError(
      t.throws(() => decode(request(opcode.write, body))),
      'too-large',
    ),
  );
});

test('SETATTR carries times before 1970', (t) => {
  const body = Buffer.alloc(88);
  body.writeUInt32LE(1 << 5, 0);
  body.writeBigInt64LE(-5n, 40);
  body.writeUInt32LE(123, 60);
  t.like(decode(request(opcode.setAttributes, body)), {
    valid: 1 << 5,
    modified: { seconds: -5, nanoseconds: 123 },
  });
});

test('a list of forgets that claims more than is there is refused without memory', (t) => {
  const body = Buffer.alloc(8 + 16);
  body.writeUInt32LE(1, 0);
  body.writeBigUInt64LE(9n, 8);
  body.writeBigUInt64LE(4n, 16);
  t.deepEqual(decode(request(opcode.batchForget, body)), { op: 'forget', forgets: [{ nodeId: 9, count: 4 }] });
  body.writeUInt32LE(0xffffffff, 0);
  t.true(
    isTahoeError(
      t.throws(() => decode(request(opcode.batchForget, body))),
      'protocol',
    ),
  );
});

test('hostile messages of any kind decode or fail with a typed error', (t) => {
  const codes = fc.oneof(fc.constantFrom(...Object.values(opcode)), fc.nat(60));
  fc.assert(
    fc.property(codes, fc.uint8Array({ maxLength: 200 }), fc.boolean(), (code, body, cut) => {
      const message = request(code, body);
      try {
        decode(cut ? message.subarray(0, -1) : message);
      } catch (error) {
        t.true(isTahoeError(error, 'protocol', 'invalid', 'too-large'));
      }
    }),
    { numRuns: 3000 },
  );
});

test('attributes have 64-bit sizes and times with nanoseconds', (t) => {
  const message = Buffer.from(encodeAttributes(42, attributes, timeouts));
  t.is(message.readUInt32LE(0), message.length);
  t.is(message.length, 16 + 16 + 88);
  t.is(message.readBigUInt64LE(8), 42n);
  t.is(message.readBigUInt64LE(16), 2n);
  t.is(message.readUInt32LE(24), 250_000_000);
  t.is(message.readBigUInt64LE(32), 2n ** 40n + 5n);
  t.is(message.readBigUInt64LE(40), 2n ** 33n + 1n);
  t.is(message.readBigInt64LE(56), -1n);
  t.is(message.readBigInt64LE(64), 2n ** 32n + 7n);
  t.is(message.readUInt32LE(80), 999_999_999);
  t.is(message.readUInt32LE(92), 0o104755);
});

test('an entry that does not exist has node 0 and may be remembered', (t) => {
  const message = Buffer.from(encodeEntry(1, 0, undefined, timeouts));
  t.is(message.length, 16 + 128);
  t.is(message.readInt32LE(4), 0);
  t.is(message.readBigUInt64LE(16), 0n);
  t.is(message.readBigUInt64LE(32), 1n);
});

test('every kind of file has its type', (t) => {
  const kinds: FileKind[] = ['file', 'directory', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'];
  t.deepEqual(
    kinds.map((kind) => fileType[kind]),
    [0o100000, 0o040000, 0o120000, 0o010000, 0o140000, 0o020000, 0o060000],
  );
});

test('a page of a directory takes entries while they fit', (t) => {
  const page = new DirectoryPage(1, 24 + 8 + 24 + 8, false);
  t.true(page.add('a', attributes, 1));
  t.true(page.add('12345678', attributes, 2));
  t.false(page.add('b', attributes, 3));
  const message = Buffer.from(page.finish());
  t.is(message.length, 16 + 32 + 32);
  t.is(message.readUInt32LE(0), message.length);
  t.is(message.subarray(16 + 32 + 24).toString(), '12345678');
});

test('a notification names no request', (t) => {
  const message = Buffer.from(encodeInvalidateEntry(9, 'ä'));
  t.is(message.readUInt32LE(0), message.length);
  t.is(message.readInt32LE(4), 3);
  t.is(message.readBigUInt64LE(8), 0n);
  t.is(message.readUInt32LE(24), 2);
  t.is(message.subarray(32).toString(), 'ä\0');
});

test('messages come out of a stream whole however it is cut', (t) => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 10 });
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 50 }), (bodies, step) => {
      const all = bodies.map((body) => request(1, body));
      const stream = Buffer.concat(all);
      const splitter = new MessageSplitter(16, 1000);
      const out: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += step) splitter.add(stream.subarray(at, at + step), (m) => out.push(m));
      t.is(out.length, all.length);
      t.true(Buffer.concat(out).equals(stream));
    }),
  );
});

test('a stream with an impossible length is refused', (t) => {
  for (const length of [0, 15, 1001, 0xffffffff]) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length);
    const error = t.throws(() => new MessageSplitter(16, 1000).add(bytes, () => undefined));
    t.true(isTahoeError(error, 'protocol'));
  }
});

test('the table of mounts is read with its escapes', (t) => {
  const text = '36 35 0:39 / /tmp/with\\040space rw,nosuid shared:1 - fuse.tahoe tahoe rw,user_id=0\nnonsense\n';
  t.deepEqual(parseMountInfo(text), [{ device: '0:39', mountpoint: '/tmp/with space', type: 'fuse.tahoe' }]);
});
