import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'ava';

/**
 * The direction of dependence. A folder may import itself and what stands in its row, nothing else. Why each edge is
 * missing is part of the design: when this test fails, move the code or pass the thing in as an argument; widen a row
 * only when the picture itself (README, "Layout of the code") was wrong.
 */
const BASE = ['src/errors', 'src/platform', 'src/encoding'];
const PURE = ['src/errors', 'src/encoding'];
const CODECS = [...PURE, 'src/crypto', 'src/erasure', 'src/hashtree', 'src/share-layout', 'src/caps'];
const GRID_OBJECTS = [...BASE, ...CODECS, 'src/storage-protocol'];
const FRONTEND = [...BASE, 'src/caps', 'src/grid', 'src/vfs'];
const EVERYTHING = 'everything';

const ALLOWED: Readonly<Record<string, readonly string[] | typeof EVERYTHING>> = {
  'src/errors': [],
  'src/platform': ['src/errors'],
  'src/encoding': ['src/errors'],
  'src/crypto': PURE,
  'src/erasure': PURE,
  'src/hashtree': [...PURE, 'src/crypto'],
  'src/share-layout': [...PURE, 'src/crypto', 'src/hashtree', 'src/erasure'],
  'src/caps': [...PURE, 'src/crypto'],
  'src/storage-protocol': [...BASE, 'src/crypto'],
  'src/transport': [...BASE, 'src/crypto', 'src/storage-protocol'],
  'src/foolscap': [...BASE, 'src/crypto', 'src/storage-protocol', 'src/transport'],
  'src/introducer': [...BASE, 'src/crypto', 'src/storage-protocol', 'src/transport', 'src/foolscap'],
  'src/storage-client': [...BASE, 'src/crypto', 'src/storage-protocol', 'src/transport', 'src/introducer'],
  'src/storage-server': [...BASE, 'src/crypto', 'src/share-layout', 'src/storage-protocol', 'src/transport'],
  'src/immutable': GRID_OBJECTS,
  'src/mutable': GRID_OBJECTS,
  'src/dirnode': [...GRID_OBJECTS, 'src/mutable', 'src/immutable'],
  'src/grid': [...GRID_OBJECTS, 'src/mutable', 'src/immutable', 'src/dirnode'],
  'src/vfs': [...GRID_OBJECTS, 'src/mutable', 'src/immutable', 'src/dirnode', 'src/grid'],
  'src/web': [...FRONTEND, 'src/immutable'],
  sftp: FRONTEND,
  mount: FRONTEND,
  'src/node': EVERYTHING,
  'src/cli': EVERYTHING,
};

const REASONS: Readonly<Record<string, string>> = {
  'src/storage-server':
    'a server that cannot parse a capability cannot leak one: it sees storage indexes, shares and secrets of leases only',
  'src/immutable': 'it sees the interface StorageServer, so that a test grid is just another implementation',
  'src/mutable': 'it sees the interface StorageServer, so that a test grid is just another implementation',
  sftp: 'a frontend translates and holds no file state: what it needs belongs into the Vfs, where the others see it too',
  mount:
    'a frontend translates and holds no file state: what it needs belongs into the Vfs, where the others see it too',
  'src/web':
    'a frontend translates and holds no file state: what it needs belongs into the Vfs, where the others see it too',
};

/** Built here only: `src/node` and the command line make the real ones and hand them down. */
interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Files that may: with the reason beside it. */
  readonly except?: RegExp;
}

const OUTSIDE_WORLD: readonly Ban[] = [
  { pattern: /\bDate\.now\(|\bperformance\.now\(|\bnew Date\(\)/, instead: 'take a Clock as an argument' },
  { pattern: /(?<![.\w])set(Timeout|Interval)\(/, instead: 'take a Clock as an argument (setTimer, sleep)' },
  { pattern: /\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/, instead: 'take Entropy as an argument' },
  {
    pattern: /from '(node:)?fs(\/promises)?'/,
    instead: 'take a FileStore as an argument',
    // What the mount touches is the kernel's: /dev/fuse, /proc, /sys, mount points. A FileStore could not stand for it.
    except: /^mount\//,
  },
  { pattern: /\bconsole\.\w+\(/, instead: 'take a Logger as an argument' },
];
const OWNS_THE_OUTSIDE_WORLD = ['src/node', 'src/cli'];
/** A thread of its own cannot be handed a platform. */
const WORKER = /-worker\.ts$/;

const PURE_FOLDERS = [...CODECS.filter((folder) => folder !== 'src/errors'), 'src/errors'];
const PURE_BANS = /from '(node:)?(fs|net|tls|http|https|http2|dgram|child_process|worker_threads|timers)(\/\w+)?'/;

interface SourceFile {
  readonly path: string;
  readonly folder: string;
  readonly text: string;
}

function sourceFiles(): SourceFile[] {
  return ['src', 'mount', 'sftp'].flatMap((top) =>
    readdirSync(top, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.c?ts$/.test(name) && !name.includes('assembly/'))
      .map((name) => {
        const path = join(top, name);
        return { path, folder: folderOf(path), text: readFileSync(path, 'utf8') };
      }),
  );
}

function folderOf(path: string): string {
  const [top, second] = path.split('/');
  return top === 'src' ? `src/${second}` : top!;
}

/** Folders of this project that a file imports, statically or not, as types or as values. */
function importedFolders({ path, text }: SourceFile): string[] {
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map((match) => match[1]!);
  return specifiers.map((specifier) => folderOf(normalize(join(dirname(path), specifier))));
}

test('imports point downward only', (t) => {
  const files = sourceFiles();
  t.true(files.length > 50, 'the sources were found');
  for (const file of files) {
    const allowed = ALLOWED[file.folder];
    t.truthy(allowed, `${file.path}: the folder ${file.folder} has no place in the layers; give it one in this test`);
    if (allowed === undefined || allowed === EVERYTHING) continue;
    for (const folder of importedFolders(file)) {
      const reason = REASONS[file.folder] ?? 'lower layers know nothing of higher ones';
      t.true(
        folder === file.folder || allowed.includes(folder),
        `${file.path} imports from ${folder}: ${reason}. Move the code down, or pass what it needs in as an argument.`,
      );
    }
  }
});

test('only src/node and src/cli touch the clock, randomness, files and the console', (t) => {
  for (const { path, folder, text } of sourceFiles()) {
    if (OWNS_THE_OUTSIDE_WORLD.includes(folder) || WORKER.test(path)) continue;
    for (const { pattern, instead, except } of OUTSIDE_WORLD) {
      if (except?.test(path) === true) continue;
      t.false(pattern.test(withoutComments(text)), `${path}: ${instead}, so that tests can replace it`);
    }
  }
});

test('pure layers take bytes and give values', (t) => {
  for (const { path, folder, text } of sourceFiles()) {
    if (!PURE_FOLDERS.includes(folder)) continue;
    t.false(PURE_BANS.test(text), `${path}: no network, files, processes or threads here; do it in the caller`);
  }
});

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}
