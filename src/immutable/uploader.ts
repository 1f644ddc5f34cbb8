/** Upload of immutable files: key, servers, shares (immutable spec 3, 8, 10). */
import type { ChkReadCap } from '../caps/cap.js';
import {
  bucketLeaseSecrets,
  type ClientLeaseSecrets,
  chkStorageIndex,
  clientLeaseSecrets,
  convergentKeyTag,
  fileLeaseSecrets,
  uebHash,
} from '../crypto/derivations.js';
import { taggedHash } from '../crypto/hashes.js';
import { encodeBase32 } from '../encoding/base32.js';
import type { ServerId, StorageIndex } from '../encoding/brands.js';
import { asChkKey } from '../encoding/checked-bytes.js';
import type { Clock } from '../platform/clock.js';
import type { Logger } from '../platform/logger.js';
import { type ChkGeometry, uploadGeometry } from '../share-layout/chk-geometry.js';
import { chkShareLayout, chkShareLength } from '../share-layout/chk-share.js';
import { uebLength } from '../share-layout/chk-ueb.js';
import { permuteServers } from '../storage-protocol/permutation.js';
import type { StorageServer } from '../storage-protocol/storage-server.js';
import { throwIfCancelled } from './bounded-call.js';
import { EncodeService } from './encode-service.js';
import type { Uploader, UploadOptions, UploadResult, UploadSource } from './immutable.js';
import { LinkedController } from './linked-controller.js';
import { type Selection, selectServers } from './server-selection.js';
import { SmallFileEncoder } from './small-file-encoder.js';
import { streamFile } from './stream-file.js';
import { UploadSession } from './upload-session.js';

export interface UploaderOptions {
  /** The servers usable right now. */
  readonly servers: () => readonly StorageServer[];
  /** Bytes of `private/secret`. */
  readonly clientLeaseSecret: Uint8Array;
  readonly clock: Clock;
  readonly log: Logger;
  /** Shared by all uploaders of a node; one is made if none is given. */
  readonly encodeService?: EncodeService | undefined;
  /** How long a server may take to answer a question, and to take one write. */
  readonly queryTimeoutMs?: number | undefined;
  readonly writeTimeoutMs?: number | undefined;
}

/** Files up to this size are kept in their capability (immutable spec 10). */
export const MAXIMUM_LITERAL_BYTES = 55;
const QUERY_TIMEOUT_MS = 15_000;
const WRITE_TIMEOUT_MS = 60_000;
/** How long a server that failed is asked after the others. */
const AVOIDED_MS = 60_000;
const OP = 'immutable.upload';

export class GridUploader implements Uploader {
  readonly #options: UploaderOptions;
  readonly #leaseSecrets: ClientLeaseSecrets;
  readonly #small = new SmallFileEncoder();
  readonly #encodeService: EncodeService;
  /** When servers last failed: they are asked last for a while, so that one that hangs does not delay every upload. */
  readonly #failedAtMs = new Map<ServerId, number>();
  /** Uploads of the same file wait for each other: the second finds the shares of the first. */
  readonly #inProgress = new Map<string, Promise<void>>();

  constructor(options: UploaderOptions) {
    this.#options = options;
    this.#leaseSecrets = clientLeaseSecrets(options.clientLeaseSecret);
    this.#encodeService = options.encodeService ?? new EncodeService();
  }

  async upload(source: UploadSource, options: UploadOptions): Promise<UploadResult> {
    const stop = new LinkedController(options.signal);
    const { signal } = stop;
    try {
      throwIfCancelled(signal, OP);
      if (source.sizeBytes <= MAXIMUM_LITERAL_BYTES) return await uploadLiteral(source, options);
      const { sharesNeeded, sharesTotal, maximumSegmentSize } = options.encoding;
      const parameters = { sizeBytes: source.sizeBytes, sharesNeeded, sharesTotal };
      const geometry = uploadGeometry(parameters, maximumSegmentSize);
      const upload = { source, options, geometry, signal };
      return await (this.#small.accepts(geometry) ? this.#uploadSmall(upload) : this.#uploadLarge(upload));
    } catch (error) {
      throwIfCancelled(signal, OP);
      throw error;
    } finally {
      stop.unlink();
    }
  }

  /** Stops the encode worker, unless it was given. Uploads of large files in progress fail. */
  async close(): Promise<void> {
    if (this.#options.encodeService === undefined) await this.#encodeService.close();
  }

  async #uploadSmall({ source, options, geometry, signal }: Upload): Promise<UploadResult> {
    const plaintext = new Uint8Array(source.sizeBytes);
    await source.read(0, plaintext);
    const key = asChkKey(taggedHash(convergentKeyTag(options.convergenceSecret, geometry), plaintext, 16));
    const { cap, shares } = this.#small.encode(plaintext, geometry, key);
    return this.#withServers({ source, options, geometry, signal }, chkStorageIndex(key), async (session) => {
      for (const [share, writer] of session.writers) writer.append(shares[share]!);
      return cap;
    });
  }

  async #uploadLarge(upload: Upload): Promise<UploadResult> {
    const { source, options, geometry, signal } = upload;
    const keyTag = convergentKeyTag(options.convergenceSecret, geometry);
    const job = await this.#encodeService.open(geometry, keyTag, signal);
    try {
      const stream = streamFile({ source, geometry, job });
      const key = await stream.deriveKey(signal);
      return await this.#withServers(upload, chkStorageIndex(key), async (session): Promise<ChkReadCap> => {
        const ueb = await stream.send(session, options.onProgress);
        const { sharesNeeded, sharesTotal, sizeBytes } = geometry;
        return { type: 'chk', key, uebHash: uebHash(ueb), sharesNeeded, sharesTotal, sizeBytes };
      });
    } finally {
      await job.close();
    }
  }

  /** Finds servers, lets `send` append all shares, and sees them through. One at a time per storage index. */
  async #withServers(
    upload: Upload,
    storageIndex: StorageIndex,
    send: (session: UploadSession) => Promise<ChkReadCap>,
  ): Promise<UploadResult> {
    const leave = await this.#enter(encodeBase32(storageIndex), upload.signal);
    try {
      const candidates = this.#candidates(storageIndex, 2 * upload.geometry.sharesTotal);
      const selection = await this.#select(upload, storageIndex, candidates);
      return await this.#push(upload, storageIndex, candidates, selection, send);
    } finally {
      leave();
    }
  }

  async #push(
    { options, source, signal }: Upload,
    storageIndex: StorageIndex,
    candidates: readonly StorageServer[],
    selection: Selection,
    send: (session: UploadSession) => Promise<ChkReadCap>,
  ): Promise<UploadResult> {
    const { clock, log } = this.#options;
    const session = new UploadSession({
      selection,
      candidates,
      storageIndex,
      encoding: options.encoding,
      clock,
      log,
      writeTimeoutMs: this.#options.writeTimeoutMs ?? WRITE_TIMEOUT_MS,
      queryTimeoutMs: this.#queryTimeoutMs,
      signal,
    });
    try {
      const cap = await send(session);
      const placement = await session.complete();
      options.onProgress?.(source.sizeBytes);
      return { cap, placement };
    } catch (error) {
      const reason = session.signal.aborted ? session.signal.reason : error;
      await session.abandon(reason);
      throw reason;
    } finally {
      session.close();
      for (const id of selection.failures.keys()) this.#failedAtMs.set(id, clock.monotonicMs());
    }
  }

  /** The first of the permuted list, those that failed lately after the others. */
  #candidates(storageIndex: StorageIndex, limit: number): StorageServer[] {
    const nowMs = this.#options.clock.monotonicMs();
    const failedLately = ({ id }: StorageServer) => nowMs - (this.#failedAtMs.get(id) ?? -Infinity) < AVOIDED_MS;
    const servers = permuteServers(this.#options.servers(), storageIndex);
    const good = servers.filter((server) => !failedLately(server));
    return [...good, ...servers.filter(failedLately)].slice(0, limit);
  }

  #select({ geometry, options, signal }: Upload, storageIndex: StorageIndex, candidates: readonly StorageServer[]) {
    const { clock } = this.#options;
    const fileSecrets = fileLeaseSecrets(this.#leaseSecrets, storageIndex);
    return selectServers({
      candidates,
      storageIndex,
      allocatedSize: chkShareLength(chkShareLayout(geometry), uebLength(geometry)),
      encoding: options.encoding,
      leasesFor: (server) => bucketLeaseSecrets(fileSecrets, server.tubId),
      clock,
      queryTimeoutMs: this.#queryTimeoutMs,
      signal,
    });
  }

  get #queryTimeoutMs(): number {
    return this.#options.queryTimeoutMs ?? QUERY_TIMEOUT_MS;
  }

  async #enter(key: string, signal: AbortSignal): Promise<() => void> {
    for (let other = this.#inProgress.get(key); other !== undefined; other = this.#inProgress.get(key)) {
      await other;
      signal.throwIfAborted();
    }
    let leave = () => {};
    const done = new Promise<void>((resolve) => {
      leave = () => {
        this.#inProgress.delete(key);
        resolve();
      };
    });
    this.#inProgress.set(key, done);
    return leave;
  }
}

interface Upload {
  readonly source: UploadSource;
  readonly options: UploadOptions;
  readonly geometry: ChkGeometry;
  readonly signal: AbortSignal;
}

async function uploadLiteral(source: UploadSource, { onProgress }: UploadOptions): Promise<UploadResult> {
  const data = new Uint8Array(source.sizeBytes);
  if (data.length > 0) await source.read(0, data);
  onProgress?.(data.length);
  return { cap: { type: 'lit', data }, placement: new Map() };
}
