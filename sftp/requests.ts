/** Requests of SFTP version 3 as values. Paths and handles stay bytes: whether they mean anything is not the codec's business. */
import { decodeAttributes, type SftpAttributes } from './attributes.js';
import { decodeExtendedRequest, type ExtendedRequest } from './extended-requests.js';
import { PacketReader } from './packet-reader.js';
import { messageType, packetLengthMax } from './protocol.js';

export type Request =
  | { readonly type: 'init'; readonly version: number }
  | {
      readonly type: 'open';
      readonly id: number;
      readonly path: Uint8Array;
      /** Bits of `openFlag`. */
      readonly flags: number;
      readonly attributes: SftpAttributes;
    }
  | { readonly type: 'close' | 'fstat' | 'readdir'; readonly id: number; readonly handle: Uint8Array }
  | {
      readonly type: 'read';
      readonly id: number;
      readonly handle: Uint8Array;
      readonly offset: number;
      readonly length: number;
    }
  | {
      readonly type: 'write';
      readonly id: number;
      readonly handle: Uint8Array;
      readonly offset: number;
      readonly data: Uint8Array;
    }
  | {
      readonly type: 'stat' | 'lstat' | 'opendir' | 'remove' | 'rmdir' | 'realpath' | 'readlink';
      readonly id: number;
      readonly path: Uint8Array;
    }
  | {
      readonly type: 'setstat' | 'mkdir';
      readonly id: number;
      readonly path: Uint8Array;
      readonly attributes: SftpAttributes;
    }
  | {
      readonly type: 'fsetstat';
      readonly id: number;
      readonly handle: Uint8Array;
      readonly attributes: SftpAttributes;
    }
  | { readonly type: 'rename'; readonly id: number; readonly from: Uint8Array; readonly to: Uint8Array }
  /** In the order that OpenSSH put on the wire and everybody follows: the target first, against the draft. */
  | { readonly type: 'symlink'; readonly id: number; readonly target: Uint8Array; readonly path: Uint8Array }
  | ExtendedRequest
  /** A message type outside version 3. */
  | { readonly type: 'unknown'; readonly id: number; readonly messageType: number };

/** Requests that have an answer with their number: all but INIT. */
export type NumberedRequest = Exclude<Request, { type: 'init' }>;

/**
 * Decodes one packet (without its length field). Byte fields are views of it. Bytes after the last field are ignored,
 * as in OpenSSH. Kind `protocol` if it is malformed.
 */
export function decodeRequest(packet: Uint8Array): Request {
  const reader = new PacketReader(packet);
  const type = reader.u8();
  if (type === messageType.init) return { type: 'init', version: reader.u32() };
  const id = reader.u32();
  switch (type) {
    case messageType.open:
      return { type: 'open', id, path: reader.bytes(), flags: reader.u32(), attributes: decodeAttributes(reader) };
    case messageType.close:
      return { type: 'close', id, handle: reader.bytes() };
    case messageType.read:
      return { type: 'read', id, handle: reader.bytes(), offset: reader.u64(), length: reader.u32() };
    case messageType.write:
      return { type: 'write', id, handle: reader.bytes(), offset: reader.u64(), data: reader.bytes() };
    case messageType.lstat:
      return { type: 'lstat', id, path: reader.bytes() };
    case messageType.fstat:
      return { type: 'fstat', id, handle: reader.bytes() };
    case messageType.setstat:
      return { type: 'setstat', id, path: reader.bytes(), attributes: decodeAttributes(reader) };
    case messageType.fsetstat:
      return { type: 'fsetstat', id, handle: reader.bytes(), attributes: decodeAttributes(reader) };
    case messageType.opendir:
      return { type: 'opendir', id, path: reader.bytes() };
    case messageType.readdir:
      return { type: 'readdir', id, handle: reader.bytes() };
    case messageType.remove:
      return { type: 'remove', id, path: reader.bytes() };
    case messageType.mkdir:
      return { type: 'mkdir', id, path: reader.bytes(), attributes: decodeAttributes(reader) };
    case messageType.rmdir:
      return { type: 'rmdir', id, path: reader.bytes() };
    case messageType.realpath:
      return { type: 'realpath', id, path: reader.bytes() };
    case messageType.stat:
      return { type: 'stat', id, path: reader.bytes() };
    case messageType.rename:
      return { type: 'rename', id, from: reader.bytes(), to: reader.bytes() };
    case messageType.readlink:
      return { type: 'readlink', id, path: reader.bytes() };
    case messageType.symlink:
      return { type: 'symlink', id, target: reader.bytes(), path: reader.bytes() };
    case messageType.extended:
      return decodeExtendedRequest(id, reader);
    default:
      return { type: 'unknown', id, messageType: type };
  }
}

/** The number to answer a packet that could not be decoded; undefined if it has none, then nothing can be answered. */
export function requestIdOf(packet: Uint8Array): number | undefined {
  if (packet.length < 5 || packet.length > packetLengthMax || packet[0] === messageType.init) return undefined;
  return new PacketReader(packet, 1).u32();
}
