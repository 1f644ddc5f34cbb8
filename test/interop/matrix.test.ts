/**
 * Everything that either client writes, the other reads, changes, and the first reads back: on servers of either make and
 * of both together, found through an introducer of either make.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { type ChildJson, capsIn, childrenExcept, type Listing, listDirectory } from './support/directory-listing.js';
import { GRID_KINDS, type GridKind, MatrixGrids, SEGMENT_BYTES } from './support/matrix-grid.js';
import { ask, request, type WebApi } from './support/web-api.js';

const grids = new MatrixGrids();
test.after.always(() => grids.close());

const WRITERS = ['Python', 'ours'] as const;
type Writer = (typeof WRITERS)[number];

/** Its capability is all that there is of it: what the other changes is another file. */
const IMMUTABLE_FILES: Readonly<Record<string, number>> = {
  'a literal': 55,
  'an empty literal': 0,
  'an immutable file of one segment': 20_000,
  'an immutable file of many segments': 2 * SEGMENT_BYTES + 1,
};

const MUTABLE_FILES: Readonly<Record<string, { readonly format: string; readonly size: number }>> = {
  'an SDMF file': { format: 'sdmf', size: 50_000 },
  'an MDMF file of one segment': { format: 'mdmf', size: 1000 },
  'an MDMF file of many segments': { format: 'mdmf', size: 2 * SEGMENT_BYTES + 100 },
};

async function readsImmutable(t: ExecutionContext, writer: WebApi, reader: WebApi, size: number): Promise<void> {
  const content = new Uint8Array(randomBytes(size));
  const cap = await ask(writer, 'PUT', 'uri', content);
  const read = await request(reader, 'GET', `uri/${cap}`);
  t.deepEqual(read, content);
  const changed = Buffer.concat([read, Buffer.from('!')]);
  const changedCap = await ask(reader, 'PUT', 'uri', changed);
  t.not(changedCap, cap);
  t.deepEqual(await request(writer, 'GET', `uri/${changedCap}`), new Uint8Array(changed));
}

async function changesMutable(
  t: ExecutionContext,
  writer: WebApi,
  reader: WebApi,
  { format, size }: { readonly format: string; readonly size: number },
): Promise<void> {
  const content = new Uint8Array(randomBytes(size));
  const cap = await ask(writer, 'PUT', `uri?format=${format}`, content);
  t.regex(cap, format === 'mdmf' ? /^URI:MDMF:/ : /^URI:SSK:/);
  t.deepEqual(await request(reader, 'GET', `uri/${cap}`), content);
  // In the middle, over the boundary of segments if there is one.
  const patch = new Uint8Array(randomBytes(Math.min(300, size >> 1)));
  const offset = Math.max(0, Math.min(SEGMENT_BYTES - 100, size - patch.length));
  content.set(patch, offset);
  t.is(await ask(reader, 'PUT', `uri/${cap}?offset=${offset}`, patch), cap);
  t.deepEqual(await request(writer, 'GET', `uri/${cap}`), content, 'a part replaced');
  const grown = Buffer.concat([content, randomBytes(SEGMENT_BYTES)]);
  await request(writer, 'PUT', `uri/${cap}?offset=${size}`, grown.subarray(size));
  t.deepEqual(await request(reader, 'GET', `uri/${cap}`), new Uint8Array(grown), 'grown by the first');
  await request(reader, 'PUT', `uri/${cap}`, 'all of it');
  t.is(await ask(writer, 'GET', `uri/${cap}`), 'all of it', 'replaced by the other');
}

const FRESHNESS_LIMIT_MS = 20_000;

const READABLE = 'what stands in a child';

/**
 * A child of every kind that stands in a mutable directory; those of an immutable one begin with `immutable`. What is to
 * be read only is another object than what may be written.
 */
async function everyChild(python: WebApi): Promise<Record<string, ChildJson>> {
  const put = (format: string) => ask(python, 'PUT', `uri?format=${format}`, READABLE.repeat(3));
  const make = (format: string) => ask(python, 'POST', `uri?t=mkdir&format=${format}`);
  const makeImmutable = (children: Record<string, ChildJson>) =>
    ask(python, 'POST', 'uri?t=mkdir-immutable', JSON.stringify(children));
  const literal = await ask(python, 'PUT', 'uri', READABLE);
  const immutable: ChildJson = ['filenode', { ro_uri: await put('chk') }];
  const children: Record<string, ChildJson> = {
    'immutable literal': ['filenode', { ro_uri: literal }],
    'immutable file: Ünïcödé — 日本語 🗂 100% "quoted" \\ ?&#': immutable,
    'immutable directory': ['dirnode', { ro_uri: await makeImmutable({ file: immutable }) }],
    'immutable literal directory': ['dirnode', { ro_uri: await makeImmutable({}) }],
    'immutable unknown': ['unknown', { ro_uri: 'imm.x-test-future:immutable' }],
    'unknown to read': ['unknown', { ro_uri: 'ro.x-test-future:readable' }],
  };
  for (const format of ['sdmf', 'mdmf']) {
    for (const [type, create] of [
      ['filenode', put],
      ['dirnode', make],
    ] as const) {
      const readable = await ask(python, 'GET', `uri/${await create(format)}?t=readonly-uri`);
      children[`${format} ${type}`] = [type, { rw_uri: await create(format) }];
      children[`${format} ${type} to read`] = [type, { ro_uri: readable }];
    }
  }
  return children;
}

const onlyImmutable = (children: Record<string, ChildJson>) =>
  Object.fromEntries(Object.entries(children).filter(([name]) => name.startsWith('immutable')));

/** Files of the directory give what they hold, through the directory. */
async function readsChildren(t: ExecutionContext, reader: WebApi, cap: string, children: Record<string, ChildJson>) {
  for (const [name, [type]] of Object.entries(children)) {
    if (type !== 'filenode') continue;
    const content = await ask(reader, 'GET', `uri/${cap}/${encodeURIComponent(name)}`);
    t.regex(content, /^(what stands in a child)+$/, name);
  }
}

async function changesDirectory(
  t: ExecutionContext,
  writer: WebApi,
  reader: WebApi,
  python: WebApi,
  format: string,
): Promise<void> {
  const children = await everyChild(python);
  const cap = await ask(writer, 'POST', `uri?t=mkdir&format=${format}`);
  t.regex(cap, format === 'mdmf' ? /^URI:DIR2-MDMF:/ : /^URI:DIR2:/);
  await request(writer, 'POST', `uri/${cap}?t=set_children`, JSON.stringify(children));
  if (writer === python) {
    // Only the reference makes these: an unknown child that could be written to.
    const both = { rw_uri: 'x-test-future:writeable', ro_uri: 'ro.x-test-future:readable' };
    await request(
      writer,
      'POST',
      `uri/${cap}?t=set_children`,
      JSON.stringify({ 'unknown to write': ['unknown', both] }),
    );
  }
  const written = await listDirectory(writer, cap);
  t.deepEqual(capsIn(await listDirectory(reader, cap)), capsIn(written));
  await readsChildren(t, reader, cap, children);

  const before = await listDirectory(python, cap);
  const added = 'added: Ünïcödé — 日本語';
  await request(reader, 'PUT', `uri/${cap}/${encodeURIComponent(added)}`, 'added');
  await request(reader, 'DELETE', `uri/${cap}/${encodeURIComponent('immutable literal')}`);
  const renamed = new URLSearchParams({ t: 'rename', from_name: 'sdmf filenode', to_name: 'renamed' });
  await request(reader, 'POST', `uri/${cap}?${renamed}`);
  const after = await untilListed(writer, cap, 'renamed');
  t.deepEqual(capsIn(await listDirectory(reader, cap)), capsIn(after));
  t.is(await ask(writer, 'GET', `uri/${cap}/${encodeURIComponent(added)}`), 'added');
  t.is(after.renamed?.[1].rw_uri, children['sdmf filenode']?.[1].rw_uri);
  // Metadata and all: what nobody touched is as it was, in the eyes of the reference.
  const changed = [added, 'renamed', 'sdmf filenode', 'immutable literal'];
  t.deepEqual(childrenExcept(await listDirectory(python, cap), changed), childrenExcept(before, changed));
  const unchanged = Object.keys(written).filter((name) => !changed.includes(name));
  t.deepEqual(Object.keys(after).sort(), [...unchanged, added, 'renamed'].sort());
}

/** Our client looks at a directory again when it has not done so for a while. */
async function untilListed(client: WebApi, cap: string, name: string): Promise<Listing> {
  const deadline = performance.now() + FRESHNESS_LIMIT_MS;
  for (;;) {
    const listing = await listDirectory(client, cap);
    if (Object.hasOwn(listing, name) || performance.now() > deadline) return listing;
    await delay(100);
  }
}

/** Only the reference makes these, out of a request: ours reads them, and puts them into its own directories above. */
async function readsImmutableDirectory(t: ExecutionContext, python: WebApi, reader: WebApi, empty: boolean) {
  const children = empty ? {} : onlyImmutable(await everyChild(python));
  const cap = await ask(python, 'POST', 'uri?t=mkdir-immutable', JSON.stringify(children));
  t.regex(cap, empty ? /^URI:DIR2-LIT:/ : /^URI:DIR2-CHK:/);
  t.deepEqual(capsIn(await listDirectory(reader, cap)), capsIn(await listDirectory(python, cap)));
  await readsChildren(t, reader, cap, children);
  const refused = await reader.fetch(`uri/${cap}/new`, { method: 'PUT', body: 'new' });
  t.false(refused.ok);
}

interface Cell {
  readonly title: string;
  readonly run: (t: ExecutionContext, python: WebApi, ours: WebApi) => Promise<void>;
}

function cellsOf(writer: Writer): Cell[] {
  const other = writer === 'Python' ? 'ours' : 'Python';
  const pair = (python: WebApi, ours: WebApi) =>
    writer === 'Python' ? ([python, ours] as const) : ([ours, python] as const);
  const files = Object.entries(IMMUTABLE_FILES).map(([name, size]) => ({
    title: `${name} by ${writer} is read by ${other}, and back`,
    run: (t: ExecutionContext, python: WebApi, ours: WebApi) => readsImmutable(t, ...pair(python, ours), size),
  }));
  const mutables = Object.entries(MUTABLE_FILES).map(([name, kind]) => ({
    title: `${name} by ${writer} is read and changed by ${other}, and read back`,
    run: (t: ExecutionContext, python: WebApi, ours: WebApi) => changesMutable(t, ...pair(python, ours), kind),
  }));
  const directories = ['sdmf', 'mdmf'].map((format) => ({
    title: `an ${format.toUpperCase()} directory with every kind of child by ${writer} is read and changed by ${other}, and read back`,
    run: (t: ExecutionContext, python: WebApi, ours: WebApi) =>
      changesDirectory(t, ...pair(python, ours), python, format),
  }));
  return [...files, ...mutables, ...directories];
}

const immutableDirectories: readonly Cell[] = [true, false].map((empty) => ({
  title: `an immutable directory by Python, ${empty ? 'kept in its capability' : 'with every kind of child'}, is read by ours`,
  run: (t, python, ours) => readsImmutableDirectory(t, python, ours, empty),
}));

function addTests(kind: GridKind): void {
  for (const { title, run } of [...WRITERS.flatMap(cellsOf), ...immutableDirectories]) {
    test.serial(`${kind.servers}, ${kind.introducer}: ${title}`, async (t) => {
      t.timeout(120_000);
      const { python, ours } = await grids.open(kind);
      await run(t, python, ours);
    });
  }
}

for (const kind of GRID_KINDS) addTests(kind);
