import test from 'ava';
import fc from 'fast-check';
import { concatBytes, encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { encodeToken } from '../../../src/foolscap/banana-token.js';
import {
  BananaDecoder,
  BananaEncoder,
  type BananaLimits,
  type BananaNode,
  type BananaSequence,
} from '../../../src/foolscap/banana-tree.js';
import { VOCABULARY_HASH } from '../../../src/foolscap/vocabulary.js';
import { capturedMessages } from '../../support/captured-exchange.js';

const LIMITS: BananaLimits = {
  maxStringBytes: 100_000,
  maxMessageBytes: 1_000_000,
  maxMessageTokens: 10_000,
  maxDepth: 20,
};

interface Decoded {
  readonly messages: BananaSequence[];
  readonly pings: string[];
}

function decode(chunks: readonly Uint8Array[], limits: Partial<BananaLimits> = {}): Decoded {
  const decoded: Decoded = { messages: [], pings: [] };
  const decoder = new BananaDecoder(
    { ...LIMITS, ...limits },
    {
      onMessage: (message) => decoded.messages.push(message),
      onPing: (digits) => decoded.pings.push(toHex(digits)),
    },
  );
  for (const chunk of chunks) decoder.push(chunk);
  return decoded;
}

/** Without the numbers of sequences, which only the decoder gives. */
function unnumbered(node: BananaNode): BananaNode {
  if (typeof node !== 'object' || node instanceof Uint8Array) return node;
  return { name: node.name, items: node.items.map(unnumbered) };
}

const hex = (text: string) => fromHex(text.replaceAll(' ', ''));
const OPEN_LIST = '0088 0487';

test('the vocabulary has the hash that peers compare', (t) => {
  t.is(VOCABULARY_HASH, 'bb33');
});

test('integers are written as the specification says', (t) => {
  const cases: readonly (readonly [number | bigint, string])[] = [
    [0, '0081'],
    [1, '0181'],
    [127, '7f81'],
    [128, '000181'],
    [-1, '0183'],
    [2 ** 31 - 1, '7f7f7f7f0781'],
    [-(2 ** 31), '000000000883'],
    [2 ** 31, '048580000000'],
    [-(2 ** 31) - 1, '048680000001'],
    [2n ** 64n, '0985010000000000000000'],
  ];
  for (const [value, expected] of cases) t.is(toHex(encodeToken({ kind: 'integer', value })), expected);
  t.is(toHex(encodeToken({ kind: 'bytes', bytes: new Uint8Array(299) }).subarray(0, 3)), '2b0282');
});

test('both directions of a recorded exchange are read, and written again byte for byte', (t) => {
  for (const direction of ['to-introducer', 'to-client'] as const) {
    const encoder = new BananaEncoder();
    const recorded = capturedMessages(direction);
    t.is(recorded.length, 6);
    const { messages } = decode(recorded.map((message) => fromHex(message.hex)));
    for (const [index, message] of messages.entries()) {
      t.is(toHex(encoder.encode(message)), recorded[index]!.hex, recorded[index]!.title);
    }
  }
});

const atom = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 500n }).map((value) => (value % 2n === 0n ? value : -value)),
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom('none', 'list', 'set-vocab').map(encodeAscii),
);
const { sequence } = fc.letrec<{ sequence: BananaSequence; node: BananaNode }>((tie) => ({
  node: fc.oneof({ maxDepth: 6, depthSize: 'small' }, atom, tie('sequence')),
  sequence: fc.record({
    name: fc.oneof(fc.constantFrom('list', 'dict', 'call'), fc.stringMatching(/^[ -~]{0,30}$/)),
    items: fc.array(tie('node'), { maxLength: 6 }),
  }),
}));

test('whatever is written is read back the same, however it is cut into pieces and with PINGs between', (t) => {
  fc.assert(
    fc.property(fc.array(sequence, { maxLength: 4 }), fc.array(fc.nat(40), { maxLength: 60 }), (messages, cuts) => {
      const encoder = new BananaEncoder();
      const stream = concatBytes(messages.map((message) => concatBytes([encoder.encode(message), hex('058e')])));
      const chunks: Uint8Array[] = [];
      let start = 0;
      for (const cut of cuts) {
        chunks.push(stream.subarray(start, start + cut));
        start += cut;
      }
      const decoded = decode([...chunks, stream.subarray(start)]);
      t.deepEqual(decoded.messages.map(unnumbered), messages);
      t.deepEqual(
        decoded.pings,
        messages.map(() => '05'),
      );
    }),
    { numRuns: 300 },
  );
});

test('a reference counts the OPENs of all messages before', (t) => {
  const stream = hex(OPEN_LIST);
  const { messages } = decode([stream, hex('0089'), hex('0188 0487 0288 0487 0289 0189')]);
  t.deepEqual(
    messages.map((message) => [message.number, message.items.length]),
    [
      [0, 0],
      [1, 1],
    ],
  );
});

const HOSTILE: readonly (readonly [string, string])[] = [
  ['a type that is unknown', '0080'],
  ['an ABORT', '008a'],
  ['too many digits', `${'00'.repeat(65)}81`],
  ['a length beyond every number', `${'7f'.repeat(20)}82`],
  ['a string beyond its limit', '21 0d 06 82'],
  ['a long integer beyond its limit', `${OPEN_LIST} 41 85`],
  ['an integer token of 32 bits', `${OPEN_LIST} 00 00 00 00 08 81`],
  ['an error', '0382 616263'.replace('82', '8d')],
  ['an error text beyond its limit', '69 07 8d'],
  ['a word outside the vocabulary', '0088 1987'],
  ['a value outside of a message', '0181'],
  ['a sequence that is not the next', '0188'],
  ['a sequence without a name', '0088 0089'],
  ['a sequence within one that has no name yet', '0088 0188'],
  ['a sequence named by a number', '0088 0181'],
  ['the end of another sequence', `${OPEN_LIST} 0189`],
  ['an end without a beginning', '0089'],
];

for (const [what, stream] of HOSTILE) {
  test(`the decoder refuses ${what}`, (t) => {
    const error = t.throws(() => decode([hex(stream)]));
    t.true(isTahoeError(error, 'protocol'), String(error));
  });
}

test('the decoder refuses sequences nested beyond the limit', (t) => {
  const nested = (depth: number) =>
    concatBytes(
      Array.from({ length: depth }, (_, number) => concatBytes([encodeToken({ kind: 'open', number }), hex('0487')])),
    );
  t.notThrows(() => decode([nested(20)]));
  t.true(
    isTahoeError(
      t.throws(() => decode([nested(21)])),
      'protocol',
    ),
  );
});

test('the decoder refuses messages with too many bytes or tokens, and counts anew for each', (t) => {
  const list = (number: number, items: number) =>
    concatBytes([
      encodeToken({ kind: 'open', number }),
      hex('0487'),
      ...Array.from({ length: items }, () => hex('0181')),
      encodeToken({ kind: 'close', number }),
    ]);
  const limits = { maxMessageTokens: 103, maxMessageBytes: 206 };
  t.notThrows(() => decode([list(0, 100), list(1, 100)], limits));
  t.true(
    isTahoeError(
      t.throws(() => decode([list(0, 101)], { maxMessageTokens: 103 })),
      'protocol',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => decode([list(0, 101)], { maxMessageBytes: 206 })),
      'protocol',
    ),
  );
});

test('an announced length takes no memory before its bytes come', (t) => {
  const before = process.memoryUsage().arrayBuffers;
  const decoders = Array.from({ length: 500 }, () => {
    const decoder = new BananaDecoder(
      { ...LIMITS, maxStringBytes: 1_000_000 },
      { onMessage: () => {}, onPing: () => {} },
    );
    decoder.push(hex(`${OPEN_LIST} 40 04 3d 82`));
    return decoder;
  });
  t.is(decoders.length, 500);
  t.true(process.memoryUsage().arrayBuffers - before < 50_000_000);
});

test('random and mutated streams give messages or an error of kind protocol, never anything else', (t) => {
  const recorded = concatBytes(capturedMessages('to-introducer').map(({ hex: text }) => fromHex(text)));
  const mutated = fc
    .array(fc.tuple(fc.nat(recorded.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const copy = recorded.slice();
      for (const [position, byte] of changes) copy[position] = byte;
      return copy;
    });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), mutated), (stream) => {
      try {
        decode([stream]);
      } catch (error) {
        t.true(isTahoeError(error, 'protocol'), String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
