import fs from 'node:fs';
import { describeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import { errno } from './errno.js';
import { encodeStatus } from './reply.js';

/**
 * Writes a reply at once: the kernel takes it without waiting. When the kernel refuses its form, the program still gets
 * an answer, EIO.
 */
export function writeReply(fd: number, message: Uint8Array, data: Uint8Array | undefined, log: Logger): void {
  try {
    if (data === undefined) fs.writeSync(fd, message);
    else fs.writevSync(fd, [message, data]);
  } catch (error) {
    if (isGone(error)) return;
    log.error('the kernel refused a reply', { error: describeError(error) });
    const unique = Buffer.from(message.buffer, message.byteOffset).readBigUInt64LE(8);
    try {
      fs.writeSync(fd, encodeStatus(Number(unique), errno.EIO));
    } catch (second) {
      if (!isGone(second)) log.error('a request stays without an answer', { error: describeError(second) });
    }
  }
}

/**
 * Writes a notification from a thread of the pool. It may wait there for the kernel, which may wait for a reply of this
 * process: the calling thread must go on.
 */
export function writeNotification(fd: number, message: Uint8Array, log: Logger): Promise<void> {
  return new Promise((resolve) => {
    fs.write(fd, message, (error) => {
      if (error !== null && !isGone(error) && !isNotCached(error)) {
        log.warn('the kernel refused a notification', { error: describeError(error) });
      }
      resolve();
    });
  });
}

/** The request or the whole file system is gone. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENODEV', 'EPERM', 'EBADF', 'ECONNABORTED'].includes(codeOf(error));
}

function isNotCached(error: unknown): boolean {
  return ['ENOTDIR', 'ENOTEMPTY', 'EBUSY', 'EEXIST'].includes(codeOf(error));
}

export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
