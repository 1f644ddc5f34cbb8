/** POST below `/uri/CAP`: new directories, sets of children, moves (web API spec 5). */
import { TahoeError } from '../errors/tahoe-error.js';
import type { InodeNumber, Location, Vfs } from '../vfs/vfs.js';
import { type Reply, textReply } from './reply.js';
import { checkMayChange, childExists, noSuchChild, type Target, type TreeWalk } from './tree-walk.js';
import { createDirectory, directoryFormat } from './unlinked-routes.js';
import { TEXT_LIMIT_BYTES, type WebContext } from './web-context.js';
import { booleanArgument, invalid, readJson, replaceArgument, type WebRequest, waitsForGrid } from './web-request.js';

export async function answerDirectoryPost(
  context: WebContext,
  request: WebRequest,
  walk: TreeWalk,
  target: Target,
): Promise<Reply> {
  if (request.operation === 'mkdir') return makeDirectoryAt(context, request, walk, target);
  if (target.what === 'missing') throw noSuchChild(target.missing[0] ?? target.name);
  if (target.what === 'cap' || target.attributes.kind !== 'directory') {
    throw invalid(`POST to file: bad t=${request.operation}`);
  }
  const directory = target.attributes.inode;
  switch (request.operation) {
    case 'set_children':
    case 'set-children':
      return setChildren(context.vfs, request, directory);
    case 'delete':
    case 'unlink':
      await context.vfs.detach(directory, nameArgument(request, 'name'));
      await context.vfs.fsyncDirectory(directory);
      return textReply('thing unlinked');
    case 'rename':
      return move(context.vfs, request, directory, directory);
    case 'relink':
      return relink(context.vfs, request, walk, directory);
    default:
      throw invalid(`POST to a directory with bad t=${request.operation}`);
  }
}

/** Path form of mkdir: answers with the capability of the new or the existing directory. */
export async function makeDirectoryAt(
  context: WebContext,
  request: WebRequest,
  walk: TreeWalk,
  target: Target,
): Promise<Reply> {
  const format = directoryFormat(request);
  const { vfs, newDirectory } = context;
  if (target.what === 'cap') throw invalid(`POST to file: bad t=${request.operation}`);
  const name = request.query.get('name');
  if (target.what === 'entry' && name === null) {
    if (target.attributes.kind !== 'directory') throw invalid(`POST to file: bad t=${request.operation}`);
    return answerMade(vfs, request, target.attributes.inode, target.location?.parent);
  }
  const place =
    target.what === 'entry' && name !== null
      ? { parent: target.attributes.inode, name }
      : await walk.linkPlace(target, newDirectory);
  if (name !== null && booleanArgument(request.query, 'replace', true)) {
    return linkNewDirectory(context, request, place, { format, replace: 'always' });
  }
  if (format === 'mdmf') return linkNewDirectory(context, request, place, { format, replace: 'never' });
  const made = walk.hold(await vfs.makeDirectory(place.parent, place.name, newDirectory));
  return answerMade(vfs, request, made.inode, place.parent);
}

async function linkNewDirectory(
  context: WebContext,
  request: WebRequest,
  { parent, name }: Location,
  { format, replace }: { readonly format: 'sdmf' | 'mdmf'; readonly replace: 'always' | 'never' },
): Promise<Reply> {
  const cap = await createDirectory(context, format);
  await context.vfs.linkCap(parent, name, cap, replace);
  await context.vfs.fsyncDirectory(parent, { signal: request.signal });
  return textReply(cap);
}

async function answerMade(
  vfs: Vfs,
  request: WebRequest,
  directory: InodeNumber,
  parent: InodeNumber | undefined,
): Promise<Reply> {
  if (!waitsForGrid(request.query)) return textReply('', 202);
  return textReply(await publishedCap(vfs, directory, parent));
}

/** The capability of a directory, published with its name first if it is new. */
async function publishedCap(vfs: Vfs, directory: InodeNumber, parent: InodeNumber | undefined): Promise<string> {
  if (parent !== undefined) await vfs.fsyncDirectory(parent);
  const cap = await vfs.capOf(directory);
  if (cap === undefined) {
    throw new TahoeError('the new directory is not on the grid yet', { kind: 'busy', op: 'web.mkdir' });
  }
  return cap;
}

/** Links many capabilities at once; one publish for all of them. */
async function setChildren(vfs: Vfs, request: WebRequest, directory: InodeNumber): Promise<Reply> {
  const replace = replaceArgument(request.query);
  const children = parseChildren(await readJson(request, TEXT_LIMIT_BYTES));
  if (replace === 'never') {
    const present = new Set((await vfs.readDirectory(directory)).map((entry) => entry.name));
    const taken = children.find(([name]) => present.has(name.normalize('NFC')));
    if (taken !== undefined) throw childExists(taken[0]);
  }
  for (const [name, cap] of children) await vfs.linkCap(directory, name, cap, replace);
  await vfs.fsyncDirectory(directory, { signal: request.signal });
  return textReply('Okay so I did it.');
}

/** Names and their strongest capabilities of the JSON of web API spec 7.5. Kind `invalid`. */
function parseChildren(value: unknown): [name: string, cap: string][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('the children must be a JSON object');
  }
  return Object.entries(value).map(([name, child]) => {
    const fields: unknown = Array.isArray(child) ? child[1] : undefined;
    const caps = typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : {};
    const cap = caps.rw_uri ?? caps.ro_uri;
    if (typeof cap !== 'string') throw invalid(`the child ${JSON.stringify(name)} has no rw_uri or ro_uri`);
    return [name, cap.trim()];
  });
}

async function relink(vfs: Vfs, request: WebRequest, walk: TreeWalk, directory: InodeNumber): Promise<Reply> {
  const [cap = '', ...path] = (request.query.get('to_dir') ?? '').split('/');
  if (cap === '') return move(vfs, request, directory, directory);
  checkMayChange(cap);
  const target = await walk.find(cap, path);
  if (target.what === 'missing') throw noSuchChild(target.missing[0] ?? target.name);
  if (target.what === 'cap' || target.attributes.kind !== 'directory') throw invalid('to_dir is not a directory');
  return move(vfs, request, directory, target.attributes.inode);
}

async function move(vfs: Vfs, request: WebRequest, from: InodeNumber, to: InodeNumber): Promise<Reply> {
  const name = nameArgument(request, 'from_name');
  const newName = request.query.has('to_name') ? nameArgument(request, 'to_name') : name;
  if (from !== to || name.normalize('NFC') !== newName.normalize('NFC')) {
    const replace = replaceArgument(request.query);
    await vfs.rename(
      { parent: from, name },
      { parent: to, name: newName },
      replace === 'never' ? 'no-replace' : 'replace',
    );
    await vfs.fsyncDirectory(to, { signal: request.signal });
    if (from !== to) await vfs.fsyncDirectory(from, { signal: request.signal });
  }
  return textReply('thing moved');
}

function nameArgument(request: WebRequest, argument: string): string {
  const name = request.query.get(argument);
  if (name === null) throw invalid(`t=${request.operation} requires ${argument}=`);
  if (name.includes('/')) throw invalid(`${argument}= must not contain a slash`);
  return name;
}
