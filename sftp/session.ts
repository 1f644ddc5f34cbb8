import type { Readable, Writable } from 'node:stream';
import { readU32 } from '../src/encoding/bytes.js';
import { asTahoeError, describeError, TahoeError } from '../src/errors/tahoe-error.js';
import type { Clock } from '../src/platform/clock.js';
import type { Entropy } from '../src/platform/entropy.js';
import type { Logger } from '../src/platform/logger.js';
import type { Vfs } from '../src/vfs/vfs.js';
import { operationFor } from './dispatch.js';
import { closeObject } from './file-operations.js';
import { HandleTable } from './handle-table.js';
import { InodePins } from './inode-pins.js';
import type { OwnerNames } from './long-name.js';
import { PacketFramer } from './packet-framer.js';
import { PathResolver } from './path-resolver.js';
import { encodeStatus, encodeVersion } from './replies.js';
import { RequestOrder } from './request-order.js';
import { decodeRequest, type NumberedRequest, requestIdOf } from './requests.js';
import type { SessionContext } from './session-context.js';
import { statusOf } from './status.js';

export interface SessionOptions {
  readonly vfs: Vfs;
  /** Capability of the directory that is `/` in this session. */
  readonly rootCap: string;
  /** From and to the client. `input` ends (or either closes) when the client is gone. */
  readonly input: Readable;
  readonly output: Writable;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Logger;
  /** Names of users and groups for listings. */
  readonly names: OwnerNames;
  /** Owner of what this session creates. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Ends the session as if the client had gone. */
  readonly signal?: AbortSignal | undefined;
}

/** Requests being worked on at once; the client is not read from while there are more. */
const requestsMax = 64;
/** Bytes of WRITE data being worked on at once. */
const requestBytesMax = 8 * 1024 * 1024;
/** Bytes of replies that the client has not taken yet. */
const replyBytesMax = 4 * 1024 * 1024;

/**
 * Serves one SFTP client, over SSH or over pipes (`sshfs -o passive`), until it is gone. Resolves when every handle it
 * left open has been flushed and released: what was written is kept. The caller ends `output`.
 *
 * Kinds of rejection: those of Vfs.openRoot (nothing was served), and `protocol` when the client's bytes are not SFTP
 * (its handles are flushed all the same).
 */
export async function runSession(options: SessionOptions): Promise<void> {
  const { vfs, input, output } = options;
  const root = await vfs.openRoot(options.rootCap);
  const rootPin = new InodePins(vfs);
  rootPin.pin(root.inode);
  const gone = new AbortController();
  const onGone = () => gone.abort(new TahoeError('the client is gone', { kind: 'cancelled', op: 'sftp.session' }));
  for (const stream of [input, output]) stream.on('close', onGone).on('error', onGone);
  options.signal?.addEventListener('abort', onGone, { once: true });
  if (options.signal?.aborted) onGone();
  const paths = new PathResolver(vfs, root.inode);
  const handles = new HandleTable(readU32(options.entropy.bytes(4), 0));
  const { clock, names, owner, log } = options;
  const context: SessionContext = { vfs, paths, handles, clock, names, owner, signal: gone.signal };
  const session = new Session(context, input, output, log);
  try {
    await session.serve();
  } finally {
    onGone();
    options.signal?.removeEventListener('abort', onGone);
    await session.finish();
    paths.close();
    rootPin.release();
  }
}

class Session {
  readonly #context: SessionContext;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #log: Logger;
  readonly #order = new RequestOrder();
  readonly #framer = new PacketFramer();
  readonly #running = new Set<Promise<void>>();
  /** Packets of the last chunk that were not begun yet. */
  #packets: Iterator<Uint8Array> | undefined;
  #requestBytes = 0;
  #begun = false;
  #ended = false;
  #end: (error?: unknown) => void = () => {};

  constructor(context: SessionContext, input: Readable, output: Writable, log: Logger) {
    this.#context = context;
    this.#input = input;
    this.#output = output;
    this.#log = log;
  }

  /** Kind `protocol`. Resolves at the end of the stream, whether it ended well or broke. */
  async serve(): Promise<void> {
    const { signal } = this.#context;
    await new Promise<void>((resolve, reject) => {
      this.#end = (error) => {
        this.#ended = true;
        this.#input.pause();
        if (error === undefined) resolve();
        else reject(error);
      };
      signal.addEventListener('abort', () => this.#end(), { once: true });
      this.#input.on('end', () => this.#end());
      if (signal.aborted || this.#input.destroyed || this.#input.readableEnded) {
        this.#end();
        return;
      }
      this.#output.on('drain', () => this.#proceed());
      this.#input.on('data', (chunk: Uint8Array) => {
        this.#packets = this.#framer.push(chunk);
        this.#proceed();
      });
    });
    if (this.#framer.unfinished) this.#log.debug('an sftp client went away in the middle of a packet');
  }

  /** Begins the requests at hand as far as the limits allow, and reads on when all have begun. */
  #proceed(): void {
    try {
      while (!this.#ended && this.#packets !== undefined) {
        if (this.#overloaded()) {
          this.#input.pause();
          return;
        }
        const next = this.#packets.next();
        if (next.done) this.#packets = undefined;
        else this.#accept(next.value);
      }
      if (!this.#ended && this.#input.isPaused()) this.#input.resume();
    } catch (error) {
      this.#end(error);
    }
  }

  /** Waits for what is being worked on, then flushes and releases what the client left open. */
  async finish(): Promise<void> {
    await Promise.all(this.#running);
    const left = this.#context.handles.takeAll();
    await Promise.all(left.map((object) => this.#abandon(() => closeObject(object))));
  }

  async #abandon(close: () => Promise<void>): Promise<void> {
    try {
      await close();
    } catch (error) {
      this.#log.error('an sftp client left a file open and it could not be flushed', { error: describeError(error) });
    }
  }

  #accept(packet: Uint8Array): void {
    const request = this.#decode(packet);
    if (request === undefined) return;
    if (request.type === 'init') {
      if (this.#begun) throw protocolError('INIT twice');
      this.#begun = true;
      this.#send(encodeVersion());
      return;
    }
    if (!this.#begun) throw protocolError('a request before INIT');
    this.#start(request, packet.length);
  }

  /** A malformed packet with a number is answered BAD_MESSAGE and the session goes on: framing is intact. */
  #decode(packet: Uint8Array) {
    try {
      return decodeRequest(packet);
    } catch (error) {
      const id = this.#begun ? requestIdOf(packet) : undefined;
      if (id === undefined) throw error;
      this.#fail(id, error);
      return undefined;
    }
  }

  #start(request: NumberedRequest, bytes: number): void {
    this.#requestBytes += bytes;
    const running = this.#answer(request).then(() => {
      this.#requestBytes -= bytes;
      this.#running.delete(running);
      this.#proceed();
    });
    this.#running.add(running);
  }

  async #answer(request: NumberedRequest): Promise<void> {
    try {
      const { claim, perform } = operationFor(this.#context, request);
      await this.#order.run(claim, async () => {
        try {
          this.#send(await perform());
        } catch (error) {
          this.#fail(request.id, error);
        }
      });
    } catch (error) {
      this.#fail(request.id, error);
    }
  }

  #fail(id: number, error: unknown): void {
    const { code, message } = statusOf(error);
    if (asTahoeError(error, 'sftp.request').kind === 'internal') {
      this.#log.error('an sftp request failed unexpectedly', { error: describeError(error) });
    }
    this.#send(encodeStatus(id, code, message));
  }

  #send(reply: Uint8Array): void {
    if (this.#output.writable) this.#output.write(reply);
  }

  #overloaded(): boolean {
    const { size } = this.#running;
    return (
      size >= requestsMax ||
      (size > 0 && this.#requestBytes > requestBytesMax) ||
      this.#output.writableLength > replyBytesMax
    );
  }
}

function protocolError(message: string): TahoeError {
  return new TahoeError(message, { kind: 'protocol', op: 'sftp.session' });
}
