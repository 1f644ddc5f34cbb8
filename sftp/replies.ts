/** Replies of SFTP version 3, each encoded into one buffer with its length field, to be sent with one write. */
import type { FileSystemStatistics } from '../src/vfs/vfs.js';
import { encodeAttributes, type SftpAttributes } from './attributes.js';
import { PacketWriter } from './packet-writer.js';
import {
  extensions,
  messageType,
  packetLengthMax,
  readLengthMax,
  type StatusCode,
  sftpVersion,
  statusCode,
  writeLengthMax,
} from './protocol.js';

export function encodeVersion(): Uint8Array {
  const writer = new PacketWriter(messageType.version, 512).u32(sftpVersion);
  for (const [name, version] of extensions) writer.text(name).text(version);
  return writer.finish();
}

export function encodeStatus(id: number, code: StatusCode, message: string): Uint8Array {
  return new PacketWriter(messageType.status)
    .u32(id)
    .u32(code)
    .text(message.replace(/\p{Surrogate}/gu, '\ufffd'))
    .text('en')
    .finish();
}

export function encodeOk(id: number): Uint8Array {
  return encodeStatus(id, statusCode.ok, 'Success');
}

export function encodeEndOfFile(id: number): Uint8Array {
  return encodeStatus(id, statusCode.eof, 'End of file');
}

export function encodeHandle(id: number, handle: Uint8Array): Uint8Array {
  return new PacketWriter(messageType.handle, 32).u32(id).bytes(handle).finish();
}

export function encodeData(id: number, data: Uint8Array): Uint8Array {
  return new PacketWriter(messageType.data, 13 + data.length).u32(id).bytes(data).finish();
}

export function encodeAttrs(id: number, attributes: SftpAttributes): Uint8Array {
  const writer = new PacketWriter(messageType.attrs, 64).u32(id);
  encodeAttributes(writer, attributes);
  return writer.finish();
}

/** NAME with one name and no attributes, as REALPATH, READLINK and expand-path answer. */
export function encodePathName(id: number, path: string): Uint8Array {
  return new NameReply(id).add(path, path, {}).finish();
}

/** A NAME reply that is filled entry by entry. */
export class NameReply {
  readonly #writer: PacketWriter;
  #count = 0;

  constructor(id: number) {
    this.#writer = new PacketWriter(messageType.name, 1024).u32(id).u32(0);
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#writer.length;
  }

  add(name: string, longName: string, attributes: SftpAttributes): this {
    this.#count++;
    this.#writer.text(name).text(longName);
    encodeAttributes(this.#writer, attributes);
    return this;
  }

  finish(): Uint8Array {
    this.#writer.patchU32(9, this.#count);
    return this.#writer.finish();
  }
}

/** statvfs@openssh.com: block and fragment size are equal, because clients multiply by either. */
export function encodeStatistics(id: number, statistics: FileSystemStatistics): Uint8Array {
  const { blockSizeBytes, blocks, blocksFree, inodes, inodesFree, nameLengthMax } = statistics;
  const fileSystemId = 0x7a05;
  const flagNoSuid = 2;
  const fields = [
    ...[blockSizeBytes, blockSizeBytes, blocks, blocksFree, blocksFree],
    ...[inodes, inodesFree, inodesFree, fileSystemId, flagNoSuid, nameLengthMax],
  ];
  const writer = new PacketWriter(messageType.extendedReply).u32(id);
  for (const field of fields) writer.u64(field);
  return writer.finish();
}

export function encodeLimits(id: number, handlesMax: number): Uint8Array {
  const writer = new PacketWriter(messageType.extendedReply).u32(id);
  return writer.u64(packetLengthMax).u64(readLengthMax).u64(writeLengthMax).u64(handlesMax).finish();
}

/** users-groups-by-id@openssh.com: two lists of names in the order asked, empty where there is none. */
export function encodeOwnerNames(id: number, users: readonly string[], groups: readonly string[]): Uint8Array {
  const writer = new PacketWriter(messageType.extendedReply).u32(id);
  for (const names of [users, groups]) {
    const lengthAt = writer.length;
    writer.u32(0);
    for (const name of names) writer.text(name);
    writer.patchU32(lengthAt, writer.length - lengthAt - 4);
  }
  return writer.finish();
}
