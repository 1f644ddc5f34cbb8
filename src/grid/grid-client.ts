/** The grid of a node: upload, download and mutable files with this node's encoding and secrets filled in. */
import {
  type ChkReadCap,
  isMutableFile,
  type LitCap,
  type MutableFormat,
  type MutableReadCap,
  type MutableWriteCap,
  parseKnownCap,
  serializeCap,
} from '../caps/cap.js';
import { readU16, readU32, toHex } from '../encoding/bytes.js';
import { TahoeError } from '../errors/tahoe-error.js';
import type {
  Downloader,
  Encoding,
  ImmutableFile,
  Uploader,
  UploadResult,
  UploadSource,
} from '../immutable/immutable.js';
import { changeSlot, type SlotChange } from '../mutable/change-slot.js';
import { mapSlot, newSlotServers } from '../mutable/map-slot.js';
import { makeAttempt, publishAttempt } from '../mutable/publish.js';
import { openSlot, readSlot } from '../mutable/read-slot.js';
import type { SlotContext } from '../mutable/slot-context.js';
import { newSlot, slotKeysOf } from '../mutable/slot-keys.js';
import { type Quorums, quorumsOf } from '../mutable/slot-map.js';
import type { Grid, MutableFile, ServerStatus } from './grid.js';

export interface GridClientOptions {
  readonly uploader: Uploader;
  readonly downloader: Downloader;
  readonly slots: SlotContext;
  /** Key pairs for new mutable files. */
  readonly keys: { take(): Promise<{ readonly privateKeyDer: Uint8Array; readonly publicKeyDer: Uint8Array }> };
  readonly encoding: Encoding;
  /** Of new mutable files that ask for no other. Default SDMF. */
  readonly mutableFormat?: MutableFormat;
  readonly convergenceSecret: Uint8Array;
  readonly servers: () => readonly ServerStatus[];
}

export class GridClient implements Grid {
  readonly #options: GridClientOptions;
  readonly #quorums: Quorums;
  /** The last write of each slot: two of this node's must not race each other. */
  readonly #writing = new Map<string, Promise<unknown>>();

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

  async openMutable(capText: string): Promise<MutableFile> {
    const { slots } = this.#options;
    const keys = slotKeysOf(mutableCapOf(capText));
    const { version, read } = await openSlot(slots, keys, this.#quorums);
    return {
      sizeBytes: version.prefix.dataLength,
      // a safe integer of the hash that stands for all contents
      contentNumber: readU32(version.prefix.rootHash, 0) * 2 ** 16 + readU16(version.prefix.rootHash, 4),
      read: (offset, length) => read({ offset, length }),
    };
  }

  async readMutable(capText: string): Promise<Uint8Array> {
    const { content } = await readSlot(this.#options.slots, slotKeysOf(mutableCapOf(capText)), {
      quorums: this.#quorums,
    });
    return content;
  }

  async createMutable(
    content: Uint8Array,
    format: MutableFormat = this.#options.mutableFormat ?? 'sdmf',
  ): Promise<string> {
    const { slots } = this.#options;
    const pair = await this.#options.keys.take();
    const { cap, keys, signing } = newSlot(pair.privateKeyDer, pair.publicKeyDer, format);
    const quorums = this.#quorums;
    const map = await mapSlot(slots, keys, newSlotServers(slots, keys, quorums.sharesTotal));
    const attempt = makeAttempt(slots, { keys, signing, content, sequenceNumber: 1, base: undefined, quorums });
    const usable = [...map.answered.keys()];
    const result = await publishAttempt(slots, keys, attempt, { map, usable, kept: undefined, quorums, isNew: true });
    if (result.kind === 'proven') return serializeCap(cap);
    throw new TahoeError(`the file could not be stored on enough servers: ${result.reason}`, {
      kind: 'unhappy',
      op: 'grid.create',
    });
  }

  overwriteMutable(capText: string, content: Uint8Array): Promise<void> {
    return this.#change(capText, { kind: 'replace', content });
  }

  async updateMutable(capText: string, offset: number, data: Uint8Array): Promise<void> {
    if (data.length > 0) await this.#change(capText, { kind: 'update', offset, data });
  }

  servers(): readonly ServerStatus[] {
    return this.#options.servers();
  }

  /** One after the other for each slot, whatever capability names it. */
  async #change(capText: string, change: SlotChange): Promise<void> {
    const { slots, encoding } = this.#options;
    const keys = slotKeysOf(mutableCapOf(capText));
    const name = toHex(keys.storageIndex);
    const before = this.#writing.get(name);
    const write = async () => {
      await before;
      await changeSlot(slots, keys, change, { quorums: this.#quorums, sharesHappy: encoding.sharesHappy });
    };
    const written = write();
    const settled = written.then(
      () => {},
      () => {},
    );
    this.#writing.set(name, settled);
    try {
      await written;
    } finally {
      if (this.#writing.get(name) === settled) this.#writing.delete(name);
    }
  }
}

function mutableCapOf(text: string): MutableWriteCap | MutableReadCap {
  const cap = parseKnownCap(text);
  if (isMutableFile(cap)) return cap;
  throw new TahoeError(`not the capability of a mutable file but of type ${cap.type}`, {
    kind: 'bad-cap',
    op: 'grid.mutable',
  });
}
