import { join } from 'node:path';
import { encodeBase32 } from '../encoding/base32.js';
import type { StorageIndex } from '../encoding/brands.js';
import type { ShareAddress } from '../storage-protocol/storage-server.js';

/** Where things are in a storage directory: immutable spec 6.1. */
export class DiskLayout {
  readonly shares: string;
  /**
   * What is not finished. The reference has directories in it; we have plain files, which costs four system calls less
   * for each share, and both empty it at start.
   */
  readonly incoming: string;
  readonly advisories: string;

  constructor(storageDirectory: string) {
    this.shares = join(storageDirectory, 'shares');
    this.incoming = join(this.shares, 'incoming');
    this.advisories = join(storageDirectory, 'corruption-advisories');
  }

  prefixDirectory(storageIndex: StorageIndex): string {
    return `${this.shares}/${encodeBase32(storageIndex).slice(0, 2)}`;
  }

  bucketDirectory(storageIndex: StorageIndex): string {
    const name = encodeBase32(storageIndex);
    return `${this.shares}/${name.slice(0, 2)}/${name}`;
  }

  share(address: ShareAddress): string {
    return `${this.bucketDirectory(address.storageIndex)}/${address.shareNumber}`;
  }

  unfinished(address: ShareAddress): string {
    return `${this.incoming}/${encodeBase32(address.storageIndex)}.${address.shareNumber}`;
  }
}

/** The share number that a directory entry stands for; undefined for entries that are no shares. */
export function shareNumberOf(name: string): number | undefined {
  return /^[0-9]{1,15}$/.test(name) ? Number(name) : undefined;
}
