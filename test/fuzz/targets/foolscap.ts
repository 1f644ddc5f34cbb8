/** What introducers and their clients send each other. */
import { Duplex, PassThrough } from 'node:stream';
import type { ServerId } from '../../../src/encoding/brands.js';
import { concatBytes, fromHex } from '../../../src/encoding/bytes.js';
import { BananaDecoder, type BananaSequence } from '../../../src/foolscap/banana-tree.js';
import { parseFurl, parseTcpHint, serializeFurl } from '../../../src/foolscap/furl.js';
import { readDecision, readHello } from '../../../src/foolscap/negotiation.js';
import { PbConnection } from '../../../src/foolscap/pb-connection.js';
import {
  decodeAnswer,
  decodeArguments,
  decodeCallHead,
  decodeFailure,
  requestIdOf,
} from '../../../src/foolscap/pb-message.js';
import { ConnectionReferences } from '../../../src/foolscap/reference-table.js';
import {
  announcementFromPb,
  announcementOf,
  signAnnouncement,
  verifyAnnouncement,
} from '../../../src/introducer/announcement.js';
import { readIntroducers } from '../../../src/introducer/introducer-list.js';
import {
  argument,
  CLIENT_LIMITS,
  dictEntry,
  INTRODUCER_LIMITS,
  textOf as textOfPb,
} from '../../../src/introducer/introducer-protocol.js';
import { IntroducerService } from '../../../src/introducer/introducer-service.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { readVectorJson } from '../../support/golden-vectors.js';
import { bananaTokens } from '../banana-structure.js';
import { type FuzzTarget, latin1Of, textOf, texts } from '../fuzz-target.js';
import { lines } from '../structure.js';
import { standingClock, unlessRefused } from '../target-support.js';

interface CapturedMessage {
  readonly direction: 'to-introducer' | 'to-client';
  readonly hex: string;
}

const captured = (wanted?: CapturedMessage['direction']) =>
  readVectorJson<readonly CapturedMessage[]>('foolscap/captured-exchange.json')
    .filter(({ direction }) => wanted === undefined || direction === wanted)
    .map(({ hex }) => fromHex(hex.replaceAll(' ', '')));

const peerTubId = 'a'.repeat(32);

/** One direction of a connection: all messages in it, and what they carry. */
function parseStream(input: Uint8Array): void {
  const table = new ConnectionReferences({
    furlOf: () => undefined,
    peerTubId,
    callRemote: () => Promise.resolve(null),
    sendRemote: () => undefined,
  });
  table.exportObject({ type: 'local', interfaceName: 'x', call: () => null });
  const decoder = new BananaDecoder(CLIENT_LIMITS, {
    onPing: () => undefined,
    onMessage: (message) => unlessRefused(() => parseMessage(message, table), 'protocol', 'corrupt', 'invalid'),
  });
  const cut = input.length === 0 ? 0 : input[0]! % input.length;
  decoder.push(input.subarray(0, cut));
  decoder.push(input.subarray(cut));
}

function parseMessage(message: BananaSequence, table: ConnectionReferences): void {
  requestIdOf(message);
  if (message.name === 'answer') decodeAnswer(message, table);
  else if (message.name === 'error') decodeFailure(message);
  else {
    decodeCallHead(message);
    const args = decodeArguments(message, table);
    dictEntry(args.positional[0], 'anonymous');
    textOfPb(argument(args, 1, 'service_name'));
    unlessRefused(() => verifyAnnouncement(announcementFromPb(args.positional[0])), 'protocol');
  }
}

const seed = new Uint8Array(32).fill(4);
const fields = {
  'service-name': 'storage',
  nickname: 'one',
  seqnum: 5,
  nonce: 'abc',
  'anonymous-storage-FURL': `pb://${peerTubId}@tcp:127.0.0.1:1/x`,
  'anonymous-storage-NURLs': [],
};

/** As it comes out of a message that a hostile server has signed rightly: any JSON at all. */
function parseFields(input: Uint8Array): void {
  let value: unknown;
  try {
    value = JSON.parse(textOf(input));
  } catch {
    // not about this parser
    return;
  }
  announcementOf('v0-x' as ServerId, value);
}

const signed = signAnnouncement(fields, seed);

function parseUnsigned(input: Uint8Array): void {
  const [message = '', signature = '', key = ''] = latin1Of(input).split('\n');
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));
  verifyAnnouncement({ message: bytes(message), signature: bytes(signature), key: bytes(key) });
}

const hello = [
  'banana-negotiation-range: 3 3',
  'initial-vocab-table-range: 0 1',
  'my-incarnation: 0123456789abcdef',
  `my-tub-id: ${peerTubId}`,
  'last-connection: 0123456789abcdef 17',
].join('\r\n');
const decision = [
  'banana-decision-version: 3',
  'initial-vocab-table-index: 1 e808',
  'current-connection: 0123456789abcdef 1',
].join('\r\n');

/** What a tub reads before there are messages. */
async function negotiate(input: Uint8Array): Promise<void> {
  const stream = new PassThrough();
  stream.end(Buffer.from(input));
  const { signal } = new AbortController();
  if ((input[0] ?? 0) % 2 === 0) await readHello(stream, signal);
  else await readDecision(stream, signal);
}

const [greeting, ...conversation] = captured('to-introducer') as [Uint8Array, ...Uint8Array[]];

/** An introducer of ours at the other end of a connection that sends the input: it answers, or ends the connection. */
async function talkToIntroducer(input: Uint8Array): Promise<void> {
  const service = new IntroducerService({ version: 'fuzz', clock: standingClock, log: silentLogger });
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const connection = new PbConnection({
    stream,
    peerTubId,
    peerAddress: 'fuzz',
    limits: INTRODUCER_LIMITS,
    lookUp: () => service,
    furlOf: () => undefined,
    keepaliveMs: 1000,
    clock: standingClock,
    log: silentLogger,
  });
  // the answer is the object that all that follows is about
  for (const part of [greeting, input]) {
    stream.push(part);
    await new Promise((resolve) => setImmediate(resolve));
  }
  connection.close('the end');
  service.subscribers();
  service.servers();
  await new Promise((resolve) => setImmediate(resolve));
}

export const foolscapTargets: readonly FuzzTarget[] = [
  {
    name: 'banana-stream',
    corpus: () => {
      const messages = captured();
      return [...messages, concatBytes(messages)];
    },
    structure: bananaTokens,
    words: [
      'reference',
      'my-reference',
      'your-reference',
      'dict',
      'immutable-set',
      'copyable',
      'error',
      'answer',
      'none',
      'boolean',
    ],
    refusals: ['protocol'],
    parse: parseStream,
  },
  {
    name: 'introducer-connection',
    corpus: () => [concatBytes(conversation), ...conversation],
    structure: bananaTokens,
    words: [
      'publish_v2',
      'subscribe_v2',
      'getReferenceByName',
      'decref',
      'my-reference',
      'your-reference',
      'arguments',
    ],
    refusals: [],
    parse: talkToIntroducer,
  },
  {
    name: 'furl',
    corpus: () =>
      texts(`pb://${peerTubId}@tcp:example.org:1,127.0.0.1:2,tor:x.onion:3/introducer`, `pb://${peerTubId}@/x`),
    words: ['pb://', '@', ',', 'tcp:', '[::1]', '/'],
    refusals: ['invalid'],
    parse(input) {
      const furl = parseFurl(latin1Of(input));
      furl.hints.map(parseTcpHint);
      parseFurl(serializeFurl(furl));
    },
  },
  {
    name: 'foolscap-negotiation',
    corpus: () => texts(`${hello}\r\n\r\n`, `${decision}\r\n\r\n`, ` ${hello}\r\n\r\nrest`),
    structure: lines,
    words: ['\r\n', '\r\n\r\n', ': ', 'error: x\r\n'],
    refusals: ['protocol', 'unreachable'],
    parse: negotiate,
  },
  {
    name: 'signed-announcement',
    corpus: () => [concatBytes([signed.message, Buffer.from('\n'), signed.signature, Buffer.from('\n'), signed.key])],
    words: ['v0-', '\n'],
    refusals: ['protocol'],
    parse: parseUnsigned,
  },
  {
    name: 'announcement-fields',
    corpus: () => texts(JSON.stringify(fields)),
    words: ['[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[', ']', '{"a":', '}', 'null', '"__proto__":', '1e999'],
    refusals: ['protocol'],
    parse: parseFields,
  },
  {
    name: 'introducers-yaml',
    corpus: () =>
      texts(
        `introducers:\n  one:\n    furl: pb://${peerTubId}@tcp:127.0.0.1:2/introducer\n  two:\n    furl: pb://${peerTubId}@/x\n`,
      ),
    structure: lines,
    words: ['&a ', '*a', '<<: ', '? ', '- ', '{', '[', '!!binary ', '|', '\t', '---'],
    bytesMax: 8192,
    refusals: ['invalid'],
    parse: (input) => readIntroducers(textOf(input), undefined),
  },
];
