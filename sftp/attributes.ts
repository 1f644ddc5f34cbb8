/** ATTRS of SFTP version 3 (draft section 5) and their translation from and to the attributes of the VFS. */
import { TahoeError } from '../src/errors/tahoe-error.js';
import type { AttributeChanges, Attributes, FileKind, Timestamp } from '../src/vfs/vfs.js';
import type { PacketReader } from './packet-reader.js';
import type { PacketWriter } from './packet-writer.js';
import { attributeFlag } from './protocol.js';

export interface SftpAttributes {
  readonly sizeBytes?: number | undefined;
  readonly ownership?: { readonly uid: number; readonly gid: number } | undefined;
  /** Permission bits, in replies with the type bits of stat(2). */
  readonly permissions?: number | undefined;
  /** Whole seconds since 1970, unsigned 32 bits. */
  readonly times?: { readonly accessed: number; readonly modified: number } | undefined;
  readonly extended?: readonly ExtendedAttribute[] | undefined;
}

export interface ExtendedAttribute {
  readonly type: Uint8Array;
  readonly data: Uint8Array;
}

const fileTypeBits: Readonly<Record<FileKind, number>> = {
  fifo: 0o010000,
  'character-device': 0o020000,
  directory: 0o040000,
  'block-device': 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

const extendedMax = 256;

/** Kind `protocol` for fields that are cut off, flags outside version 3, or more than 256 extended pairs. */
export function decodeAttributes(reader: PacketReader): SftpAttributes {
  const flags = reader.u32();
  const known =
    attributeFlag.size +
    attributeFlag.ownership +
    attributeFlag.permissions +
    attributeFlag.times +
    attributeFlag.extended;
  if ((flags & ~known) !== 0) {
    throw new TahoeError(`unknown SFTP attribute flags ${flags.toString(16)}`, { kind: 'protocol', op: 'sftp.decode' });
  }
  const has = (flag: number) => (flags & flag) !== 0;
  return {
    sizeBytes: has(attributeFlag.size) ? reader.u64() : undefined,
    ownership: has(attributeFlag.ownership) ? { uid: reader.u32(), gid: reader.u32() } : undefined,
    permissions: has(attributeFlag.permissions) ? reader.u32() : undefined,
    times: has(attributeFlag.times) ? { accessed: reader.u32(), modified: reader.u32() } : undefined,
    extended: has(attributeFlag.extended) ? decodeExtended(reader) : undefined,
  };
}

function decodeExtended(reader: PacketReader): readonly ExtendedAttribute[] {
  const count = reader.u32();
  if (count > extendedMax) {
    throw new TahoeError(`${count} extended SFTP attributes`, { kind: 'protocol', op: 'sftp.decode' });
  }
  return Array.from({ length: count }, () => ({ type: reader.bytes(), data: reader.bytes() }));
}

export function encodeAttributes(writer: PacketWriter, attributes: SftpAttributes): void {
  const { sizeBytes, ownership, permissions, times, extended } = attributes;
  writer.u32(
    (sizeBytes === undefined ? 0 : attributeFlag.size) +
      (ownership === undefined ? 0 : attributeFlag.ownership) +
      (permissions === undefined ? 0 : attributeFlag.permissions) +
      (times === undefined ? 0 : attributeFlag.times) +
      (extended === undefined ? 0 : attributeFlag.extended),
  );
  if (sizeBytes !== undefined) writer.u64(sizeBytes);
  if (ownership !== undefined) writer.u32(ownership.uid).u32(ownership.gid);
  if (permissions !== undefined) writer.u32(permissions);
  if (times !== undefined) writer.u32(times.accessed).u32(times.modified);
  if (extended === undefined) return;
  writer.u32(extended.length);
  for (const pair of extended) writer.bytes(pair.type).bytes(pair.data);
}

/** What a reply says of a file: everything that version 3 can express. */
export function sftpAttributes(attributes: Attributes): SftpAttributes {
  return {
    sizeBytes: attributes.sizeBytes,
    ownership: { uid: attributes.uid, gid: attributes.gid },
    permissions: fileTypeBits[attributes.kind] + attributes.mode,
    times: { accessed: wireSeconds(attributes.accessed), modified: wireSeconds(attributes.modified) },
  };
}

/** What a SETSTAT asks for. Extended pairs mean nothing here and are ignored, as the draft allows. */
export function attributeChanges(attributes: SftpAttributes): AttributeChanges {
  const { sizeBytes, ownership, permissions, times } = attributes;
  return {
    sizeBytes,
    mode: permissions === undefined ? undefined : permissions & 0o7777,
    uid: ownership?.uid,
    gid: ownership?.gid,
    accessed: times === undefined ? undefined : { seconds: times.accessed, nanoseconds: 0 },
    modified: times === undefined ? undefined : { seconds: times.modified, nanoseconds: 0 },
  };
}

/** Version 3 has unsigned 32-bit seconds: times before 1970 become 1970, times after 2106 the last second. */
function wireSeconds(time: Timestamp): number {
  return Math.min(Math.max(Math.floor(time.seconds), 0), 0xffff_ffff);
}
