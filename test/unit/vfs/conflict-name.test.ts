import test from 'ava';
import fc from 'fast-check';
import { conflictName, nodeNameOf } from '../../../src/vfs/conflict-name.js';
import { entryKey } from '../../../src/vfs/names.js';

const wallMs = Date.UTC(2026, 10, 22, 9, 8, 7, 654);
const free = () => false;
const named = (name: string, isTaken: (candidate: string) => boolean = free) =>
  conflictName(name, { node: 'desk', wallMs }, isTaken);

test('the copy is named after the file, the node and the time, before the extension', (t) => {
  t.is(named('report.txt'), 'report.conflict-desk-20261122T090807Z.txt');
  t.is(named('archive.tar.gz'), 'archive.tar.conflict-desk-20261122T090807Z.gz');
  t.is(named('Makefile'), 'Makefile.conflict-desk-20261122T090807Z');
  t.is(named('.profile'), '.profile.conflict-desk-20261122T090807Z');
  t.is(named('ends.'), 'ends..conflict-desk-20261122T090807Z');
});

test('a name that is taken is numbered', (t) => {
  const taken = new Set(['a.conflict-desk-20261122T090807Z.c', 'a.conflict-desk-20261122T090807Z-2.c']);
  t.is(
    named('a.c', (candidate) => taken.has(candidate)),
    'a.conflict-desk-20261122T090807Z-3.c',
  );
});

test('a long name is cut at a character, and the extension stays unless it is none', (t) => {
  const long = named(`${'é'.repeat(125)}.txt`);
  t.regex(long, /^é+\.conflict-desk-20261122T090807Z\.txt$/);
  const bytes = new TextEncoder().encode(long).length;
  t.true(bytes <= 255 && bytes >= 253, `${bytes}`);
  const smile = named('🙂'.repeat(63));
  t.regex(smile, /^(🙂)+\.conflict-desk-20261122T090807Z$/u);
  t.regex(named(`a.${'x'.repeat(200)}`), /^a\.x+\.conflict-desk-20261122T090807Z$/);
});

test('every name gives a possible name for its copy', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 90 }), fc.nat(3), (name, taken) => {
      let key: string;
      try {
        key = entryKey(name);
      } catch {
        return;
      }
      let asked = 0;
      const copy = named(key, () => asked++ < taken);
      t.is(entryKey(copy), copy);
      t.not(copy, key);
      t.true(copy.includes('.conflict-desk-20261122T090807Z'));
    }),
  );
});

test('of a nickname what can stand in a file name is used', (t) => {
  t.is(nodeNameOf('desk'), 'desk');
  t.is(nodeNameOf('Öde / ../ machine'), 'de-machine');
  t.is(nodeNameOf(''), 'node');
  t.is(nodeNameOf('///'), 'node');
  t.is(nodeNameOf('x'.repeat(100)).length, 24);
});
