import test from 'ava';
import fc from 'fast-check';
import { decodeAttributes, encodeAttributes, type SftpAttributes } from '../../../sftp/attributes.js';
import { PacketFramer } from '../../../sftp/packet-framer.js';
import { PacketReader } from '../../../sftp/packet-reader.js';
import { PacketWriter } from '../../../sftp/packet-writer.js';
import { extensions, messageType, packetLengthMax } from '../../../sftp/protocol.js';
import { encodeData, encodeOwnerNames, encodeStatus, encodeVersion, NameReply } from '../../../sftp/replies.js';
import { decodeRequest, requestIdOf } from '../../../sftp/requests.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { mutate, randomSource } from '../../support/mutations.js';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const hex = (text: string) => new Uint8Array(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const fromHex = (packet: Uint8Array) => Buffer.from(packet).toString('hex');

test('requests as OpenSSH sends them are read field by field', (t) => {
  t.deepEqual(decodeRequest(hex('01 00000003')), { type: 'init', version: 3 });
  t.deepEqual(decodeRequest(hex('03 00000007 00000002 2f61 0000001a 00000004 000081a4')), {
    type: 'open',
    id: 7,
    path: bytes('/a'),
    flags: 0x1a,
    attributes: attributes({ permissions: 0o100644 }),
  });
  t.deepEqual(decodeRequest(hex('05 00000001 00000004 00000009 0000000100000002 00008000')), {
    type: 'read',
    id: 1,
    handle: hex('00000009'),
    offset: 2 ** 32 + 2,
    length: 32768,
  });
  t.deepEqual(decodeRequest(hex('14 00000002 00000001 74 00000001 6c')), {
    type: 'symlink',
    id: 2,
    target: bytes('t'),
    path: bytes('l'),
  });
  t.deepEqual(decodeRequest(hex('63 00000002 ff')), { type: 'unknown', id: 2, messageType: 0x63 });
});

test('extensions are read by name', (t) => {
  const packet = new PacketWriter(messageType.extended).u32(9).text('posix-rename@openssh.com').text('/a').text('/b');
  const expected = { type: 'posix-rename', id: 9, from: bytes('/a'), to: bytes('/b') } as const;
  t.deepEqual(decodeRequest(packet.finish().subarray(4)), expected);
  const owners = new PacketWriter(messageType.extended).u32(9).text('users-groups-by-id@openssh.com');
  t.deepEqual(decodeRequest(owners.bytes(hex('00000001 00000002')).bytes(hex('')).finish().subarray(4)), {
    type: 'users-groups-by-id',
    id: 9,
    uids: [1, 2],
    gids: [],
  });
  const foreign = new PacketWriter(messageType.extended).u32(9).text('other@example.org').text('x');
  t.deepEqual(decodeRequest(foreign.finish().subarray(4)), {
    type: 'unknown-extension',
    id: 9,
    name: 'other@example.org',
  });
});

test('replies are one packet with its length in front', (t) => {
  t.is(fromHex(encodeStatus(1, 2, 'no')), fromHex(hex('00000015 65 00000001 00000002 00000002 6e6f 00000002 656e')));
  t.is(fromHex(encodeData(5, hex('0a0b'))), fromHex(hex('0000000b 67 00000005 00000002 0a0b')));
  const names = new NameReply(3).add('f', '-f', { sizeBytes: 5 }).finish();
  const expected = hex('0000001f 68 00000003 00000001 00000001 66 00000002 2d66 00000001 0000000000000005');
  t.is(fromHex(names), fromHex(expected.with(3, names.length - 4)));
  t.is(
    fromHex(encodeOwnerNames(1, ['a', ''], [])),
    fromHex(hex('00000016 c9 00000001 00000009 00000001 61 00000000 00000000')),
  );
  const version = new PacketReader(encodeVersion(), 9);
  const advertised = new Map(extensions.map(() => [version.ascii(), version.ascii()]));
  t.is(version.remaining, 0);
  t.is(advertised.get('posix-rename@openssh.com'), '1');
  t.is(advertised.get('statvfs@openssh.com'), '2');
});

const u32 = fc.nat({ max: 0xffff_ffff });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const field = fc.uint8Array({ maxLength: 300 });
const someAttributes: fc.Arbitrary<SftpAttributes> = fc.record({
  sizeBytes: optional(fc.maxSafeNat()),
  ownership: optional(fc.record({ uid: u32, gid: u32 })),
  permissions: optional(u32),
  times: optional(fc.record({ accessed: u32, modified: u32 })),
  extended: optional(fc.array(fc.record({ type: field, data: field }), { maxLength: 4 })),
});

test('attributes come back as they were written', (t) => {
  fc.assert(
    fc.property(someAttributes, (value) => {
      const writer = new PacketWriter(messageType.attrs);
      encodeAttributes(writer, value);
      const reader = new PacketReader(writer.finish(), 5);
      t.deepEqual(decodeAttributes(reader), value);
      t.is(reader.remaining, 0);
    }),
  );
});

test('requests come back as they were written, however the stream is cut', (t) => {
  const build = fc.record({ id: u32, path: field, flags: u32, value: someAttributes, data: field });
  fc.assert(
    fc.property(fc.array(build, { minLength: 1, maxLength: 8 }), fc.nat(), (requests, seed) => {
      const random = randomSource(seed + 1);
      const stream: number[] = [];
      for (const { id, path, flags, value, data } of requests) {
        const open = new PacketWriter(messageType.open).u32(id).bytes(path).u32(flags);
        encodeAttributes(open, value);
        stream.push(...open.finish());
        const write = new PacketWriter(messageType.write).u32(id).bytes(path).u64(flags).bytes(data);
        stream.push(...write.finish());
      }
      const framer = new PacketFramer();
      const decoded: unknown[] = [];
      for (let offset = 0; offset < stream.length; ) {
        const length = 1 + random.below(random.below(2) === 0 ? 5 : 2000);
        const chunk = Uint8Array.from(stream.slice(offset, offset + length));
        for (const packet of framer.push(chunk)) decoded.push(decodeRequest(packet));
        offset += length;
      }
      t.false(framer.unfinished);
      t.deepEqual(
        decoded,
        requests.flatMap(({ id, path, flags, value, data }) => [
          { type: 'open', id, path, flags, attributes: value },
          { type: 'write', id, handle: path, offset: flags, data },
        ]),
      );
    }),
    { numRuns: 100 },
  );
});

test('20,000 mutated packets are decoded or refused with kind protocol', (t) => {
  const random = randomSource(20260);
  const seeds = sampleRequests();
  const outcomes = { decoded: 0, refused: 0 };
  for (let round = 0; round < 20_000; round++) {
    const packet = mutate(seeds[round % seeds.length]!, random);
    try {
      decodeRequest(packet);
      outcomes.decoded++;
    } catch (error) {
      if (!isTahoeError(error, 'protocol')) throw error;
      outcomes.refused++;
    }
    requestIdOf(packet);
  }
  t.true(outcomes.decoded > 1000 && outcomes.refused > 1000, JSON.stringify(outcomes));
});

test('lengths that do not fit are refused before anything is allocated', (t) => {
  for (const length of [0, packetLengthMax + 1, 0xffff_ffff]) {
    const header = new PacketWriter(0).u32(length).finish().subarray(5);
    t.throws(() => [...new PacketFramer().push(header)], { message: /not allowed/ }, String(length));
  }
  const largest = new Uint8Array(4 + packetLengthMax);
  largest.set(new PacketWriter(0).u32(packetLengthMax).finish().subarray(5));
  t.is([...new PacketFramer().push(largest)][0]?.length, packetLengthMax);
  // a count of 2^32 - 1 extended attributes in a small packet
  t.throws(() => decodeRequest(hex('0e 00000001 00000001 61 80000000 ffffffff')), { message: /extended/ });
  t.throws(() => decodeRequest(hex('05 00000001 00000000 ffffffffffffffff 00000001')), { message: /too large/ });
});

function attributes(given: SftpAttributes): SftpAttributes {
  const none = { sizeBytes: undefined, ownership: undefined, permissions: undefined, times: undefined };
  return { ...none, extended: undefined, ...given };
}

function sampleRequests(): readonly Uint8Array[] {
  const full = { sizeBytes: 7, ownership: { uid: 1, gid: 2 }, permissions: 0o644, times: { accessed: 3, modified: 4 } };
  const packets: Uint8Array[] = [];
  for (let type = messageType.init; type <= messageType.symlink; type++) {
    const writer = new PacketWriter(type).u32(77).text('/some/path').u32(0x1b).u32(9);
    encodeAttributes(writer, { ...full, extended: [{ type: bytes('a@b'), data: bytes('cd') }] });
    packets.push(writer.finish().subarray(4));
  }
  for (const [name] of [...extensions, ['hardlink@openssh.com']]) {
    const writer = new PacketWriter(messageType.extended).u32(78).text(name!).text('four').text('four');
    packets.push(writer.u64(1).text('five').u64(2).finish().subarray(4));
  }
  return packets;
}
