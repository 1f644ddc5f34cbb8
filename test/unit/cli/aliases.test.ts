import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { addAlias, isGridPath, parseGridPath, readAliases } from '../../../src/cli/aliases.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeDirectory } from '../../../src/node/node-directory.js';

const aliases = new Map([
  ['tahoe', 'URI:DIR2:root'],
  ['work', 'URI:DIR2:work'],
]);

async function nodeDirectory(t: ExecutionContext): Promise<NodeDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'tahoe-aliases-'));
  t.teardown(() => rm(path, { recursive: true }));
  return NodeDirectory.create(join(path, 'node'), '');
}

const chk = `URI:CHK:${'a'.repeat(26)}:${'a'.repeat(52)}:3:10:99`;
const dir = `URI:DIR2:${'a'.repeat(26)}:${'a'.repeat(52)}`;

const paths: readonly [string, string, readonly string[]][] = [
  ['', 'URI:DIR2:root', []],
  ['a/b', 'URI:DIR2:root', ['a', 'b']],
  ['/a', 'URI:DIR2:root', ['a']],
  ['a/b:c', 'URI:DIR2:root', ['a', 'b:c']],
  ['tahoe:', 'URI:DIR2:root', []],
  ['work:', 'URI:DIR2:work', []],
  ['work:a/b/', 'URI:DIR2:work', ['a', 'b']],
  [' work:x ', 'URI:DIR2:work', ['x']],
  [chk, chk, []],
  [`${dir}/a/b`, dir, ['a', 'b']],
  [`${dir}:./a`, dir, ['a']],
  ['URI:FUTURE:x/a', 'URI:FUTURE:x', ['a']],
];

for (const [text, cap, path] of paths) {
  test(`"${text}" names ${cap} and [${path.join(', ')}]`, (t) => {
    t.like(parseGridPath(text, aliases), { cap, path });
  });
}

test('an unknown alias is an error that says how to make it', (t) => {
  const error = t.throws(() => parseGridPath('nowhere:x', aliases));
  t.true(isTahoeError(error, 'not-found'));
  t.regex(error?.message ?? '', /Unknown alias 'nowhere'.*create-alias nowhere/);
});

test('a capability that was cut off is refused', (t) => {
  const error = t.throws(() => parseGridPath(chk.slice(0, -20), aliases));
  t.true(isTahoeError(error, 'bad-cap'));
});

test('for cp, only an alias or a capability names something on the grid', (t) => {
  t.true(isGridPath('tahoe:'));
  t.true(isGridPath('URI:CHK:x'));
  t.false(isGridPath('./a:b'));
  t.false(isGridPath('a/b'));
  t.false(isGridPath('file'));
});

test('aliases are read as the reference reads them', async (t) => {
  const directory = await nodeDirectory(t);
  await directory.write('private/root_dir.cap', 'URI:DIR2:from-root\n');
  await directory.write('private/aliases', '# comment\n\nhome: URI:DIR2:a:b\nother:URI:DIR2:c\nno colon here\n');
  t.deepEqual(
    [...(await readAliases(directory))],
    [
      ['tahoe', 'URI:DIR2:from-root'],
      ['home', 'URI:DIR2:a:b'],
      ['other', 'URI:DIR2:c'],
    ],
  );
});

test('a new alias is added below those that are there, and never replaces one', async (t) => {
  const directory = await nodeDirectory(t);
  await directory.write('private/aliases', 'first: URI:DIR2:1');
  await addAlias(directory, 'second', 'URI:DIR2:2');
  t.is(await directory.read('private', 'aliases'), 'first: URI:DIR2:1\nsecond: URI:DIR2:2\n');
  await t.throwsAsync(addAlias(directory, 'first', 'URI:DIR2:3'), { message: "Alias 'first' already exists!" });
  await t.throwsAsync(addAlias(directory, 'a b', 'URI:DIR2:3'), { message: /cannot contain spaces or colons/ });
});
