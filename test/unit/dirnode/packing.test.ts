import test from 'ava';
import fc from 'fast-check';
import { parseKnownCap, readCapOf, serializeCap } from '../../../src/caps/cap.js';
import { dirnodeChildKey, dirnodeChildSalt } from '../../../src/crypto/derivations.js';
import {
  compareNames,
  decryptWriteCap,
  encryptWriteCap,
  packDirectory,
  packEntry,
  parseDirectory,
} from '../../../src/dirnode/packing.js';
import {
  bytesEqual,
  compareBytes,
  concatBytes,
  encodeAscii,
  encodeUtf8,
  fromHex,
  toHex,
} from '../../../src/encoding/bytes.js';
import { asWriteKey } from '../../../src/encoding/checked-bytes.js';
import { encodeNetstring, encodeNetstrings } from '../../../src/encoding/netstring.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { fromBase64, readVector, readVectorJson } from '../../support/golden-vectors.js';
import { mutate, randomSource } from '../../support/mutations.js';

const normal = { deepImmutable: false };
const writeKey = asWriteKey(fromHex('000102030405060708090a0b0c0d0e0f'));
const emptyObject = encodeAscii('{}');

interface GoldenDirectory {
  readonly writekey: string;
  readonly contents_b64: string;
  readonly entries: readonly {
    readonly name: string;
    readonly ro_uri: string;
    readonly rw_uri: string;
    readonly rwcapdata_hex: string;
    readonly entry_key_hex: string;
    readonly metadata_json: string;
  }[];
}

const golden = readVectorJson<GoldenDirectory>('mutable/directory.json');
const goldenTable = fromBase64(golden.contents_b64);
const goldenKey = asWriteKey(fromHex(golden.writekey));

test('a directory of the Python implementation is read entry by entry', (t) => {
  const entries = [...parseDirectory(goldenTable, normal).values()];
  t.is(entries.length, golden.entries.length);
  entries.forEach((entry, index) => {
    const expected = golden.entries[index]!;
    t.is(entry.name, expected.name);
    t.is(entry.readCap, expected.ro_uri);
    t.is(toHex(entry.encryptedWriteCap), expected.rwcapdata_hex);
    t.is(decryptWriteCap(entry.encryptedWriteCap, goldenKey), expected.rw_uri);
    t.is(new TextDecoder().decode(entry.metadataJson), expected.metadata_json);
    t.is(toHex(dirnodeChildKey(dirnodeChildSalt(encodeAscii(expected.rw_uri)), goldenKey)), expected.entry_key_hex);
  });
});

test('its entries are packed anew to the same bytes', (t) => {
  const entries = golden.entries.map((entry) =>
    packEntry(
      {
        name: entry.name,
        readCap: entry.ro_uri,
        writeCap: entry.rw_uri,
        metadataJson: encodeUtf8(entry.metadata_json),
      },
      goldenKey,
    ),
  );
  t.deepEqual(packDirectory(entries.reverse()), goldenTable);
});

interface DirectoryIndex {
  readonly directories: readonly { readonly name: string; readonly cap: string; readonly packed_plaintext: string }[];
}
type Listing = readonly [
  string,
  { readonly children: Record<string, readonly [string, { rw_uri?: string; ro_uri?: string }]> },
];

for (const { name, cap, packed_plaintext } of readVectorJson<DirectoryIndex>('index.json').directories) {
  test(`the table of ${name} is read as listed and packed to the same bytes`, (t) => {
    const table = readVector(`directories/${packed_plaintext}`);
    const [, { children }] = readVectorJson<Listing>(`directories/${name}.t-json.json`);
    const directory = parseKnownCap(cap);
    const key = 'inner' in directory && 'writeKey' in directory.inner ? directory.inner.writeKey : undefined;
    const entries = parseDirectory(table, { deepImmutable: key === undefined });
    t.deepEqual([...entries.keys()].sort(), Object.keys(children).sort());
    for (const [childName, [kind, listed]] of Object.entries(children)) {
      const entry = entries.get(childName)!;
      const writeCap = key === undefined ? '' : decryptWriteCap(entry.encryptedWriteCap, key);
      t.is(writeCap, listed.rw_uri ?? '');
      t.is(kind === 'unknown' ? `ro.${entry.readCap}` : entry.readCap, listed.ro_uri ?? 'none listed');
      if (kind === 'unknown') continue;
      if (writeCap !== '') t.is(serializeCap(readCapOf(parseKnownCap(writeCap))!), entry.readCap);
    }
    t.deepEqual(packDirectory(entries.values()), table);
    for (const entry of entries.values()) {
      const { name: childName, readCap, metadataJson, encryptedWriteCap } = entry;
      const writeCap = key === undefined ? '' : decryptWriteCap(encryptedWriteCap, key);
      t.deepEqual(packEntry({ name: childName, readCap, writeCap, metadataJson }, key).raw, entry.raw);
    }
  });
}

test('child encryption gives the known answers', (t) => {
  const capability = encodeAscii(
    'URI:SSK:aaaqeayeaudaocajbifqydiob4:aaaqeayeaudaocajbifqydiob4ircmjtgqztqnsuimkbkinaugyqcqi',
  );
  const encrypted = encryptWriteCap(capability, writeKey);
  t.is(toHex(encrypted.subarray(0, 16)), '549ae2213ed10d17982df8612b218cb1');
  t.is(
    toHex(encrypted.subarray(16, -32)),
    '427bdffc1e50781261fb2e8e88e506062f13b925e93e2deb30853d4bb4573545dfc2c9da9b726f333078ed6e5cd3da3cc8acbe6f4ce20cf26793d2daee7c1732091fd0278fe6d791f8b09d4419a03f5d8a311b068c8c0a7f52f9',
  );
  t.is(toHex(encrypted.subarray(-32)), '611a0bbd34db90ac277eb46eb4330682f555bd876376521f3670804f0fcb1495');
  t.is(
    toHex(encryptWriteCap(new Uint8Array(0), writeKey)),
    'd05f738a043b8404b7495ccb5d5501866971af5bc2acc121f3a8c3c9e4c67eaa2cf628b320d73bc02284aa976c0018c7',
  );
});

test('a write capability under another key, damaged or cut off is corrupt; its mac is not looked at', (t) => {
  const encrypted = encryptWriteCap(encodeAscii('URI:SSK:abc'), writeKey);
  t.is(decryptWriteCap(encrypted, writeKey), 'URI:SSK:abc');
  for (const damaged of [encrypted.map((byte, index) => (index === 20 ? byte ^ 1 : byte)), encrypted.subarray(0, 47)]) {
    t.true(
      isTahoeError(
        t.throws(() => decryptWriteCap(damaged, writeKey)),
        'corrupt',
      ),
    );
  }
  t.true(
    isTahoeError(
      t.throws(() => decryptWriteCap(encrypted, goldenKey)),
      'corrupt',
    ),
  );
  t.is(
    decryptWriteCap(
      encrypted.map((byte, index) => (index > 30 ? byte ^ 1 : byte)),
      writeKey,
    ),
    'URI:SSK:abc',
  );
  t.is(decryptWriteCap(new Uint8Array(0), writeKey), '');
});

test('any entries come back, in the order of the UTF-8 bytes of their names', (t) => {
  const nameOf = fc.string({ unit: 'grapheme', maxLength: 8 });
  const entryOf = fc.record({
    name: nameOf,
    readCap: fc.string({ maxLength: 5 }).map((s) => `ro${s}.`),
    writeCap: fc.constantFrom('', 'rw'),
    metadata: fc.json(),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(entryOf, { selector: ({ name }) => name.normalize('NFC'), maxLength: 12 }),
      (contents) => {
        const entries = contents.map(({ metadata, ...rest }) =>
          packEntry({ ...rest, metadataJson: encodeUtf8(metadata) }, writeKey),
        );
        const table = packDirectory(entries);
        const parsed = parseDirectory(table, normal);
        t.is(parsed.size, contents.length);
        const names = [...parsed.keys()];
        t.deepEqual(
          names,
          [...names].sort((a, b) => compareBytes(encodeUtf8(a), encodeUtf8(b))),
        );
        for (const { name, readCap, writeCap, metadata } of contents) {
          const entry = parsed.get(name.normalize('NFC'))!;
          t.is(entry.readCap, readCap);
          t.is(decryptWriteCap(entry.encryptedWriteCap, writeKey), writeCap);
          t.deepEqual(entry.metadataJson, encodeUtf8(metadata));
        }
        t.deepEqual(packDirectory(parsed.values()), table);
      },
    ),
  );
});

test('names are compared as their UTF-8 bytes are', (t) => {
  const unit = fc.constantFrom('a', 'é', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}');
  const nameOf = fc.string({ unit, maxLength: 4 });
  fc.assert(
    fc.property(nameOf, nameOf, (a, b) => {
      t.is(Math.sign(compareNames(a, b)), Math.sign(compareBytes(encodeUtf8(a), encodeUtf8(b))));
    }),
  );
});

const rawEntry = (name: Uint8Array, readCap = 'ro', writeCap = '', metadata = '{}') =>
  encodeNetstring(encodeNetstrings([name, encodeAscii(readCap), encodeAscii(writeCap), encodeAscii(metadata)]));

test('names are normalised when read, and the entry stays as it was stored', (t) => {
  const table = rawEntry(encodeUtf8('e\u0301'));
  const entries = parseDirectory(table, normal);
  t.deepEqual([...entries.keys()], ['\u00e9']);
  t.deepEqual(packDirectory(entries.values()), table);
});

test('of two entries whose names are the same once normalised the later counts', (t) => {
  const table = concatBytes([rawEntry(encodeUtf8('e\u0301'), 'first'), rawEntry(encodeUtf8('\u00e9'), 'second')]);
  const entries = parseDirectory(table, normal);
  t.is(entries.size, 1);
  t.is(entries.get('\u00e9')!.readCap, 'second');
});

test('spaces behind a capability are no part of it, and stay in the entry', (t) => {
  const table = rawEntry(encodeAscii('a'), 'URI:LIT:  ');
  const entry = parseDirectory(table, normal).get('a')!;
  t.is(entry.readCap, 'URI:LIT:');
  t.deepEqual(entry.raw, table);
});

test('a renamed entry keeps everything else', (t) => {
  const entry = parseDirectory(goldenTable, normal).get('mut')!;
  const renamed = entry.renamed('e\u0301');
  t.is(renamed.name, '\u00e9');
  t.is(renamed.readCap, entry.readCap);
  t.deepEqual(renamed.encryptedWriteCap, entry.encryptedWriteCap);
  t.deepEqual(renamed.metadataJson, entry.metadataJson);
  t.deepEqual(renamed.renamed('mut').raw, entry.raw);
});

test('entries are views of the table, not copies', (t) => {
  for (const entry of parseDirectory(goldenTable, normal).values()) {
    for (const view of [entry.raw, entry.encryptedWriteCap, entry.metadataJson]) t.is(view.buffer, goldenTable.buffer);
  }
});

test('an immutable directory holds no write capability', (t) => {
  const contents = { name: 'a', readCap: 'URI:LIT:', writeCap: '', metadataJson: emptyObject };
  const deep = { deepImmutable: true };
  const { raw } = packEntry(contents, undefined);
  t.is(parseDirectory(raw, deep).get('a')!.encryptedWriteCap.length, 0);
  t.true(
    isTahoeError(
      t.throws(() => packEntry({ ...contents, writeCap: 'rw' }, undefined)),
      'invalid',
    ),
  );
  t.true(
    isTahoeError(
      t.throws(() => parseDirectory(packEntry(contents, writeKey).raw, deep)),
      'corrupt',
    ),
  );
});

for (const [what, table] of [
  ['garbage behind the last entry', concatBytes([rawEntry(encodeAscii('a')), encodeAscii('x')])],
  ['zeros behind the last entry', concatBytes([rawEntry(encodeAscii('a')), new Uint8Array(3)])],
  ['an entry without its comma', rawEntry(encodeAscii('a')).subarray(0, -1)],
  ['an entry of three fields', encodeNetstring(encodeNetstrings([emptyObject, emptyObject, emptyObject]))],
  ['an entry of five fields', encodeNetstring(encodeNetstrings(Array.from({ length: 5 }, () => emptyObject)))],
  ['a name that is not UTF-8', rawEntry(Uint8Array.of(0xff))],
] as const) {
  test(`${what} makes the directory corrupt`, (t) => {
    t.true(
      isTahoeError(
        t.throws(() => parseDirectory(table, normal)),
        'corrupt',
      ),
    );
  });
}

test('a name that is not well-formed Unicode cannot be packed', (t) => {
  const contents = { name: 'a\ud800', readCap: '', writeCap: '', metadataJson: emptyObject };
  t.true(
    isTahoeError(
      t.throws(() => packEntry(contents, writeKey)),
      'invalid',
    ),
  );
});

test('10,000 damaged tables give corrupt, or entries that can be packed', (t) => {
  const random = randomSource(1234);
  const whole = packDirectory(
    [...parseDirectory(readVector('directories/dir-mixed.packed.bin'), normal).values()].slice(0, 3),
  );
  let refused = 0;
  for (let round = 0; round < 10_000; round++) {
    const damaged = mutate(round % 2 === 0 ? whole : rawEntry(encodeAscii('n'), 'URI:LIT:', '', '{"a": 1}'), random);
    try {
      const entries = parseDirectory(damaged, normal);
      const repacked = parseDirectory(packDirectory(entries.values()), normal);
      t.is(repacked.size, entries.size);
      for (const [name, entry] of entries) {
        t.true(bytesEqual(repacked.get(name)!.raw, entry.raw));
        decryptWriteCap(entry.encryptedWriteCap, writeKey);
      }
    } catch (error) {
      if (!isTahoeError(error, 'corrupt')) throw error;
      refused++;
    }
  }
  t.true(refused > 5000 && refused < 10_000);
});
