/** Shares, what servers keep them in, and whole reads of which one share is bad. */
import { LRUCache } from 'lru-cache';
import { type ChkReadCap, parseKnownCap, type SdmfWriteCap } from '../../../src/caps/cap.js';
import { clientLeaseSecrets } from '../../../src/crypto/derivations.js';
import type { TubId } from '../../../src/encoding/brands.js';
import { bytesEqual, concatBytes } from '../../../src/encoding/bytes.js';
import { asChkKey, asLeaseCancelSecret, asLeaseRenewSecret } from '../../../src/encoding/checked-bytes.js';
import { NetstringReader } from '../../../src/encoding/netstring.js';
import { TahoeError } from '../../../src/errors/tahoe-error.js';
import { IncompleteHashTree, parseHashTree } from '../../../src/hashtree/hash-tree.js';
import { GridDownloader } from '../../../src/immutable/downloader.js';
import { SmallFileEncoder } from '../../../src/immutable/small-file-encoder.js';
import { mapSlot, slotServers } from '../../../src/mutable/map-slot.js';
import { retrieveVersion } from '../../../src/mutable/retrieve.js';
import type { SlotContext } from '../../../src/mutable/slot-context.js';
import { slotKeysOf } from '../../../src/mutable/slot-keys.js';
import type { OpenedFile } from '../../../src/platform/file-store.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { chkGeometry, uploadGeometry } from '../../../src/share-layout/chk-geometry.js';
import {
  MAXIMUM_UEB_LENGTH,
  parseChkHeader,
  parseUebLength,
  uebLengthWidth,
} from '../../../src/share-layout/chk-share.js';
import { parseShareHashes } from '../../../src/share-layout/chk-share-hashes.js';
import { parseUeb, serializeUeb } from '../../../src/share-layout/chk-ueb.js';
import { serializeImmutableHeader } from '../../../src/share-layout/containers.js';
import { serializeImmutableLease } from '../../../src/share-layout/lease.js';
import {
  mdmfGeometry,
  nodesBeside,
  parseMdmfCheckstring,
  parseMdmfHead,
  verifyMdmfBlocks,
} from '../../../src/share-layout/mdmf-share.js';
import { mutableShareTree, parseShareHashChain } from '../../../src/share-layout/mutable-share.js';
import {
  parseSdmfCheckstring,
  parseSdmfPrefix,
  parseSdmfShare,
  verifySdmfBlock,
} from '../../../src/share-layout/sdmf-share.js';
import { openDiskShare } from '../../../src/storage-server/disk-share.js';
import { fromBase64, readVectorJson } from '../../support/golden-vectors.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';
import { type MutableVector, openMutableContainer } from '../../support/mutable-vectors.js';
import type { FuzzTarget } from '../fuzz-target.js';
import { keyedNetstrings, netstrings } from '../structure.js';
import { standingClock, unlessRefused } from '../target-support.js';

const plaintext = Uint8Array.from({ length: 1000 }, (_, index) => (index * 167 + 13) % 251);
const chkKey = asChkKey(new Uint8Array(16).fill(3));

function chkFile(parameters: { sharesNeeded: number; sharesTotal: number }, segmentSize: number, version?: 1 | 2) {
  const geometry = uploadGeometry({ sizeBytes: plaintext.length, ...parameters }, segmentSize);
  return new SmallFileEncoder().encode(plaintext, geometry, chkKey, version);
}

const chkShares = () => [
  chkFile({ sharesNeeded: 3, sharesTotal: 10 }, 1 << 20).shares[2]!,
  chkFile({ sharesNeeded: 2, sharesTotal: 4 }, 100).shares[3]!,
  chkFile({ sharesNeeded: 1, sharesTotal: 1 }, 200, 2).shares[0]!,
];

/** All the parts of a share, checked for their form only. */
function parseChkShare(input: Uint8Array): void {
  const header = parseChkHeader(input);
  const { uriExtension, shareHashes, blockTree } = header.offsets;
  const width = uebLengthWidth(header);
  const length = parseUebLength(header, input.subarray(uriExtension, uriExtension + width));
  const entries = parseShareHashes(input.subarray(shareHashes, uriExtension));
  unlessRefused(() => new IncompleteHashTree(10, new Uint8Array(32)).learn(entries), 'corrupt');
  unlessRefused(() => parseHashTree(10, input.subarray(blockTree, shareHashes)), 'corrupt');
  const { segmentSize } = parseUeb(input.subarray(uriExtension + width, uriExtension + width + length));
  chkGeometry({ sizeBytes: plaintext.length, sharesNeeded: 3, sharesTotal: 10 }, segmentSize);
}

const uebs = () => [
  serializeUeb(uploadGeometry({ sizeBytes: 1000, sharesNeeded: 3, sharesTotal: 10 }, 100), {
    crypttextHash: new Uint8Array(32).fill(1),
    crypttextRootHash: new Uint8Array(32).fill(2),
    shareRootHash: new Uint8Array(32).fill(3),
  }),
];

/** Whatever one of k servers answers, the file is read as it is or not at all. */
function chkDownload(): FuzzTarget {
  const file = chkFile({ sharesNeeded: 2, sharesTotal: 2 }, 400);
  const servers = file.shares.map((_, number) => new MemoryStorageServer(`s${number}`));
  const storageIndexText = 'any';
  const hold = (server: MemoryStorageServer, number: number, share: Uint8Array) => {
    server.buckets.set(storageIndexText, new Map([[number, share]]));
    // one bucket, whatever its name
    server.buckets.get = () => new Map([[number, share]]);
  };
  hold(servers[1]!, 1, file.shares[1]!);
  const cap: ChkReadCap = file.cap;
  return {
    name: 'chk-download',
    corpus: () => [file.shares[0]!],
    refusals: ['unrecoverable', 'corrupt'],
    async parse(input) {
      hold(servers[0]!, 0, input);
      const segmentCache = new LRUCache<string, Uint8Array>({ max: 4 });
      const options = { servers: () => servers, segmentCache, clock: standingClock, log: silentLogger };
      const read = await new GridDownloader(options).open(cap).read(0, plaintext.length);
      for (const server of servers) server.calls.length = server.advisories.length = 0;
      if (!bytesEqual(read, plaintext)) throw new Error('other bytes than were stored');
    },
  };
}

const vectors = readVectorJson<Record<string, MutableVector>>('mutable/shares.json');
const sharesOf = (name: string) =>
  vectors[name]!.shares.map(({ container_file_b64 }) => openMutableContainer(fromBase64(container_file_b64)).data);
const sdmfShares = () => ['sdmf-1000-3of10', 'sdmf-4-2of7', 'sdmf-0-1of1'].map((name) => sharesOf(name)[0]!);

const mdmfShares = () => ['mdmf-5-2of7', 'mdmf-0-1of1', 'mdmf-131073-3of10'].map((name) => sharesOf(name)[0]!);

function parseSdmf(input: Uint8Array): void {
  parseSdmfCheckstring(input);
  parseSdmfPrefix(input);
  unlessRefused(() => parseShareHashChain(input.subarray(0, input.length - (input.length % 34))), 'corrupt');
  const share = parseSdmfShare(input);
  verifySdmfBlock(share, 0, mutableShareTree(share.prefix));
}

function parseMdmf(input: Uint8Array): void {
  parseMdmfCheckstring(input);
  const { prefix, offsets, shareHashChain } = parseMdmfHead(input);
  const { segmentCount, blockOffset } = mdmfGeometry(prefix);
  if (segmentCount === 0) return;
  const range = { first: segmentCount - 1, end: segmentCount };
  const start = offsets.shareData + blockOffset(range.first);
  const data = input.subarray(start, offsets.shareData + blockOffset(range.end));
  const node = (index: number) =>
    input.subarray(offsets.blockHashTree + 32 * index, offsets.blockHashTree + 32 * index + 32);
  const blockTreeNodes = nodesBeside(range, segmentCount).map((index) => [index, node(index)] as const);
  const evidence = { blockTreeRoot: node(0), blockTreeNodes, shareHashChain };
  verifyMdmfBlocks(prefix, 0, { ...range, data }, evidence, mutableShareTree(prefix));
}

/** Whatever one of k servers answers, the contents are read as they are or not at all. */
function mutableRead(name: string, vectorName: string): FuzzTarget {
  const vector = vectors[vectorName]!;
  const shares = sharesOf(vectorName);
  const keys = slotKeysOf(parseKnownCap(vector.cap) as SdmfWriteCap);
  const servers = Array.from({ length: vector.k }, (_, number) => new MemoryStorageServer(`s${number}`));
  const context: SlotContext = {
    servers: () => servers,
    leaseSecrets: clientLeaseSecrets(new Uint8Array(32)),
    clock: standingClock,
    entropy: { bytes: (length) => new Uint8Array(length), fraction: () => 0 },
    log: silentLogger,
    requestTimeoutMs: 1000,
  };
  const hold = (number: number, share: Uint8Array) => {
    servers[number]!.slots.get = () => ({ writeEnabler: new Uint8Array(32), shares: new Map([[number, share]]) });
  };
  const readers = { ...keys, writeKey: undefined };
  for (let number = 1; number < vector.k; number++) hold(number, shares[number]!);
  let known: Uint8Array | undefined;
  return {
    name,
    corpus: () => [shares[0]!],
    refusals: ['unrecoverable', 'unreachable', 'stale'],
    async parse(input) {
      hold(0, input);
      const map = await mapSlot(context, readers, slotServers(context, readers, vector.k));
      for (const server of servers) server.calls.length = server.advisories.length = 0;
      const [version] = map.versions.values();
      if (version === undefined || map.versions.size > 1)
        throw new TahoeError('none', { kind: 'unrecoverable', op: 'fuzz' });
      const read = await retrieveVersion(context, readers, version);
      known ??= read;
      if (!bytesEqual(read, known)) throw new Error('other bytes than were stored');
    },
  };
}

const lease = {
  ownerNumber: 1,
  expirationSeconds: 1_800_000_000,
  renewSecret: new Uint8Array(32),
  cancelSecret: new Uint8Array(32),
};

const containers = () => [
  concatBytes([serializeImmutableHeader(2, 100, 1), plaintext.subarray(0, 100), serializeImmutableLease(lease)]),
  concatBytes([
    serializeImmutableHeader(1, 10, 2),
    plaintext.subarray(0, 10),
    serializeImmutableLease(lease),
    serializeImmutableLease(lease),
  ]),
  ...['sdmf-1000-3of10', 'sdmf-0-1of1', 'mdmf-5-2of7'].map((name) =>
    fromBase64(vectors[name]!.shares[0]!.container_file_b64),
  ),
];

const grant = {
  renew: asLeaseRenewSecret(new Uint8Array(32).fill(9)),
  cancel: asLeaseCancelSecret(new Uint8Array(32)),
  expiresSeconds: 1_900_000_000,
  ownerNumber: 1,
};

/** As a server does that finds this file among its shares: data, leases, and one more lease. */
async function openContainer(input: Uint8Array): Promise<void> {
  const file = new MemoryFile(input);
  const share = await openDiskShare(file);
  const data = await share.read(0, 1 << 20);
  await share.read(share.sizeBytes - 1, 10);
  if (data.length !== Math.min(share.sizeBytes, 1 << 20)) throw new Error('less data than its size');
  if (share.kind === 'mutable') await share.grantLease(grant, new Uint8Array(20) as TubId);
  else await share.grantLease(grant);
  const after = await openDiskShare(file);
  if (!bytesEqual(await after.read(0, 1 << 20), data)) throw new Error('a new lease changed the data');
}

/** Just enough of a file to open a container. */
class MemoryFile implements OpenedFile {
  #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    if (!Number.isSafeInteger(position) || position < 0 || !(length >= 0)) throw new Error(`read at ${position}`);
    return this.#bytes.slice(position, position + length);
  }

  async readInto(target: Uint8Array, position: number): Promise<number> {
    const bytes = await this.read(position, target.length);
    target.set(bytes);
    return bytes.length;
  }

  async write(position: number, parts: readonly Uint8Array[]): Promise<void> {
    this.writeNow(position, parts);
  }

  writeNow(position: number, parts: readonly Uint8Array[]): void {
    const added = concatBytes(parts);
    if (!(position >= 0 && position < 1 << 24)) throw new Error(`write at ${position}`);
    const grown = new Uint8Array(Math.max(this.#bytes.length, position + added.length));
    grown.set(this.#bytes);
    grown.set(added, position);
    this.#bytes = grown;
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#bytes = this.#bytes.slice(0, sizeBytes);
  }

  async sizeBytes(): Promise<number> {
    return this.#bytes.length;
  }

  async sync(): Promise<void> {}

  async close(): Promise<void> {}
}

export const shareTargets: readonly FuzzTarget[] = [
  { name: 'chk-share', corpus: chkShares, refusals: ['corrupt', 'invalid'], parse: parseChkShare },
  {
    name: 'ueb',
    corpus: uebs,
    structure: keyedNetstrings,
    words: ['segment_size:', ':', ',', '32:'],
    // what is longer is never fetched
    bytesMax: MAXIMUM_UEB_LENGTH,
    refusals: ['corrupt', 'invalid'],
    parse: (input) => chkGeometry({ sizeBytes: 1000, sharesNeeded: 3, sharesTotal: 10 }, parseUeb(input).segmentSize),
  },
  {
    name: 'netstrings',
    corpus: () => [...uebs(), new Uint8Array(Buffer.from('0:,3:abc,10:0123456789,'))],
    structure: netstrings,
    refusals: ['corrupt'],
    parse(input) {
      const reader = new NetstringReader(input);
      while (!reader.atEnd) reader.next();
    },
  },
  { name: 'mdmf-share', corpus: mdmfShares, bytesMax: 80_000, refusals: ['corrupt'], parse: parseMdmf },
  { name: 'sdmf-share', corpus: sdmfShares, refusals: ['corrupt'], parse: parseSdmf },
  { name: 'share-container', corpus: containers, bytesMax: 8192, refusals: ['corrupt'], parse: openContainer },
  chkDownload(),
  mutableRead('sdmf-read', 'sdmf-1000-3of10'),
  mutableRead('mdmf-read', 'mdmf-5-2of7'),
];
