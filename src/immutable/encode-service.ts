/**
 * The node's one encode worker and the slot memories that uploads borrow. Started on first use; does not keep the
 * process alive while it has nothing to do.
 */
import { Worker } from 'node:worker_threads';
import type { ChkKey } from '../encoding/brands.js';
import type { KernelMemory } from '../encoding/web-assembly.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type { ChkGeometry } from '../share-layout/chk-geometry.js';
import type { EncodeAnswer, EncodeAnswers, EncodeRequest } from './encode-protocol.js';
import type { EncodedTrees } from './segment-encoder.js';
import { createSlotMemory, SlotViews, slotShape, slotsIn } from './segment-slots.js';

/** Nine slots of the default encoding: three segments in flight, three gathering, the rest being encoded. */
const MEMORY_BYTES = 32 << 20;
const MAXIMUM_SLOTS = 64;
/** Of files whose segments are so large or so many times multiplied that the memory would hold fewer. */
const MINIMUM_SLOTS = 3;
/** Uploads of large files at one time; others wait for a memory. */
const MEMORIES = 2;

export class EncodeService {
  #worker: Worker | undefined;
  readonly #answers: ((answer: EncodeAnswer) => void)[] = [];
  readonly #idle: KernelMemory[] = [];
  readonly #waiting: (() => void)[] = [];
  #inUse = 0;
  #jobs = 0;

  /** Waits until one of the memories is free. Rejects with the signal's reason. */
  async open(geometry: ChkGeometry, keyTag: Uint8Array, signal: AbortSignal): Promise<EncodeJob> {
    await this.#enter(signal);
    const shape = slotShape(geometry);
    const fits = slotsIn(shape, MEMORY_BYTES) >= MINIMUM_SLOTS;
    const sizeBytes = fits ? MEMORY_BYTES : shape.firstSlot + MINIMUM_SLOTS * shape.slotBytes;
    const memory = (fits ? this.#idle.pop() : undefined) ?? createSlotMemory(sizeBytes);
    const leave = () => {
      if (fits) this.#idle.push(memory);
      this.#inUse--;
      this.#waiting.shift()?.();
    };
    const job = this.#jobs++;
    try {
      await this.#ask({ step: 'open', job, memory, geometry, keyTag });
    } catch (error) {
      leave();
      throw error;
    }
    const slotCount = Math.min(slotsIn(shape, sizeBytes), MAXIMUM_SLOTS);
    return new EncodeJob((request) => this.#ask(request), job, new SlotViews(memory, geometry), slotCount, leave);
  }

  /** Stops the worker. Jobs in progress fail with kind `closed`. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#failAll('the encode worker was stopped');
    await worker?.terminate();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    while (this.#inUse >= MEMORIES) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener('abort', wake);
          const at = this.#waiting.indexOf(wake);
          if (at >= 0) this.#waiting.splice(at, 1);
          resolve();
        };
        signal.addEventListener('abort', wake, { once: true });
        this.#waiting.push(wake);
      });
      signal.throwIfAborted();
    }
    this.#inUse++;
  }

  #ask<Request extends EncodeRequest>(request: Request): Promise<EncodeAnswers[Request['step']]> {
    // without a worker there is nothing to close
    if (request.step === 'close' && this.#worker === undefined) return Promise.resolve(undefined as never);
    const worker = this.#start();
    worker.ref();
    return new Promise((resolve, reject) => {
      this.#answers.push((answer) => {
        if ('failure' in answer) reject(new TahoeError(answer.failure, { kind: 'internal', op: 'immutable.encode' }));
        else resolve(answer.value as EncodeAnswers[Request['step']]);
      });
      worker.postMessage(request);
    });
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL('./encode-worker.js', import.meta.url), { name: 'encode' });
    worker.on('message', (answer: EncodeAnswer) => {
      this.#answers.shift()?.(answer);
      if (this.#answers.length === 0) worker.unref();
    });
    const onEnd = (reason: string) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#failAll(reason);
    };
    worker.on('error', (error) => onEnd(`the encode worker failed: ${error.message}`));
    worker.on('exit', (code) => onEnd(`the encode worker ended with code ${code}`));
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #failAll(failure: string): void {
    for (const settle of this.#answers.splice(0)) settle({ failure });
  }
}

/** One file in the worker. Plaintext is put into slots, ciphertext blocks are taken out of them. */
export class EncodeJob {
  readonly slotCount: number;
  readonly views: SlotViews;
  readonly #ask: <Request extends EncodeRequest>(request: Request) => Promise<EncodeAnswers[Request['step']]>;
  readonly #job: number;
  #leave: (() => void) | undefined;

  constructor(
    ask: <Request extends EncodeRequest>(request: Request) => Promise<EncodeAnswers[Request['step']]>,
    job: number,
    views: SlotViews,
    slotCount: number,
    leave: () => void,
  ) {
    this.#ask = ask;
    this.#job = job;
    this.views = views;
    this.slotCount = slotCount;
    this.#leave = leave;
  }

  /** The next `length` bytes of the first pass lie at the beginning of `slot`. */
  hash(slot: number, length: number): Promise<void> {
    return this.#ask({ step: 'hash', job: this.#job, slot, length });
  }

  /** After the first pass, once. */
  deriveKey(): Promise<ChkKey> {
    return this.#ask({ step: 'key', job: this.#job });
  }

  /** Plaintext of the next segment in `slot` becomes its ciphertext and blocks. */
  encode(segment: number, slot: number): Promise<void> {
    return this.#ask({ step: 'encode', job: this.#job, segment, slot });
  }

  finish(): Promise<EncodedTrees> {
    return this.#ask({ step: 'finish', job: this.#job });
  }

  blockTree(share: number): Promise<Uint8Array> {
    return this.#ask({ step: 'block-tree', job: this.#job, share });
  }

  /** Gives the memory back: nobody may hold a view of a slot any more. Harmless when called again. */
  async close(): Promise<void> {
    const leave = this.#leave;
    if (leave === undefined) return;
    this.#leave = undefined;
    try {
      await this.#ask({ step: 'close', job: this.#job });
    } finally {
      leave();
    }
  }
}
