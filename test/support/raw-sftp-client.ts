/** A client that speaks bare SFTP packets to a session over in-process streams, so that tests decide every byte and its order. */
import { PassThrough } from 'node:stream';
import type { ExecutionContext } from 'ava';
import { PacketFramer } from '../../sftp/packet-framer.js';
import { PacketReader } from '../../sftp/packet-reader.js';
import { PacketWriter } from '../../sftp/packet-writer.js';
import { messageType } from '../../sftp/protocol.js';
import { runSession } from '../../sftp/session.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { type Logger, silentLogger } from '../../src/platform/logger.js';
import type { Vfs } from '../../src/vfs/vfs.js';
import { rootCap, testNames } from './sftp-fixture.js';

export interface RawReply {
  readonly type: number;
  /** Stands behind the request number. */
  readonly fields: PacketReader;
}

export class RawSftpClient {
  readonly input = new PassThrough();
  readonly output = new PassThrough({ highWaterMark: 1 << 20 });
  /** The numbers of answered requests in the order of the answers. */
  readonly answered: number[] = [];
  /** Settles with the session. */
  readonly session: Promise<void>;
  readonly #waiting = new Map<number, (reply: RawReply) => void>();
  readonly #framer = new PacketFramer();
  #nextId = 1;
  #version: ((packet: Uint8Array) => void) | undefined;

  constructor(vfs: Vfs, options: { readonly log?: Logger; readonly signal?: AbortSignal } = {}) {
    this.output.on('data', (chunk: Uint8Array) => {
      for (const packet of this.#framer.push(chunk)) this.#take(packet);
    });
    this.session = runSession({
      ...{ vfs, rootCap, input: this.input, output: this.output, names: testNames, owner: { uid: 5, gid: 6 } },
      ...{ clock: new NodeClock(), entropy: new NodeEntropy(), log: options.log ?? silentLogger },
      signal: options.signal,
    });
  }

  static async start(
    t: ExecutionContext,
    vfs: Vfs,
    options?: { readonly log?: Logger; readonly signal?: AbortSignal },
  ): Promise<RawSftpClient> {
    const client = new RawSftpClient(vfs, options);
    t.teardown(async () => {
      client.input.end();
      await Promise.allSettled([client.session]);
    });
    await client.init();
    return client;
  }

  /** The VERSION packet. */
  init(): Promise<Uint8Array> {
    return new Promise((resolve) => {
      this.#version = resolve;
      this.input.write(Uint8Array.of(0, 0, 0, 5, messageType.init, 0, 0, 0, 3));
    });
  }

  /** Sends a request, without waiting, and promises its answer. */
  request(type: number, fields: (writer: PacketWriter) => void): Promise<RawReply> {
    const id = this.#nextId++;
    const writer = new PacketWriter(type).u32(id);
    fields(writer);
    const reply = new Promise<RawReply>((resolve) => this.#waiting.set(id, resolve));
    this.input.write(writer.finish());
    return reply;
  }

  extended(name: string, fields: (writer: PacketWriter) => void): Promise<RawReply> {
    return this.request(messageType.extended, (writer) => fields(writer.text(name)));
  }

  /** The status code of a request about one path. */
  async statusOfPath(type: number, path: string, attributes = true): Promise<number> {
    return statusOf(await this.request(type, (writer) => (attributes ? writer.text(path).u32(0) : writer.text(path))));
  }

  open(path: string, flags: number, permissions?: number): Promise<RawReply> {
    return this.request(messageType.open, (writer) => {
      writer.text(path).u32(flags);
      if (permissions === undefined) writer.u32(0);
      else writer.u32(4).u32(permissions);
    });
  }

  async openHandle(path: string, flags: number, permissions?: number): Promise<Uint8Array> {
    return handleOf(await this.open(path, flags, permissions));
  }

  write(handle: Uint8Array, offset: number, data: string | Uint8Array): Promise<RawReply> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    return this.request(messageType.write, (writer) => writer.bytes(handle).u64(offset).bytes(bytes));
  }

  read(handle: Uint8Array, offset: number, length: number): Promise<RawReply> {
    return this.request(messageType.read, (writer) => writer.bytes(handle).u64(offset).u32(length));
  }

  close(handle: Uint8Array): Promise<RawReply> {
    return this.request(messageType.close, (writer) => writer.bytes(handle));
  }

  #take(packet: Uint8Array): void {
    if (packet[0] === messageType.version) {
      this.#version?.(packet);
      return;
    }
    const fields = new PacketReader(packet, 1);
    const id = fields.u32();
    this.answered.push(id);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.({ type: packet[0] ?? 0, fields });
  }
}

/** The code of a STATUS reply; -1 for a reply of another type. */
export function statusOf(reply: RawReply): number {
  return reply.type === messageType.status ? reply.fields.u32() : -1;
}

export function handleOf(reply: RawReply): Uint8Array {
  if (reply.type !== messageType.handle) throw new Error(`no handle: status ${statusOf(reply)}`);
  return reply.fields.bytes();
}

export function dataOf(reply: RawReply): string {
  if (reply.type !== messageType.data) throw new Error(`no data: status ${statusOf(reply)}`);
  return Buffer.from(reply.fields.bytes()).toString();
}
