import test from 'ava';
import type { ServerId, StorageIndex, TubId } from '../../../src/encoding/brands.js';
import {
  asLeaseCancelSecret,
  asLeaseRenewSecret,
  asUploadSecret,
  asWriteEnabler,
} from '../../../src/encoding/checked-bytes.js';
import { isTahoeError } from '../../../src/errors/tahoe-error.js';
import { NodeClock } from '../../../src/node/node-clock.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { DiskBackend } from '../../../src/storage-server/disk-backend.js';
import { StorageService } from '../../../src/storage-server/service.js';
import { CrashFileStore, type CrashKind } from '../../support/crash-file-store.js';

const tubId = new Uint8Array(20) as TubId;
const immutable = new Uint8Array(16).fill(1) as StorageIndex;
const slot = new Uint8Array(16).fill(2) as StorageIndex;
const uploadSecret = asUploadSecret(new Uint8Array(20).fill(3));
const writeEnabler = asWriteEnabler(new Uint8Array(32).fill(4));
const leases = {
  renew: asLeaseRenewSecret(new Uint8Array(32).fill(5)),
  cancel: asLeaseCancelSecret(new Uint8Array(32).fill(6)),
};
const sizeBytes = 3000;
const shareData = (shareNumber: number) => new Uint8Array(sizeBytes).fill(10 + shareNumber);
const slotData = (version: number) => new Uint8Array(2000 + version).fill(version);

async function serviceOn(files: CrashFileStore): Promise<StorageService> {
  const seen = { id: 'v0-x' as ServerId, nickname: 'x', permutationSeed: tubId, tubId, clock: new NodeClock() };
  const backend = new DiskBackend(files, '/storage', tubId);
  const service = new StorageService({ ...seen, backend, log: silentLogger, applicationVersion: 'test' });
  await service.start();
  return service;
}

/** What the server has said to hold. */
interface Promised {
  readonly shares: Set<number>;
  slotVersion: number;
  /** The version that was being written. */
  slotAttempt: number;
}

/** Two shares at once and one in two pieces, then three versions of a slot, until the disk dies. */
async function work(service: StorageService, promised: Promised): Promise<void> {
  const shareNumbers = new Set([0, 1, 2]);
  await service.allocateShares({
    storageIndex: immutable,
    shareNumbers,
    allocatedSize: sizeBytes,
    uploadSecret,
    leases,
  });
  const write = async (shareNumber: number, offset: number, end: number) => {
    const parts = [shareData(shareNumber).subarray(offset, end)];
    const { complete } = await service.writeShare({
      storageIndex: immutable,
      shareNumber,
      offset,
      parts,
      uploadSecret,
    });
    if (complete) promised.shares.add(shareNumber);
  };
  await Promise.all([write(0, 0, sizeBytes), write(1, 0, sizeBytes)]);
  await write(2, 1000, sizeBytes);
  await write(2, 0, 1000);
  for (let version = 1; version <= 3; version++) {
    promised.slotAttempt = version;
    const writes = [{ offset: 0, data: slotData(version) }];
    const shares = new Map([[0, { tests: [], writes, newLength: null }]]);
    await service.readTestWrite({ storageIndex: slot, writeEnabler, leases, shares, readVector: [] });
    promised.slotVersion = version;
  }
}

function randomFractions(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
}

async function crashAndLook(kind: CrashKind, crashAt: number, seed: number): Promise<string | undefined> {
  const files = new CrashFileStore();
  const promised: Promised = { shares: new Set(), slotVersion: 0, slotAttempt: 0 };
  const before = await serviceOn(files);
  files.crashAt = files.operations + crashAt;
  try {
    await work(before, promised);
  } catch (error) {
    if (!isTahoeError(error, 'internal')) throw error;
  }
  const after = await serviceOn(files.afterCrash(kind, randomFractions(seed)));
  const found = await after.listShares(immutable);
  for (const shareNumber of promised.shares) if (!found.has(shareNumber)) return `share ${shareNumber} is lost`;
  for (const shareNumber of found) {
    const address = { storageIndex: immutable, shareNumber };
    const bytes = await after.readShare(address, { offset: 0, length: sizeBytes + 1 });
    if (Buffer.compare(bytes, shareData(shareNumber)) !== 0) return `share ${shareNumber} is damaged`;
  }
  const slotShares = await after.listSlotShares(slot);
  if (slotShares.size === 0) return promised.slotVersion === 0 ? undefined : 'the slot is lost';
  const stored = await after.readSlotShare({ storageIndex: slot, shareNumber: 0 }, { offset: 0, length: 9999 });
  const possible = [promised.slotVersion, promised.slotAttempt].filter((version) => version > 0).map(slotData);
  const isOneOfThem = possible.some((data) => Buffer.compare(stored, data) === 0);
  return isOneOfThem ? undefined : `the slot holds neither version ${promised.slotVersion} nor the next`;
}

for (const kind of ['kill', 'power'] as const) {
  test(`what the server has confirmed survives a ${kind}, and nothing half-written is ever shown`, async (t) => {
    for (let crashAt = 1; crashAt <= 60; crashAt++) {
      for (let seed = 1; seed <= (kind === 'kill' ? 1 : 30); seed++) {
        const problem = await crashAndLook(kind, crashAt, seed * 7919 + crashAt);
        if (problem !== undefined) t.fail(`crash at operation ${crashAt}, seed ${seed}: ${problem}`);
      }
    }
    t.is(await crashAndLook(kind, 10_000, 1), undefined);
  });
}
