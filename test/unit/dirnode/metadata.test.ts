import test from 'ava';
import fc from 'fast-check';
import { isNoWrite, linkTimes, type Metadata, parseMetadata, updateMetadata } from '../../../src/dirnode/metadata.js';
import {
  formatJson,
  fromPlainJson,
  jsonNumber,
  parseJson,
  toPlainJson,
  WrittenNumber,
} from '../../../src/dirnode/metadata-json.js';
import { encodeAscii, encodeUtf8 } from '../../../src/encoding/bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { readVectorJson } from '../../support/golden-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const metadata = (json: string): Metadata => {
  const parsed = parseMetadata(encodeUtf8(json));
  if (parsed === undefined) throw new Error('a JSON object');
  return parsed;
};

for (const json of [
  '{}',
  '[]',
  '{"a": [1, 2, null, true, false], "b": {"c": -0.5}}',
  '{"time": 1795290753.9483936, "whole": 1234567890.0, "large": 1e+16, "small": 1e-07}',
  '{"int": 123456789012345678901234567890, "odd": [NaN, Infinity, -Infinity], "zero": -0.0}',
  '{"text": "\\u00fcn\\u00efcode \\ud83d\\ude00 \\ud800 \\" \\\\ \\n\\r\\t\\b\\f \\u0000 \\u007f /"}',
  '{"b": 1, "a": 2, "1": 3, "__proto__": {"constructor": 4}}',
  '""',
]) {
  test(`JSON of Python comes back as it was: ${json}`, (t) => {
    t.is(text(formatJson(parseJson(encodeAscii(json)))), json);
  });
}

test('JSON in another form means the same', (t) => {
  t.is(text(formatJson(parseJson(encodeUtf8(' {"a":1,\n"é" :[ ] , "a":2}\t')))), '{"a": 2, "\\u00e9": []}');
});

test('any JSON value means what JSON.parse says', (t) => {
  fc.assert(
    fc.property(fc.json(), (json) => {
      const value = parseJson(encodeUtf8(json));
      t.deepEqual(JSON.parse(JSON.stringify(toPlainJson(value))), JSON.parse(json));
      t.deepEqual(JSON.parse(text(formatJson(value))), JSON.parse(json));
    }),
  );
});

for (const json of [
  '',
  ' ',
  '{',
  '{"a"}',
  '{"a":}',
  '{a: 1}',
  '[1,]',
  '{"a": 1,}',
  '[1 2]',
  '01',
  '+1',
  '.5',
  '1.',
  '1e',
  'nan',
  'nul',
  '"',
  '"\\"',
  '"\n"',
  '"\\x"',
  '{} {}',
  "'a'",
  '[',
  '\ufeff{}',
  '-',
  '"\\',
]) {
  test(`not JSON: ${JSON.stringify(json)}`, (t) => {
    t.true(
      isTahoeError(
        t.throws(() => parseJson(encodeUtf8(json))),
        'corrupt',
      ),
    );
  });
}

test('nesting without end is refused, not followed', (t) => {
  t.true(
    isTahoeError(
      t.throws(() => parseJson(encodeAscii('['.repeat(1_000_000)))),
      'corrupt',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => parseJson(encodeAscii('{"a":'.repeat(100_000)))),
      'corrupt',
    ),
  );
});

test('ordinary values are taken over, others refused', (t) => {
  const plain = { a: [1, 'x', null, { b: true }] };
  t.deepEqual(JSON.parse(JSON.stringify(toPlainJson(fromPlainJson(plain)))), plain);
  for (const value of [undefined, () => 1, Symbol('s'), 1n, [undefined]]) {
    t.true(
      isTahoeError(
        t.throws(() => fromPlainJson(value)),
        'invalid',
      ),
    );
  }
  const cycle: unknown[] = [];
  cycle.push(cycle);
  t.true(
    isTahoeError(
      t.throws(() => fromPlainJson(cycle)),
      'invalid',
    ),
  );
});

test('metadata that is no JSON object is none', (t) => {
  for (const json of ['', '[]', '1', 'null', '{"a"', '\u0000']) t.is(parseMetadata(encodeUtf8(json)), undefined);
  t.is(parseMetadata(Uint8Array.of(0xff)), undefined);
});

const updates: readonly (readonly [string, string | undefined, string | undefined, string])[] = [
  ['a new link', undefined, undefined, '{"tahoe": {"linkcrtime": 9.5, "linkmotime": 9.5}}'],
  ['a new link with keys', undefined, '{"a": 1}', '{"a": 1, "tahoe": {"linkcrtime": 9.5, "linkmotime": 9.5}}'],
  [
    'nobody sets the times',
    undefined,
    '{"tahoe": {"linkcrtime": 1, "x": 2}, "a": 1}',
    '{"a": 1, "tahoe": {"linkcrtime": 9.5, "linkmotime": 9.5}}',
  ],
  [
    'keys are kept if none are given',
    '{"a": 1, "tahoe": {"linkcrtime": 5.0, "linkmotime": 6}}',
    undefined,
    '{"a": 1, "tahoe": {"linkcrtime": 5.0, "linkmotime": 9.5}}',
  ],
  [
    'keys are replaced if any are given',
    '{"a": 1, "tahoe": {"linkcrtime": 5, "y": 0}}',
    '{"b": 2}',
    '{"b": 2, "tahoe": {"linkcrtime": 5, "y": 0, "linkmotime": 9.5}}',
  ],
  [
    'a ctime of old makes the creation time',
    '{"ctime": 3.0}',
    '{}',
    '{"tahoe": {"linkcrtime": 3.0, "linkmotime": 9.5}}',
  ],
  [
    'what is no object under tahoe is replaced',
    '{"tahoe": 7}',
    undefined,
    '{"tahoe": {"linkcrtime": 9.5, "linkmotime": 9.5}}',
  ],
];
for (const [what, old, given, expected] of updates) {
  test(`metadata of a link that is set: ${what}`, (t) => {
    const before = old === undefined ? undefined : metadata(old);
    const updated = updateMetadata(before, given === undefined ? undefined : metadata(given), 9.5);
    t.is(text(formatJson(updated)), expected);
    if (old !== undefined) t.is(text(formatJson(before!)), old);
  });
}

test('a time of whole seconds is still written as a float', (t) => {
  t.is(text(formatJson(updateMetadata(undefined, undefined, 7))), '{"tahoe": {"linkcrtime": 7.0, "linkmotime": 7.0}}');
});

test('no-write is what Python takes for true', (t) => {
  for (const json of ['{"no-write": true}', '{"no-write": 1}', '{"no-write": "x"}', '{"no-write": 0.5}'])
    t.true(isNoWrite(metadata(json)));
  for (const json of [
    '{}',
    '{"no-write": false}',
    '{"no-write": null}',
    '{"no-write": 0}',
    '{"no-write": 0.0}',
    '{"no-write": ""}',
    '{"no-write": []}',
    '{"no-write": {}}',
  ]) {
    t.false(isNoWrite(metadata(json)), json);
  }
});

test('link times are read where they are numbers', (t) => {
  t.deepEqual(linkTimes(metadata('{"tahoe": {"linkcrtime": 5.0, "linkmotime": 6.25}}')), {
    createdSeconds: 5,
    changedSeconds: 6.25,
  });
  t.deepEqual(linkTimes(metadata('{"tahoe": {"linkcrtime": "x"}}')), {
    createdSeconds: undefined,
    changedSeconds: undefined,
  });
  t.deepEqual(linkTimes(metadata('{"tahoe": []}')), { createdSeconds: undefined, changedSeconds: undefined });
  t.is(jsonNumber(new WrittenNumber('1.0')), 1);
  t.is(jsonNumber('1'), undefined);
});

test('metadata of the Python implementation comes back byte for byte', (t) => {
  const { entries } = readVectorJson<{ entries: { metadata_json: string }[] }>('mutable/directory.json');
  for (const { metadata_json } of entries) t.is(text(formatJson(metadata(metadata_json))), metadata_json);
});

test('10,000 damaged metadata are read or refused', (t) => {
  const random = randomSource(5);
  const good = encodeAscii('{"a": [1, -2.5e3, null, true, "\\u00fc\\ud800"], "tahoe": {"linkcrtime": 5.0}, "n": NaN}');
  let read = 0;
  for (let round = 0; round < 10_000; round++) {
    const parsed = parseMetadata(mutate(good, random));
    if (parsed === undefined) continue;
    read++;
    t.deepEqual(parseMetadata(formatJson(parsed)), parsed);
  }
  t.true(read > 100 && read < 9900);
});
