/** Replies and notifications to the Linux kernel, encoded (linux/fuse.h, little-endian). Pure. */
import type { Attributes, FileSystemStatistics, Timestamp } from '../src/vfs/vfs.js';
import {
  fileType,
  notifyCode,
  protocolMajor,
  protocolMinor,
  replyHeaderBytes,
  writeBytesMax,
} from './kernel-constants.js';

const attributesBytes = 88;
const entryBytes = 40 + attributesBytes;
const openBytes = 16;
const directoryEntryBytes = 24;
/** st_blksize: what programs take as the size of their buffers. */
const preferredBlockBytes = 131072;

export interface CacheTimeouts {
  readonly entryMs: number;
  readonly attributesMs: number;
}

/** A reply without data; `errno` 0 for success. */
export function encodeStatus(unique: number, errno: number): Uint8Array {
  return newMessage(unique, 0, errno);
}

/** The header of a reply whose `length` bytes of data follow in the same write. */
export function encodeDataHeader(unique: number, length: number): Uint8Array {
  const message = newMessage(unique, 0, 0);
  message.writeUInt32LE(replyHeaderBytes + length, 0);
  return message;
}

export function encodeData(unique: number, data: Uint8Array): Uint8Array {
  const message = newMessage(unique, data.length, 0);
  message.set(data, replyHeaderBytes);
  return message;
}

/** `attributes` undefined: the name does not exist, and the kernel may remember that. */
export function encodeEntry(
  unique: number,
  nodeId: number,
  attributes: Attributes | undefined,
  timeouts: CacheTimeouts,
): Uint8Array {
  const message = newMessage(unique, entryBytes, 0);
  putEntry(message, replyHeaderBytes, nodeId, attributes, timeouts);
  return message;
}

export function encodeAttributes(unique: number, attributes: Attributes, timeouts: CacheTimeouts): Uint8Array {
  const message = newMessage(unique, 16 + attributesBytes, 0);
  putUint64(message, replyHeaderBytes, Math.floor(timeouts.attributesMs / 1000));
  message.writeUInt32LE((timeouts.attributesMs % 1000) * 1_000_000, replyHeaderBytes + 8);
  putAttributes(message, replyHeaderBytes + 16, attributes);
  return message;
}

export function encodeOpen(unique: number, fileId: number, flags: number): Uint8Array {
  const message = newMessage(unique, openBytes, 0);
  putOpen(message, replyHeaderBytes, fileId, flags);
  return message;
}

export function encodeCreate(
  unique: number,
  nodeId: number,
  attributes: Attributes,
  timeouts: CacheTimeouts,
  fileId: number,
): Uint8Array {
  const message = newMessage(unique, entryBytes + openBytes, 0);
  putEntry(message, replyHeaderBytes, nodeId, attributes, timeouts);
  putOpen(message, replyHeaderBytes + entryBytes, fileId, 0);
  return message;
}

/** Of WRITE and COPY_FILE_RANGE, and of GETXATTR and LISTXATTR asked for the size only. */
export function encodeSize(unique: number, size: number): Uint8Array {
  const message = newMessage(unique, 8, 0);
  message.writeUInt32LE(size, replyHeaderBytes);
  return message;
}

export function encodeStatistics(unique: number, statistics: FileSystemStatistics): Uint8Array {
  const message = newMessage(unique, 80, 0);
  putUint64(message, 16, statistics.blocks);
  putUint64(message, 24, statistics.blocksFree);
  putUint64(message, 32, statistics.blocksFree);
  putUint64(message, 40, statistics.inodes);
  putUint64(message, 48, statistics.inodesFree);
  message.writeUInt32LE(statistics.blockSizeBytes, 56);
  message.writeUInt32LE(statistics.nameLengthMax, 60);
  message.writeUInt32LE(statistics.blockSizeBytes, 64);
  return message;
}

export interface InitReply {
  readonly readAheadBytes: number;
  readonly flags: number;
}

export function encodeInit(unique: number, init: InitReply): Uint8Array {
  const message = newMessage(unique, 64, 0);
  message.writeUInt32LE(protocolMajor, 16);
  message.writeUInt32LE(protocolMinor, 20);
  message.writeUInt32LE(init.readAheadBytes, 24);
  message.writeUInt32LE(init.flags >>> 0, 28);
  message.writeUInt16LE(64, 32); // requests in the background, such as read-ahead
  message.writeUInt16LE(48, 34); // from here on the kernel calls it congested
  message.writeUInt32LE(writeBytesMax, 36);
  message.writeUInt32LE(1, 40); // times are exact to one nanosecond
  message.writeUInt16LE(writeBytesMax / 4096, 44);
  return message;
}

/** Only the version: the kernel asks again with the major version it is told. */
export function encodeInitVersion(unique: number): Uint8Array {
  const message = newMessage(unique, 64, 0);
  message.writeUInt32LE(protocolMajor, 16);
  message.writeUInt32LE(protocolMinor, 20);
  return message;
}

/** Tells the kernel to drop attributes, and with `content` also pages, of an inode. Write it asynchronously only. */
export function encodeInvalidateInode(nodeId: number, content: boolean): Uint8Array {
  const message = newMessage(0, 24, 0);
  message.writeInt32LE(notifyCode.invalidateInode, 4);
  putUint64(message, 16, nodeId);
  message.writeBigInt64LE(content ? 0n : -1n, 24);
  return message;
}

/** Tells the kernel to look a name up again. Write it asynchronously only. */
export function encodeInvalidateEntry(parentNodeId: number, name: string): Uint8Array {
  const nameBytes = Buffer.byteLength(name);
  const message = newMessage(0, 16 + nameBytes + 1, 0);
  message.writeInt32LE(notifyCode.invalidateEntry, 4);
  putUint64(message, 16, parentNodeId);
  message.writeUInt32LE(nameBytes, 24);
  message.write(name, 32);
  return message;
}

/** One reply to READDIR or READDIRPLUS, filled until the kernel's buffer is full. */
export class DirectoryPage {
  readonly #message: Buffer;
  readonly #plus: boolean;
  #at = replyHeaderBytes;

  constructor(unique: number, sizeMax: number, plus: boolean) {
    this.#message = newMessage(unique, Math.min(sizeMax, writeBytesMax), 0);
    this.#plus = plus;
  }

  /**
   * Adds an entry, `offset` being where the next read goes on, and returns whether there was room. In a page of kind
   * plus, `nodeId` 0 says that nothing was looked up.
   */
  add(
    name: string,
    attributes: Pick<Attributes, 'inode' | 'kind'>,
    offset: number,
    looked?: { readonly nodeId: number; readonly attributes: Attributes; readonly timeouts: CacheTimeouts },
  ): boolean {
    const nameBytes = Buffer.byteLength(name);
    const prefix = this.#plus ? entryBytes : 0;
    const size = Math.ceil((prefix + directoryEntryBytes + nameBytes) / 8) * 8;
    if (this.#at + size > this.#message.length) return false;
    if (looked !== undefined && this.#plus) {
      putEntry(this.#message, this.#at, looked.nodeId, looked.attributes, looked.timeouts);
    }
    const at = this.#at + prefix;
    putUint64(this.#message, at, attributes.inode);
    putUint64(this.#message, at + 8, offset);
    this.#message.writeUInt32LE(nameBytes, at + 16);
    this.#message.writeUInt32LE(fileType[attributes.kind] >>> 12, at + 20);
    this.#message.write(name, at + directoryEntryBytes);
    this.#at += size;
    return true;
  }

  /** The message; empty of entries at the end of the directory. */
  finish(): Uint8Array {
    this.#message.writeUInt32LE(this.#at, 0);
    return this.#message.subarray(0, this.#at);
  }
}

function newMessage(unique: number, bodyBytes: number, errno: number): Buffer {
  const message = Buffer.alloc(replyHeaderBytes + bodyBytes);
  message.writeUInt32LE(message.length, 0);
  message.writeInt32LE(-errno, 4);
  putUint64(message, 8, unique);
  return message;
}

function putEntry(
  message: Buffer,
  at: number,
  nodeId: number,
  attributes: Attributes | undefined,
  timeouts: CacheTimeouts,
): void {
  putUint64(message, at, nodeId);
  putUint64(message, at + 16, Math.floor(timeouts.entryMs / 1000));
  putUint64(message, at + 24, Math.floor(timeouts.attributesMs / 1000));
  message.writeUInt32LE((timeouts.entryMs % 1000) * 1_000_000, at + 32);
  message.writeUInt32LE((timeouts.attributesMs % 1000) * 1_000_000, at + 36);
  if (attributes !== undefined) putAttributes(message, at + 40, attributes);
}

function putOpen(message: Buffer, at: number, fileId: number, flags: number): void {
  putUint64(message, at, fileId);
  message.writeUInt32LE(flags, at + 8);
}

function putAttributes(message: Buffer, at: number, attributes: Attributes): void {
  putUint64(message, at, attributes.inode);
  putUint64(message, at + 8, attributes.sizeBytes);
  putUint64(message, at + 16, Math.ceil(attributes.sizeBytes / 512));
  putTime(message, at + 24, at + 48, attributes.accessed);
  putTime(message, at + 32, at + 52, attributes.modified);
  putTime(message, at + 40, at + 56, attributes.changed);
  message.writeUInt32LE((fileType[attributes.kind] | attributes.mode) >>> 0, at + 60);
  message.writeUInt32LE(attributes.links, at + 64);
  message.writeUInt32LE(attributes.uid, at + 68);
  message.writeUInt32LE(attributes.gid, at + 72);
  message.writeUInt32LE(attributes.rdev, at + 76);
  message.writeUInt32LE(preferredBlockBytes, at + 80);
}

function putTime(message: Buffer, secondsAt: number, nanosecondsAt: number, time: Timestamp): void {
  message.writeInt32LE(Math.floor(time.seconds / 2 ** 32), secondsAt + 4);
  message.writeUInt32LE(time.seconds >>> 0, secondsAt);
  message.writeUInt32LE(time.nanoseconds, nanosecondsAt);
}

function putUint64(message: Buffer, at: number, value: number): void {
  message.writeUInt32LE(value >>> 0, at);
  message.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}
