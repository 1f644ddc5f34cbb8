/** What programs and the kernel ask of a node: SFTP, FUSE, the web API. */
import type { IncomingMessage } from 'node:http';
import { opcode, requestHeaderBytes } from '../../../mount/kernel-constants.js';
import { MessageSplitter } from '../../../mount/message-splitter.js';
import { decodeBody, decodeHeader } from '../../../mount/request.js';
import { parseAccounts } from '../../../sftp/accounts.js';
import { attributeChanges } from '../../../sftp/attributes.js';
import { PacketFramer } from '../../../sftp/packet-framer.js';
import { PacketWriter } from '../../../sftp/packet-writer.js';
import { decodePath } from '../../../sftp/path-resolver.js';
import { messageType } from '../../../sftp/protocol.js';
import { decodeRequest, requestIdOf } from '../../../sftp/requests.js';
import { verifySecurityKeySignature } from '../../../sftp/security-key-signature.js';
import { concatBytes } from '../../../src/encoding/bytes.js';
import { parseRange } from '../../../src/web/byte-range.js';
import { contentHeaders } from '../../../src/web/content-type.js';
import { booleanArgument, formatArgument, readRequest, replaceArgument } from '../../../src/web/web-request.js';
import { type FuzzTarget, latin1Of, textOf, texts } from '../fuzz-target.js';
import { lines } from '../structure.js';
import { unlessRefused } from '../target-support.js';

const data = new Uint8Array(100).fill(5);

function packet(type: number, build: (writer: PacketWriter) => PacketWriter): Uint8Array {
  return build(new PacketWriter(type).u32(7)).finish().slice();
}

/** With their length fields. */
const sftpPackets = [
  new PacketWriter(messageType.init).u32(3).finish().slice(),
  packet(messageType.open, (w) =>
    w.text('/a/b').u32(0x1a).u32(0x8000_000f).u64(5).u32(1).u32(2).u32(0o644).u32(1).u32(2).u32(1).text('a').text('b'),
  ),
  packet(messageType.read, (w) =>
    w
      .text('abcd')
      .u64(2 ** 33)
      .u32(32_768),
  ),
  packet(messageType.write, (w) => w.text('abcd').u64(5).bytes(data)),
  packet(messageType.setstat, (w) => w.text('/x/../y/./z//w').u32(9).u64(3).u32(5).u32(6)),
  packet(messageType.rename, (w) => w.text('/from').text('/to')),
  packet(messageType.symlink, (w) => w.text('../target').text('/link')),
  packet(messageType.readdir, (w) => w.text('abcd')),
  packet(messageType.extended, (w) => w.text('posix-rename@openssh.com').text('/a').text('/b')),
  packet(messageType.extended, (w) => w.text('copy-data').text('abcd').u64(0).u64(10).text('efgh').u64(9)),
  packet(messageType.extended, (w) => w.text('lsetstat@openssh.com').text('/a').u32(4).u32(0o755)),
  packet(messageType.extended, (w) =>
    w.text('users-groups-by-id@openssh.com').bytes(new Uint8Array(8)).bytes(new Uint8Array(4)),
  ),
  packet(messageType.extended, (w) => w.text('statvfs@openssh.com').text('/')),
];

function parsePacket(input: Uint8Array): void {
  requestIdOf(input);
  const request = decodeRequest(input);
  for (const path of ['path', 'from', 'to', 'target'] as const) {
    if (path in request)
      unlessRefused(() => decodePath(Reflect.get(request, path) as Uint8Array), 'not-found', 'name-too-long');
  }
  if ('attributes' in request) attributeChanges(request.attributes);
}

function parsePackets(input: Uint8Array): void {
  const framer = new PacketFramer();
  const cut = input.length === 0 ? 0 : input[0]! % input.length;
  for (const chunk of [input.subarray(0, cut), input.subarray(cut)]) {
    for (const found of framer.push(chunk)) unlessRefused(() => parsePacket(found), 'protocol');
  }
}

function fuseRequest(code: number, body: Uint8Array): Uint8Array {
  const message = Buffer.alloc(requestHeaderBytes + body.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt32LE(code, 4);
  message.writeBigUInt64LE(42n, 8);
  message.writeBigUInt64LE(7n, 16);
  message.set(body, requestHeaderBytes);
  return new Uint8Array(message);
}

const fuseRequests = Object.values(opcode).map((code) => {
  const fields = new Uint8Array(80);
  for (let index = 0; index < fields.length; index += 8) fields[index] = 1;
  // a WRITE says how much data follows it
  if (code === opcode.write) fields.set([8, 0, 0, 0], 16);
  return fuseRequest(code, concatBytes([fields, Buffer.from('name\0other name\0')]));
});

function parseMessage(input: Uint8Array): void {
  const header = decodeHeader(input);
  decodeBody(header, input);
}

/** The length field put right, so that what is behind it is reached. */
function parseMessageOfItsLength(input: Uint8Array): void {
  if (input.length >= 4) Buffer.from(input.buffer, input.byteOffset, input.length).writeUInt32LE(input.length, 0);
  parseMessage(input);
}

function parseMessages(input: Uint8Array): void {
  const splitter = new MessageSplitter(requestHeaderBytes, 1 << 20);
  const cut = input.length === 0 ? 0 : input[0]! % input.length;
  for (const chunk of [input.subarray(0, cut), input.subarray(cut)]) {
    splitter.add(chunk, (message) => unlessRefused(() => parseMessage(message), 'protocol', 'invalid', 'too-large'));
  }
}

const addresses = [
  '/uri/URI%3ADIR2%3Aabc%3Adef/a%20b/%C3%A9?t=json&replace=only-files\nbytes=0-99',
  '/uri?t=mkdir&format=sdmf&mutable=true\nbytes=-5',
  '/private/status?x=%00&t=%20json%20\nbytes= 5 - , 7-8',
  '/named/URI%3ACHK%3A/@@named=/x.txt?filename=x&save=on\nbytes=5-',
];

/** An address and a Range header, in two lines. */
function parseAddress(input: Uint8Array): void {
  const [url, range] = latin1Of(input).split('\n');
  const message = { url, method: 'GET', headers: {} } as IncomingMessage;
  const size = parseRange(range, 100);
  if (size.what === 'part' && !(size.offset >= 0 && size.length > 0 && size.offset + size.length <= 100)) {
    throw new Error(`range ${size.offset} ${size.length}`);
  }
  const { query, segments } = readRequest(message, new AbortController().signal);
  contentHeaders(segments.at(-1), true);
  for (const parse of [replaceArgument, formatArgument]) unlessRefused(() => parse(query), 'invalid');
  booleanArgument(query, 'save', false);
}

function publicKey(type: string, ...fields: readonly Uint8Array[]): string {
  const parts = [Buffer.from(type), ...fields].flatMap((part) => [Buffer.from([0, 0, 0, part.length]), part]);
  return Buffer.concat(parts).toString('base64');
}

const accounts = [
  '# who may log in',
  `alice ssh-ed25519 ${publicKey('ssh-ed25519', new Uint8Array(32))} a comment URI:DIR2:aaa:bbb`,
  `alice ssh-rsa ${publicKey('ssh-rsa', Uint8Array.of(1, 0, 1), new Uint8Array(64))} URI:DIR2:aaa:bbb`,
  `bob ecdsa-sha2-nistp256 ${publicKey('ecdsa-sha2-nistp256', Buffer.from('nistp256'), new Uint8Array(65))} URI:DIR2-RO:a:b`,
  '',
].join('\n');

const keyBlob = Buffer.from(
  publicKey(
    'sk-ecdsa-sha2-nistp256@openssh.com',
    Buffer.from('nistp256'),
    new Uint8Array(65).fill(4),
    Buffer.from('ssh:'),
  ),
  'base64',
);
const edBlob = Buffer.from(publicKey('sk-ssh-ed25519@openssh.com', new Uint8Array(32), Buffer.from('ssh:')), 'base64');
const signature = concatBytes([new Uint8Array(64), Uint8Array.of(1, 0, 0, 0, 5)]);

export const frontendTargets: readonly FuzzTarget[] = [
  {
    name: 'sftp-packet',
    corpus: () => sftpPackets.map((whole) => whole.slice(4)),
    words: ['posix-rename@openssh.com', 'copy-data', 'limits@openssh.com', '\u0000\u0000\u0000\u0004', '/..', '//'],
    refusals: ['protocol'],
    parse: parsePacket,
  },
  {
    name: 'sftp-stream',
    corpus: () => [concatBytes(sftpPackets), ...sftpPackets],
    refusals: ['protocol'],
    parse: parsePackets,
  },
  {
    name: 'fuse-request',
    corpus: () => fuseRequests,
    refusals: ['protocol', 'invalid', 'too-large'],
    parse: parseMessageOfItsLength,
  },
  {
    name: 'fuse-stream',
    corpus: () => [concatBytes(fuseRequests), ...fuseRequests],
    refusals: ['protocol'],
    parse: parseMessages,
  },
  {
    name: 'web-address',
    corpus: () => texts(...addresses),
    structure: lines,
    words: ['%', '%ff', '%00', '%2F', '&t=', '&&', '=', '/../', 'bytes=', '-', ','],
    bytesMax: 16 * 1024,
    refusals: ['invalid'],
    parse: parseAddress,
  },
  {
    name: 'accounts',
    corpus: () => texts(accounts),
    structure: lines,
    words: ['ssh-rsa ', 'URI:', '#', '\ufeff', '=', 'AAAA'],
    refusals: ['invalid'],
    parse: (input) => parseAccounts(textOf(input)),
  },
  {
    name: 'security-key-signature',
    corpus: () => [keyBlob, edBlob].map((blob) => concatBytes([Uint8Array.of(blob.length), blob, signature])),
    refusals: [],
    parse(input) {
      const end = 1 + (input[0] ?? 0);
      return verifySecurityKeySignature(input.subarray(1, end), data, input.subarray(end));
    },
  },
];
