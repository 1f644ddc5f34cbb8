/** Numbers of SFTP version 3 (draft-ietf-secsh-filexfer-02) and of the OpenSSH extensions (OpenSSH PROTOCOL, section 4). */
export const sftpVersion = 3;

/** Largest packet accepted, without its length field: 256 KiB of data and room for the fields around them. */
export const packetLengthMax = 256 * 1024 + 1024;
/** Most bytes that one READ returns; a longer READ gets this many, as from OpenSSH. */
export const readLengthMax = 256 * 1024 - 1024;
/** Most bytes in one WRITE that limits@openssh.com promises. */
export const writeLengthMax = 256 * 1024 - 1024;
/** A NAME reply is closed when it has grown past this, so that it stays well below what clients accept. */
export const nameReplyBytes = 64 * 1024;

export const messageType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

export const statusCode = {
  ok: 0,
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  operationUnsupported: 8,
} as const;

export type StatusCode = (typeof statusCode)[keyof typeof statusCode];

export const openFlag = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const;

export const attributeFlag = { size: 1, ownership: 2, permissions: 4, times: 8, extended: 0x8000_0000 } as const;

/**
 * What VERSION advertises: name and version of each extension. hardlink@openssh.com is decoded and refused but not
 * advertised, so that clients know beforehand that there are no hard links.
 */
export const extensions: readonly (readonly [name: string, version: string])[] = [
  ['posix-rename@openssh.com', '1'],
  ['statvfs@openssh.com', '2'],
  ['fstatvfs@openssh.com', '2'],
  ['fsync@openssh.com', '1'],
  ['lsetstat@openssh.com', '1'],
  ['limits@openssh.com', '1'],
  ['expand-path@openssh.com', '1'],
  ['copy-data', '1'],
  ['users-groups-by-id@openssh.com', '1'],
];
