/** SSH_FXP_EXTENDED requests that this server knows (OpenSSH PROTOCOL section 4; copy-data: draft-ietf-secsh-filexfer-extensions-00 section 7). */
import { TahoeError } from '../src/errors/tahoe-error.js';
import { decodeAttributes, type SftpAttributes } from './attributes.js';
import { PacketReader } from './packet-reader.js';

export type ExtendedRequest =
  | {
      readonly type: 'posix-rename' | 'hardlink';
      readonly id: number;
      readonly from: Uint8Array;
      readonly to: Uint8Array;
    }
  | { readonly type: 'statvfs' | 'expand-path'; readonly id: number; readonly path: Uint8Array }
  | { readonly type: 'fstatvfs' | 'fsync'; readonly id: number; readonly handle: Uint8Array }
  | {
      readonly type: 'lsetstat';
      readonly id: number;
      readonly path: Uint8Array;
      readonly attributes: SftpAttributes;
    }
  | { readonly type: 'limits'; readonly id: number }
  | {
      readonly type: 'copy-data';
      readonly id: number;
      readonly from: Uint8Array;
      readonly fromOffset: number;
      /** 0: up to the end of the file. */
      readonly length: number;
      readonly to: Uint8Array;
      readonly toOffset: number;
    }
  | {
      readonly type: 'users-groups-by-id';
      readonly id: number;
      readonly uids: readonly number[];
      readonly gids: readonly number[];
    }
  | { readonly type: 'unknown-extension'; readonly id: number; readonly name: string };

/** `reader` stands at the extension's name. Kind `protocol` if the fields of a known extension are malformed. */
export function decodeExtendedRequest(id: number, reader: PacketReader): ExtendedRequest {
  const name = reader.ascii();
  switch (name) {
    case 'posix-rename@openssh.com':
      return { type: 'posix-rename', id, from: reader.bytes(), to: reader.bytes() };
    case 'hardlink@openssh.com':
      return { type: 'hardlink', id, from: reader.bytes(), to: reader.bytes() };
    case 'statvfs@openssh.com':
      return { type: 'statvfs', id, path: reader.bytes() };
    case 'fstatvfs@openssh.com':
      return { type: 'fstatvfs', id, handle: reader.bytes() };
    case 'fsync@openssh.com':
      return { type: 'fsync', id, handle: reader.bytes() };
    case 'lsetstat@openssh.com':
      return { type: 'lsetstat', id, path: reader.bytes(), attributes: decodeAttributes(reader) };
    case 'limits@openssh.com':
      return { type: 'limits', id };
    case 'expand-path@openssh.com':
      return { type: 'expand-path', id, path: reader.bytes() };
    case 'copy-data':
      return {
        type: 'copy-data',
        id,
        from: reader.bytes(),
        fromOffset: reader.u64(),
        length: reader.u64(),
        to: reader.bytes(),
        toOffset: reader.u64(),
      };
    case 'users-groups-by-id@openssh.com':
      return { type: 'users-groups-by-id', id, uids: numbers(reader.bytes()), gids: numbers(reader.bytes()) };
    default:
      return { type: 'unknown-extension', id, name };
  }
}

/** Most users and groups answered in one request: the reply stays below the packet limit with names of 100 bytes. */
const ownersMax = 1000;

function numbers(packed: Uint8Array): readonly number[] {
  const count = packed.length / 4;
  if (!Number.isInteger(count) || count > ownersMax) {
    throw new TahoeError('malformed SFTP packet: list of users or groups', { kind: 'protocol', op: 'sftp.decode' });
  }
  const reader = new PacketReader(packed);
  return Array.from({ length: count }, () => reader.u32());
}
