/** The grid of a node: upload, download and mutable files with this node's encoding and secrets filled in. */
import {
  type ChkReadCap,
  type LitCap,
  parseKnownCap,
  type SdmfReadCap,
  type SdmfWriteCap,
  serializeCap,
} from '../caps/cap.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type {
  Downloader,
  Encoding,
  ImmutableFile,
  Uploader,
  UploadResult,
  UploadSource,
} from '../immutable/immutable.js';
import { assessSlot } from '../mutable/assess-slot.js';
import { mapSlot } from '../mutable/map-slot.js';
import { makeAttempt, type PublishResult, publishAttempt } from '../mutable/publish.js';
import { readSlot } from '../mutable/read-slot.js';
import { retrieveSigningKeys } from '../mutable/retrieve.js';
import type { SlotContext } from '../mutable/slot-context.js';
import { newSlot, slotKeysOf } from '../mutable/slot-keys.js';
import { type Quorums, quorumsOf } from '../mutable/slot-map.js';
import type { Grid, ServerStatus } from './grid.js';

/** Attempts at replacing a mutable file before the caller is told. */
const ATTEMPTS_MAX = 4;

export interface GridClientOptions {
  readonly uploader: Uploader;
  readonly downloader: Downloader;
  readonly slots: SlotContext;
  /** Key pairs for new mutable files. */
  readonly keys: { take(): Promise<{ readonly privateKeyDer: Uint8Array; readonly publicKeyDer: Uint8Array }> };
  readonly encoding: Encoding;
  readonly convergenceSecret: Uint8Array;
  readonly servers: () => readonly ServerStatus[];
}

export class GridClient implements Grid {
  readonly #options: GridClientOptions;
  readonly #quorums: Quorums;

  constructor(options: GridClientOptions) {
    this.#options = options;
    this.#quorums = quorumsOf(options.encoding);
  }

  upload(
    source: UploadSource,
    options: {
      readonly signal?: AbortSignal | undefined;
      readonly onProgress?: ((doneBytes: number) => void) | undefined;
    } = {},
  ): Promise<UploadResult> {
    const { uploader, encoding, convergenceSecret } = this.#options;
    return uploader.upload(source, { ...options, encoding, convergenceSecret });
  }

  open(cap: ChkReadCap | LitCap): ImmutableFile {
    return this.#options.downloader.open(cap);
  }

  async readMutable(capText: string): Promise<Uint8Array> {
    const { content } = await readSlot(this.#options.slots, slotKeysOf(mutableCapOf(capText)), this.#quorums);
    return content;
  }

  async createMutable(content: Uint8Array): Promise<string> {
    const { slots } = this.#options;
    const pair = await this.#options.keys.take();
    const { cap, keys, signing } = newSlot(pair.privateKeyDer, pair.publicKeyDer);
    const quorums = this.#quorums;
    const map = await mapSlot(slots, keys, { serverCount: quorums.sharesTotal });
    const attempt = makeAttempt(slots, { keys, signing, content, sequenceNumber: 1, base: undefined, quorums });
    const usable = [...map.answered.keys()];
    const result = await publishAttempt(slots, keys, attempt, { map, usable, quorums, isNew: true });
    if (result.kind !== 'proven') throw unhappy(result.reason);
    return serializeCap(cap);
  }

  async overwriteMutable(capText: string, content: Uint8Array): Promise<void> {
    const cap = mutableCapOf(capText);
    if (cap.type !== 'sdmf-write')
      throw new TahoeError('a read capability', { kind: 'read-only', op: 'grid.overwrite' });
    let last: PublishResult | undefined;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      last = await this.#overwriteOnce(cap, content);
      if (last.kind === 'proven') return;
      if (last.kind === 'collision') break;
    }
    if (last?.kind === 'unproven') throw unhappy(last.reason);
    throw new TahoeError(`another writer changed the file: ${last?.kind === 'collision' ? last.reason : ''}`, {
      kind: 'uncoordinated-write',
      op: 'grid.overwrite',
    });
  }

  servers(): readonly ServerStatus[] {
    return this.#options.servers();
  }

  async #overwriteOnce(cap: SdmfWriteCap, content: Uint8Array): Promise<PublishResult> {
    const { slots, encoding } = this.#options;
    const keys = slotKeysOf(cap);
    const map = await mapSlot(slots, keys, { serverCount: this.#quorums.sharesTotal });
    const [seen] = map.versions.values();
    const quorums =
      seen === undefined ? this.#quorums : quorumsOf({ ...seen.prefix, sharesHappy: encoding.sharesHappy });
    const assessment = assessSlot(map, { proven: undefined, attempts: [] }, quorums, keys.readKey);
    if (assessment.kind === 'absent')
      throw new TahoeError('no share of the file was found', { kind: 'unrecoverable', op: 'grid.overwrite' });
    if (assessment.kind !== 'base') return { kind: 'unproven', reason: assessment.reason };
    // contents of files are not merged
    if (assessment.forks.length > 0)
      return { kind: 'collision', reason: `${assessment.forks.length + 1} versions that do not contain each other` };
    const { base, lineage, usable, highestSequenceNumber } = assessment;
    const attempt = makeAttempt(slots, {
      keys,
      signing: await retrieveSigningKeys(slots, keys, map),
      content,
      sequenceNumber: highestSequenceNumber + 1,
      base: { version: base, lineage },
      quorums,
    });
    return publishAttempt(slots, keys, attempt, { map, usable, quorums, isNew: false });
  }
}

function mutableCapOf(text: string): SdmfWriteCap | SdmfReadCap {
  const cap = parseKnownCap(text);
  if (cap.type === 'sdmf-write' || cap.type === 'sdmf-read') return cap;
  const kind = cap.type === 'mdmf-write' || cap.type === 'mdmf-read' ? 'unsupported' : 'bad-cap';
  throw new TahoeError(`not the capability of an SDMF file but of type ${cap.type}`, { kind, op: 'grid.mutable' });
}

function unhappy(reason: string): TahoeError {
  return new TahoeError(`the file could not be stored on enough servers: ${reason}`, {
    kind: 'unhappy',
    op: 'grid.mutable',
  });
}
