/** Requests of the Linux kernel, decoded (linux/fuse.h, interface 7.28 and later, little-endian machines). Pure. */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Timestamp } from '../src/vfs/vfs.js';
import { opcode, protocolMajor, requestHeaderBytes } from './kernel-constants.js';
import { MessageReader } from './message-reader.js';

export interface RequestHeader {
  readonly opcode: number;
  /** Names the request in its reply; 0 never. */
  readonly unique: number;
  readonly nodeId: number;
  readonly uid: number;
  readonly gid: number;
}

export interface SetAttributesRequest {
  readonly op: 'setAttributes';
  /** Which of the others count: bits of `attributeBit`. */
  readonly valid: number;
  readonly sizeBytes: number;
  readonly accessed: Timestamp;
  readonly modified: Timestamp;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface WriteRequest {
  readonly op: 'write';
  readonly fileId: number;
  readonly offset: number;
  readonly flags: number;
  /** A view of the message. */
  readonly data: Uint8Array;
}

export interface CopyRequest {
  readonly op: 'copyFileRange';
  readonly fileId: number;
  readonly offset: number;
  readonly targetFileId: number;
  readonly targetNodeId: number;
  readonly targetOffset: number;
  readonly length: number;
}

interface ReadRange {
  readonly fileId: number;
  readonly offset: number;
  readonly length: number;
}

export type RequestBody =
  | {
      readonly op: 'init';
      readonly major: number;
      readonly minor: number;
      readonly readAheadBytes: number;
      readonly flags: number;
    }
  | { readonly op: 'lookup' | 'unlink' | 'removeDirectory' | 'removeExtendedAttribute'; readonly name: string }
  | { readonly op: 'forget'; readonly forgets: readonly { readonly nodeId: number; readonly count: number }[] }
  | { readonly op: 'getAttributes' | 'readLink' | 'statistics' | 'destroy' | 'openDirectory' }
  | SetAttributesRequest
  | { readonly op: 'symlink'; readonly name: string; readonly target: string }
  | { readonly op: 'makeNode'; readonly name: string; readonly mode: number; readonly rdev: number }
  | { readonly op: 'makeDirectory'; readonly name: string; readonly mode: number }
  | {
      readonly op: 'rename';
      readonly name: string;
      readonly newParent: number;
      readonly newName: string;
      readonly flags: number;
    }
  | { readonly op: 'link'; readonly oldNodeId: number; readonly name: string }
  | { readonly op: 'open'; readonly flags: number; readonly killSetIds: number }
  | {
      readonly op: 'create';
      readonly name: string;
      readonly mode: number;
      readonly flags: number;
      readonly killSetIds: number;
    }
  | (ReadRange & { readonly op: 'read' | 'readDirectory' | 'readDirectoryPlus' })
  | WriteRequest
  | { readonly op: 'release' | 'releaseDirectory' | 'flush' | 'fsync' | 'fsyncDirectory'; readonly fileId: number }
  | { readonly op: 'setExtendedAttribute'; readonly name: string; readonly value: Uint8Array; readonly flags: number }
  | { readonly op: 'getExtendedAttribute'; readonly name: string; readonly sizeMax: number }
  | { readonly op: 'listExtendedAttributes'; readonly sizeMax: number }
  | { readonly op: 'interrupt'; readonly target: number }
  | (ReadRange & { readonly op: 'fallocate'; readonly mode: number })
  | CopyRequest
  | { readonly op: 'ioctl' }
  | { readonly op: 'unknown' };

/** The fixed part. Kind `protocol` when the message is too short or says another length than it has. */
export function decodeHeader(message: Uint8Array): RequestHeader {
  if (message.length < requestHeaderBytes) {
    throw new TahoeError('a kernel message is shorter than its header', { kind: 'protocol', op: 'mount.decode' });
  }
  const reader = new MessageReader(message, 0);
  if (reader.uint32() !== message.length) {
    throw new TahoeError('a kernel message has another length than it says', { kind: 'protocol', op: 'mount.decode' });
  }
  return {
    opcode: reader.uint32(),
    unique: reader.uint64(),
    nodeId: reader.uint64(),
    uid: reader.uint32(),
    gid: reader.uint32(),
  };
}

/**
 * What follows the header. Nothing but `data` of a WRITE refers to the message afterwards.
 * Kinds `protocol` (short), `invalid` (a name that is not UTF-8), `too-large` (an offset above 2^53 - 1).
 */
export function decodeBody(header: RequestHeader, message: Uint8Array): RequestBody {
  const decode = decoders[header.opcode];
  return decode === undefined ? { op: 'unknown' } : decode(new MessageReader(message, requestHeaderBytes), header);
}

type Decoder = (reader: MessageReader, header: RequestHeader) => RequestBody;

const decoders: Readonly<Record<number, Decoder>> = {
  [opcode.init]: decodeInit,
  [opcode.lookup]: (reader) => ({ op: 'lookup', name: reader.text() }),
  [opcode.forget]: (reader, header) => ({
    op: 'forget',
    forgets: [{ nodeId: header.nodeId, count: reader.uint64() }],
  }),
  [opcode.batchForget]: decodeBatchForget,
  [opcode.getAttributes]: () => ({ op: 'getAttributes' }),
  [opcode.setAttributes]: decodeSetAttributes,
  [opcode.readLink]: () => ({ op: 'readLink' }),
  [opcode.symlink]: (reader) => ({ op: 'symlink', name: reader.text(), target: reader.text() }),
  [opcode.makeNode]: decodeMakeNode,
  [opcode.makeDirectory]: (reader) => {
    const mode = reader.uint32();
    const umask = reader.uint32();
    return { op: 'makeDirectory', mode: mode & ~umask, name: reader.text() };
  },
  [opcode.unlink]: (reader) => ({ op: 'unlink', name: reader.text() }),
  [opcode.removeDirectory]: (reader) => ({ op: 'removeDirectory', name: reader.text() }),
  [opcode.rename]: (reader) => {
    const newParent = reader.uint64();
    return { op: 'rename', newParent, flags: 0, name: reader.text(), newName: reader.text() };
  },
  [opcode.rename2]: (reader) => {
    const newParent = reader.uint64();
    const flags = reader.uint32();
    reader.skip(4);
    return { op: 'rename', newParent, flags, name: reader.text(), newName: reader.text() };
  },
  [opcode.link]: (reader) => ({ op: 'link', oldNodeId: reader.uint64(), name: reader.text() }),
  [opcode.open]: (reader) => ({ op: 'open', flags: reader.uint32(), killSetIds: reader.uint32() }),
  [opcode.create]: (reader) => {
    const flags = reader.uint32();
    const mode = reader.uint32();
    const umask = reader.uint32();
    const killSetIds = reader.uint32();
    return { op: 'create', flags, mode: mode & ~umask, killSetIds, name: reader.text() };
  },
  [opcode.read]: (reader) => ({ op: 'read', ...decodeReadRange(reader) }),
  [opcode.readDirectory]: (reader) => ({ op: 'readDirectory', ...decodeReadRange(reader) }),
  [opcode.readDirectoryPlus]: (reader) => ({ op: 'readDirectoryPlus', ...decodeReadRange(reader) }),
  [opcode.write]: decodeWrite,
  [opcode.statistics]: () => ({ op: 'statistics' }),
  [opcode.release]: (reader) => ({ op: 'release', fileId: reader.uint64() }),
  [opcode.releaseDirectory]: (reader) => ({ op: 'releaseDirectory', fileId: reader.uint64() }),
  [opcode.flush]: (reader) => ({ op: 'flush', fileId: reader.uint64() }),
  [opcode.fsync]: (reader) => ({ op: 'fsync', fileId: reader.uint64() }),
  [opcode.fsyncDirectory]: (reader) => ({ op: 'fsyncDirectory', fileId: reader.uint64() }),
  [opcode.openDirectory]: () => ({ op: 'openDirectory' }),
  [opcode.setExtendedAttribute]: (reader) => {
    const size = reader.uint32();
    const flags = reader.uint32();
    const name = reader.text();
    return { op: 'setExtendedAttribute', name, flags, value: Uint8Array.from(reader.view(size)) };
  },
  [opcode.getExtendedAttribute]: (reader) => {
    const sizeMax = reader.uint32();
    reader.skip(4);
    return { op: 'getExtendedAttribute', sizeMax, name: reader.text() };
  },
  [opcode.listExtendedAttributes]: (reader) => ({ op: 'listExtendedAttributes', sizeMax: reader.uint32() }),
  [opcode.removeExtendedAttribute]: (reader) => ({ op: 'removeExtendedAttribute', name: reader.text() }),
  [opcode.interrupt]: (reader) => ({ op: 'interrupt', target: reader.uint64() }),
  [opcode.destroy]: () => ({ op: 'destroy' }),
  [opcode.ioctl]: () => ({ op: 'ioctl' }),
  [opcode.fallocate]: (reader) => ({
    op: 'fallocate',
    fileId: reader.uint64(),
    offset: reader.uint64(),
    length: reader.uint64(),
    mode: reader.uint32(),
  }),
  [opcode.copyFileRange]: (reader) => ({
    op: 'copyFileRange',
    fileId: reader.uint64(),
    offset: reader.uint64(),
    targetNodeId: reader.uint64(),
    targetFileId: reader.uint64(),
    targetOffset: reader.uint64(),
    length: reader.uint64(),
  }),
};

function decodeInit(reader: MessageReader): RequestBody {
  const major = reader.uint32();
  const minor = reader.uint32();
  if (major !== protocolMajor) return { op: 'init', major, minor, readAheadBytes: 0, flags: 0 };
  return { op: 'init', major, minor, readAheadBytes: reader.uint32(), flags: reader.uint32() };
}

function decodeBatchForget(reader: MessageReader): RequestBody {
  const count = reader.uint32();
  reader.skip(4);
  if (count * 16 > reader.remaining) {
    throw new TahoeError('a list of forgotten inodes is cut off', { kind: 'protocol', op: 'mount.decode' });
  }
  const forgets = Array.from({ length: count }, () => ({ nodeId: reader.uint64(), count: reader.uint64() }));
  return { op: 'forget', forgets };
}

function decodeSetAttributes(reader: MessageReader): RequestBody {
  const valid = reader.uint32();
  reader.skip(4 + 8);
  const sizeBytes = reader.uint64();
  reader.skip(8);
  const accessedSeconds = reader.int64();
  const modifiedSeconds = reader.int64();
  reader.skip(8);
  const accessed = { seconds: accessedSeconds, nanoseconds: reader.uint32() };
  const modified = { seconds: modifiedSeconds, nanoseconds: reader.uint32() };
  reader.skip(4);
  const mode = reader.uint32();
  reader.skip(4);
  return {
    op: 'setAttributes',
    valid,
    sizeBytes,
    accessed,
    modified,
    mode,
    uid: reader.uint32(),
    gid: reader.uint32(),
  };
}

function decodeMakeNode(reader: MessageReader): RequestBody {
  const mode = reader.uint32();
  const rdev = reader.uint32();
  const umask = reader.uint32();
  reader.skip(4);
  return { op: 'makeNode', mode: mode & ~umask, rdev, name: reader.text() };
}

function decodeReadRange(reader: MessageReader): ReadRange {
  return { fileId: reader.uint64(), offset: reader.uint64(), length: reader.uint32() };
}

function decodeWrite(reader: MessageReader): RequestBody {
  const fileId = reader.uint64();
  const offset = reader.uint64();
  const size = reader.uint32();
  const flags = reader.uint32();
  reader.skip(16);
  return { op: 'write', fileId, offset, flags, data: reader.view(size) };
}
