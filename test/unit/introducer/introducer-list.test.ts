import test from 'ava';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { introducersYamlFor, readIntroducers } from '../../../src/introducer/introducer-list.js';

const FURL = 'pb://fhipdelcm4izjtvm4os7hzcz5hkxdwws@tcp:127.0.0.1:34101/introswissnum';
const yamlOf = (petname: string, furl = FURL) => `introducers:\n  ${petname}:\n    furl: ${furl}\n`;
const petnames = (yaml: string | undefined, legacy?: string) =>
  readIntroducers(yaml, legacy).map(({ petname }) => petname);

test('introducers come from the file and, called default, from tahoe.cfg', (t) => {
  t.deepEqual(petnames(undefined), []);
  t.deepEqual(petnames('introducers: {}\n'), []);
  t.deepEqual(petnames(`${yamlOf('one')}  two:\n    furl: ${FURL}\n`), ['one', 'two']);
  t.deepEqual(petnames(undefined, FURL), ['default']);
  t.deepEqual(petnames(yamlOf('one'), FURL), ['one', 'default']);
  t.deepEqual(petnames(introducersYamlFor(FURL)), ['default']);
  t.is(readIntroducers(undefined, FURL)[0]?.furl.name, 'introswissnum');
});

test('a file that is not understood is kind invalid, and shows no secret', (t) => {
  const wrong: readonly (readonly [string | undefined, string | undefined])[] = [
    [yamlOf('default'), FURL],
    [yamlOf('a/b'), undefined],
    [yamlOf('one', 'pb://introswissnum'), undefined],
    ['introducers:\n  one: introswissnum\n', undefined],
    ['introducers:\n  one: {}\n', undefined],
    ['introducers: [introswissnum]\n', undefined],
    ['- introswissnum\n', undefined],
    ['a: &x [introswissnum]\nb: *x\n', undefined],
    ['introducers: {', undefined],
    [undefined, 'pb://introswissnum'],
  ];
  for (const [yaml, legacy] of wrong) {
    const error = t.throws(() => readIntroducers(yaml, legacy), undefined, yaml);
    t.true(isTahoeError(error, 'invalid'), yaml);
    t.false(error?.message.includes('introswissnum'), error?.message);
  }
  t.true(
    isTahoeError(
      t.throws(() => introducersYamlFor('pb://nonsense')),
      'invalid',
    ),
  );
});
