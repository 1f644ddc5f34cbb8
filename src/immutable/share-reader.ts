/**
 * Reads one share on one server and believes nothing (immutable spec 9.3). What it has read speculatively at first is
 * kept, so that a small file costs one read per share.
 */
import { blockHash } from '../crypto/derivations.js';
import { bytesEqual } from '../encoding/bytes.js';
import { assert, describeError, isTahoeError } from '../errors/tahoe-error.js';
import { IncompleteHashTree } from '../hashtree/hash-tree.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { blockLength, type ChkGeometry } from '../share-layout/chk-geometry.js';
import {
  type ChkOffsets,
  type ChkShareHeader,
  chkShareLayout,
  chkShareLength,
  MAXIMUM_HEADER_LENGTH,
  parseChkHeader,
  parseUebLength,
  uebLengthWidth,
} from '../share-layout/chk-share.js';
import { parseShareHashes } from '../share-layout/chk-share-hashes.js';
import { uebLength } from '../share-layout/chk-ueb.js';
import type { ByteRange } from '../storage-protocol/storage-server.js';
import { boundedCall } from './bounded-call.js';
import type { ServerSpeeds } from './server-speeds.js';
import type { FoundShare } from './share-finder.js';
import { ShareProblem } from './share-problem.js';
import { nodesIn, treeRanges } from './tree-reads.js';
import type { VerifiedFile, VerifiedParameters } from './verified-file.js';

/** Shares up to this size are read whole at once. */
const WHOLE_SHARE_BYTES = 16384;
/** Hash trees together up to this size are read with the first read. */
const WHOLE_TREES_BYTES = 32768;
/** Real URI extension blocks may be a little longer than ours. */
const UEB_SLACK_BYTES = 256;
/** A share that was not available is tried again after this. */
const RETRY_AFTER_MS = 30_000;

export interface ShareReaderOptions {
  readonly file: VerifiedFile;
  readonly share: FoundShare;
  readonly clock: Clock;
  readonly log: Logger;
  readonly speeds: ServerSpeeds;
  readonly timeoutMs: number;
}

interface PreparedShare {
  readonly header: ChkShareHeader;
  readonly parameters: VerifiedParameters;
  readonly blockTree: IncompleteHashTree;
}

interface KeptArea {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Promise<Uint8Array>;
}

export class ShareReader {
  readonly share: FoundShare;
  readonly #options: ShareReaderOptions;
  readonly #badSegments = new Set<number>();
  #kept: KeptArea[] = [];
  #preparing: Promise<PreparedShare> | undefined;
  #prepared = false;
  #problem: ShareProblem | undefined;
  #problemUntilMs = 0;

  constructor(options: ShareReaderOptions) {
    this.share = options.share;
    this.#options = options;
  }

  /** Its header and hashes are known and good. */
  get prepared(): boolean {
    return this.#prepared;
  }

  /** Why the share cannot serve now, undefined if it can. */
  problem(segment: number): ShareProblem | undefined {
    if (this.#problem !== undefined && this.#options.clock.monotonicMs() < this.#problemUntilMs) return this.#problem;
    return this.#badSegments.has(segment) ? new ShareProblem('corrupt-block', 'a corrupt block') : undefined;
  }

  /**
   * The block of one segment, checked; undefined if segments turn out not to have the size that the caller assumed.
   * Throws a ShareProblem, already noted and reported to the server. May be put `into` a buffer of its length, which is
   * not touched any more once the promise has settled or the signal was aborted.
   */
  async block(
    segment: number,
    assumedSize: number,
    signal: AbortSignal,
    into?: Uint8Array,
  ): Promise<Uint8Array | undefined> {
    return this.#noting(segment, async () => {
      const { parameters, header, blockTree } = await this.#prepare(segment);
      const { geometry } = parameters;
      if (geometry.segmentSize !== assumedSize) return undefined;
      const at = header.offsets.data + segment * geometry.blockSize;
      const [block] = await Promise.all([
        this.#read({ offset: at, length: blockLength(geometry, segment) }, 'a block', signal, into),
        this.#learn(blockTree, segment, header.offsets.blockTree, 'block hash tree'),
      ]);
      if (!bytesEqual(blockHash(block), blockTree.leaf(segment)!)) {
        throw new ShareProblem('corrupt-block', `block ${segment} does not have its hash`);
      }
      this.#kept = this.#kept.filter(({ length }) => length <= 2 * WHOLE_TREES_BYTES);
      return block;
    });
  }

  /** Learns the file's ciphertext hash of one segment from this share. */
  async learnCrypttext(segment: number): Promise<void> {
    await this.#noting(segment, async () => {
      const { parameters, header } = await this.#prepare(segment);
      await this.#learn(parameters.crypttextTree, segment, header.offsets.crypttextTree, 'ciphertext hash tree');
    });
  }

  /** Forgets the bytes kept from the first read. */
  forget(): void {
    this.#kept = [];
  }

  async #noting<Value>(segment: number, run: () => Promise<Value>): Promise<Value> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof ShareProblem)) throw error;
      this.#note(error, segment);
      throw error;
    }
  }

  #note(problem: ShareProblem, segment: number): void {
    if (problem.kind === 'corrupt-block') {
      if (this.#badSegments.has(segment)) return;
      this.#badSegments.add(segment);
    } else {
      if (problem === this.#problem) return;
      this.#problem = problem;
      const { clock } = this.#options;
      this.#problemUntilMs = problem.kind === 'unavailable' ? clock.monotonicMs() + RETRY_AFTER_MS : Infinity;
    }
    if (problem.kind === 'corrupt-block' || problem.kind === 'corrupt-share') void this.#report(problem);
  }

  /** Nobody waits for it, and its failure changes nothing. */
  async #report(problem: ShareProblem): Promise<void> {
    const { file, clock, timeoutMs, log } = this.#options;
    const { server, shareNumber } = this.share;
    log.warn('corrupt share', { server: server.nickname, shareNumber, reason: problem.message });
    const reason = `corruption in share ${shareNumber}: ${problem.message}`;
    const address = { storageIndex: file.storageIndex, shareNumber };
    const bound = { clock, timeoutMs, op: 'immutable.download', subject: server.nickname };
    try {
      await boundedCall(bound, (signal) => server.adviseCorrupt('immutable', address, reason, { signal }));
    } catch (error) {
      log.debug('a corruption advisory was not taken', { server: server.nickname, error: describeError(error) });
    }
  }

  /** Header, URI extension block and share hashes, once for all callers; again after a failure. */
  #prepare(segment: number): Promise<PreparedShare> {
    this.#preparing ??= this.#prepareOnce(segment).catch((error: unknown) => {
      this.#preparing = undefined;
      this.#kept = [];
      throw error;
    });
    return this.#preparing;
  }

  async #prepareOnce(segment: number): Promise<PreparedShare> {
    const { file, share } = this.#options;
    this.#speculate(file.likelyGeometry, segment);
    const headerBytes = await this.#readUpTo({ offset: 0, length: MAXIMUM_HEADER_LENGTH });
    const header = malformed(() => parseChkHeader(headerBytes));
    const parameters = file.parameters ?? file.learnUeb(await this.#readUeb(header));
    await this.#learnShareHashes(header.offsets, parameters);
    const root = parameters.shareTree.leaf(share.shareNumber);
    if (root === undefined) throw new ShareProblem('corrupt-share', 'its own share hash is missing');
    this.#prepared = true;
    return { header, parameters, blockTree: new IncompleteHashTree(parameters.geometry.segmentCount, root) };
  }

  /** Starts the reads that will most probably be needed, before the header is known. */
  #speculate(geometry: ChkGeometry, segment: number): void {
    const layout = chkShareLayout(geometry);
    const length = chkShareLength(layout, uebLength(geometry)) + UEB_SLACK_BYTES;
    if (length <= WHOLE_SHARE_BYTES) {
      this.#keep({ offset: 0, length });
      return;
    }
    const wholeTrees = 2 * layout.treeLength <= WHOLE_TREES_BYTES;
    const tail = wholeTrees ? layout.offsets.crypttextTree : layout.offsets.shareHashes;
    const blockAt = layout.offsets.data + segment * geometry.blockSize;
    if (segment === 0) {
      this.#keep({ offset: 0, length: blockAt + blockLength(geometry, 0) });
    } else {
      this.#keep({ offset: 0, length: MAXIMUM_HEADER_LENGTH });
      if (segment < geometry.segmentCount) this.#keep({ offset: blockAt, length: blockLength(geometry, segment) });
    }
    this.#keep({ offset: tail, length: length - tail });
  }

  #keep(range: ByteRange): void {
    const bytes = this.#fetch(range);
    // whoever needs them sees the failure
    bytes.catch(() => {});
    this.#kept.push({ ...range, bytes });
  }

  async #readUeb(header: ChkShareHeader): Promise<Uint8Array> {
    const width = uebLengthWidth(header);
    const at = header.offsets.uriExtension;
    const field = await this.#read({ offset: at, length: width }, 'the URI extension block');
    const length = malformed(() => parseUebLength(header, field));
    return await this.#read({ offset: at + width, length }, 'the URI extension block');
  }

  async #learnShareHashes({ shareHashes, uriExtension }: ChkOffsets, parameters: VerifiedParameters): Promise<void> {
    const { shareTree } = parameters;
    if (shareTree.leaf(this.share.shareNumber) !== undefined) return;
    const range = { offset: shareHashes, length: uriExtension - shareHashes };
    // more could not be parsed, and must not be fetched
    if (range.length > WHOLE_SHARE_BYTES * 2) throw new ShareProblem('malformed', 'too many share hashes');
    const section = await this.#read(range, 'the share hashes');
    const entries = malformed(() => parseShareHashes(section));
    corrupt('share hashes', () => shareTree.learn(entries));
  }

  async #learn(tree: IncompleteHashTree, leaf: number, treeAt: number, what: string): Promise<void> {
    const ranges = treeRanges(tree, leaf);
    if (ranges.length === 0) return;
    const reads = ranges.map(async (range) => {
      const bytes = await this.#read({ offset: treeAt + range.offset, length: range.length }, `the ${what}`);
      return nodesIn(range, bytes);
    });
    const nodes = (await Promise.all(reads)).flat();
    corrupt(what, () => tree.learn(nodes));
    assert(tree.leaf(leaf) !== undefined, 'the leaf is among the nodes read');
  }

  /** All bytes of the range; a ShareProblem if the share ends before. */
  async #read(range: ByteRange, what: string, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> {
    const bytes = await this.#readUpTo(range, signal, into);
    if (bytes.length < range.length) throw new ShareProblem('malformed', `the share ends before ${what} does`);
    return bytes;
  }

  async #readUpTo(range: ByteRange, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> {
    for (const { offset, bytes } of this.#kept) {
      if (range.offset < offset) continue;
      const start = range.offset - offset;
      const area = await bytes;
      if (start + range.length <= area.length) return area.subarray(start, start + range.length);
    }
    return await this.#fetch(range, signal, into);
  }

  async #fetch(range: ByteRange, signal?: AbortSignal, into?: Uint8Array): Promise<Uint8Array> {
    const { file, clock, timeoutMs, speeds } = this.#options;
    const { server, shareNumber } = this.share;
    const address = { storageIndex: file.storageIndex, shareNumber };
    const bound = { clock, timeoutMs, op: 'immutable.download', subject: server.nickname, signal };
    const startMs = clock.monotonicMs();
    try {
      const bytes = await boundedCall(bound, (bounded) =>
        server.readShare(address, range, { signal: bounded, timeoutMs, into }),
      );
      speeds.note(server.id, clock.monotonicMs() - startMs);
      return bytes.length > range.length ? bytes.subarray(0, range.length) : bytes;
    } catch (error) {
      signal?.throwIfAborted();
      if (!isTahoeError(error)) throw error;
      throw new ShareProblem('unavailable', describeError(error), error);
    }
  }
}

/** Parsing of a part of the share: failures make it malformed. */
function malformed<Value>(parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (isTahoeError(error, 'corrupt')) throw ShareProblem.from(error, 'malformed');
    throw error;
  }
}

/** Checking of hashes: failures make it corrupt. */
function corrupt(what: string, learn: () => void): void {
  try {
    learn();
  } catch (error) {
    if (isTahoeError(error, 'corrupt')) throw new ShareProblem('corrupt-share', `${what}: ${error.message}`, error);
    throw error;
  }
}
