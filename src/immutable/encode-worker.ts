/** Entry of the encode worker: does what EncodeWorker asks, one message after the other. */
import { parentPort } from 'node:worker_threads';
import { TaggedHasher } from '../crypto/hashes.js';
import type { ChkKey } from '../encoding/brands.js';
import { asChkKey } from '../encoding/checked-bytes.js';
import { assert, describeError } from '../errors/tahoe-error.js';
import type { EncodeAnswer, EncodeAnswers, EncodeRequest } from './encode-protocol.js';
import { SegmentEncoder } from './segment-encoder.js';
import { SlotParity, SlotViews } from './segment-slots.js';

interface Job {
  readonly views: SlotViews;
  readonly keyHasher: TaggedHasher;
  startEncoder(key: ChkKey): SegmentEncoder;
  encoder?: SegmentEncoder;
}

const jobs = new Map<number, Job>();

function answer(request: EncodeRequest): EncodeAnswers[keyof EncodeAnswers] {
  if (request.step === 'open') {
    open(request);
    return undefined;
  }
  if (request.step === 'close') {
    jobs.delete(request.job);
    return undefined;
  }
  const job = jobs.get(request.job);
  assert(job !== undefined, 'the job is open');
  switch (request.step) {
    case 'hash':
      job.keyHasher.update(job.views.segment(request.slot, request.length));
      return undefined;
    case 'key': {
      const key = asChkKey(job.keyHasher.digest());
      job.encoder = job.startEncoder(key);
      return key;
    }
    case 'encode':
      encoderOf(job).encode(request.segment, request.slot);
      return undefined;
    case 'finish':
      return encoderOf(job).finish();
    case 'block-tree':
      return encoderOf(job).blockTree(request.share);
  }
}

function open({ job, memory, geometry, keyTag }: EncodeRequest & { readonly step: 'open' }): void {
  const views = new SlotViews(memory, geometry);
  const parity = new SlotParity(memory);
  const keyHasher = new TaggedHasher(keyTag, 16);
  jobs.set(job, { views, keyHasher, startEncoder: (key) => new SegmentEncoder(geometry, key, views, parity) });
}

function encoderOf(job: Job): SegmentEncoder {
  assert(job.encoder !== undefined, 'the key is known before segments are encoded');
  return job.encoder;
}

const port = parentPort;
assert(port !== null, 'this module runs in a worker');
port.on('message', (request: EncodeRequest) => {
  let reply: EncodeAnswer;
  try {
    reply = { value: answer(request) };
  } catch (error) {
    reply = { failure: describeError(error) };
  }
  port.postMessage(reply);
});
