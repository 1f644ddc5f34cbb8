/** Numbers of the Linux FUSE kernel interface 7.x (linux/fuse.h), as far as this driver uses them. */

export const protocolMajor = 7;
/** The newest minor version whose structures are known here. */
export const protocolMinor = 38;
/** The oldest kernel interface accepted: 4.20 (max_pages), with all structures at their present sizes. */
export const protocolMinorMin = 28;

export const rootNodeId = 1;

export const opcode = {
  lookup: 1,
  forget: 2,
  getAttributes: 3,
  setAttributes: 4,
  readLink: 5,
  symlink: 6,
  makeNode: 8,
  makeDirectory: 9,
  unlink: 10,
  removeDirectory: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statistics: 17,
  release: 18,
  fsync: 20,
  setExtendedAttribute: 21,
  getExtendedAttribute: 22,
  listExtendedAttributes: 23,
  removeExtendedAttribute: 24,
  flush: 25,
  init: 26,
  openDirectory: 27,
  readDirectory: 28,
  releaseDirectory: 29,
  fsyncDirectory: 30,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  ioctl: 39,
  batchForget: 42,
  fallocate: 43,
  readDirectoryPlus: 44,
  rename2: 45,
  copyFileRange: 47,
} as const;

export const initFlag = {
  asyncRead: 1 << 0,
  atomicTruncate: 1 << 3,
  bigWrites: 1 << 5,
  dontMask: 1 << 6,
  readDirectoryPlus: 1 << 13,
  writebackCache: 1 << 16,
  parallelDirectoryOperations: 1 << 18,
  maxPages: 1 << 22,
  cacheSymlinks: 1 << 23,
  handleKillPrivV2: 1 << 28,
} as const;

/** Bits of `valid` in a SETATTR request. */
export const attributeBit = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  accessed: 1 << 4,
  modified: 1 << 5,
  accessedNow: 1 << 7,
  modifiedNow: 1 << 8,
  killSetIds: 1 << 11,
} as const;

export const openReplyFlag = { keepCache: 1 << 1 } as const;
/** In the open_flags of OPEN and CREATE. */
export const openKillSetIds = 1 << 0;
/** WRITE of pages that the kernel gathered; the file handle is a guess. */
export const writeFromCache = 1 << 0;
export const writeKillSetIds = 1 << 2;

export const renameFlag = { noReplace: 1, exchange: 2 } as const;
export const extendedAttributeFlag = { create: 1, replace: 2 } as const;
export const fallocateFlag = { keepSize: 1, punchHole: 2, zeroRange: 0x10 } as const;

export const notifyCode = { invalidateInode: 2, invalidateEntry: 3 } as const;

/** open(2) flags, equal on every architecture that Node runs on with Linux. */
export const openFlag = { accessMode: 3, writeOnly: 1, readWrite: 2, exclusive: 0x80, truncate: 0x200, append: 0x400 };

export const fileType = {
  mask: 0o170000,
  fifo: 0o010000,
  'character-device': 0o020000,
  directory: 0o040000,
  'block-device': 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

export const setUserId = 0o4000;
export const setGroupId = 0o2000;
export const groupExecute = 0o010;

export const requestHeaderBytes = 40;
export const replyHeaderBytes = 16;
/** The largest write payload asked for, and the pages of 4096 bytes that make it up. */
export const writeBytesMax = 1 << 20;
/** The kernel refuses shorter read buffers: header, WRITE structure and the payload. */
export const messageBytesMax = writeBytesMax + 4096;
