/** Shares that the reference wrote, on disk as it left them, served by our servers and read by our client. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, fileCapOf, isMutableFile, type LitCap, parseKnownCap } from '../../src/caps/cap.js';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { sha256 } from '../../src/crypto/hashes.js';
import { parseDirectory } from '../../src/dirnode/packing.js';
import { decodeBase32 } from '../../src/encoding/base32.js';
import type { ServerId } from '../../src/encoding/brands.js';
import { bytesEqual, encodeAscii, toHex } from '../../src/encoding/bytes.js';
import { asTubId } from '../../src/encoding/checked-bytes.js';
import { erasureCode } from '../../src/erasure/erasure-code.js';
import { GridDownloader } from '../../src/immutable/downloader.js';
import { mapSlot, slotServers } from '../../src/mutable/map-slot.js';
import { mdmfFormat } from '../../src/mutable/mdmf-format.js';
import { findBestVersion, readSlot } from '../../src/mutable/read-slot.js';
import { retrieveSigningKeys, retrieveVersion, shareSource } from '../../src/mutable/retrieve.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { type SlotKeys, slotKeysOf } from '../../src/mutable/slot-keys.js';
import { quorumsOf } from '../../src/mutable/slot-map.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import { encodeMdmf } from '../../src/share-layout/mdmf-encode.js';
import { mdmfGeometry, parseMdmfHead } from '../../src/share-layout/mdmf-share.js';
import { mutableShareTree } from '../../src/share-layout/mutable-share.js';
import { DiskBackend } from '../../src/storage-server/disk-backend.js';
import { StorageService } from '../../src/storage-server/service.js';
import { temporaryDirectory } from '../support/storage-servers.js';

interface GoldenServer {
  readonly name: string;
  readonly my_nodeid: string;
  readonly permutation_seed_base32: string;
  readonly key_s: string;
}

interface GoldenIndex {
  readonly servers: readonly GoldenServer[];
  readonly immutable: readonly { readonly size: number; readonly sha256: string; readonly cap: string }[];
  readonly mutable: readonly {
    readonly name: string;
    readonly rw_uri: string;
    readonly ro_uri: string;
    readonly sha256: string;
  }[];
  readonly directories: readonly { readonly name: string; readonly cap: string; readonly ro_uri?: string }[];
}

const vectors = path.join(process.cwd(), 'test', 'vectors');
const index = JSON.parse(readFileSync(path.join(vectors, 'index.json'), 'utf8')) as GoldenIndex;
const clock = new NodeClock();
const entropy = new NodeEntropy();

/** The ten servers of the golden grid with the shares of one archive. */
async function goldenServers(t: ExecutionContext, archive: string): Promise<StorageService[]> {
  const root = await temporaryDirectory(t);
  const tar = path.join(vectors, 'shares', `${archive}.tar.gz`);
  const { status, stderr } = spawnSync('tar', ['xzf', tar, '-C', root], { encoding: 'utf8' });
  t.is(status, 0, stderr);
  return Promise.all(
    index.servers.map(async ({ name, my_nodeid, permutation_seed_base32, key_s }) => {
      await fs.mkdir(path.join(root, name), { recursive: true });
      const tubId = asTubId(decodeBase32(my_nodeid));
      const service = new StorageService({
        id: key_s as ServerId,
        nickname: name,
        permutationSeed: decodeBase32(permutation_seed_base32),
        tubId,
        backend: new DiskBackend(new NodeFileStore(), path.join(root, name), tubId),
        clock,
        log: silentLogger,
        applicationVersion: 'tahoe-ts/test',
      });
      await service.start();
      t.teardown(() => service.close());
      return service;
    }),
  );
}

function downloader(servers: readonly StorageService[]): GridDownloader {
  const segmentCache = new LRUCache<string, Uint8Array>({
    maxSize: 1 << 24,
    sizeCalculation: (segment) => Math.max(1, segment.length),
  });
  return new GridDownloader({ servers: () => servers, segmentCache, clock, log: silentLogger });
}

function slotContext(servers: readonly StorageService[]): SlotContext {
  const leaseSecrets = clientLeaseSecrets(encodeAscii('lease secret of the test'));
  return { servers: () => servers, leaseSecrets, clock, entropy, log: silentLogger, requestTimeoutMs: 5000 };
}

const quorums = quorumsOf({ sharesNeeded: 3, sharesHappy: 7, sharesTotal: 10 });

function keysOf(capText: string): SlotKeys {
  const cap = fileCapOf(parseKnownCap(capText));
  if (!isMutableFile(cap)) throw new Error(`not mutable: ${cap.type}`);
  return slotKeysOf(cap);
}

async function readMutable(servers: readonly StorageService[], capText: string): Promise<Uint8Array> {
  return (await readSlot(slotContext(servers), keysOf(capText), { quorums })).content;
}

for (const { size, sha256: digest, cap } of index.immutable) {
  if (cap.startsWith('URI:LIT:')) continue;
  test.serial(`a file of ${size} bytes uploaded by the reference is read from its shares`, async (t) => {
    const servers = await goldenServers(t, `chk-${size}`);
    const file = downloader(servers).open(parseKnownCap(cap) as ChkReadCap | LitCap);
    t.is(toHex(sha256(await file.read(0, size + 1))), digest);
    const middle = Math.floor(size / 2);
    const whole = await file.read(0, size);
    t.deepEqual(await file.read(middle, 100), whole.slice(middle, middle + 100));
  });
}

for (const { name, rw_uri, ro_uri, sha256: digest } of index.mutable) {
  test.serial(`the mutable file ${name} of the reference is read through both capabilities`, async (t) => {
    const servers = await goldenServers(t, name);
    for (const cap of [rw_uri, ro_uri]) t.is(toHex(sha256(await readMutable(servers, cap))), digest);
  });
}

for (const { name, cap, ro_uri } of index.directories) {
  const { inner } = parseKnownCap(cap) as { inner: { type: string } };
  if (inner.type !== 'sdmf-write' && inner.type !== 'mdmf-write') continue;
  test.serial(`the directory ${name} of the reference is read from its shares`, async (t) => {
    const servers = await goldenServers(t, name);
    const expected = readFileSync(path.join(vectors, 'directories', `${name}.packed.bin`));
    for (const text of [cap, ro_uri ?? cap]) t.deepEqual(Buffer.from(await readMutable(servers, text)), expected);
  });
}

test.serial('the immutable directory dir-imm of the reference is read from its shares', async (t) => {
  const servers = await goldenServers(t, 'dir-imm');
  const golden = index.directories.find(({ name }) => name === 'dir-imm')!;
  const { inner } = parseKnownCap(golden.cap) as { inner: ChkReadCap };
  const packed = await downloader(servers).open(inner).read(0, inner.sizeBytes);
  t.deepEqual(Buffer.from(packed), readFileSync(path.join(vectors, 'directories', 'dir-imm.packed.bin')));
  t.true(parseDirectory(packed, { deepImmutable: true }).size > 0);
});

for (const name of ['mdmf-300000', 'mdmf-modified', 'dir-mdmf']) {
  test.serial(
    `the MDMF shares of ${name} come out byte for byte when they are made again with the same salts`,
    async (t) => {
      const servers = await goldenServers(t, name);
      const object = [...index.mutable, ...index.directories].find((each) => each.name === name)!;
      const keys = keysOf('cap' in object ? object.cap : object.rw_uri);
      const context = slotContext(servers);
      const { best, map } = await findBestVersion(context, keys, { quorums });
      const plaintext = await retrieveVersion(context, keys, best);
      const all = await mapSlot(context, keys, slotServers(context, keys, 10));
      const shares = [...all.answered.values()].flatMap((held) => [...held.values()]);
      t.is(shares.length, 10);
      const first = parseMdmfHead(shares[0]!.head);
      const segments = { first: 0, end: mdmfGeometry(first.prefix).segmentCount };
      const version = { prefix: first.prefix, shareNumber: shares[0]!.shareNumber };
      const shareTree = mutableShareTree(first.prefix);
      const blocks = await mdmfFormat.readBlocks(
        shareSource(context, keys, shares[0]!),
        { ...version, shareTree },
        segments,
      );
      const { publicKeyDer, encryptedPrivateKey } = await retrieveSigningKeys(context, keys, map);
      const encoded = encodeMdmf({
        ...first.prefix,
        readKey: keys.readKey,
        plaintext,
        firstSegment: 0,
        salts: blocks.map(({ salt }) => salt),
        kept: [],
        encryptedPrivateKey,
        publicKeyDer,
        sign: () => first.signature,
        erasureCode: erasureCode(3, 10),
      });
      for (const seen of shares) {
        const theirs = await shareSource(context, keys, seen).read(0, encoded.offsets.endOfFile);
        t.true(bytesEqual(encoded.share(seen.shareNumber), theirs), `share ${seen.shareNumber}`);
      }
    },
  );
}
