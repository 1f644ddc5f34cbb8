import test from 'ava';
import fc from 'fast-check';
import { linkTimes, parseMetadata } from '../../../src/dirnode/metadata.js';
import { formatJson, fromPlainJson, toPlainJson } from '../../../src/dirnode/metadata-json.js';
import { type PackedEntry, packEntry } from '../../../src/dirnode/packing.js';
import type { WriteKey } from '../../../src/encoding/brands.js';
import { toHex } from '../../../src/encoding/bytes.js';
import {
  type Decision,
  type Entries,
  mergeFork,
  mergeTable,
  type OurChange,
  ourChange,
  type TheirChange,
  theirChange,
  withMergedAttributes,
} from '../../../src/vfs/merge.js';

const writeKey = new Uint8Array(16).fill(9) as WriteKey;
let changeIds = 0;

interface Given {
  readonly name?: string;
  /** A file with this content, a directory, a link. */
  readonly file?: string;
  readonly directory?: string;
  readonly link?: string;
  readonly unix?: Record<string, unknown>;
  readonly by?: string;
  readonly seconds?: number;
}

/** A new entry: a change of its own, also if all it says was said before. */
function entry({
  name = 'name',
  file,
  directory,
  link,
  unix = {},
  by = 'n1',
  seconds = 1_000_000_000,
}: Given): PackedEntry {
  const id = (++changeIds).toString(16).padStart(16, '0');
  const kind = link === undefined ? {} : { kind: 'symlink', target: link };
  const metadata = fromPlainJson({
    unix: { mode: 0o644, ...kind, ...unix, id, by },
    tahoe: { linkcrtime: seconds, linkmotime: seconds },
  });
  const readCap = directory === undefined ? `URI:LIT:${file ?? link ?? ''}` : `URI:DIR2-RO:${directory}`;
  return packEntry({ name, readCap, writeCap: '', metadataJson: formatJson(metadata) }, writeKey);
}

const base = entry({ file: 'old', unix: { mtime: [1, 0] } });
const chmodded = entry({ file: 'old', unix: { mode: 0o600, mtime: [1, 0] } });
const ourFile = entry({ file: 'ours' });
const theirFile = entry({ file: 'theirs' });
const ourDirectory = entry({ directory: 'ours' });
const theirDirectory = entry({ directory: 'theirs' });

interface Row {
  readonly our: OurChange;
  readonly ours: PackedEntry | undefined;
  readonly expected: PackedEntry | undefined;
  readonly isMadeHere?: boolean;
  /** What stands there, what that is called, and what becomes of ours. */
  readonly columns: readonly (readonly [PackedEntry | undefined, TheirChange, Decision])[];
}

const rows: readonly Row[] = [
  {
    our: 'content',
    ours: ourFile,
    expected: base,
    columns: [
      [base, 'none', 'apply'],
      [entry({ file: 'old' }), 'attributes', 'apply-with-theirs'],
      [entry({ file: 'ours' }), 'alike', 'apply-with-theirs'],
      [theirFile, 'content', 'copy'],
      [theirDirectory, 'kind', 'copy'],
      [entry({ link: 'old' }), 'kind', 'copy'],
      [undefined, 'deleted', 'apply'],
    ],
  },
  {
    our: 'create',
    ours: ourFile,
    expected: undefined,
    columns: [
      [undefined, 'none', 'apply'],
      [entry({ file: 'ours' }), 'alike', 'apply-with-theirs'],
      [theirFile, 'content', 'copy'],
      [theirDirectory, 'kind', 'copy'],
    ],
  },
  {
    our: 'mkdir',
    ours: ourDirectory,
    expected: undefined,
    isMadeHere: true,
    columns: [
      [undefined, 'none', 'apply'],
      [theirDirectory, 'content', 'adopt'],
      [theirFile, 'kind', 'copy'],
    ],
  },
  {
    // a directory that others know, moved here
    our: 'create',
    ours: ourDirectory,
    expected: undefined,
    columns: [
      [undefined, 'none', 'apply'],
      [theirDirectory, 'content', 'copy'],
      [entry({ directory: 'ours' }), 'alike', 'apply-with-theirs'],
    ],
  },
  {
    our: 'attributes',
    ours: chmodded,
    expected: base,
    columns: [
      [base, 'none', 'apply'],
      [entry({ file: 'old' }), 'attributes', 'apply-with-theirs'],
      [theirFile, 'content', 'theirs-with-ours'],
      [theirDirectory, 'kind', 'yield'],
      [undefined, 'deleted', 'yield'],
    ],
  },
  {
    our: 'delete',
    ours: undefined,
    expected: base,
    columns: [
      [base, 'none', 'apply'],
      [entry({ file: 'old' }), 'attributes', 'yield'],
      [theirFile, 'content', 'yield'],
      [theirDirectory, 'kind', 'yield'],
      [undefined, 'deleted', 'done'],
    ],
  },
];

for (const { our, ours, expected, isMadeHere = false, columns } of rows) {
  for (const [stands, their, decision] of columns) {
    test(`${our} of ${ours?.readCap ?? 'nothing'} against ${their} (${stands?.readCap ?? 'nothing'}): ${decision}`, (t) => {
      t.is(ourChange(ours, expected, isMadeHere), our);
      t.is(theirChange(ours, expected, stands), their);
      t.is(mergeTable[our][their], decision);
    });
  }
}

test('the table answers for every pair, and never loses a content: ours is written, copied or adopted', (t) => {
  const theirs: readonly TheirChange[] = ['none', 'attributes', 'alike', 'content', 'kind', 'deleted'];
  const keepsOurs: readonly Decision[] = ['apply', 'apply-with-theirs', 'copy', 'adopt'];
  for (const our of ['content', 'create', 'mkdir'] as const)
    for (const their of theirs) t.true(keepsOurs.includes(mergeTable[our][their]), `${our} ${their}`);
  // and theirs is never overwritten by ours unless it is the same object
  for (const row of Object.values(mergeTable)) {
    for (const their of ['content', 'kind'] as const) t.false(['apply', 'apply-with-theirs'].includes(row[their]));
  }
  for (const their of ['attributes', 'alike', 'content', 'kind'] as const) t.is(mergeTable.delete[their], 'yield');
});

test('the same content written again is a change of theirs', (t) => {
  const again = entry({ file: 'old', unix: { mtime: [1, 0] } });
  t.is(theirChange(undefined, base, again), 'attributes');
  t.is(mergeTable.delete.attributes, 'yield');
});

function fields(of: PackedEntry): Record<string, unknown> {
  const metadata = toPlainJson(parseMetadata(of.metadataJson)!) as { unix: Record<string, unknown> };
  return { ...metadata.unix };
}

test('attributes are merged field by field: ours where we changed it, else theirs', (t) => {
  const ancestor = entry({ file: 'x', unix: { mode: 1, uid: 1, gid: 1, xattrs: { a: '1', b: '1', c: '1' } } });
  const ours = entry({ file: 'x', unix: { mode: 2, uid: 1, gid: 2, xattrs: { a: '2', b: '1', d: '2' } }, by: 'us' });
  const theirs = entry({
    file: 'x',
    unix: { mode: 1, uid: 3, gid: 3, xattrs: { a: '1', b: '3', c: '1' }, target: 'new' },
    by: 'them',
    seconds: 77,
  });
  const merged = withMergedAttributes(ours, { ancestor, ours, theirs });
  const { id, ...rest } = fields(merged);
  t.deepEqual(rest, {
    mode: 2,
    uid: 3,
    gid: 2,
    // ours removed c and made d
    xattrs: { a: '2', b: '3', d: '2' },
    target: 'new',
    by: 'us',
  });
  t.is(id, fields(ours).id);
  t.is(linkTimes(parseMetadata(merged.metadataJson)!).changedSeconds, 77);
  t.is(merged.readCap, ours.readCap);
  // nothing to begin with: ours where it says anything
  t.like(fields(withMergedAttributes(ours, { ancestor: undefined, ours, theirs })), { mode: 2, uid: 1, target: 'new' });
});

test('metadata that is not JSON is left as it is', (t) => {
  const strange = base.withMetadata(new TextEncoder().encode('[1, 2'));
  t.is(withMergedAttributes(ourFile, { ancestor: undefined, ours: ourFile, theirs: strange }), ourFile);
});

function table(...entries: readonly PackedEntry[]): Entries {
  return new Map(entries.map((each) => [each.name, each]));
}

function rawOf(entries: Entries): Record<string, string> {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, each]) => [name, toHex(each.raw)]));
}

const noSkip = new Set<string>();

test('forks without a common ancestor: all names, the higher version keeps those of both, the other is beside it', (t) => {
  const x1 = entry({ name: 'x.txt', file: '1', by: 'low', seconds: Date.UTC(2026, 0, 2, 3, 4, 5) / 1000 });
  const x2 = entry({ name: 'x.txt', file: '2', by: 'high' });
  const [a, b] = [entry({ name: 'a', file: 'a' }), entry({ name: 'b', file: 'b' })];
  const copy = 'x.conflict-low-20260102T030405Z.txt';
  for (const isForkHigher of [true, false]) {
    const [low, high] = [table(x1, a), table(x2, b)];
    const [from, fork] = isForkHigher ? [low, high] : [high, low];
    const merged = mergeFork({ base: from, fork, ancestor: undefined, isForkHigher, skip: noSkip });
    t.deepEqual(rawOf(merged.entries), rawOf(table(a, b, x1.renamed(copy), x2)));
    t.deepEqual(
      merged.copies.map(({ name, copyName }) => [name, copyName]),
      [['x.txt', copy]],
    );
  }
});

test('forks with a common ancestor: what one side removed or left alone is as the other has it', (t) => {
  const old = ['kept', 'gone here', 'gone there', 'changed here', 'changed there', 'removed and changed'].map((name) =>
    entry({ name, file: 'old' }),
  );
  const byName = new Map(old.map((each) => [each.name, each]));
  const changed = (name: string, file: string) => entry({ name, file });
  const from = new Map(byName);
  from.delete('gone here');
  from.delete('removed and changed');
  from.set('changed here', changed('changed here', 'here'));
  const fork = new Map(byName);
  fork.delete('gone there');
  fork.set('changed there', changed('changed there', 'there'));
  fork.set('removed and changed', changed('removed and changed', 'there'));
  const { entries, copies, restored } = mergeFork({
    base: from,
    fork,
    ancestor: byName,
    isForkHigher: false,
    skip: noSkip,
  });
  t.deepEqual([...entries.keys()].sort(), ['changed here', 'changed there', 'kept', 'removed and changed']);
  t.is(entries.get('changed here')?.readCap, 'URI:LIT:here');
  t.is(entries.get('changed there')?.readCap, 'URI:LIT:there');
  t.deepEqual(copies, []);
  t.deepEqual(restored, ['removed and changed']);
});

test('names that are skipped are those of the base, whatever the fork has', (t) => {
  const from = table(entry({ name: 'a', file: '1' }));
  const fork = table(entry({ name: 'a', file: '2' }), entry({ name: 'b', file: '2' }));
  const sides = { base: from, fork, ancestor: undefined, isForkHigher: true };
  t.deepEqual(rawOf(mergeFork({ ...sides, skip: new Set(['a', 'b']) }).entries), rawOf(from));
});

// properties

const names = ['a', 'b', 'c.txt'];
/** Few contents, so that forks often have the same ones. */
const arbitraryTable: fc.Arbitrary<Entries> = fc
  .array(
    fc.record({
      name: fc.constantFrom(...names),
      file: fc.constantFrom('1', '2', '3'),
      mode: fc.constantFrom(1, 2),
      isDirectory: fc.boolean(),
      by: fc.constantFrom('n1', 'n2'),
      seconds: fc.constantFrom(1000, 2000),
    }),
    { maxLength: 4 },
  )
  .map((given) =>
    table(
      ...given.map(({ name, file, mode, isDirectory, by, seconds }) =>
        entry({ name, ...(isDirectory ? { directory: file } : { file }), unix: { mode }, by, seconds }),
      ),
    ),
  );
const threeTables = fc.tuple(arbitraryTable, arbitraryTable, arbitraryTable).chain(([ancestor, a, b]) =>
  // two versions that share some of the ancestor's entries byte for byte
  fc.tuple(fc.array(fc.boolean(), { minLength: 6, maxLength: 6 })).map(([picks]) => {
    const mix = (own: Entries, from: number): Entries => {
      const mixed = new Map(own);
      names.forEach((name, index) => {
        const old = ancestor.get(name);
        if (picks[from + index] && old !== undefined) mixed.set(name, old);
      });
      return mixed;
    };
    return { ancestor, a: mix(a, 0), b: mix(b, 3) };
  }),
);

/** The contents that a table holds: what must not vanish. */
function contents(of: Entries): Set<string> {
  return new Set([...of.values()].map(({ readCap }) => readCap));
}

test('whoever merges two forks gets the same, once or twice, and nothing vanishes that was not removed', (t) => {
  fc.assert(
    fc.property(threeTables, fc.boolean(), ({ ancestor, a, b }, isThreeWay) => {
      const common = isThreeWay ? ancestor : undefined;
      const one = mergeFork({ base: a, fork: b, ancestor: common, isForkHigher: true, skip: noSkip });
      const other = mergeFork({ base: b, fork: a, ancestor: common, isForkHigher: false, skip: noSkip });
      t.deepEqual(rawOf(one.entries), rawOf(other.entries), 'the same from either side');
      for (const fork of [a, b]) {
        const again = mergeFork({
          base: one.entries,
          fork,
          ancestor: common,
          isForkHigher: fork === b,
          skip: noSkip,
        });
        t.deepEqual(rawOf(again.entries), rawOf(one.entries), 'again changes nothing');
      }
      for (const side of [a, b]) {
        for (const { name, readCap, raw } of side.values()) {
          const before = common?.get(name);
          const isUnchanged = before !== undefined && toHex(before.raw) === toHex(raw);
          if (!isUnchanged) t.true(contents(one.entries).has(readCap), `${name} ${readCap}`);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('every change of ours over every table of theirs: a content is where it belongs, and the second time nothing happens', (t) => {
  const side = fc.option(
    fc.record({ file: fc.constantFrom('1', '2', '3'), mode: fc.constantFrom(1, 2), isDirectory: fc.boolean() }),
    { nil: undefined },
  );
  const make = (given: { file: string; mode: number; isDirectory: boolean } | undefined) =>
    given === undefined
      ? undefined
      : entry({
          ...(given.isDirectory ? { directory: given.file } : { file: given.file }),
          unix: { mode: given.mode },
        });
  fc.assert(
    fc.property(side, side, side, fc.boolean(), fc.boolean(), (ourSide, before, theirSide, isSame, isMadeHere) => {
      const [ours, expected] = [make(ourSide), make(before)];
      if (ours === undefined && expected === undefined) return;
      const stands = isSame ? expected : make(theirSide);
      const isNew = isMadeHere && ours?.readCap.startsWith('URI:DIR2') === true;
      const decision = mergeTable[ourChange(ours, expected, isNew)][theirChange(ours, expected, stands)];
      if (stands !== undefined && !isSame && decision === 'apply') t.fail('theirs is written over');
      if (ours === undefined) return;
      // once it is theirs that ours is a change of, it is applied
      if (decision === 'apply-with-theirs') {
        const merged = withMergedAttributes(ours, { ancestor: expected, ours, theirs: stands! });
        t.is(merged.readCap, ours.readCap);
        t.is(theirChange(merged, stands, stands), 'none');
      }
      if (decision === 'theirs-with-ours')
        t.is(withMergedAttributes(stands!, { ancestor: expected, ours, theirs: stands! }).readCap, stands!.readCap);
    }),
    { numRuns: 2000 },
  );
});
