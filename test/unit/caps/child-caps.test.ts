import test from 'ava';
import { parseKnownCap, serializeCap } from '../../../src/caps/cap.js';
import { type ChildCap, childCapOf, childOfCap, childSlotsOf, diminishChild } from '../../../src/caps/child-caps.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';

const fields = 'aaaqeayeaudaocajbifqydiob4:aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq';
const derived = 'zlnpn42lu7xedonux53kr42hsm:aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq';
const write = `URI:SSK:${fields}`;
const read = `URI:SSK-RO:${derived}`;
const chk = `URI:CHK:${fields}:3:10:99`;
const verifier = `URI:SSK-Verifier:${fields}`;

function show(child: ChildCap): string {
  if (child.type === 'known') return serializeCap(child.cap);
  if (child.type === 'broken') return child.problem;
  return `unknown ${child.writeCap ?? '-'} ${child.readCap ?? '-'}`;
}

// [write slot, read slot, in a mutable directory, in an immutable directory]
const matrix = [
  [write, read, write, 'must-be-deep-immutable'],
  [write, '', write, 'must-not-be-unknown-write'],
  ['', read, read, 'must-be-deep-immutable'],
  ['', write, read, 'must-be-deep-immutable'],
  [write, 'x-other', write, 'must-be-deep-immutable'],
  ['', chk, chk, chk],
  [chk, '', chk, chk],
  ['', `imm.${chk}`, chk, chk],
  ['', `ro.${read}`, read, 'must-be-deep-immutable'],
  ['', `ro.${write}`, 'must-be-read-only', 'must-be-deep-immutable'],
  ['', `imm.${read}`, 'must-be-deep-immutable', 'must-be-deep-immutable'],
  ['', '', 'unknown - -', 'unknown - -'],
  ['', 'x-future', 'unknown - ro.x-future', 'unknown - imm.x-future'],
  ['', 'ro.x-future', 'unknown - ro.x-future', 'unknown - imm.x-future'],
  ['', 'imm.x-future', 'unknown - imm.x-future', 'unknown - imm.x-future'],
  ['x-rw', 'x-ro', 'unknown x-rw ro.x-ro', 'must-be-deep-immutable'],
  ['x-rw', 'ro.x-ro', 'unknown x-rw ro.x-ro', 'must-be-deep-immutable'],
  ['x-rw', 'imm.x-ro', 'must-be-deep-immutable', 'must-be-deep-immutable'],
  ['x-rw', '', 'must-not-be-unknown-write', 'must-not-be-unknown-write'],
  ['ro.x-rw', '', 'unknown - ro.x-rw', 'must-not-be-unknown-write'],
  ['imm.x-rw', '', 'unknown - imm.x-rw', 'unknown - imm.x-rw'],
  ['imm.x-rw', 'imm.x-ro', 'must-be-deep-immutable', 'must-be-deep-immutable'],
  ['x-rw', write, `unknown x-rw ro.${read}`, 'must-be-deep-immutable'],
  ['', 'URI:SSK:broken', 'bad-syntax', 'must-be-deep-immutable'],
  ['', 'URI:CHK:broken', 'bad-syntax', 'bad-syntax'],
  [verifier, '', 'must-not-be-unknown-write', 'must-not-be-unknown-write'],
  ['', verifier, `unknown - ro.${verifier}`, `unknown - imm.${verifier}`],
  ['', 'x-tahoe-future-test-mutable:a', 'unknown - ro.x-tahoe-future-test-mutable:a', 'must-be-deep-immutable'],
] as const;

for (const [writeCap, readCap, normal, deep] of matrix) {
  test(`write slot "${writeCap.slice(0, 20)}", read slot "${readCap.slice(0, 20)}"`, (t) => {
    t.is(show(childCapOf({ writeCap, readCap }, { deepImmutable: false })), normal);
    t.is(show(childCapOf({ writeCap, readCap }, { deepImmutable: true })), deep);
  });
}

test('slots are stored so that they read back as the same child', (t) => {
  for (const [writeCap, readCap] of matrix) {
    for (const deepImmutable of [false, true]) {
      const child = childCapOf({ writeCap, readCap }, { deepImmutable });
      if (child.type === 'broken') {
        t.true(
          isTahoeError(
            t.throws(() => childSlotsOf(child, { deepImmutable })),
            'bad-cap',
          ),
        );
        continue;
      }
      const slots = childSlotsOf(child, { deepImmutable });
      t.false(slots.readCap.startsWith('ro.'));
      t.false(deepImmutable && slots.readCap.startsWith('imm.'));
      t.deepEqual(childCapOf(slots, { deepImmutable }), child);
    }
  }
});

test('an immutable directory takes nothing that is mutable or may be', (t) => {
  const deep = { deepImmutable: true };
  const refused: ChildCap[] = [
    childOfCap(parseKnownCap(read)),
    { type: 'unknown', writeCap: 'x', readCap: 'ro.y' },
    { type: 'unknown', readCap: 'ro.y' },
  ];
  for (const child of refused)
    t.true(
      isTahoeError(
        t.throws(() => childSlotsOf(child, deep)),
        'bad-cap',
      ),
    );
  t.deepEqual(childSlotsOf({ type: 'unknown', readCap: 'imm.y' }, deep), { writeCap: '', readCap: 'y' });
  t.deepEqual(childSlotsOf(childOfCap(parseKnownCap(chk)), deep), { writeCap: '', readCap: chk });
});

test('a diminished child has no write authority left', (t) => {
  t.is(show(diminishChild(childOfCap(parseKnownCap(write)))), read);
  t.is(show(diminishChild({ type: 'unknown', writeCap: 'x', readCap: 'ro.y' })), 'unknown - ro.y');
  t.is(show(diminishChild(childOfCap(parseKnownCap(chk)))), chk);
});
