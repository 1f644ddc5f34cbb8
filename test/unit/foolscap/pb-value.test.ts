import test from 'ava';
import fc from 'fast-check';
import { encodeAscii, fromHex, toHex } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import {
  BananaDecoder,
  BananaEncoder,
  type BananaNode,
  type BananaSequence,
} from '../../../src/foolscap/banana-tree.js';
import {
  decodeAnswer,
  decodeArguments,
  decodeCallHead,
  decodeFailure,
  encodeAnswer,
  encodeCall,
  encodeFailure,
} from '../../../src/foolscap/pb-message.js';
import { encodeValue, type PbValue, type Referenceable, ValueDecoder } from '../../../src/foolscap/pb-value.js';
import { ConnectionReferences } from '../../../src/foolscap/reference-table.js';
import { CLIENT_LIMITS } from '../../../src/introducer/introducer-protocol.js';
import { capturedMessages, capturedSequences } from '../../support/captured-exchange.js';

const PEER = '62po3w35vn3bvufdeqgzvvyjlhim6aar';
const SUBSCRIBER = 'RIIntroducerSubscriberClient_v2.tahoe.allmydata.com';

function table(furls: ReadonlyMap<Referenceable, string> = new Map()): ConnectionReferences {
  return new ConnectionReferences({
    peerTubId: PEER,
    furlOf: (object) => furls.get(object),
    callRemote: () => Promise.resolve(null),
    sendRemote: () => undefined,
  });
}

function object(interfaceName: string): Referenceable {
  return { type: 'local', interfaceName, call: () => null };
}

/** Through bytes and back. */
function carried(node: BananaNode): BananaNode {
  let received: BananaSequence | undefined;
  const decoder = new BananaDecoder(CLIENT_LIMITS, {
    onMessage: (message) => {
      received = message;
    },
    onPing: () => undefined,
  });
  decoder.push(new BananaEncoder().encode({ name: 'list', items: [node] }));
  return received!.items[0]!;
}

const sequence = (name: string, ...items: BananaNode[]): BananaSequence => ({ name, items });

test('a recorded subscription is understood, and our own is the same bytes', (t) => {
  const messages = capturedSequences('to-introducer');
  const last = messages[4]!;
  t.deepEqual(decodeCallHead(last), { requestId: 5, clid: 1, method: 'subscribe_v2' });
  const { positional } = decodeArguments(last, table());
  t.like(positional[0], { type: 'remote', interfaceName: SUBSCRIBER });
  t.deepEqual(positional[1], encodeAscii('storage'));
  t.deepEqual(positional[2], {
    type: 'dict',
    entries: [
      [encodeAscii('app-versions'), { type: 'list', items: [] }],
      [encodeAscii('my-version'), 'tahoe-lafs/x'],
      [encodeAscii('nickname'), 'nické'],
      [encodeAscii('oldest-supported'), '1.0.0'],
      [encodeAscii('version'), 0],
    ],
  });

  const [subscriber, canary, own] = [object(SUBSCRIBER), object(''), table()];
  own.exportObject(canary);
  const call = { requestId: 5, clid: 1, method: 'subscribe_v2' };
  const args = { positional: [subscriber, positional[1]!, positional[2]!] };
  const encoder = new BananaEncoder();
  for (const message of messages.slice(0, 4)) encoder.encode(message);
  t.is(toHex(encoder.encode(encodeCall({ ...call, args }, own))), capturedMessages('to-introducer')[4]!.hex);
});

test('a call with named arguments is the recorded one', (t) => {
  const args = { positional: [], named: new Map([['name', encodeAscii('introswissnum')]]) };
  const call = encodeCall({ requestId: 1, clid: 0, method: 'getReferenceByName', args }, table());
  t.is(toHex(new BananaEncoder().encode(call)), capturedMessages('to-introducer')[0]!.hex);
});

test('an object is described with its address at first, later by its number only, as recorded', (t) => {
  const introducer = object('RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com');
  const furl = 'pb://fhipdelcm4izjtvm4os7hzcz5hkxdwws@tcp:127.0.0.1:34101/introswissnum';
  const own = table(new Map([[introducer, furl]]));
  const encoder = new BananaEncoder();
  const recorded = capturedMessages('to-client');
  t.is(toHex(encoder.encode(encodeAnswer(1, introducer, own))), recorded[0]!.hex);
  t.is(toHex(encoder.encode(encodeAnswer(2, introducer, own))), recorded[1]!.hex);
  own.release(1, 2);
  t.true(own.exportObject(introducer).isNew, 'given back as often as it was given');
  t.true(
    isTahoeError(
      t.throws(() => own.release(1, 1)),
      'protocol',
    ),
  );
});

test('an object of the peer is the same one whenever it is named, and goes back as its number', (t) => {
  const references = table();
  const decoder = new ValueDecoder(references);
  const first = decoder.decode(sequence('my-reference', 7, encodeAscii('RIx')));
  const again = decoder.decode(sequence('my-reference', 7));
  t.is(first, again);
  t.deepEqual(encodeValue(first, references), sequence('your-reference', 7));
});

const atom = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.bigInt({ min: 2n ** 53n, max: 2n ** 400n }),
  fc.string({ unit: 'grapheme' }),
  fc.uint8Array({ maxLength: 100 }),
);
const { value: anyValue } = fc.letrec<{ value: PbValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    atom,
    fc.record({
      type: fc.constantFrom('list' as const, 'tuple' as const, 'set' as const),
      items: fc.array(tie('value'), { maxLength: 4 }),
    }),
    fc.uniqueArray(fc.integer(), { maxLength: 4 }).chain((keys) =>
      fc.tuple(...keys.map(() => tie('value'))).map((values) => ({
        type: 'dict' as const,
        entries: keys.map((key, index) => [key, values[index]!] as const),
      })),
    ),
  ),
}));

test('every value comes out as it went in', (t) => {
  fc.assert(
    fc.property(anyValue, (value) => {
      t.deepEqual(new ValueDecoder(table()).decode(carried(encodeValue(value, table()))), value);
    }),
    { numRuns: 300 },
  );
});

test('a value sent once and named twice is there twice', (t) => {
  // set(tuple("x")) and the tuple again, as OPEN number 2 of this direction
  const tuple = sequence('tuple', encodeAscii('x'));
  const list = carried(sequence('list', tuple, sequence('reference', 2)));
  const value = new ValueDecoder(table()).decode(list) as { items: readonly PbValue[] };
  t.deepEqual(value.items[0], { type: 'tuple', items: [encodeAscii('x')] });
  t.is(value.items[0], value.items[1]);
});

const HOSTILE: readonly (readonly [string, BananaSequence])[] = [
  ['an unknown type', sequence('instance', encodeAscii('x'))],
  ['an object of a third tub', sequence('their-reference', 1, encodeAscii('pb://x'))],
  ['a boolean without a number', sequence('boolean', encodeAscii('x'))],
  ['a None with contents', sequence('none', 1)],
  ['a text of two strings', sequence('unicode', encodeAscii('x'), encodeAscii('y'))],
  ['a dict with a key without a value', sequence('dict', 1)],
  ['a dict with a key twice', sequence('dict', encodeAscii('k'), 1, encodeAscii('k'), 2)],
  ['a dict with a list as key', sequence('dict', sequence('list'), 1)],
  ['a reference to nothing', sequence('reference', 99)],
  ['a list in itself', sequence('list', sequence('reference', 1))],
  ['a number that is no object of ours', sequence('your-reference', 5)],
  ['an object without a description', sequence('my-reference', 5)],
  ['an object with a negative number', sequence('my-reference', -5, encodeAscii(''))],
  ['an object said to live elsewhere', sequence('my-reference', 5, encodeAscii(''), encodeAscii('pb://aaa@/x'))],
];

for (const [what, node] of HOSTILE) {
  test(`kind protocol: ${what}`, (t) => {
    const error = t.throws(() => new ValueDecoder(table()).decode(carried(node)));
    t.true(isTahoeError(error, 'protocol'), String(error));
  });
}

test('a text that is not UTF-8 is refused', (t) => {
  t.throws(() => new ValueDecoder(table()).decode(sequence('unicode', fromHex('ff'))));
});

test('the peer can pass a thousand objects, not more', (t) => {
  const references = table();
  const take = (clid: number) => new ValueDecoder(references).decode(sequence('my-reference', clid, encodeAscii('')));
  for (let clid = 1; clid <= 1000; clid++) take(clid);
  t.notThrows(() => take(1000));
  t.true(
    isTahoeError(
      t.throws(() => take(1001)),
      'protocol',
    ),
  );
});

test('a failure is carried with its type and text, cut to what receivers take', (t) => {
  const message = encodeFailure(6, { type: 'builtins.ValueError', value: 'ü'.repeat(2000) });
  const copyable = message.items[1] as BananaSequence;
  for (const item of copyable.items) if (item instanceof Uint8Array) t.true(item.length <= 1000);
  const failure = decodeFailure(carried(message) as BananaSequence);
  t.is(failure.type, 'builtins.ValueError');
  t.regex(failure.value, /^ü{400,}/);
});

test('messages of another form are kind protocol', (t) => {
  const list = sequence('list');
  const wrong: readonly (() => unknown)[] = [
    () => decodeCallHead(sequence('call', 1, 1)),
    () => decodeCallHead(sequence('call', -1, 1, encodeAscii('m'), list)),
    () => decodeCallHead(sequence('call', 1, 1, 1, list)),
    () => decodeArguments(sequence('call', 1, 1, encodeAscii('m'), list), table()),
    () => decodeArguments(sequence('call', 1, 1, encodeAscii('m'), sequence('arguments', 2, 1)), table()),
    () => decodeArguments(sequence('call', 1, 1, encodeAscii('m'), sequence('arguments', -1, 1)), table()),
    () => decodeArguments(sequence('call', 1, 1, encodeAscii('m'), sequence('arguments', 0, 5, 1)), table()),
    () => decodeAnswer(sequence('answer', 1), table()),
    () => decodeFailure(sequence('error', 1, 5)),
  ];
  for (const decode of wrong) t.true(isTahoeError(t.throws(decode), 'protocol'));
});
