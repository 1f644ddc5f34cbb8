import test from 'ava';
import fc from 'fast-check';
import {
  type Cap,
  type ChkReadCap,
  capsEqual,
  isDirectory,
  isMutable,
  isWriteable,
  parseCap,
  parseKnownCap,
  readCapOf,
  serializeCap,
  storageIndexOf,
  validateChkParameters,
  verifyCapOf,
} from '../../../src/caps/cap.js';
import { encodeBase32 } from '../../../src/encoding/base32.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { readVectorJson } from '../../support/golden-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const key = 'aaaqeayeaudaocajbifqydiob4';
const hash = 'aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq';

const text = (cap: Cap | undefined) => (cap === undefined ? undefined : serializeCap(cap));
const problemOf = (cap: Cap) => (cap.type === 'unknown' ? (cap.problem ?? 'none') : `known ${cap.type}`);

test('the example of the specification is diminished step by step', (t) => {
  const write = parseCap(`URI:SSK:${key}:${hash}`);
  t.is(text(readCapOf(write)), `URI:SSK-RO:zlnpn42lu7xedonux53kr42hsm:${hash}`);
  t.is(text(verifyCapOf(write)), `URI:SSK-Verifier:axmc3zjy3mkanylpyx7u2zuqum:${hash}`);
  t.is(text(verifyCapOf(parseCap(`URI:SSK-RO:${key}:${hash}`))), `URI:SSK-Verifier:7bs5jkfinmdx2syxcylygn7sdy:${hash}`);
  t.is(encodeBase32(storageIndexOf(parseCap(`URI:CHK:${key}:${hash}:3:10:99`))!), 'hdis5iaveku6lnlaiccydyid7q');
  t.is(
    text(verifyCapOf(parseCap(`URI:DIR2-MDMF:${key}:${hash}`))),
    `URI:DIR2-MDMF-Verifier:axmc3zjy3mkanylpyx7u2zuqum:${hash}`,
  );
});

const forms = [
  ['URI:LIT:mfrgg', 'lit', { read: 'URI:LIT:mfrgg' }],
  [`URI:CHK:${key}:${hash}:3:10:99`, 'chk', { read: `URI:CHK:${key}:${hash}:3:10:99`, verify: 'URI:CHK-Verifier:' }],
  [`URI:CHK-Verifier:${key}:${hash}:3:10:99`, 'chk-verify', { verify: 'URI:CHK-Verifier:' }],
  [`URI:SSK:${key}:${hash}`, 'sdmf-write', { read: 'URI:SSK-RO:', verify: 'URI:SSK-Verifier:' }],
  [`URI:SSK-RO:${key}:${hash}`, 'sdmf-read', { read: 'URI:SSK-RO:', verify: 'URI:SSK-Verifier:' }],
  [`URI:SSK-Verifier:${key}:${hash}`, 'sdmf-verify', { verify: 'URI:SSK-Verifier:' }],
  [`URI:MDMF:${key}:${hash}`, 'mdmf-write', { read: 'URI:MDMF-RO:', verify: 'URI:MDMF-Verifier:' }],
  [`URI:MDMF-RO:${key}:${hash}`, 'mdmf-read', { read: 'URI:MDMF-RO:', verify: 'URI:MDMF-Verifier:' }],
  [`URI:MDMF-Verifier:${key}:${hash}`, 'mdmf-verify', { verify: 'URI:MDMF-Verifier:' }],
  ['URI:DIR2-LIT:mfrgg', 'lit', { read: 'URI:DIR2-LIT:mfrgg' }],
  [`URI:DIR2-CHK:${key}:${hash}:3:10:99`, 'chk', { read: 'URI:DIR2-CHK:', verify: 'URI:DIR2-CHK-Verifier:' }],
  [`URI:DIR2-CHK-Verifier:${key}:${hash}:3:10:99`, 'chk-verify', { verify: 'URI:DIR2-CHK-Verifier:' }],
  [`URI:DIR2:${key}:${hash}`, 'sdmf-write', { read: 'URI:DIR2-RO:', verify: 'URI:DIR2-Verifier:' }],
  [`URI:DIR2-RO:${key}:${hash}`, 'sdmf-read', { read: 'URI:DIR2-RO:', verify: 'URI:DIR2-Verifier:' }],
  [`URI:DIR2-Verifier:${key}:${hash}`, 'sdmf-verify', { verify: 'URI:DIR2-Verifier:' }],
  [`URI:DIR2-MDMF:${key}:${hash}`, 'mdmf-write', { read: 'URI:DIR2-MDMF-RO:', verify: 'URI:DIR2-MDMF-Verifier:' }],
  [`URI:DIR2-MDMF-RO:${key}:${hash}`, 'mdmf-read', { read: 'URI:DIR2-MDMF-RO:', verify: 'URI:DIR2-MDMF-Verifier:' }],
  [`URI:DIR2-MDMF-Verifier:${key}:${hash}`, 'mdmf-verify', { verify: 'URI:DIR2-MDMF-Verifier:' }],
] as const;

for (const [string, type, weaker] of forms) {
  test(`${string.slice(0, string.indexOf(':', 4))} comes back, and gives the weaker forms`, (t) => {
    const cap = parseKnownCap(string);
    t.is(serializeCap(cap), string);
    t.is(isDirectory(cap) ? cap.inner.type : cap.type, type);
    t.is(isDirectory(cap), string.includes('DIR2'));
    t.is(isWriteable(cap), type.endsWith('-write'));
    t.is(isMutable(cap), /^[sm]dmf/.test(type));
    const { read, verify } = weaker as { read?: string; verify?: string };
    t.true(text(readCapOf(cap))?.startsWith(read ?? 'none') ?? read === undefined);
    t.true(text(verifyCapOf(cap))?.startsWith(verify ?? 'none') ?? verify === undefined);
    t.deepEqual(storageIndexOf(cap), verify === undefined ? undefined : storageIndexOf(verifyCapOf(cap)!));
  });

  test(`${string.slice(0, string.indexOf(':', 4))} obeys ro., imm. and immutable surroundings`, (t) => {
    const write = type.endsWith('-write');
    const mutableRead = type === 'sdmf-read' || type === 'mdmf-read';
    const known = `known ${string.includes('DIR2') ? 'directory' : type}`;
    const deep = write || mutableRead ? 'must-be-deep-immutable' : known;
    t.is(problemOf(parseCap(`ro.${string}`)), write ? 'must-be-read-only' : known);
    t.is(problemOf(parseCap(`imm.${string}`)), deep);
    t.is(problemOf(parseCap(string, { deepImmutable: true })), deep);
    t.is(problemOf(parseCap(`ro.${string}`, { deepImmutable: true })), deep);
    t.is(problemOf(parseCap(`ro.imm.${string}`)), 'none');
    const refused = parseCap(`imm.${string}`);
    t.is(serializeCap(refused), deep === known ? string : `imm.${string}`);
  });
}

test('what follows the fields is forgiven where it always was', (t) => {
  t.is(text(parseCap(`URI:MDMF:${key}:${hash}:3:131073`)), `URI:MDMF:${key}:${hash}`);
  t.is(text(parseCap(`URI:DIR2-MDMF-RO:${key}:${hash}:`)), `URI:DIR2-MDMF-RO:${key}:${hash}`);
  t.is(text(parseCap(`URI:CHK-Verifier:${key}:${hash}:3:10:99 and more`)), `URI:CHK-Verifier:${key}:${hash}:3:10:99`);
  t.is(text(parseCap(`URI:SSK:${key}:${hash}\n`)), `URI:SSK:${key}:${hash}`);
  t.is(text(parseCap(`URI:CHK:${key}:${hash}:03:010:0099`)), `URI:CHK:${key}:${hash}:3:10:99`);
});

for (const string of [
  `URI:SSK:${key}:${hash}:3:10`,
  `URI:SSK:${key}:${hash} `,
  `URI:SSK:${key}:${hash}\n\n`,
  `URI:SSK:${key.slice(1)}:${hash}`,
  `URI:SSK:${key.slice(0, -1)}5:${hash}`,
  `URI:SSK:${key}:${hash.slice(0, -1)}b`,
  `URI:SSK:${key.toUpperCase()}:${hash}`,
  `URI:MDMF:${key}:${hash}x`,
  `URI:CHK:${key}:${hash}:3:10`,
  `URI:CHK:${key}:${hash}:3:10:99:`,
  `URI:CHK:${key}:${hash}:3:10:-1`,
  `URI:CHK:${key}:${hash}:3:10:99999999999999999999`,
  'URI:LIT:a',
  'URI:LIT:mf',
  'URI:LIT:ME',
  'URI:DIR2-LIT:mfrgg=',
  'URI:DIR2:',
]) {
  test(`bad syntax: ${JSON.stringify(string)}`, (t) => {
    const cap = parseCap(string);
    t.deepEqual(cap, { type: 'unknown', text: string, problem: 'bad-syntax' });
    t.true(
      isTahoeError(
        t.throws(() => parseKnownCap(string)),
        'bad-cap',
      ),
    );
  });
}

for (const string of [
  '',
  'URI',
  'URI:',
  'URI:DIR:abc',
  'uri:SSK:abc',
  'x-future:abc',
  'ro.x-future',
  'URI:NEW:é😀',
  ' URI:LIT:',
]) {
  test(`unknown and kept whole: ${JSON.stringify(string)}`, (t) => {
    const cap = parseCap(string);
    t.deepEqual(cap, { type: 'unknown', text: string });
    t.is(serializeCap(cap), string);
    t.is(readCapOf(cap), undefined);
    t.is(verifyCapOf(cap), undefined);
    t.is(storageIndexOf(cap), undefined);
    t.true(
      isTahoeError(
        t.throws(() => parseKnownCap(string)),
        'unknown-cap',
      ),
    );
  });
}

test('capabilities of the future obey the rules as far as they are known', (t) => {
  t.is(problemOf(parseCap('x-tahoe-future-test-writeable:a')), 'none');
  t.is(problemOf(parseCap('ro.x-tahoe-future-test-writeable:a')), 'must-be-read-only');
  t.is(problemOf(parseCap('imm.x-tahoe-future-test-writeable:a')), 'must-be-deep-immutable');
  t.is(problemOf(parseCap('ro.x-tahoe-future-test-mutable:a')), 'none');
  t.is(problemOf(parseCap('imm.x-tahoe-future-test-mutable:a')), 'must-be-deep-immutable');
});

test('numbers of shares that no file has are refused before download', (t) => {
  const chk = (k: number, n: number): ChkReadCap => {
    const cap = parseKnownCap(`URI:CHK:${key}:${hash}:${k}:${n}:99`);
    if (cap.type !== 'chk') throw new Error('a CHK capability');
    return cap;
  };
  for (const [k, n] of [
    [1, 1],
    [3, 10],
    [256, 256],
  ] as const)
    t.notThrows(() => validateChkParameters(chk(k, n)));
  for (const [k, n] of [
    [0, 0],
    [0, 10],
    [4, 3],
    [1, 257],
  ] as const) {
    t.true(
      isTahoeError(
        t.throws(() => validateChkParameters(chk(k, n))),
        'bad-cap',
      ),
    );
  }
});

interface Index {
  readonly immutable: readonly {
    readonly cap: string;
    readonly verify_cap?: string;
    readonly storage_index?: string;
  }[];
  readonly mutable: readonly {
    readonly rw_uri: string;
    readonly ro_uri: string;
    readonly verify_uri: string;
    readonly storage_index: string;
  }[];
  readonly directories: readonly {
    readonly cap: string;
    readonly ro_uri: string;
    readonly verify_uri: string | null;
    readonly storage_index?: string;
  }[];
}

test('every capability of the Python implementation gives its weaker forms', (t) => {
  const index = readVectorJson<Index>('index.json');
  const rows = [
    ...index.immutable.map((row) => ({ ...row, ro_uri: row.cap, verify_uri: row.verify_cap ?? null })),
    ...index.mutable.map((row) => ({ ...row, cap: row.rw_uri })),
    ...index.directories,
  ];
  t.true(rows.length > 15);
  for (const row of rows) {
    const cap = parseKnownCap(row.cap);
    t.is(serializeCap(cap), row.cap);
    t.is(text(readCapOf(cap)), row.ro_uri);
    t.is(text(verifyCapOf(cap)), row.verify_uri ?? undefined);
    const storageIndex = storageIndexOf(cap);
    t.is(storageIndex === undefined ? undefined : encodeBase32(storageIndex), row.storage_index);
  }
});

test('any literal comes back, and equal capabilities have equal texts', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (data) => {
      const string = serializeCap({ type: 'lit', data });
      t.deepEqual(parseCap(string), { type: 'lit', data });
      t.true(capsEqual(parseCap(string), parseCap(`imm.${string}`)));
    }),
  );
});

test('10,000 damaged capabilities are read without an exception, and what is known comes back', (t) => {
  const random = randomSource(42);
  let known = 0;
  for (let round = 0; round < 10_000; round++) {
    const [string] = forms[random.below(forms.length)]!;
    const damaged = new TextDecoder('latin1').decode(mutate(new TextEncoder().encode(string), random));
    const cap = parseCap(damaged, { deepImmutable: random.below(4) === 0 });
    if (cap.type === 'unknown') {
      t.is(cap.text, damaged);
      continue;
    }
    known++;
    t.deepEqual(parseCap(serializeCap(cap)), cap);
  }
  t.true(known > 100 && known < 9000);
});
