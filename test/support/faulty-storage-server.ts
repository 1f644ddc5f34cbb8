/**
 * The one seam for what goes wrong between a client and a storage server: a decorator of any StorageServer (in memory or
 * over HTTPS) that asks before each call what is to happen to it. All waiting is on the given clock, so that a simulation
 * of minutes takes milliseconds.
 *
 * | fault | effect on the server | what the caller gets |
 * |---|---|---|
 * | `refuse` | none | `unreachable` at once |
 * | `hang` | none | nothing, until its time limit (`timeout`) or its signal (`cancelled`) |
 * | `lose-answer` | yes | `unreachable` after the effect |
 * | `swallow-answer` | yes | nothing, as `hang` |
 * | `late-request` | after `delayMs`, also when the caller has given up by then | the answer after that, or as `hang` |
 * | `late-answer` | at once | the answer after `delayMs`, or as `hang` |
 * | `duplicate` | twice: at once and again after `delayMs` | the first answer |
 * | `forget` | none | the answer as if it had been done (writes, allocations, leases); reads are not affected |
 * | `disk-full` | none | allocations: nothing granted; other writes: `no-space`; reads are not affected |
 * | `error` | none; with `afterEffect` yes | a failure of the given kind |
 * | `truncate` | yes | bytes read are cut to half their length, listings lose their last number |
 * | `flip-bit` | yes | one bit of the bytes read is turned, at `fraction` of their length |
 * | `wrong-share` | yes | bytes of another share of the same storage index, if the server (or `neighbour`) has one |
 *
 * A server that shows an older state is a matter of its store: MemoryStorageServer.rollBack. A request that was sent
 * reaches the server whether or not its sender still lives; with `isListening` false nothing is sent any more and no answer
 * comes.
 */

import type { ServerId, StorageIndex, TubId } from '../../src/encoding/brands.js';
import { toHex } from '../../src/encoding/bytes.js';
import { type ErrorKind, TahoeError } from '../../src/errors/tahoe-error.js';
import type { Clock, Timer } from '../../src/platform/clock.js';
import type {
  AbortShareRequest,
  AllocateRequest,
  Allocation,
  ByteRange,
  CallOptions,
  LeaseSecrets,
  ReadShareOptions,
  ReadTestWriteRequest,
  ReadTestWriteResult,
  ServerVersion,
  ShareAddress,
  ShareKind,
  StorageServer,
  TestWrite,
  WriteShareRequest,
} from '../../src/storage-protocol/storage-server.js';
import type { Method } from './memory-storage-server.js';

export type ServerFault =
  | { readonly kind: 'refuse' | 'hang' | 'lose-answer' | 'swallow-answer' | 'forget' | 'disk-full' }
  | { readonly kind: 'late-request' | 'late-answer' | 'duplicate'; readonly delayMs: number }
  /** HTTP status 500 is `protocol` without the effect, an answer that is not CBOR is `protocol` after it. */
  | { readonly kind: 'error'; readonly error: ErrorKind; readonly afterEffect?: boolean }
  | { readonly kind: 'truncate' | 'wrong-share' }
  /** `fraction` in [0, 1) */
  | { readonly kind: 'flip-bit'; readonly fraction: number };

export const faultKinds: readonly ServerFault['kind'][] = [
  'refuse',
  'hang',
  'lose-answer',
  'swallow-answer',
  'forget',
  'disk-full',
  'late-request',
  'late-answer',
  'duplicate',
  'error',
  'truncate',
  'wrong-share',
  'flip-bit',
];

/** What is known of a call before it is made. */
export interface ServerCall {
  readonly method: Method;
  readonly server: StorageServer;
  readonly storageIndex: StorageIndex | undefined;
  readonly shareNumber: number | undefined;
  /** True for a read-test-write that writes, and for every other call that changes what the server holds. */
  readonly isWrite: boolean;
  /** The bytes that it carries to the server. */
  readonly payload: readonly Uint8Array[];
}

export interface FaultyServerOptions {
  readonly clock: Clock;
  /** Asked once for each call, in the order in which they are made. */
  readonly fault: (call: ServerCall) => ServerFault | undefined;
  /** How long request and answer travel; 0 without it. A call that nothing happens to then goes straight to the server. */
  readonly travel?: (call: ServerCall) => { readonly requestMs: number; readonly answerMs: number };
  readonly isListening?: () => boolean;
  /** Where `wrong-share` finds other shares, if each server holds one only. Default: the server itself. */
  readonly neighbour?: StorageServer;
}

const noTravel = { requestMs: 0, answerMs: 0 };

export class FaultyStorageServer implements StorageServer {
  readonly inner: StorageServer;
  readonly id: ServerId;
  readonly nickname: string;
  readonly permutationSeed: Uint8Array;
  readonly tubId: TubId;
  readonly #options: FaultyServerOptions;
  /** Sizes of shares by storage index, so that one that forgets says at the right moment that a share is complete. */
  readonly #sizes = new Map<string, number>();

  constructor(inner: StorageServer, options: FaultyServerOptions) {
    this.inner = inner;
    this.id = inner.id;
    this.nickname = inner.nickname;
    this.permutationSeed = inner.permutationSeed;
    this.tubId = inner.tubId;
    this.#options = options;
  }

  version(options?: CallOptions): Promise<ServerVersion> {
    return this.#call({ method: 'version' }, options, (own) => this.inner.version(own));
  }

  allocateShares(request: AllocateRequest, options?: CallOptions): Promise<Allocation> {
    this.#sizes.set(toHex(request.storageIndex), request.allocatedSize);
    return this.#call(
      { method: 'allocateShares', storageIndex: request.storageIndex, isWrite: true },
      options,
      (own) => this.inner.allocateShares(request, own),
      {
        forgotten: () => ({ alreadyHave: new Set<number>(), allocated: request.shareNumbers }),
        full: () => ({ alreadyHave: new Set<number>(), allocated: new Set<number>() }),
      },
    );
  }

  writeShare(request: WriteShareRequest, options?: CallOptions): Promise<{ readonly complete: boolean }> {
    const { storageIndex, shareNumber, parts } = request;
    return this.#call(
      { method: 'writeShare', storageIndex, shareNumber, isWrite: true, payload: parts },
      options,
      (own) => this.inner.writeShare(request, own),
      {
        detach: () => {
          const kept = ownWrite(request);
          return () => this.inner.writeShare(kept);
        },
        forgotten: () => {
          const end = parts.reduce((sum, part) => sum + part.length, request.offset);
          return { complete: end >= (this.#sizes.get(toHex(storageIndex)) ?? 0) };
        },
      },
    );
  }

  abortShare(request: AbortShareRequest, options?: CallOptions): Promise<void> {
    const { storageIndex, shareNumber } = request;
    return this.#call(
      { method: 'abortShare', storageIndex, shareNumber, isWrite: true },
      options,
      (own) => this.inner.abortShare(request, own),
      { forgotten: () => undefined },
    );
  }

  listShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#call(
      { method: 'listShares', storageIndex },
      options,
      (own) => this.inner.listShares(storageIndex, own),
      {
        damage: withoutLast,
      },
    );
  }

  readShare(address: ShareAddress, range: ByteRange, options?: ReadShareOptions): Promise<Uint8Array> {
    return this.#call(
      { method: 'readShare', ...address },
      options,
      (own) => this.inner.readShare(address, range, own),
      {
        damage: damaged,
        elsewhere: async () => {
          const holder = this.#neighbour;
          const other = another(await holder.listShares(address.storageIndex), address.shareNumber);
          return holder.readShare({ ...address, shareNumber: other }, range);
        },
      },
    );
  }

  listSlotShares(storageIndex: StorageIndex, options?: CallOptions): Promise<ReadonlySet<number>> {
    return this.#call(
      { method: 'listSlotShares', storageIndex },
      options,
      (own) => this.inner.listSlotShares(storageIndex, own),
      { damage: withoutLast },
    );
  }

  readSlotShare(address: ShareAddress, range: ByteRange, options?: CallOptions): Promise<Uint8Array> {
    return this.#call(
      { method: 'readSlotShare', ...address },
      options,
      (own) => this.inner.readSlotShare(address, range, own),
      {
        damage: damaged,
        elsewhere: async () => {
          const holder = this.#neighbour;
          const other = another(await holder.listSlotShares(address.storageIndex), address.shareNumber);
          return holder.readSlotShare({ ...address, shareNumber: other }, range);
        },
      },
    );
  }

  readTestWrite(request: ReadTestWriteRequest, options?: CallOptions): Promise<ReadTestWriteResult> {
    const writes = [...request.shares.values()].flatMap((share) => share.writes.map(({ data }) => data));
    const isWrite = writes.length > 0;
    return this.#call(
      { method: 'readTestWrite', storageIndex: request.storageIndex, isWrite, payload: writes },
      options,
      (own) => this.inner.readTestWrite(request, own),
      {
        detach: () => {
          const kept = ownTestWrite(request);
          return () => this.inner.readTestWrite(kept);
        },
        ...(isWrite ? { forgotten: () => ({ applied: true, reads: new Map() }) } : {}),
        damage: ({ applied, reads }, fault) => ({
          applied,
          reads: new Map([...reads].map(([number, parts]) => [number, parts.map((part) => damaged(part, fault))])),
        }),
        elsewhere: async (perform) => {
          const { applied, reads } = await perform();
          const parts = [...reads.values(), ...(await this.#readNeighbour(request))];
          const shifted = [...reads.keys()].map((number, at) => [number, parts[(at + 1) % parts.length]!] as const);
          return { applied, reads: new Map(shifted) };
        },
      },
    );
  }

  addLease(storageIndex: StorageIndex, leases: LeaseSecrets, options?: CallOptions): Promise<void> {
    return this.#call(
      { method: 'addLease', storageIndex, isWrite: true },
      options,
      (own) => this.inner.addLease(storageIndex, leases, own),
      { forgotten: () => undefined },
    );
  }

  adviseCorrupt(kind: ShareKind, address: ShareAddress, reason: string, options?: CallOptions): Promise<void> {
    return this.#call(
      { method: 'adviseCorrupt', ...address },
      options,
      (own) => this.inner.adviseCorrupt(kind, address, reason, own),
      { forgotten: () => undefined },
    );
  }

  /** What it holds of a slot, as another server's read vector asks for it. */
  async #readNeighbour({ storageIndex, readVector }: ReadTestWriteRequest): Promise<Uint8Array[][]> {
    const { neighbour } = this.#options;
    if (neighbour === undefined) return [];
    const numbers = await neighbour.listSlotShares(storageIndex);
    const read = (shareNumber: number) =>
      Promise.all(readVector.map((range) => neighbour.readSlotShare({ storageIndex, shareNumber }, range)));
    return Promise.all([...numbers].map(read));
  }

  get #neighbour(): StorageServer {
    return this.#options.neighbour ?? this.inner;
  }

  #call<Answer>(
    about: { readonly method: Method } & Partial<ServerCall>,
    options: CallOptions | undefined,
    perform: (own: CallOptions | undefined) => Promise<Answer>,
    alternatives: Alternatives<Answer> = {},
  ): Promise<Answer> {
    const call: ServerCall = {
      method: about.method,
      server: this.inner,
      storageIndex: about.storageIndex,
      shareNumber: about.shareNumber,
      isWrite: about.isWrite ?? false,
      payload: about.payload ?? [],
    };
    // a dead process sends nothing
    if (this.#options.isListening?.() === false) return new Promise(() => {});
    const fault = this.#options.fault(call);
    const travel = this.#options.travel?.(call);
    if (fault === undefined && travel === undefined && this.#options.isListening === undefined) return perform(options);
    if (options?.signal?.aborted) return Promise.reject(failure('cancelled', call.method));
    const { clock, isListening } = this.#options;
    const sent = alternatives.detach?.() ?? (() => perform(undefined));
    const effect = () => performWith(fault, call, sent, alternatives);
    return new Promise((resolve, reject) => {
      const exchange = new Exchange<Answer>(clock, options, call.method, { resolve, reject, isListening });
      exchange.run(fault, travel ?? noTravel, effect);
    });
  }
}

interface Alternatives<Answer> {
  /** Takes copies of what the caller lends, for the time after it has given up. */
  readonly detach?: () => () => Promise<Answer>;
  /** The answer of a server that says it did what it did not do. */
  readonly forgotten?: () => Answer;
  /** The answer of one whose disk is full, if that is an answer. */
  readonly full?: () => Answer;
  readonly damage?: (answer: Answer, fault: ServerFault) => Answer;
  /** The answer for another share. */
  readonly elsewhere?: (perform: () => Promise<Answer>) => Promise<Answer>;
}

/** What the server does and says. */
async function performWith<Answer>(
  fault: ServerFault | undefined,
  call: ServerCall,
  perform: () => Promise<Answer>,
  { forgotten, full, damage, elsewhere }: Alternatives<Answer>,
): Promise<Answer> {
  switch (fault?.kind) {
    case 'forget':
      if (forgotten !== undefined) return forgotten();
      break;
    case 'disk-full':
      if (full !== undefined) return full();
      if (call.isWrite) throw failure('no-space', call.method);
      break;
    case 'error':
      if (fault.afterEffect === true) await Promise.allSettled([perform()]);
      throw failure(fault.error, call.method);
    case 'truncate':
    case 'flip-bit': {
      const answer = await perform();
      return damage === undefined ? answer : damage(answer, fault);
    }
    case 'wrong-share':
      if (elsewhere !== undefined) return elsewhere(perform);
      break;
    default:
      break;
  }
  return perform();
}

interface Ends<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
  readonly isListening: (() => boolean) | undefined;
}

/** One request on its way, and the caller who waits for it as long as it likes. */
class Exchange<Answer> {
  readonly #clock: Clock;
  readonly #ends: Ends<Answer>;
  readonly #method: Method;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort: () => void;
  #limit: Timer | undefined;
  #isOver = false;

  constructor(clock: Clock, options: CallOptions | undefined, method: Method, ends: Ends<Answer>) {
    this.#clock = clock;
    this.#ends = ends;
    this.#method = method;
    this.#signal = options?.signal;
    this.#onAbort = () => this.#settle(() => ends.reject(failure('cancelled', method)));
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (options?.timeoutMs !== undefined) {
      this.#limit = clock.setTimer(options.timeoutMs, () =>
        this.#settle(() => ends.reject(failure('timeout', method))),
      );
    }
  }

  run(
    fault: ServerFault | undefined,
    travel: { readonly requestMs: number; readonly answerMs: number },
    effect: () => Promise<Answer>,
  ): void {
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'refuse') {
      this.#after(travel.requestMs, () => this.#settle(() => this.#ends.reject(failure('unreachable', this.#method))));
      return;
    }
    const requestMs = travel.requestMs + (fault?.kind === 'late-request' ? fault.delayMs : 0);
    const answerMs = travel.answerMs + (fault?.kind === 'late-answer' ? fault.delayMs : 0);
    this.#after(requestMs, () => {
      if (fault?.kind === 'duplicate') {
        this.#clock.setTimer(fault.delayMs, () => {
          // nobody waits for the second answer
          effect().catch(() => undefined);
        });
      }
      effect().then(
        (answer) => this.#answer(fault, answerMs, () => this.#ends.resolve(answer)),
        (error: unknown) => this.#answer(fault, answerMs, () => this.#ends.reject(error)),
      );
    });
  }

  #answer(fault: ServerFault | undefined, answerMs: number, deliver: () => void): void {
    if (fault?.kind === 'swallow-answer') return;
    const isLost = fault?.kind === 'lose-answer';
    const arrive = isLost ? () => this.#ends.reject(failure('unreachable', this.#method)) : deliver;
    this.#after(answerMs, () => this.#settle(arrive));
  }

  #after(delayMs: number, then: () => void): void {
    if (delayMs <= 0) then();
    else this.#clock.setTimer(delayMs, then);
  }

  #settle(deliver: () => void): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#limit?.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#ends.isListening?.() !== false) deliver();
  }
}

function damaged(bytes: Uint8Array, fault: ServerFault): Uint8Array {
  if (fault.kind === 'truncate') return bytes.slice(0, bytes.length >> 1);
  const copy = bytes.slice();
  const fraction = fault.kind === 'flip-bit' ? fault.fraction : 0;
  const bit = Math.floor(fraction * copy.length * 8);
  if (copy.length > 0) copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
}

function withoutLast(numbers: ReadonlySet<number>): ReadonlySet<number> {
  return new Set([...numbers].slice(0, -1));
}

function another(numbers: ReadonlySet<number>, shareNumber: number): number {
  return [...numbers].find((number) => number !== shareNumber) ?? shareNumber;
}

/** Buffers that the caller may use again once it has given up. */
function ownWrite(request: WriteShareRequest): WriteShareRequest {
  return { ...request, parts: request.parts.map((part) => part.slice()) };
}

function ownTestWrite(request: ReadTestWriteRequest): ReadTestWriteRequest {
  const own = ({ tests, writes, newLength }: TestWrite): TestWrite => ({
    tests: tests.map((test) => ({ ...test, specimen: test.specimen.slice() })),
    writes: writes.map(({ offset, data }) => ({ offset, data: data.slice() })),
    newLength,
  });
  return { ...request, shares: new Map([...request.shares].map(([number, share]) => [number, own(share)])) };
}

function failure(kind: ErrorKind, method: Method): TahoeError {
  const words: Partial<Record<ErrorKind, string>> = {
    unreachable: 'connection lost',
    timeout: 'no answer in time',
    cancelled: 'given up',
    'no-space': 'no space for this',
  };
  return new TahoeError(words[kind] ?? `failed with ${kind}`, { kind, op: `faulty-server.${method}` });
}
