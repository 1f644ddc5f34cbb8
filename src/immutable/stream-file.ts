/** Moves a large file through the encode worker: plaintext in, blocks out, memory bounded by the slots. */
import type { ChkKey } from '../encoding/brands.js';
import { type ChkGeometry, segmentLength } from '../share-layout/chk-geometry.js';
import { chkShareLayout, serializeChkHeader } from '../share-layout/chk-share.js';
import type { EncodeJob } from './encode-service.js';
import type { UploadSource } from './immutable.js';
import { shareTail } from './share-tail.js';
import { SlotRing } from './slot-ring.js';
import type { UploadSession } from './upload-session.js';

export interface FileStream {
  /** First pass: the convergent key. */
  deriveKey(signal: AbortSignal): Promise<ChkKey>;
  /** Second pass: every share to its writer. Returns the URI extension block once all is appended. */
  send(session: UploadSession, onProgress?: (doneBytes: number) => void): Promise<Uint8Array>;
}

/** Tails of several shares are in memory at a time while they are small. */
const TAIL_MEMORY_BYTES = 16 << 20;

export function streamFile(file: {
  readonly source: UploadSource;
  readonly geometry: ChkGeometry;
  readonly job: EncodeJob;
}): FileStream {
  return {
    deriveKey: (signal) => deriveKey(file.source, file.geometry, file.job, signal),
    send: (session, onProgress) => new Sender(file.source, file.geometry, file.job, session, onProgress).run(),
  };
}

async function deriveKey(
  source: UploadSource,
  geometry: ChkGeometry,
  job: EncodeJob,
  signal: AbortSignal,
): Promise<ChkKey> {
  const ring = new SlotRing(Math.min(2, job.slotCount), () => {});
  const failed = new AbortController();
  for (let segment = 0; segment < geometry.segmentCount; segment++) {
    const slot = await ring.acquire(signal);
    failed.signal.throwIfAborted();
    const length = segmentLength(geometry, segment);
    await source.read(segment * geometry.segmentSize, job.views.segment(slot, length));
    job.hash(slot, length).then(
      () => ring.release(slot),
      (error: unknown) => {
        failed.abort(error);
        ring.release(slot);
      },
    );
  }
  const key = await job.deriveKey();
  failed.signal.throwIfAborted();
  return key;
}

class Sender {
  readonly #source: UploadSource;
  readonly #geometry: ChkGeometry;
  readonly #job: EncodeJob;
  readonly #session: UploadSession;
  readonly #onProgress: ((doneBytes: number) => void) | undefined;
  readonly #ring: SlotRing;

  constructor(
    source: UploadSource,
    geometry: ChkGeometry,
    job: EncodeJob,
    session: UploadSession,
    onProgress: ((doneBytes: number) => void) | undefined,
  ) {
    this.#source = source;
    this.#geometry = geometry;
    this.#job = job;
    this.#session = session;
    this.#onProgress = onProgress;
    this.#ring = new SlotRing(job.slotCount, () => session.hurry());
  }

  async run(): Promise<Uint8Array> {
    const header = serializeChkHeader(chkShareLayout(this.#geometry), this.#geometry);
    for (const writer of this.#session.writers.values()) writer.append(header);
    await this.#sendSegments();
    return await this.#sendTails();
  }

  /** Reads one segment while the worker encodes the one before. */
  async #sendSegments(): Promise<void> {
    let previous: Promise<void> = Promise.resolve();
    for (let segment = 0; segment < this.#geometry.segmentCount; segment++) {
      let slot: number;
      try {
        slot = await this.#ring.acquire(this.#session.signal);
        await this.#read(segment, slot);
      } catch (error) {
        await Promise.allSettled([previous]);
        throw error;
      }
      await previous;
      previous = this.#encode(segment, slot);
      // awaited in the next round; it may fail before that
      previous.catch(() => {});
    }
    await previous;
  }

  async #read(segment: number, slot: number): Promise<void> {
    const target = this.#job.views.segment(slot, segmentLength(this.#geometry, segment));
    await this.#source.read(segment * this.#geometry.segmentSize, target);
  }

  /** Hands the blocks to the writers; the slot is free when the last of them is sent. */
  async #encode(segment: number, slot: number): Promise<void> {
    await this.#job.encode(segment, slot);
    this.#session.signal.throwIfAborted();
    for (const [share, writer] of this.#session.writers) {
      this.#ring.retain(slot);
      writer.append(this.#job.views.block(slot, segment, share), () => this.#ring.release(slot));
    }
    this.#ring.release(slot);
    const done = Math.min((segment + 1) * this.#geometry.segmentSize, this.#geometry.sizeBytes);
    if (done < this.#geometry.sizeBytes) this.#onProgress?.(done);
  }

  async #sendTails(): Promise<Uint8Array> {
    const trees = await this.#job.finish();
    const layout = chkShareLayout(this.#geometry);
    const total = this.#geometry.sharesTotal;
    const writers = [...this.#session.writers];
    const sendNext = async () => {
      for (let next = writers.shift(); next !== undefined; next = writers.shift()) {
        const [number, writer] = next;
        if (writer.lost) continue;
        const blockTree = await this.#job.blockTree(number);
        for (const part of shareTail(layout, trees, { number, total, blockTree })) writer.append(part);
        await writer.drain();
      }
    };
    const lanes = Math.max(1, Math.min(writers.length, Math.floor(TAIL_MEMORY_BYTES / layout.treeLength)));
    await Promise.all(Array.from({ length: lanes }, sendNext));
    return trees.ueb;
  }
}
