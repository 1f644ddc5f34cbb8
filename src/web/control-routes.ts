/** `/private/`: the running node's own operations, for whoever can read its `private/api_auth_token`. */
import { timingSafeEqual } from 'node:crypto';
import { asTahoeError, describeError, TahoeError } from '../errors/tahoe-error.js';
import { sleep } from '../platform/clock.js';
import type { ConflictChoice } from '../vfs/vfs.js';
import { inodeNamed } from './named-inode.js';
import type { MountRequest, PathState } from './node-control.js';
import { jsonReply, plainReply, type Reply } from './reply.js';
import type { WebContext } from './web-context.js';
import { invalid, readJson, type WebRequest } from './web-request.js';

const BODY_LIMIT_BYTES = 1024 * 1024;
const PROGRESS_INTERVAL_MS = 250;

export async function answerControl(context: WebContext, request: WebRequest): Promise<Reply> {
  if (!isAuthorized(request, context.apiToken)) {
    return plainReply('This needs the token in private/api_auth_token of the node directory.', 401, {
      'WWW-Authenticate': 'tahoe-lafs realm="tahoe-lafs"',
    });
  }
  const { control } = context;
  switch (`${request.method} ${request.segments.slice(1).join('/')}`) {
    case 'GET status':
      return jsonReply(control.status(), 'application/json');
    case 'POST mounts':
      return jsonReply(await control.mount(parseMount(await readJson(request, BODY_LIMIT_BYTES))), 'application/json');
    case 'DELETE mounts':
      await control.unmount(requiredArgument(request, 'mountpoint'));
      return plainReply('unmounted');
    case 'POST sync':
      return syncReply(context, request);
    case 'POST stop':
      control.stop();
      return plainReply('stopping');
    case 'GET state':
      return jsonReply(await describeState(context, request), 'application/json');
    case 'GET receipt':
      return jsonReply(await context.vfs.receipt((await inodeNamed(context, request)).inode), 'application/json');
    case 'GET conflicts':
      return jsonReply(context.vfs.conflicts(), 'application/json');
    case 'POST conflicts':
      await context.vfs.resolveConflict(conflictId(request), conflictChoice(request));
      return plainReply('resolved');
    default:
      throw new TahoeError('there is no such operation under /private/', { kind: 'not-found', op: 'web.control' });
  }
}

function isAuthorized(request: WebRequest, token: string): boolean {
  const expected = Buffer.from(`tahoe-lafs ${token}`);
  const given = Buffer.from(request.headers.authorization ?? '');
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function parseMount(value: unknown): MountRequest {
  const { cap, path, mountpoint, options } = (value ?? {}) as Record<string, unknown>;
  if (typeof cap !== 'string' || typeof mountpoint !== 'string' || !mountpoint.startsWith('/')) {
    throw invalid('a mount needs "cap" and an absolute "mountpoint"');
  }
  return { cap, mountpoint, path: texts(path, 'path'), options: texts(options, 'options') };
}

function texts(value: unknown, name: string): string[] {
  const list: unknown = value ?? [];
  if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  throw invalid(`"${name}" must be a list of texts`);
}

function requiredArgument(request: WebRequest, name: string): string {
  const value = request.query.get(name);
  if (value === null) throw invalid(`the argument ${name}= is missing`);
  return value;
}

async function describeState(context: WebContext, request: WebRequest): Promise<PathState> {
  const { inode, path } = await inodeNamed(context, request);
  const { kind, sizeBytes } = await context.vfs.attributes(inode);
  const { state, reason } = await context.vfs.state(inode);
  return { path: `/${path.join('/')}`, kind, sizeBytes, state, ...(reason === undefined ? {} : { reason }) };
}

function conflictId(request: WebRequest): number {
  const id = Number(requiredArgument(request, 'id'));
  if (!Number.isSafeInteger(id)) throw invalid('id= must be the number of a conflict');
  return id;
}

function conflictChoice(request: WebRequest): ConflictChoice {
  const choice = requiredArgument(request, 'choice');
  if (choice === 'ours' || choice === 'theirs' || choice === 'both') return choice;
  throw invalid('choice= must be ours, theirs or both');
}

/** One JSON line for each step of progress; the last has `done: true`, or `error` and its kind. */
function syncReply(context: WebContext, request: WebRequest): Reply {
  return {
    status: 200,
    headers: { 'Content-Type': 'application/x-ndjson' },
    body: { length: undefined, chunks: syncLines(context, request.signal) },
  };
}

async function* syncLines({ vfs, platform }: WebContext, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const line = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value)}\n`);
  let failure: TahoeError | undefined;
  let finished = false;
  const drained = vfs.drain({ signal }).then(
    () => {
      finished = true;
    },
    (error: unknown) => {
      failure = asTahoeError(error, 'node.sync');
    },
  );
  while (!finished && failure === undefined) {
    yield line({ pending: vfs.status() });
    await Promise.race([drained, sleep(platform.clock, PROGRESS_INTERVAL_MS)]);
  }
  if (failure !== undefined) yield line({ error: describeError(failure), kind: failure.kind, pending: vfs.status() });
  else yield line({ done: true, pending: vfs.status() });
}
