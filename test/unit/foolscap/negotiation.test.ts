import { PassThrough } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import test from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { readHeaderBlock } from '../../../src/foolscap/header-block.js';
import {
  isMaster,
  readDecision,
  readHello,
  replacesConnection,
  sendDecision,
  sendHello,
  sendRefusal,
} from '../../../src/foolscap/negotiation.js';

const CLIENT = '62po3w35vn3bvufdeqgzvvyjlhim6aar';
const INTRODUCER = 'fhipdelcm4izjtvm4os7hzcz5hkxdwws';
const { signal } = new AbortController();

function streamOf(text: string): PassThrough {
  const stream = new PassThrough();
  stream.end(text);
  return stream;
}

async function written(send: (stream: PassThrough) => unknown): Promise<string> {
  const stream = new PassThrough();
  send(stream);
  stream.end();
  return (await stream.toArray()).join('');
}

const RECORDED_HELLO = [
  'banana-negotiation-range: 3 3',
  'initial-vocab-table-range: 0 1',
  'last-connection: none 0',
  'my-incarnation: 967ca1a7240458f9',
  `my-tub-id: ${CLIENT}`,
  '\r\n',
].join('\r\n');
const RECORDED_DECISION = [
  'banana-decision-version: 3',
  'current-connection: b4d622c540c3617d 1',
  'initial-vocab-table-index: 1 bb33',
  '\r\n',
].join('\r\n');

test('a recorded Hello and decision are understood, and ours are the same bytes', async (t) => {
  const hello = { tubId: CLIENT, incarnation: '967ca1a7240458f9', lastConnection: 'none' as const };
  t.deepEqual(await readHello(streamOf(RECORDED_HELLO), signal), hello);
  t.is(await written((stream) => sendHello(stream, hello)), RECORDED_HELLO);
  const name = { masterIncarnation: 'b4d622c540c3617d', sequenceNumber: 1 };
  t.deepEqual(await readDecision(streamOf(RECORDED_DECISION), signal), name);
  t.is(await written((stream) => sendDecision(stream, name)), RECORDED_DECISION);
  t.true(isMaster(INTRODUCER, CLIENT));
  t.false(isMaster(CLIENT, INTRODUCER));
});

test('keys come in any order and letter case, in any pieces, and what follows stays in the stream', async (t) => {
  const text = `My-Tub-Id: ${CLIENT}\r\nINITIAL-VOCAB-TABLE-RANGE: 0 5\r\nbanana-negotiation-range: 1 9\r\n\r\nrest`;
  const stream = new PassThrough();
  const hello = readHello(stream, signal);
  for (const character of text) stream.write(character);
  t.deepEqual(await hello, { tubId: CLIENT, incarnation: undefined, lastConnection: undefined });
  stream.end();
  t.is(await textOf(stream), 'rest');
});

test('other versions, other vocabularies, refusals and nonsense are kind protocol', async (t) => {
  const hello = (line: string, by: string) => readHello(streamOf(RECORDED_HELLO.replace(line, by)), signal);
  const decision = (line: string, by: string) => readDecision(streamOf(RECORDED_DECISION.replace(line, by)), signal);
  const wrong: readonly Promise<unknown>[] = [
    hello('range: 3 3', 'range: 1 2'),
    hello('range: 0 1', 'range: 0 0'),
    hello('range: 0 1', 'range: 2'),
    hello(CLIENT, 'short'),
    hello('my-tub-id', 'your-tub-id'),
    decision('1 bb33', '1 bb34'),
    decision('version: 3', 'version: 2'),
    readHello(streamOf('banana-decision-version: 1\r\nerror: Duplicate connection\r\n\r\n'), signal),
    readHello(streamOf('\r\n\r\n'), signal),
  ];
  for (const result of wrong) t.true(isTahoeError(await t.throwsAsync(result), 'protocol'));
  const refusal = streamOf(await written((stream) => sendRefusal(stream, 'Duplicate connection')));
  await t.throwsAsync(readHello(refusal, signal), { message: /Duplicate connection/ });
});

test('a header without an end is refused after 4096 bytes, and a stream that ends is unreachable', async (t) => {
  const endless = new PassThrough();
  const block = readHeaderBlock(endless, signal);
  for (let count = 0; count < 5; count++) endless.write('x'.repeat(1000));
  t.true(isTahoeError(await t.throwsAsync(block), 'protocol'));
  t.is(await readHeaderBlock(streamOf(`${'x'.repeat(4096)}\r\n\r\n`), signal), 'x'.repeat(4096));
  t.true(isTahoeError(await t.throwsAsync(readHeaderBlock(streamOf('GET'), signal)), 'unreachable'));
  const stop = new AbortController();
  const waiting = readHeaderBlock(new PassThrough(), stop.signal);
  stop.abort(new Error('too slow'));
  await t.throwsAsync(waiting, { message: 'too slow' });
});

const OURS = 'b4d622c540c3617d';
const EXISTING = { peerIncarnation: '967c', connection: { masterIncarnation: OURS, sequenceNumber: 4 } };
const offer = (incarnation: string | undefined, lastConnection: 'none' | undefined | readonly [string, number]) => ({
  tubId: CLIENT,
  incarnation,
  lastConnection:
    typeof lastConnection === 'object'
      ? { masterIncarnation: lastConnection[0], sequenceNumber: lastConnection[1] }
      : lastConnection,
});

const RULES: readonly (readonly [string, ReturnType<typeof offer>, boolean])[] = [
  ['the peer was started anew', offer('aaaa', 'none'), true],
  ['the peer says nothing of itself', offer(undefined, [OURS, 4]), false],
  ['the peer says nothing of its last connection', offer('967c', undefined), false],
  ['the peer tries two addresses at once', offer('967c', 'none'), false],
  ['we were started anew', offer('967c', ['ffff', 9]), true],
  ['the old connection is stale', offer('967c', [OURS, 4]), true],
  ['the offer is older', offer('967c', [OURS, 3]), false],
  ['the offer is from the future', offer('967c', [OURS, 5]), false],
];

for (const [what, hello, expected] of RULES) {
  test(`a second connection ${expected ? 'replaces the first' : 'is refused'} when ${what}`, (t) => {
    t.is(replacesConnection(EXISTING, hello), expected);
  });
}
