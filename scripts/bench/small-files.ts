/**
 * Cost of small things end to end: ten storage servers with TLS and disk and a client, all in this process. Uploads
 * distinct 4 KiB files, eight at a time, then publishes new versions of a 2 KiB slot one after the other. CPU counts
 * both sides and the kernel.
 *
 * node dist/scripts/bench/small-files.js [files] [publishes] [directory]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { generateRsaKeyDer } from '../../src/crypto/rsa.js';
import { writeU32 } from '../../src/encoding/bytes.js';
import { describeError } from '../../src/errors/tahoe-error.js';
import { GridUploader } from '../../src/immutable/uploader.js';
import { assessSlot } from '../../src/mutable/assess-slot.js';
import { mapSlot, slotServers } from '../../src/mutable/map-slot.js';
import { makeAttempt, publishAttempt } from '../../src/mutable/publish.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { newSlot } from '../../src/mutable/slot-keys.js';
import { quorumsOf } from '../../src/mutable/slot-map.js';
import { NodeClock } from '../../src/node/node-clock.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { NodeFileStore } from '../../src/node/node-file-store.js';
import { silentLogger } from '../../src/platform/logger.js';
import { HttpsStorageServer } from '../../src/storage-client/https-storage-server.js';
import { parseNurl } from '../../src/storage-protocol/nurl.js';
import { DiskBackend } from '../../src/storage-server/disk-backend.js';
import { StorageHttpsServer } from '../../src/storage-server/https-server.js';
import { openIdentity, publishAddresses } from '../../src/storage-server/identity.js';
import { StorageService } from '../../src/storage-server/service.js';

const SERVERS = 10;
const IN_FLIGHT = 8;
const FILE_BYTES = 4096;
const SLOT_BYTES = 2048;
const WARM_UP = 100;

const encoding = { sharesNeeded: 3, sharesHappy: 7, sharesTotal: SERVERS, maximumSegmentSize: 1 << 20 };
const platform = { clock: new NodeClock(), entropy: new NodeEntropy(), files: new NodeFileStore(), log: silentLogger };

interface RunningServer {
  readonly client: HttpsStorageServer;
  stop(): Promise<void>;
}

async function startServer(directory: string): Promise<RunningServer> {
  const { clock, files, log } = platform;
  const identity = await openIdentity(platform, directory);
  const { serverId: id, permutationSeed, tubId } = identity;
  const seen = { id, nickname: directory, permutationSeed, tubId, clock };
  const backend = new DiskBackend(files, join(directory, 'storage'), tubId);
  const service = new StorageService({ ...seen, backend, log, applicationVersion: 'bench' });
  await service.start();
  const https = new StorageHttpsServer({ ...identity, service, log, clock });
  const { nurl } = await publishAddresses(files, directory, identity, await https.listen(0, '127.0.0.1'));
  const client = new HttpsStorageServer({ ...seen, nurl: parseNurl(nurl) });
  const stop = async () => {
    await client.close();
    await https.close();
    await service.close();
  };
  return { client, stop };
}

/** Distinct files; what they hold does not matter otherwise. */
function numberedFile(number: number) {
  const data = new Uint8Array(FILE_BYTES).fill(number);
  writeU32(data, 0, number);
  return { sizeBytes: FILE_BYTES, read: async (_offset: number, target: Uint8Array) => target.set(data) };
}

async function uploadFiles(uploader: GridUploader, first: number, count: number): Promise<void> {
  let next = first;
  const worker = async () => {
    while (next < first + count) {
      const source = numberedFile(next++);
      await uploader.upload(source, { encoding, convergenceSecret: new Uint8Array(32) });
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** A publisher of one slot: each call maps, writes a new version and reads it back. */
function slotPublisher(servers: readonly HttpsStorageServer[]): (content: Uint8Array) => Promise<void> {
  const { privateKeyDer, publicKeyDer } = generateRsaKeyDer();
  const { keys, signing } = newSlot(privateKeyDer, publicKeyDer);
  const leaseSecrets = clientLeaseSecrets(new Uint8Array(32));
  const context: SlotContext = { ...platform, servers: () => servers, leaseSecrets, requestTimeoutMs: 15_000 };
  const quorums = quorumsOf(encoding);
  return async (content) => {
    const map = await mapSlot(context, keys, slotServers(context, keys, SERVERS));
    const found = assessSlot(map, { proven: undefined, attempts: [] }, quorums, keys.readKey);
    const base = found.kind === 'base' ? { version: found.base, lineage: found.lineage } : undefined;
    const usable = found.kind === 'base' ? found.usable : servers;
    const sequenceNumber = (found.kind === 'base' ? found.highestSequenceNumber : 0) + 1;
    const attempt = makeAttempt(context, { keys, signing, content, sequenceNumber, base, quorums });
    const target = {
      map,
      usable,
      kept: found.kind === 'base' ? found.kept : undefined,
      quorums,
      isNew: found.kind !== 'base',
    };
    const result = await publishAttempt(context, keys, attempt, target);
    if (result.kind !== 'proven') throw new Error(`publish: ${result.reason}`);
  };
}

async function publishVersions(publish: (content: Uint8Array) => Promise<void>, count: number): Promise<number[]> {
  const tookMs: number[] = [];
  for (let version = 0; version < count; version++) {
    const startedMs = performance.now();
    await publish(new Uint8Array(SLOT_BYTES).fill(version));
    tookMs.push(performance.now() - startedMs);
  }
  return tookMs.sort((left, right) => left - right);
}

async function measure<Result>(run: () => Promise<Result>) {
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  const result = await run();
  const { user, system } = process.cpuUsage(cpuBefore);
  return { result, wallMs: performance.now() - startedMs, userMs: user / 1000, systemMs: system / 1000 };
}

function costPerItem({ userMs, systemMs }: { userMs: number; systemMs: number }, count: number): string {
  const all = ((userMs + systemMs) / count).toFixed(2);
  return `${all} CPU ms (${(userMs / count).toFixed(2)} user, ${(systemMs / count).toFixed(2)} system)`;
}

async function main(files: number, publishes: number, directory: string): Promise<void> {
  const started = await Promise.all(
    Array.from({ length: SERVERS }, (_, number) => startServer(join(directory, `server-${number}`))),
  );
  const servers = started.map(({ client }) => client);
  const uploader = new GridUploader({ ...platform, servers: () => servers, clientLeaseSecret: new Uint8Array(32) });
  const publish = slotPublisher(servers);

  await uploadFiles(uploader, 0, WARM_UP);
  const uploads = await measure(() => uploadFiles(uploader, WARM_UP, files));
  await publishVersions(publish, WARM_UP / 2);
  const versions = await measure(() => publishVersions(publish, publishes));

  const filesPerSecond = (files * 1000) / uploads.wallMs;
  const median = versions.result[publishes >> 1] ?? 0;
  const late = versions.result[Math.floor(publishes * 0.95)] ?? 0;
  process.stdout.write(
    `4 KiB files, ${IN_FLIGHT} at a time: ${costPerItem(uploads, files)} per file, ${filesPerSecond.toFixed(0)} files/s\n` +
      `2 KiB publishes: ${costPerItem(versions, publishes)} each, wall median ${median.toFixed(1)} ms, p95 ${late.toFixed(1)} ms\n`,
  );
  await uploader.close();
  await Promise.all(started.map((server) => server.stop()));
}

const [files = 500, publishes = 200] = process.argv.slice(2, 4).map(Number);
const directory = await mkdtemp(join(process.argv[4] ?? tmpdir(), 'tahoe-bench-'));
try {
  await main(files, publishes, directory);
} catch (error) {
  process.stderr.write(`${describeError(error)}\n`);
  process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true });
}
