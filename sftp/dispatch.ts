/** Which operation answers a request, and what it claims (see RequestOrder). */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { SftpAttributes } from './attributes.js';
import * as files from './file-operations.js';
import { HandleTable } from './handle-table.js';
import * as names from './name-operations.js';
import { decodePath } from './path-resolver.js';
import { openFlag } from './protocol.js';
import { encodeLimits, encodeOwnerNames, encodePathName, encodeStatistics } from './replies.js';
import type { Claim, HandleClaim } from './request-order.js';
import type { NumberedRequest } from './requests.js';
import type { SessionContext } from './session-context.js';

export interface Operation {
  readonly claim: Claim;
  /** The encoded reply; rejects with what becomes the status. */
  readonly perform: () => Promise<Uint8Array>;
}

/** Throws what the answer is if nothing needs to be done: a handle that is not open, a path that cannot be. */
export function operationFor(context: SessionContext, request: NumberedRequest): Operation {
  const { id } = request;
  switch (request.type) {
    case 'open': {
      const path = decodePath(request.path);
      const access = (request.flags & (openFlag.create | openFlag.truncate)) === 0 ? 'look' : 'change';
      const { flags, attributes } = request;
      return byName(path, access, () => files.open(context, { id, path, flags, attributes }));
    }
    case 'stat':
    case 'lstat': {
      const path = decodePath(request.path);
      const finalLink = request.type === 'stat' ? 'follow' : 'keep';
      return byName(path, 'look', () => names.stat(context, id, path, finalLink));
    }
    case 'setstat':
    case 'lsetstat': {
      const path = decodePath(request.path);
      const finalLink = request.type === 'setstat' ? setStatLink(request.attributes) : 'keep';
      return byName(path, 'change', () => names.setStat(context, id, path, request.attributes, finalLink));
    }
    case 'opendir': {
      const path = decodePath(request.path);
      return byName(path, 'look', () => names.openDirectory(context, id, path));
    }
    case 'mkdir': {
      const path = decodePath(request.path);
      return byName(path, 'change', () => names.makeDirectory(context, id, path, request.attributes));
    }
    case 'rmdir': {
      const path = decodePath(request.path);
      return byName(path, 'change', () => names.removeDirectory(context, id, path));
    }
    case 'remove': {
      const path = decodePath(request.path);
      return byName(path, 'change', () => names.remove(context, id, path));
    }
    case 'readlink': {
      const path = decodePath(request.path);
      return byName(path, 'look', () => names.readLink(context, id, path));
    }
    case 'symlink': {
      const path = decodePath(request.path);
      return byName(path, 'change', () => names.makeSymlink(context, id, request.target, path));
    }
    case 'rename':
    case 'posix-rename': {
      const [from, to] = [decodePath(request.from), decodePath(request.to)];
      const mode = request.type === 'rename' ? 'no-replace' : 'replace';
      const { claim, perform } = byName(from, 'change', () => names.rename(context, id, from, to, mode));
      return { claim: { ...claim, also: { path: { name: to, access: 'change' } } }, perform };
    }
    case 'statvfs': {
      const path = decodePath(request.path);
      return byName(path, 'look', () => names.statistics(context, id, path));
    }
    case 'realpath': {
      const path = decodePath(request.path);
      return free(() => encodePathName(id, path));
    }
    case 'expand-path': {
      const path = names.expandHome(decodePath(request.path));
      return free(() => encodePathName(id, path));
    }
    case 'limits':
      return free(() => encodeLimits(id, HandleTable.sizeMax));
    case 'users-groups-by-id': {
      const users = request.uids.map((uid) => context.names.user(uid) ?? '');
      const groups = request.gids.map((gid) => context.names.group(gid) ?? '');
      return free(() => encodeOwnerNames(id, users, groups));
    }
    case 'hardlink':
      throw unsupported('there are no hard links');
    case 'unknown-extension':
      throw unsupported('unknown extension');
    case 'unknown':
      throw unsupported('unknown request');
    default:
      return handleOperation(context, request);
  }
}

/**
 * Sizes and permissions are the target's, as in OpenSSH: a link has none. Times and owner alone are the link's own: sshfs
 * has no other request for them, and sends it only when a program means the link (rsync -a, cp -a, tar). Following would
 * give the file that a link leads to the link's times.
 */
function setStatLink({ sizeBytes, permissions }: SftpAttributes): names.FinalLink {
  return sizeBytes === undefined && permissions === undefined ? 'keep' : 'follow';
}

type HandleRequest = Extract<
  NumberedRequest,
  { type: 'close' | 'read' | 'write' | 'fstat' | 'fsetstat' | 'readdir' | 'fsync' | 'fstatvfs' | 'copy-data' }
>;

function handleOperation(context: SessionContext, request: HandleRequest): Operation {
  const { id } = request;
  const claimOf = (handle: Uint8Array, access: HandleClaim['access']): Claim => {
    const object = context.handles.get(handle);
    return { handle: { object, path: object.path, access } };
  };
  if (request.type === 'copy-data') {
    const claim = { ...claimOf(request.from, 'transfer'), also: claimOf(request.to, 'exclusive') };
    return { claim, perform: () => files.copy(context, request) };
  }
  const { handle } = request;
  switch (request.type) {
    case 'read': {
      const { offset, length } = request;
      return { claim: claimOf(handle, 'transfer'), perform: () => files.read(context, id, handle, offset, length) };
    }
    case 'write': {
      const { offset, data } = request;
      return { claim: claimOf(handle, 'write'), perform: () => files.write(context, id, handle, offset, data) };
    }
    case 'close':
      return { claim: claimOf(handle, 'exclusive'), perform: () => files.close(context, id, handle) };
    case 'fstat':
      return { claim: claimOf(handle, 'look'), perform: () => files.handleStat(context, id, handle) };
    case 'fsetstat': {
      const { attributes } = request;
      const perform = () => files.setHandleStat(context, id, handle, attributes);
      return { claim: claimOf(handle, 'exclusive'), perform };
    }
    case 'readdir':
      return { claim: claimOf(handle, 'exclusive'), perform: () => names.readDirectory(context, id, handle) };
    case 'fsync':
      return { claim: claimOf(handle, 'transfer'), perform: () => files.sync(context, id, handle) };
    case 'fstatvfs': {
      const perform = async () => encodeStatistics(id, await context.vfs.fileSystemStatistics());
      return { claim: claimOf(handle, 'look'), perform };
    }
  }
}

function byName(name: string, access: 'look' | 'change', perform: () => Promise<Uint8Array>): Operation {
  return { claim: { path: { name, access } }, perform };
}

function free(reply: () => Uint8Array): Operation {
  return { claim: {}, perform: async () => reply() };
}

function unsupported(message: string): TahoeError {
  return new TahoeError(message, { kind: 'unsupported', op: 'sftp.request' });
}
