/** Calls in both directions over a negotiated connection: introducer spec 8 and 12. */
import { setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { decodeLatin1, encodeAscii } from '../encoding/bytes.js';
import { asTahoeError, describeError, TahoeError } from '../errors/tahoe-error.js';
import type { Clock, Timer } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { encodeToken } from './banana-token.js';
import { BananaDecoder, BananaEncoder, type BananaLimits, type BananaSequence } from './banana-tree.js';
import {
  decodeAnswer,
  decodeArguments,
  decodeCallHead,
  decodeFailure,
  encodeAnswer,
  encodeCall,
  encodeFailure,
  type PbCall,
  requestIdOf,
} from './pb-message.js';
import {
  malformed,
  type PbArguments,
  type PbPeer,
  type PbValue,
  type Referenceable,
  type RemoteReference,
} from './pb-value.js';
import { ConnectionReferences } from './reference-table.js';

export interface PbConnectionOptions {
  /** Negotiated; nothing of it has been read since. Taken over. */
  readonly stream: Duplex;
  readonly peerTubId: string;
  /** `HOST:PORT`, for people. */
  readonly peerAddress: string;
  readonly limits: BananaLimits;
  /** The object of our tub with this name. */
  readonly lookUp: (name: string) => Referenceable | undefined;
  /** The address of an object that has a name in our tub. */
  readonly furlOf: (object: Referenceable) => string | undefined;
  /** After this long without a byte from the peer it is asked for one, after as long again it is given up. */
  readonly keepaliveMs: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const CALL_TIMEOUT_MS = 120_000;
/** Of ours that the peer has not taken. Above the first nothing more is read from it, above the second it is given up. */
const PAUSE_BACKLOG_BYTES = 256 * 1024;
const MAX_BACKLOG_BYTES = 16 * 1024 * 1024;
const MAX_RUNNING_CALLS = 64;
/** The connection itself as the callee. */
const BROKER_CLID = 0;
const NO_ANSWER = 0;

interface PendingCall {
  readonly resolve: (value: PbValue) => void;
  readonly reject: (error: TahoeError) => void;
  readonly timer: Timer;
}

export class PbConnection {
  readonly peer: PbPeer;
  readonly #options: PbConnectionOptions;
  readonly #references: ConnectionReferences;
  readonly #decoder: BananaDecoder;
  readonly #encoder = new BananaEncoder();
  readonly #pending = new Map<number, PendingCall>();
  readonly #ended = new AbortController();
  #nextRequestId = 1;
  #runningCalls = 0;
  #lastReceivedMs: number;
  #keepalive: Timer | undefined;

  constructor(options: PbConnectionOptions) {
    const { stream, peerTubId, peerAddress, clock } = options;
    this.#options = options;
    setMaxListeners(0, this.#ended.signal);
    this.peer = {
      tubId: peerTubId,
      address: peerAddress,
      ended: this.#ended.signal,
      isTaking: () => stream.writableLength <= PAUSE_BACKLOG_BYTES,
      onTaking: (listener) => stream.on('drain', listener),
    };
    this.#references = new ConnectionReferences({
      peerTubId,
      furlOf: options.furlOf,
      callRemote: (clid, method, args) => this.#call(clid, method, args),
      sendRemote: (clid, method, args) => this.#sendCall({ requestId: NO_ANSWER, clid, method, args }),
    });
    this.#decoder = new BananaDecoder(options.limits, {
      onMessage: (message) => this.#onMessage(message),
      onPing: (digits) => this.#write(encodeToken({ kind: 'pong', digits })),
    });
    this.#lastReceivedMs = clock.monotonicMs();
    this.#watchSilence(options.keepaliveMs);
    stream.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    stream.on('drain', () => this.#adjustFlow());
    stream.on('error', (cause: unknown) => this.#end('the connection broke', cause));
    stream.on('end', () => this.#end('the peer closed the connection'));
    stream.on('close', () => this.#end('the connection was closed'));
    stream.resume();
    if (stream.destroyed) this.#end('the connection was closed');
  }

  /** The object that the peer's tub has under this name. Kinds as for every call; `not-found` if there is none. */
  async referenceByName(name: string): Promise<RemoteReference> {
    const args = { positional: [], named: new Map([['name', encodeAscii(name)]]) };
    const value = await this.#call(BROKER_CLID, 'getReferenceByName', args);
    if (typeof value === 'object' && value !== null && 'type' in value && value.type === 'remote') return value;
    throw malformed('something else than the object that it was asked for');
  }

  /** Ends it. Calls under way fail with kind `closed`. */
  close(reason: string): void {
    this.#end(reason);
  }

  #onData(chunk: Uint8Array): void {
    const { stream, clock, log } = this.#options;
    if (this.#ended.signal.aborted) return;
    this.#lastReceivedMs = clock.monotonicMs();
    stream.cork();
    try {
      this.#decoder.push(chunk);
    } catch (error) {
      const failure = asTahoeError(error, 'foolscap.receive');
      log.warn('a Foolscap connection is closed', { peer: this.peer.address, reason: describeError(failure) });
      this.#end(failure.message, failure);
    } finally {
      stream.uncork();
    }
    this.#adjustFlow();
  }

  #onMessage(message: BananaSequence): void {
    switch (message.name) {
      case 'call':
        this.#answerCall(message);
        break;
      case 'answer':
        this.#settle(message, () => decodeAnswer(message, this.#references));
        break;
      case 'error':
        this.#settle(message, () => {
          throw remoteError(decodeFailure(message));
        });
        break;
      default:
        throw malformed(`a message of an unknown type (${JSON.stringify(message.name.slice(0, 40))})`);
    }
  }

  #settle(message: BananaSequence, outcome: () => PbValue): void {
    const requestId = requestIdOf(message);
    const call = this.#pending.get(requestId);
    // It may have timed out.
    if (call === undefined) return;
    this.#pending.delete(requestId);
    call.timer.cancel();
    try {
      call.resolve(outcome());
    } catch (error) {
      call.reject(asTahoeError(error, 'foolscap.call'));
    }
  }

  #answerCall(message: BananaSequence): void {
    const { requestId, clid, method } = decodeCallHead(message);
    this.#runningCalls += 1;
    void this.#runCall(message, clid, method)
      .then((value) => encodeAnswer(requestId, value, this.#references))
      .catch((error: unknown) => encodeFailure(requestId, this.#describeFailure(method, error)))
      .then((answer) => {
        this.#runningCalls -= 1;
        if (requestId !== NO_ANSWER) this.#write(this.#encoder.encode(answer));
        this.#adjustFlow();
      });
  }

  async #runCall(message: BananaSequence, clid: number, method: string): Promise<PbValue> {
    const args = decodeArguments(message, this.#references);
    if (clid === BROKER_CLID) return this.#brokerCall(method, args);
    return this.#references.ownObject(clid).call(method, args, this.peer);
  }

  #brokerCall(method: string, args: PbArguments): PbValue {
    const argument = (name: string, index: number) => args.named?.get(name) ?? args.positional[index];
    switch (method) {
      case 'getReferenceByName': {
        const name = argument('name', 0);
        const text = name instanceof Uint8Array ? decodeLatin1(name) : '';
        const object = this.#options.lookUp(text);
        if (object !== undefined) return object;
        throw new TahoeError(`unable to find reference for name starting with '${text.slice(0, 2)}'`, {
          kind: 'not-found',
          op: 'foolscap.lookUp',
        });
      }
      case 'decref':
        this.#references.release(Number(argument('clid', 0)), Number(argument('count', 1)));
        return null;
      default:
        throw malformed(`a call of an unknown method (${JSON.stringify(method.slice(0, 40))})`);
    }
  }

  #describeFailure(method: string, error: unknown) {
    const failure = asTahoeError(error, 'foolscap.answer');
    if (failure.kind === 'internal') {
      this.#options.log.error('a Foolscap call failed', { method, error: describeError(failure) });
      return { type: 'builtins.RuntimeError', value: 'internal error' };
    }
    return { type: PYTHON_ERRORS.get(failure.kind) ?? 'builtins.ValueError', value: failure.message };
  }

  #call(clid: number, method: string, args: PbArguments): Promise<PbValue> {
    return new Promise((resolve, reject) => {
      if (this.#ended.signal.aborted) return reject(this.#ended.signal.reason);
      const requestId = this.#nextRequestId++;
      const timer = this.#options.clock.setTimer(CALL_TIMEOUT_MS, () => {
        this.#pending.delete(requestId);
        const message = `no answer to ${method} in ${CALL_TIMEOUT_MS / 1000} s`;
        reject(new TahoeError(message, { kind: 'timeout', op: 'foolscap.call', subject: this.peer.address }));
      });
      this.#pending.set(requestId, { resolve, reject, timer });
      this.#sendCall({ requestId, clid, method, args });
    });
  }

  #sendCall(call: PbCall): void {
    if (this.#ended.signal.aborted) return;
    this.#write(this.#encoder.encode(encodeCall(call, this.#references)));
  }

  #write(bytes: Uint8Array): void {
    const { stream } = this.#options;
    if (this.#ended.signal.aborted) return;
    stream.write(bytes);
    if (stream.writableLength > MAX_BACKLOG_BYTES) this.#end('the peer takes nothing any more');
  }

  /** Whoever floods us without taking our answers, or with calls that take time, is read more slowly. */
  #adjustFlow(): void {
    const { stream } = this.#options;
    const isFlooded = !this.peer.isTaking() || this.#runningCalls > MAX_RUNNING_CALLS;
    if (isFlooded) stream.pause();
    else if (stream.isPaused()) stream.resume();
  }

  #watchSilence(delayMs: number, asked = false): void {
    const { clock, keepaliveMs } = this.#options;
    this.#keepalive = clock.setTimer(delayMs, () => {
      const silentMs = clock.monotonicMs() - this.#lastReceivedMs;
      if (silentMs < keepaliveMs) {
        this.#watchSilence(keepaliveMs - silentMs);
      } else if (asked) {
        this.#end('the peer is silent');
      } else {
        this.#write(encodeToken({ kind: 'ping', digits: new Uint8Array(0) }));
        this.#watchSilence(keepaliveMs, true);
      }
    });
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#ended.signal.aborted) return;
    const { stream } = this.#options;
    const error = new TahoeError(reason, { kind: 'closed', op: 'foolscap.connection', cause });
    this.#ended.abort(error);
    this.#keepalive?.cancel();
    for (const call of this.#pending.values()) {
      call.timer.cancel();
      call.reject(error);
    }
    this.#pending.clear();
    stream.destroy();
  }
}

const PYTHON_ERRORS: ReadonlyMap<string, string> = new Map([
  ['not-found', 'builtins.KeyError'],
  ['protocol', 'foolscap.tokens.Violation'],
]);

function remoteError({ type, value }: { readonly type: string; readonly value: string }): TahoeError {
  const kind = type.endsWith('.KeyError') ? 'not-found' : 'protocol';
  return new TahoeError(`the peer answered with ${type}: ${value}`, { kind, op: 'foolscap.call' });
}
