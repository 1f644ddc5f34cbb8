/**
 * The program that holds the FUSE descriptor of an ordinary user's mount. Node cannot receive a descriptor while it
 * runs, so receive-fd.pl starts this with it as number 4 and a socket to the node as number 3; messages of the kernel
 * go one way and replies the other, as they are. When the node ends, however it ends, so does the mount.
 *
 * Arguments: the mount point.
 */
import { spawn } from 'node:child_process';
import net from 'node:net';
import { silentLogger } from '../src/platform/logger.js';
import { openDevice } from './device.js';
import type { FuseDevice } from './fuse-device.js';
import { messageBytesMax, replyHeaderBytes } from './kernel-constants.js';
import { MessageSplitter } from './message-splitter.js';

const linkFd = 3;
const deviceFd = 4;

run(process.argv[2] ?? '');

function run(mountpoint: string): void {
  const link = new net.Socket({ fd: linkFd, readable: true, writable: true });
  const device = openDevice(deviceFd, silentLogger);
  let mounted = true;
  const unmount = () => {
    if (mounted)
      spawn('fusermount3', ['-u', '-z', '-q', '--', mountpoint], { stdio: 'ignore', detached: true }).unref();
    process.exit(0);
  };
  const ended = () => {
    mounted = false;
    link.end();
  };
  device.closed.then(ended, ended);
  link.on('error', unmount);
  link.on('end', unmount);
  link.on('close', () => process.exit(0));
  const splitter = new MessageSplitter(replyHeaderBytes, messageBytesMax);
  link.on('data', (chunk) => splitter.add(chunk, (message) => send(device, message)));
  device.start((message) => forward(link, message));
}

/** Notifications have no request to name: they must not be written by the thread that answers requests. */
function send(device: FuseDevice, message: Uint8Array): void {
  const unique = Buffer.from(message.buffer, message.byteOffset, replyHeaderBytes).readBigUInt64LE(8);
  if (unique === 0n) void device.notify(message);
  else device.reply(message);
}

function forward(link: net.Socket, message: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    link.write(message, () => resolve());
  });
}
