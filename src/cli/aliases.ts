/** `private/aliases` and the texts that name things on the grid: `alias:path`, `CAP`, `CAP/path`, `CAP:./path` (CLI spec 10). */
import { parseCap } from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { NodeDirectory } from '../node/node-directory.js';

export const DEFAULT_ALIAS = 'tahoe';

export type Aliases = ReadonlyMap<string, string>;

export interface GridPath {
  readonly cap: string;
  /** Names below the capability; empty for itself. */
  readonly path: readonly string[];
  /** A name or an alias stood before the path, so that `cp` can name a copy after it. */
  readonly endsWithSlash: boolean;
}

/** Lines `name: CAP`; `private/root_dir.cap` is alias `tahoe` unless the file defines it. */
export async function readAliases(directory: NodeDirectory): Promise<Aliases> {
  const aliases = new Map<string, string>();
  const root = await directory.read('private', 'root_dir.cap');
  if (root !== undefined && root.trim() !== '') aliases.set(DEFAULT_ALIAS, root.trim());
  for (const line of ((await directory.read('private', 'aliases')) ?? '').split('\n')) {
    const trimmed = line.trim();
    const colon = trimmed.indexOf(':');
    if (trimmed === '' || trimmed.startsWith('#') || colon < 0) continue;
    aliases.set(trimmed.slice(0, colon).trim(), trimmed.slice(colon + 1).trim());
  }
  return aliases;
}

/** Adds a line to `private/aliases`. Kinds `exists`, `invalid` (spaces or colons in the name). */
export async function addAlias(directory: NodeDirectory, name: string, cap: string): Promise<void> {
  if (name === '' || /[\s:]/.test(name)) throw usage(`Alias names cannot contain spaces or colons: '${name}'`);
  if ((await readAliases(directory)).has(name)) {
    throw new TahoeError(`Alias '${name}' already exists!`, { kind: 'exists', op: 'cli.alias', subject: name });
  }
  const before = (await directory.read('private', 'aliases')) ?? '';
  const separator = before === '' || before.endsWith('\n') ? '' : '\n';
  await directory.write('private/aliases', `${before}${separator}${name}: ${cap}\n`);
}

/** True if the text begins with a capability or an alias: for `cp`, where anything else is a local file. */
export function isGridPath(text: string): boolean {
  return isCap(text) || aliasOf(text) !== undefined;
}

/** Kinds `not-found` for an alias that nobody defined, `bad-cap`. Without alias: the default one. */
export function parseGridPath(text: string, aliases: Aliases): GridPath {
  const trimmed = text.trim();
  if (isCap(trimmed)) {
    const slash = trimmed.indexOf('/');
    const [cap, rest] = slash < 0 ? [trimmed, ''] : [trimmed.slice(0, slash), trimmed.slice(slash + 1)];
    return gridPath(checkedCap(cap.endsWith(':.') ? cap.slice(0, -2) : cap), rest);
  }
  const alias = aliasOf(trimmed);
  const name = alias ?? DEFAULT_ALIAS;
  const cap = aliases.get(name);
  if (cap === undefined) {
    throw new TahoeError(
      `Unknown alias '${name}': see "tahoe list-aliases", or make it with "tahoe create-alias ${name}".`,
      { kind: 'not-found', op: 'cli.alias', subject: name },
    );
  }
  return gridPath(cap, alias === undefined ? trimmed : trimmed.slice(alias.length + 1));
}

function gridPath(cap: string, rest: string): GridPath {
  const path = rest.split('/').filter((name) => name !== '');
  return { cap, path, endsWithSlash: rest.endsWith('/') };
}

/** Capabilities of later versions pass: the node knows what it can do with them. */
function checkedCap(text: string): string {
  const cap = parseCap(text);
  if (cap.type !== 'unknown' || cap.problem === undefined) return text;
  throw new TahoeError(
    `this is not a whole capability (${cap.problem}): has something of it been cut off or changed?`,
    {
      kind: 'bad-cap',
      op: 'cli.cap',
    },
  );
}

function isCap(text: string): boolean {
  return /^(ro\.|imm\.)?URI:/.test(text.trim());
}

/** What stands before the first colon, unless a slash comes first. */
function aliasOf(text: string): string | undefined {
  return /^([^/:]+):/.exec(text.trim())?.[1];
}

function usage(message: string): TahoeError {
  return new TahoeError(message, { kind: 'invalid', op: 'cli.usage' });
}
