import { isTahoeError } from '../errors/tahoe-error.js';
import type { FileStore, OpenedFile } from '../platform/file-store.js';
import { immutableHeaderLength, serializeImmutableHeader } from '../share-layout/containers.js';
import { serializeImmutableLease, storedLeaseSecret } from '../share-layout/lease.js';
import type { ImmutableUpload, LeaseGrant } from './backend.js';

const VERSION = 2;

export interface DiskUploadOptions {
  readonly files: FileStore;
  /** Where the share is until it is complete. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly lease: LeaseGrant;
  /** Makes the directory that the share will be in, durably. */
  readonly makePlace: () => Promise<void>;
  /** Moves the finished file there, durably. */
  readonly publish: () => Promise<void>;
}

/** A share that grows in the incoming directory. The file is made by the first write: many allocations get none. */
export class DiskUpload implements ImmutableUpload {
  readonly #options: DiskUploadOptions;
  #file: OpenedFile | undefined;
  #isOnDisk = false;

  constructor(options: DiskUploadOptions) {
    this.#options = options;
  }

  async write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#file === undefined && offset === 0 && length === this.#options.sizeBytes) {
      await this.#create(parts);
      return;
    }
    this.#file ??= await this.#createEmpty();
    await this.#file.write(immutableHeaderLength + offset, parts);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#file === undefined ? new Uint8Array(0) : this.#file.read(immutableHeaderLength + offset, length);
  }

  async complete(): Promise<void> {
    try {
      const file = this.#file ?? (await this.#createEmpty());
      // Side by side, since each waits for the disk; both to their end, since a file must not be closed under its sync.
      const results = await Promise.allSettled([file.sync(), this.#options.makePlace()]);
      const failure = results.find((result) => result.status === 'rejected');
      if (failure !== undefined) throw failure.reason;
      await this.#close();
      await this.#options.publish();
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    await this.#close();
    if (!this.#isOnDisk) return;
    this.#isOnDisk = false;
    try {
      await this.#options.files.remove(this.#options.path);
    } catch (error) {
      if (!isTahoeError(error, 'not-found')) throw error;
    }
  }

  /** The whole container in one gathered write: most shares are small and arrive in one piece. */
  async #create(data: readonly Uint8Array[]): Promise<void> {
    await this.#begin((file) => file.write(0, [this.#header(), ...data, this.#lease()]));
  }

  #createEmpty(): Promise<OpenedFile> {
    return this.#begin(async (file) => {
      await file.write(0, [this.#header()]);
      await file.write(immutableHeaderLength + this.#options.sizeBytes, [this.#lease()]);
    });
  }

  /** Makes the file with its first contents; leaves none if that fails, so that a later write begins anew. */
  async #begin(fill: (file: OpenedFile) => Promise<void>): Promise<OpenedFile> {
    const file = await this.#options.files.open(this.#options.path, 'create-new');
    this.#file = file;
    this.#isOnDisk = true;
    try {
      await fill(file);
      return file;
    } catch (error) {
      await this.abort();
      throw error;
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #header(): Uint8Array {
    return serializeImmutableHeader(VERSION, this.#options.sizeBytes, 1);
  }

  #lease(): Uint8Array {
    const { lease } = this.#options;
    return serializeImmutableLease({
      ownerNumber: lease.ownerNumber,
      expirationSeconds: lease.expiresSeconds,
      renewSecret: storedLeaseSecret(VERSION, lease.renew),
      cancelSecret: storedLeaseSecret(VERSION, lease.cancel),
    });
  }
}
