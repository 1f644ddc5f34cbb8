import test from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { IniFile } from '../../../src/node/ini-file.js';

test('values are read as the ConfigParser of Python reads them', (t) => {
  const file = new IniFile(
    [
      '\uFEFF; comment',
      '[one]',
      'Key = value # not a comment',
      'colon: with = sign',
      'empty =',
      'long = first',
      '  second',
      '',
      '  # a comment in between',
      '  third = not a key',
      '  indented = key',
      '[two words]  trailing text',
      'percent = 100%% %(Base)s %(base)s',
      'base = b%%',
      '[one]',
      'empty = now something',
    ].join('\r\n'),
    'f',
  );
  t.is(file.text('one', 'KEY'), 'value # not a comment');
  t.is(file.text('one', 'colon'), 'with = sign');
  t.is(file.text('one', 'empty'), 'now something', 'the last one counts');
  t.is(file.text('one', 'long'), 'first\nsecond\n\nthird = not a key\nindented = key');
  t.is(file.text('two words', 'percent'), '100% b% b%');
  t.is(file.text('two words', 'nothing'), undefined);
  t.deepEqual(
    file.sections().map(({ name, line }) => [name, line]),
    [
      ['one', 2],
      ['two words', 12],
    ],
  );
  t.is(file.entries().find(({ key }) => key === 'empty')?.line, 16);
});

const mistakes: readonly [string, string][] = [
  ['a = b\n', 'f:1: a [section] must come first: a = b'],
  ['[s]\n\njust words\n', 'f:3: expected "key = value": just words'],
  ['[s]\n= value\n', 'f:2: expected "key = value": = value'],
];

for (const [text, message] of mistakes) {
  test(`a line that is no setting is named: ${JSON.stringify(text)}`, (t) => {
    const error = t.throws(() => new IniFile(text, 'f'), { message });
    t.true(isTahoeError(error, 'invalid'));
  });
}

for (const [value, message] of [
  ['50%', /^f:2: \[s\] k has a lone percent sign: write %%$/],
  ['%(', /lone percent sign/],
  ['%(other)s', /^f:2: \[s\] k refers to other, which is not in this section$/],
  ['%(k)s', /^f:2: \[s\] k refers to itself$/],
] as const) {
  test(`a percent sign that means nothing is refused: ${value}`, (t) => {
    t.throws(() => new IniFile(`[s]\nk = ${value}\n`, 'f').text('s', 'k'), { message });
  });
}

test('values that refer to each other many times are refused at once', (t) => {
  const lines = Array.from({ length: 9 }, (_, index) => `k${index + 1} = ${`%(k${index})s`.repeat(9)}`);
  const file = new IniFile(['[s]', 'k0 = x', ...lines].join('\n'), 'f');
  t.is(file.text('s', 'k3')?.length, 729);
  t.throws(() => file.text('s', 'k9'), { message: 'f:11: [s] k9 has too many references' });
});

test('long lines take no longer than their length', (t) => {
  const startedMs = performance.now();
  const spaces = ' '.repeat(100_000);
  t.throws(() => new IniFile(`[s]\na${spaces}b`, 'f'), { message: /expected "key = value"/ });
  t.is(new IniFile(`[s]\na${spaces}=${spaces}b${spaces}`, 'f').text('s', 'a'), 'b');
  const marks = new IniFile(`[s]\nk = ${'%('.repeat(100_000)}`, 'f');
  t.throws(() => marks.text('s', 'k'), { message: /lone percent sign/ });
  t.true(performance.now() - startedMs < 2000);
});
