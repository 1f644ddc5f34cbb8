import { asTahoeError, describeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import type { InodeNumber, Vfs } from '../src/vfs/vfs.js';
import { deferred } from './deferred.js';
import { errno, errnoOf } from './errno.js';
import type { FuseDevice } from './fuse-device.js';
import { HandleTable } from './handle-table.js';
import { Invalidator } from './invalidator.js';
import { initFlag, protocolMajor, protocolMinorMin } from './kernel-constants.js';
import type { BodyOf, MountContext, Reply, ServedRequest } from './mount-context.js';
import { NodeTable } from './node-table.js';
import {
  type CacheTimeouts,
  encodeData,
  encodeInit,
  encodeInitVersion,
  encodeStatistics,
  encodeStatus,
} from './reply.js';
import { decodeBody, decodeHeader, type RequestBody, type RequestHeader } from './request.js';
import * as attributes from './serve-attributes.js';
import * as directories from './serve-directories.js';
import * as files from './serve-files.js';
import * as names from './serve-names.js';

export interface OperationsOptions {
  readonly timeouts: CacheTimeouts;
  readonly writeback: boolean;
  readonly log: Logger;
}

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

/** Payloads up to this size are copied out of the request, which frees its large buffer at once. */
const copiedPayloadMax = 65536;

const wantedFlags =
  initFlag.asyncRead |
  initFlag.atomicTruncate |
  initFlag.bigWrites |
  initFlag.dontMask |
  initFlag.readDirectoryPlus |
  initFlag.parallelDirectoryOperations |
  initFlag.maxPages |
  initFlag.cacheSymlinks |
  initFlag.handleKillPrivV2;

const readOnlyOperations: ReadonlySet<RequestBody['op']> = new Set([
  'lookup',
  'forget',
  'getAttributes',
  'readLink',
  'statistics',
  'open',
  'openDirectory',
  'read',
  'readDirectory',
  'readDirectoryPlus',
  'release',
  'releaseDirectory',
  'flush',
  'fsync',
  'fsyncDirectory',
  'getExtendedAttribute',
  'listExtendedAttributes',
  'unknown',
]);

/**
 * Serves the kernel's requests from a Vfs. Every request but FORGET and INTERRUPT gets exactly one reply, whatever
 * happens while it is served.
 */
export class MountOperations {
  /** Resolves with the kernel's protocol version when it has said hello; rejects if that is too old. */
  readonly initialized: Promise<KernelVersion>;

  readonly #device: FuseDevice;
  readonly #context: MountContext;
  readonly #log: Logger;
  readonly #stopWatching: () => void;
  readonly #interruptible = new Map<number, AbortController>();
  readonly #running = new Set<Promise<void>>();
  readonly #init = deferred<KernelVersion>();
  #changes = 0;

  constructor(vfs: Vfs, root: InodeNumber, device: FuseDevice, options: OperationsOptions) {
    this.initialized = this.#init.promise;
    this.initialized.catch(() => undefined); // when the mount ends early nobody may be waiting for it
    this.#device = device;
    this.#log = options.log;
    const nodes = new NodeTable(vfs, root);
    this.#context = {
      ...options,
      vfs,
      nodes,
      handles: new HandleTable(),
      changes: () => this.#changes,
    };
    const invalidator = new Invalidator(device, nodes);
    this.#stopWatching = vfs.watch((change) => {
      this.#changes++;
      invalidator.add(change);
    });
  }

  /** Takes one message of the kernel. The promise, if any, tells how long its bytes are in use. */
  handle(message: Uint8Array): Promise<void> | undefined {
    let header: RequestHeader;
    try {
      header = decodeHeader(message);
    } catch (error) {
      this.#log.error('a message of the kernel cannot be read', { error: describeError(error) });
      return undefined;
    }
    let body: RequestBody;
    try {
      body = decodeBody(header, message);
    } catch (error) {
      this.#device.reply(encodeStatus(header.unique, errnoOf(error)));
      return undefined;
    }
    if (body.op === 'forget') return this.#forget(body);
    if (body.op === 'interrupt') {
      this.#interruptible.get(body.target)?.abort(interrupted());
      return undefined;
    }
    const keepsMessage = body.op === 'write' && body.data.length > copiedPayloadMax;
    if (body.op === 'write' && !keepsMessage) body = { ...body, data: Uint8Array.from(body.data) };
    const served = this.#serve(header, body);
    this.#running.add(served);
    void served.then(() => this.#running.delete(served));
    return keepsMessage ? served : undefined;
  }

  /** After the device is closed: ends what is under way, releases every open file and forgets every inode. */
  async shutdown(): Promise<void> {
    this.#stopWatching();
    this.#init.reject(new TahoeError('the mount ended before it began', { kind: 'closed', op: 'mount.init' }));
    for (const controller of this.#interruptible.values()) controller.abort(interrupted());
    await Promise.all(this.#running);
    for (const file of this.#context.handles.takeAllFiles()) {
      await file.release().catch((error: unknown) => {
        this.#log.error('a file could not be released at the end of the mount', { error: describeError(error) });
      });
    }
    this.#context.nodes.forgetAll();
  }

  async #serve(header: RequestHeader, body: RequestBody): Promise<void> {
    const changes = !readOnlyOperations.has(body.op);
    if (changes) this.#changes++;
    const controller = waits(body) ? new AbortController() : undefined;
    if (controller !== undefined) this.#interruptible.set(header.unique, controller);
    const inode = this.#context.nodes.inodeOf(header.nodeId);
    try {
      const reply = await this.#answer({ ...header, inode, signal: controller?.signal }, body);
      if (reply instanceof Uint8Array) this.#device.reply(reply);
      else this.#device.reply(reply.header, reply.data);
    } catch (error) {
      const number = controller?.signal.aborted ? errno.EINTR : this.#errnoOf(error, body);
      this.#device.reply(encodeStatus(header.unique, number));
    } finally {
      if (controller !== undefined) this.#interruptible.delete(header.unique);
      if (changes) this.#changes++;
    }
  }

  #answer(request: ServedRequest, body: RequestBody): Promise<Reply> | Reply {
    const context = this.#context;
    switch (body.op) {
      case 'lookup':
        return names.serveLookup(context, request, body.name);
      case 'create':
        return names.serveCreate(context, request, body);
      case 'makeDirectory':
        return names.serveMakeDirectory(context, request, body);
      case 'symlink':
        return names.serveSymlink(context, request, body);
      case 'makeNode':
        return names.serveMakeNode(context, request, body);
      case 'rename':
        return names.serveRename(context, request, body);
      case 'link':
        // what link(2) says of file systems without hard links; programs then copy or rename
        return encodeStatus(request.unique, errno.EPERM);
      case 'getAttributes':
        return attributes.serveGetAttributes(context, request);
      case 'setAttributes':
        return attributes.serveSetAttributes(context, request, body);
      case 'getExtendedAttribute':
        return attributes.serveGetExtendedAttribute(context, request, body);
      case 'listExtendedAttributes':
        return attributes.serveListExtendedAttributes(context, request, body);
      case 'setExtendedAttribute':
        return attributes.serveSetExtendedAttribute(context, request, body);
      case 'open':
        return files.serveOpen(context, request, body);
      case 'read':
        return files.serveRead(context, request, body);
      case 'write':
        return files.serveWrite(context, request, body);
      case 'release':
        return files.serveRelease(context, request, body.fileId);
      case 'fallocate':
        return files.serveFallocate(context, request, body);
      case 'copyFileRange':
        return files.serveCopy(context, request, body);
      case 'openDirectory':
        return directories.serveOpenDirectory(context, request);
      case 'readDirectory':
      case 'readDirectoryPlus':
        return directories.serveReadDirectory(context, request, body);
      default:
        return this.#answerShort(request, body);
    }
  }

  async #answerShort(request: ServedRequest, body: RequestBody): Promise<Reply> {
    const { vfs, handles } = this.#context;
    switch (body.op) {
      case 'init':
        return this.#answerInit(request, body);
      case 'unlink':
        await vfs.unlink(request.inode, body.name);
        break;
      case 'removeDirectory':
        await vfs.removeDirectory(request.inode, body.name);
        break;
      case 'removeExtendedAttribute':
        await vfs.removeExtendedAttribute(request.inode, body.name);
        break;
      case 'readLink':
        return asData(request.unique, await vfs.readSymlink(request.inode));
      case 'flush':
        await handles.file(body.fileId).handle.flush();
        break;
      case 'fsync':
        await handles.file(body.fileId).handle.fsync({ signal: request.signal });
        break;
      case 'fsyncDirectory':
        await vfs.fsyncDirectory(request.inode, { signal: request.signal });
        break;
      case 'releaseDirectory':
        handles.removeDirectory(body.fileId);
        break;
      case 'statistics':
        return encodeStatistics(request.unique, await vfs.fileSystemStatistics());
      case 'destroy':
        break;
      case 'ioctl':
        return encodeStatus(request.unique, errno.ENOTTY);
      default:
        return encodeStatus(request.unique, errno.ENOSYS);
    }
    return encodeStatus(request.unique, 0);
  }

  #answerInit(request: ServedRequest, body: BodyOf<'init'>): Reply {
    if (body.major > protocolMajor) return encodeInitVersion(request.unique);
    if (body.major < protocolMajor || body.minor < protocolMinorMin) {
      this.#init.reject(
        new TahoeError(`the kernel speaks FUSE ${body.major}.${body.minor}; 7.${protocolMinorMin} is needed`, {
          kind: 'unsupported',
          op: 'mount.init',
        }),
      );
      return encodeStatus(request.unique, errno.EIO);
    }
    const wanted = this.#context.writeback ? wantedFlags | initFlag.writebackCache : wantedFlags;
    this.#init.resolve({ major: body.major, minor: body.minor });
    return encodeInit(request.unique, { readAheadBytes: body.readAheadBytes, flags: wanted & body.flags });
  }

  #forget(body: BodyOf<'forget'>): undefined {
    try {
      for (const { nodeId, count } of body.forgets) this.#context.nodes.forget(nodeId, count);
    } catch (error) {
      this.#log.error('an inode could not be forgotten', { error: describeError(error) });
    }
  }

  #errnoOf(error: unknown, body: RequestBody): number {
    const failure = asTahoeError(error, `mount.${body.op}`);
    if (failure.kind === 'internal') {
      const stack = error instanceof Error ? error.stack : undefined;
      this.#log.error('a file operation failed for a reason that is a bug', {
        operation: body.op,
        error: describeError(failure),
        stack,
      });
    }
    return errnoOf(failure);
  }
}

function waits(body: RequestBody): boolean {
  return body.op === 'read' || body.op === 'fsync' || body.op === 'fsyncDirectory';
}

function interrupted(): TahoeError {
  return new TahoeError('the program that waited was interrupted', { kind: 'cancelled', op: 'mount' });
}

function asData(unique: number, text: string): Reply {
  return encodeData(unique, Buffer.from(text));
}
