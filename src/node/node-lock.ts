/**
 * One process per node directory. The lock is a listening socket whose name is derived from the directory: the kernel
 * gives it to one process and takes it back when that process ends, however it ends, so nothing stale can remain.
 * Whoever connects is told the process id of the holder.
 */
import { createHash } from 'node:crypto';
import { realpath, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TahoeError } from '../errors/tahoe-error.js';

export interface NodeLock {
  release(): Promise<void>;
}

/** Kind `busy`, naming the process that holds the directory. */
export async function lockNodeDirectory(directory: string): Promise<NodeLock> {
  const name = await lockName(directory);
  const server = await listen(name);
  if (server !== undefined) return lockOf(server);
  const holder = await holderOf(name);
  if (holder === undefined && process.platform !== 'linux') {
    // A socket file that nobody listens on: its process ended without removing it.
    await rm(name, { force: true });
    const second = await listen(name);
    if (second !== undefined) return lockOf(second);
  }
  throw new TahoeError(
    `the node directory is in use by process ${holder ?? 'unknown'}: two nodes must never share one. ` +
      `Use the running node (tahoe -d ${directory} ...), or stop it first (kill ${holder ?? 'PID'}).`,
    { kind: 'busy', op: 'node.lock', subject: directory },
  );
}

/** By identity and not by path: a directory reached through a link or another mount is the same directory. */
async function lockName(directory: string): Promise<string> {
  const real = await realpath(directory);
  const { dev, ino } = await stat(real, { bigint: true });
  const digest = createHash('sha256').update(`${dev}:${ino}`).digest('hex').slice(0, 32);
  return process.platform === 'linux' ? `\0tahoe-ts-node-${digest}` : join(tmpdir(), `tahoe-ts-node-${digest}`);
}

function listen(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(`${process.pid}\n`);
    });
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(undefined);
      else
        reject(new TahoeError('cannot lock the node directory', { kind: 'internal', op: 'node.lock', cause: error }));
    });
    server.listen({ path: name }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function holderOf(name: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect({ path: name });
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on('data', (data) => {
      answer += String(data);
    });
    // The reason does not matter here: without an answer the holder is unknown, and `close` follows every error.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(/^\d+$/.test(answer.trim()) ? answer.trim() : undefined));
  });
}

function lockOf(server: Server): NodeLock {
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
