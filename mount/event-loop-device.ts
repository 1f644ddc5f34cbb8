import { TahoeError } from '../src/errors/tahoe-error.js';
import type { Logger } from '../src/platform/logger.js';
import { deferred } from './deferred.js';
import { writeNotification, writeReply } from './device-write.js';
import type { FuseDevice } from './fuse-device.js';
import { messageBytesMax } from './kernel-constants.js';

/** What Node uses itself to read a pipe into a given buffer; there is no public way to poll a character device. */
interface PipeInternals {
  readonly Pipe: new (kind: number) => PipeHandle;
  readonly socketKind: number;
  /** Where the result of a read is found when `onread` is called. */
  readonly streamState: Int32Array;
  readonly resultIndex: number;
}

interface PipeHandle {
  open(fd: number): number;
  readStart(): number;
  useUserBuffer(buffer: Uint8Array): void;
  close(): void;
  onread: () => Uint8Array | undefined;
}

const freeBuffersMax = 8;
/** -ENODEV after unmount, -ECONNABORTED and -ENOENT after an abort. */
const endResults = new Set([-19, -103, -2]);

/** The internals, or undefined where this version of Node does not have them in the known form. */
export function pipeInternals(): PipeInternals | undefined {
  try {
    const { binding } = process as unknown as { readonly binding: (name: string) => Record<string, unknown> };
    const pipe = binding('pipe_wrap');
    const stream = binding('stream_wrap');
    const Pipe = pipe.Pipe as PipeInternals['Pipe'] | undefined;
    const socketKind = (pipe.constants as Record<string, unknown> | undefined)?.SOCKET;
    const streamState = stream.streamBaseState;
    const resultIndex = stream.kReadBytesOrError;
    if (typeof Pipe !== 'function' || typeof Pipe.prototype.useUserBuffer !== 'function') return undefined;
    if (typeof socketKind !== 'number' || typeof resultIndex !== 'number') return undefined;
    if (!(streamState instanceof Int32Array)) return undefined;
    return { Pipe, socketKind, streamState, resultIndex };
  } catch {
    // any failure here has one meaning: the internals are not as known, and the other reader is taken
    return undefined;
  }
}

/** Reads the descriptor, which it owns, in the event loop: blocks no thread. */
export class EventLoopDevice implements FuseDevice {
  readonly closed: Promise<void>;
  readonly #fd: number;
  readonly #log: Logger;
  readonly #internals: PipeInternals;
  readonly #handle: PipeHandle;
  readonly #end = deferred<void>();
  readonly #free: Uint8Array[] = [];
  #open = true;
  #buffer = newBuffer();

  constructor(fd: number, internals: PipeInternals, log: Logger) {
    this.closed = this.#end.promise;
    this.#fd = fd;
    this.#log = log;
    this.#internals = internals;
    this.#handle = new internals.Pipe(internals.socketKind);
  }

  start(onMessage: (message: Uint8Array) => Promise<void> | undefined): void {
    this.#check(this.#handle.open(this.#fd));
    this.#handle.useUserBuffer(this.#buffer);
    this.#handle.onread = () => this.#onRead(onMessage);
    this.#check(this.#handle.readStart());
  }

  reply(message: Uint8Array, data?: Uint8Array): void {
    if (this.#open) writeReply(this.#fd, message, data, this.#log);
  }

  async notify(message: Uint8Array): Promise<void> {
    if (this.#open) await writeNotification(this.#fd, message, this.#log);
  }

  #onRead(onMessage: (message: Uint8Array) => Promise<void> | undefined): Uint8Array | undefined {
    const result = this.#internals.streamState[this.#internals.resultIndex] ?? 0;
    if (result < 0) {
      this.#finish(result);
      return undefined;
    }
    const buffer = this.#buffer;
    const inUse = onMessage(buffer.subarray(0, result));
    if (inUse === undefined) return undefined;
    this.#buffer = this.#free.pop() ?? newBuffer();
    void inUse.then(() => {
      if (this.#free.length < freeBuffersMax) this.#free.push(buffer);
    });
    return this.#buffer;
  }

  #finish(result: number): void {
    if (!this.#open) return;
    this.#open = false;
    this.#handle.close();
    if (endResults.has(result)) this.#end.resolve();
    else this.#end.reject(readFailure(`reading kernel requests failed with error ${-result}`));
  }

  #check(result: number): void {
    if (result < 0) throw readFailure(`the FUSE device cannot be polled: error ${-result}`);
  }
}

function newBuffer(): Uint8Array {
  return Buffer.allocUnsafeSlow(messageBytesMax);
}

function readFailure(message: string): TahoeError {
  return new TahoeError(message, { kind: 'internal', op: 'mount.read' });
}
