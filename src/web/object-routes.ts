/** `/uri/CAP[/path]`: reading, writing, linking and unlinking what a capability and a path name (web API spec 4, 5). */

import { isMutableFile, isWriteable, parseCap, readCapOf, serializeCap } from '../caps/cap.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { InodeNumber } from '../vfs/vfs.js';
import { contentsOfCap, contentsOfInode } from './contents.js';
import { answerDirectoryPost, makeDirectoryAt } from './directory-routes.js';
import { answerContents, etagHeader, notModified } from './download-routes.js';
import { type CapOf, describeCap, describeEntry, type ObjectJson } from './object-json.js';
import { jsonReply, plainReply, type Reply, textReply } from './reply.js';
import { checkMayChange, childExists, noSuchChild, type Target, TreeWalk } from './tree-walk.js';
import { storeUnlinked, unsupported } from './unlinked-routes.js';
import { MUTABLE_LIMIT_BYTES, TEXT_LIMIT_BYTES, type WebContext } from './web-context.js';
import {
  invalid,
  offsetArgument,
  readBytes,
  readText,
  replaceArgument,
  type WebRequest,
  waitsForGrid,
} from './web-request.js';

export async function answerObject(context: WebContext, request: WebRequest): Promise<Reply> {
  const walk = new TreeWalk(context.vfs);
  try {
    const [, cap = '', ...path] = request.segments;
    if (request.method !== 'GET' && request.method !== 'HEAD') checkMayChange(cap);
    return await answerTarget(context, request, walk, await walk.find(cap, path));
  } finally {
    walk.release();
  }
}

function answerTarget(context: WebContext, request: WebRequest, walk: TreeWalk, target: Target): Promise<Reply> {
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      if (target.what === 'missing') throw noSuchChild(target.missing[0] ?? target.name);
      return target.what === 'cap' ? readCap(context, request, target.cap) : readEntry(context, request, target);
    case 'PUT':
      return put(context, request, walk, target);
    case 'POST':
      return answerDirectoryPost(context, request, walk, target);
    case 'DELETE':
      return remove(context, target);
    default:
      throw unsupported(`the method ${request.method} is not known here`);
  }
}

async function readCap(context: WebContext, request: WebRequest, cap: string): Promise<Reply> {
  const fresh = notModified(request, cap);
  if (fresh !== undefined) return fresh;
  if (request.operation !== '') return describe(request, cap, () => describeFile(context, cap));
  return answerContents(request, await contentsOfCap(context.grid, cap), cap);
}

/** A mutable file is asked for its size; without shares it has none. */
async function describeFile({ grid }: WebContext, text: string): Promise<ObjectJson> {
  if (!isMutableFile(parseCap(text))) return describeCap(text);
  try {
    return describeCap(text, (await grid.openMutable(text)).sizeBytes);
  } catch (error) {
    if (isTahoeError(error, 'unrecoverable')) return describeCap(text);
    throw error;
  }
}

async function readEntry(
  context: WebContext,
  request: WebRequest,
  target: Target & { readonly what: 'entry' },
): Promise<Reply> {
  const { attributes, location } = target;
  const { vfs } = context;
  const capOf: CapOf = (inode) => vfs.capOf(inode);
  const cap = await capOf(attributes.inode);
  const fresh = notModified(request, cap);
  if (fresh !== undefined) return fresh;
  if (request.operation !== '') {
    return describe(request, cap, () => describeEntry(vfs, capOf, attributes, location !== undefined));
  }
  if (attributes.kind !== 'directory') return answerContents(request, await contentsOfInode(vfs, attributes), cap);
  if (request.method === 'HEAD') return plainReply('');
  const names = (await vfs.readDirectory(attributes.inode)).map((entry) => entry.name);
  return plainReply(names.map((name) => `${name}\n`).join(''));
}

/** `t=json`, `t=uri` and `t=readonly-uri`. `cap` is undefined while nothing of the object is on the grid. */
async function describe(request: WebRequest, cap: string | undefined, json: () => Promise<unknown>): Promise<Reply> {
  const { operation, method } = request;
  if (method === 'HEAD') throw invalid(`HEAD takes no t= argument: t=${operation}`);
  const headers = etagHeader(cap, operation);
  if (operation === 'json') return jsonReply(await json(), 'text/plain', headers);
  if (operation !== 'uri' && operation !== 'readonly-uri') throw invalid(`GET: bad t=${operation}`);
  if (cap === undefined) {
    throw new TahoeError('this file is not on the grid yet: it has no capability. Wait for: tahoe sync', {
      kind: 'busy',
      op: 'web.read',
    });
  }
  const parsed = parseCap(cap);
  const read = operation === 'uri' ? parsed : readCapOf(parsed);
  return plainReply(read === undefined ? cap : serializeCap(read), 200, headers);
}

function put(context: WebContext, request: WebRequest, walk: TreeWalk, target: Target): Promise<Reply> {
  switch (request.operation) {
    case '':
      return putContents(context, request, walk, target);
    case 'uri':
      return putCap(context, request, walk, target);
    case 'mkdir':
      return makeDirectoryAt(context, request, walk, target);
    default:
      throw invalid(`PUT: bad t=${request.operation}`);
  }
}

async function putContents(context: WebContext, request: WebRequest, walk: TreeWalk, target: Target): Promise<Reply> {
  if (target.what === 'cap') return overwriteCap(context, request, target.cap);
  if (target.what === 'entry') {
    const { attributes, location } = target;
    if (attributes.kind === 'directory' || location === undefined) throw invalid('PUT to a directory');
    if (replaceArgument(request.query) === 'never') throw childExists(location.name);
    const cap = await context.vfs.capOf(attributes.inode);
    if (cap !== undefined && isMutableFile(parseCap(cap))) return overwriteCap(context, request, cap);
  }
  if (request.query.has('offset')) throw invalid('offset= is for mutable files that exist');
  const { parent, name } = await walk.linkPlace(target, context.newDirectory);
  if (!waitsForGrid(request.query)) return journalContents(context, request, parent, name);
  const cap = await storeUnlinked(context, request);
  await context.vfs.linkCap(parent, name, cap, replaceArgument(request.query));
  await context.vfs.fsyncDirectory(parent, { signal: request.signal });
  return textReply(cap, target.what === 'entry' ? 200 : 201);
}

/** Answers without a capability: the file has none before its upload. */
async function journalContents(
  { vfs, newDirectory }: WebContext,
  request: WebRequest,
  parent: InodeNumber,
  name: string,
): Promise<Reply> {
  const node = { ...newDirectory, mode: newDirectory.mode & 0o666 };
  const { handle } = await vfs.create(parent, name, node, { read: false, write: true, truncate: true });
  try {
    let offset = 0;
    for await (const part of request.body) {
      await handle.write(offset, part);
      offset += part.length;
    }
    await handle.flush();
  } finally {
    await handle.release();
  }
  return textReply('', 202);
}

/** A mutable file keeps its capability: everyone who holds it sees the new contents, or the new part from `offset=` on. */
async function overwriteCap({ grid }: WebContext, request: WebRequest, text: string): Promise<Reply> {
  const cap = parseCap(text);
  if (!isMutableFile(cap)) throw invalid('PUT to an immutable file: store a new one with PUT /uri');
  if (!isWriteable(cap)) throw invalid('PUT to a mutable file needs its write capability');
  const offset = offsetArgument(request.query);
  const content = await readBytes(request, MUTABLE_LIMIT_BYTES);
  if (offset === undefined) await grid.overwriteMutable(text, content);
  else await grid.updateMutable(text, offset, content);
  return textReply(text);
}

async function putCap(context: WebContext, request: WebRequest, walk: TreeWalk, target: Target): Promise<Reply> {
  const cap = (await readText(request, TEXT_LIMIT_BYTES)).trim();
  const { parent, name } = await walk.linkPlace(target, context.newDirectory);
  await context.vfs.linkCap(parent, name, cap, replaceArgument(request.query));
  if (waitsForGrid(request.query)) await context.vfs.fsyncDirectory(parent, { signal: request.signal });
  return textReply(cap);
}

async function remove(context: WebContext, target: Target): Promise<Reply> {
  if (target.what === 'missing') throw noSuchChild(target.missing[0] ?? target.name);
  if (target.what === 'cap' || target.location === undefined) {
    throw invalid('DELETE needs the path of an entry in a directory: a capability alone cannot be deleted');
  }
  const { parent, name } = target.location;
  const cap = await context.vfs.detach(parent, name);
  await context.vfs.fsyncDirectory(parent);
  return textReply(cap ?? '');
}
