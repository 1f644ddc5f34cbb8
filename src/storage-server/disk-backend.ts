import { dirname, join } from 'node:path';
import type { StorageIndex, TubId, WriteEnabler } from '../encoding/brands.js';
import { encodeUtf8 } from '../encoding/bytes.js';
import { isTahoeError, TahoeError } from '../errors/tahoe-error.js';
import type { FileStore } from '../platform/file-store.js';
import { containerKindOf } from '../share-layout/containers.js';
import type { ShareAddress, ShareKind } from '../storage-protocol/storage-server.js';
import type {
  FoundShares,
  ImmutableUpload,
  LeaseGrant,
  MutableSlot,
  ShareReader,
  SlotEdit,
  StorageBackend,
} from './backend.js';
import { DiskLayout, shareNumberOf } from './disk-layout.js';
import { type DiskMutableShare, type DiskShare, openDiskShare } from './disk-share.js';
import { changesData, writeEditedContainer } from './disk-slot.js';
import { DiskUpload } from './disk-upload.js';
import { GroupedSync } from './grouped-sync.js';

const KIND_BYTES = 32;

/** Shares as files, in the layout and the containers of the reference: immutable spec 6, mutable spec 6. */
export class DiskBackend implements StorageBackend {
  readonly #files: FileStore;
  readonly #layout: DiskLayout;
  readonly #nodeId: TubId;
  readonly #sync: GroupedSync;
  /** Prefix directories that are known to be there for good. */
  readonly #durablePrefixes = new Set<string>();

  /** `nodeId` is recorded in mutable containers. `directory` is made when missing. */
  constructor(files: FileStore, directory: string, nodeId: TubId) {
    this.#files = files;
    this.#layout = new DiskLayout(directory);
    this.#nodeId = nodeId;
    this.#sync = new GroupedSync(files);
  }

  async start(): Promise<void> {
    await this.#files.removeTree(this.#layout.incoming);
    await this.#files.makeDirectory(this.#layout.incoming);
    await this.#files.makeDirectory(this.#layout.advisories);
    await this.#files.syncDirectory(this.#layout.shares);
    await this.#files.syncDirectory(dirname(this.#layout.shares));
  }

  async freeBytes(): Promise<number> {
    return (await this.#files.space(this.#layout.shares)).freeBytes;
  }

  async find(storageIndex: StorageIndex): Promise<FoundShares | undefined> {
    const shareNumbers = await this.#shareNumbers(storageIndex);
    for (const shareNumber of shareNumbers) {
      const kind = await this.#kindOf({ storageIndex, shareNumber });
      if (kind !== undefined) return { kind, shareNumbers: new Set(shareNumbers) };
    }
    return undefined;
  }

  beginUpload(address: ShareAddress, sizeBytes: number, lease: LeaseGrant): ImmutableUpload {
    const { storageIndex } = address;
    const path = this.#layout.unfinished(address);
    const makePlace = async () => {
      await this.#makeBucket(storageIndex);
      await this.#sync.sync(this.#layout.prefixDirectory(storageIndex));
    };
    const publish = async () => {
      await this.#files.rename(path, this.#layout.share(address));
      await this.#sync.sync(this.#layout.bucketDirectory(storageIndex));
    };
    return new DiskUpload({ files: this.#files, path, sizeBytes, lease, makePlace, publish });
  }

  async openShare(kind: ShareKind, address: ShareAddress): Promise<ShareReader> {
    const share = await this.#open(address, 'read');
    if (share.kind === kind) return share;
    await share.close();
    throw new TahoeError('the share is of the other kind', { kind: 'not-found', op: 'storage.openShare' });
  }

  async openSlot(storageIndex: StorageIndex): Promise<MutableSlot> {
    const shares = new Map<number, DiskMutableShare>();
    const slot = new DiskSlot(shares, (edits, writeEnabler, lease) =>
      this.#commit(storageIndex, shares, edits, writeEnabler, lease),
    );
    try {
      for (const shareNumber of await this.#shareNumbers(storageIndex)) {
        const share = await this.#open({ storageIndex, shareNumber }, 'update');
        if (share.kind === 'mutable') {
          shares.set(shareNumber, share);
        } else {
          await share.close();
          throw new TahoeError('immutable shares are here', { kind: 'invalid', op: 'storage.openSlot' });
        }
      }
      return slot;
    } catch (error) {
      await slot.close();
      throw error;
    }
  }

  async grantLease(storageIndex: StorageIndex, numbers: ReadonlySet<number>, lease: LeaseGrant): Promise<void> {
    for (const shareNumber of numbers) {
      const share = await this.#openIfSound({ storageIndex, shareNumber });
      try {
        await share?.grantLease(lease, this.#nodeId);
      } finally {
        await share?.close();
      }
    }
  }

  async keepAdvisory(name: string, text: string): Promise<void> {
    const file = await this.#files.open(join(this.#layout.advisories, name), 'create');
    try {
      await file.write(0, [encodeUtf8(text)]);
    } finally {
      await file.close();
    }
  }

  async #commit(
    storageIndex: StorageIndex,
    shares: ReadonlyMap<number, DiskMutableShare>,
    edits: ReadonlyMap<number, SlotEdit>,
    writeEnabler: WriteEnabler,
    lease: LeaseGrant,
  ): Promise<void> {
    const prepared = new Map<number, string>();
    const prepare = async (shareNumber: number, edit: SlotEdit) => {
      const old = shares.get(shareNumber);
      if (edit.newLength === 0) return;
      if (old !== undefined && !changesData(old, edit)) {
        await old.grantLease(lease, this.#nodeId);
        return;
      }
      const path = this.#layout.unfinished({ storageIndex, shareNumber });
      prepared.set(shareNumber, path);
      await writeEditedContainer(this.#files, path, { old, edit, writeEnabler, nodeId: this.#nodeId, lease });
    };
    const results = await Promise.allSettled([...edits].map(([number, edit]) => prepare(number, edit)));
    const failure = results.find((result) => result.status === 'rejected');
    if (failure !== undefined) {
      await Promise.all(Array.from(prepared.values(), (path) => this.#removeIfThere(path)));
      throw failure.reason;
    }
    const removed = [...edits].filter(([number, edit]) => edit.newLength === 0 && shares.has(number));
    await this.#replace(storageIndex, prepared, new Set(removed.map(([number]) => number)), shares.size);
  }

  async #replace(
    storageIndex: StorageIndex,
    prepared: ReadonlyMap<number, string>,
    removed: ReadonlySet<number>,
    shareCount: number,
  ): Promise<void> {
    if (prepared.size === 0 && removed.size === 0) return;
    if (shareCount === 0) await this.#makeBucket(storageIndex);
    for (const [shareNumber, path] of prepared) {
      await this.#files.rename(path, this.#layout.share({ storageIndex, shareNumber }));
    }
    for (const shareNumber of removed) await this.#files.remove(this.#layout.share({ storageIndex, shareNumber }));
    if (removed.size > 0 && (await this.#shareNumbers(storageIndex)).length === 0) {
      await this.#removeBucket(storageIndex);
    } else if (shareCount === 0) {
      await this.#syncBucket(storageIndex);
    } else {
      await this.#sync.sync(this.#layout.bucketDirectory(storageIndex));
    }
  }

  async #shareNumbers(storageIndex: StorageIndex): Promise<number[]> {
    const bucket = this.#layout.bucketDirectory(storageIndex);
    // Most allocations are for something new: an exception for each of them would be dear.
    if ((await this.#files.stat(bucket)) === undefined) return [];
    const numbers = (await this.#namesIn(bucket)).map(shareNumberOf).filter((number) => number !== undefined);
    return numbers.sort((left, right) => left - right);
  }

  /** None if the directory has just been removed. */
  async #namesIn(directory: string): Promise<string[]> {
    try {
      return await this.#files.list(directory);
    } catch (error) {
      if (isTahoeError(error, 'not-found')) return [];
      throw error;
    }
  }

  /** Undefined for a file that is no container: it must not hide the sound shares beside it. */
  async #kindOf(address: ShareAddress): Promise<ShareKind | undefined> {
    try {
      const file = await this.#files.open(this.#layout.share(address), 'read');
      try {
        return containerKindOf(await file.read(0, KIND_BYTES));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isTahoeError(error, 'corrupt', 'not-found')) return undefined;
      throw error;
    }
  }

  async #open(address: ShareAddress, mode: 'read' | 'update'): Promise<DiskShare> {
    const file = await this.#files.open(this.#layout.share(address), mode);
    try {
      return await openDiskShare(file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Undefined for a damaged container: it has no place for a lease, and must not keep the others from getting theirs. */
  async #openIfSound(address: ShareAddress): Promise<DiskShare | undefined> {
    try {
      return await this.#open(address, 'update');
    } catch (error) {
      if (isTahoeError(error, 'corrupt')) return undefined;
      throw error;
    }
  }

  async #makeBucket(storageIndex: StorageIndex): Promise<void> {
    const prefix = this.#layout.prefixDirectory(storageIndex);
    await this.#files.makeDirectory(this.#layout.bucketDirectory(storageIndex));
    if (this.#durablePrefixes.has(prefix)) return;
    await this.#sync.sync(this.#layout.shares);
    this.#durablePrefixes.add(prefix);
  }

  /** A new bucket is durable when its entry in the prefix directory is, too. */
  async #syncBucket(storageIndex: StorageIndex): Promise<void> {
    await Promise.all([
      this.#sync.sync(this.#layout.bucketDirectory(storageIndex)),
      this.#sync.sync(this.#layout.prefixDirectory(storageIndex)),
    ]);
  }

  async #removeBucket(storageIndex: StorageIndex): Promise<void> {
    const bucket = this.#layout.bucketDirectory(storageIndex);
    try {
      await this.#files.removeDirectory(bucket);
    } catch (error) {
      // Files that are no shares keep their directory.
      if (!isTahoeError(error, 'not-empty')) throw error;
      await this.#sync.sync(bucket);
    }
    await this.#sync.sync(this.#layout.prefixDirectory(storageIndex));
  }

  async #removeIfThere(path: string): Promise<void> {
    try {
      await this.#files.remove(path);
    } catch (error) {
      if (!isTahoeError(error, 'not-found')) throw error;
    }
  }
}

type Commit = MutableSlot['commit'];

class DiskSlot implements MutableSlot {
  readonly shares: ReadonlyMap<number, DiskMutableShare>;
  readonly commit: Commit;

  constructor(shares: ReadonlyMap<number, DiskMutableShare>, commit: Commit) {
    this.shares = shares;
    this.commit = commit;
  }

  async close(): Promise<void> {
    await Promise.all(Array.from(this.shares.values(), (share) => share.close()));
  }
}
