import test from 'ava';
import { GridUploader } from '../../../src/immutable/uploader.js';
import { silentLogger } from '../../../src/platform/logger.js';
import { memoryGridClock, usualEncoding } from '../../support/memory-grid.js';
import { MemoryStorageServer } from '../../support/memory-storage-server.js';

/** Keeps nothing, and counts the bytes that it has been lent and not given back. */
class DiscardingServer extends MemoryStorageServer {
  lentBytes = 0;
  readonly #sizes = new Map<number, number>();
  readonly #onLoan: () => void;

  constructor(name: string, onLoan: () => void) {
    super(name);
    this.#onLoan = onLoan;
  }

  override async allocateShares(request: Parameters<MemoryStorageServer['allocateShares']>[0]) {
    for (const share of request.shareNumbers) this.#sizes.set(share, request.allocatedSize);
    return { alreadyHave: new Set<number>(), allocated: new Set(request.shareNumbers) };
  }

  override async writeShare(request: Parameters<MemoryStorageServer['writeShare']>[0]) {
    const length = request.parts.reduce((sum, part) => sum + part.length, 0);
    this.lentBytes += length;
    this.#onLoan();
    await new Promise((resolve) => setTimeout(resolve, 2));
    this.lentBytes -= length;
    return { complete: request.offset + length === this.#sizes.get(request.shareNumber) };
  }
}

test('memory of an upload does not depend on the size of the file', async (t) => {
  let lent = 0;
  let bytes = 0;
  const servers: DiscardingServer[] = [];
  const onLoan = () => {
    lent = Math.max(
      lent,
      servers.reduce((sum, server) => sum + server.lentBytes, 0),
    );
    // of this thread only: other tests run in the same process
    bytes = Math.max(bytes, process.memoryUsage().arrayBuffers);
  };
  for (let i = 0; i < 10; i++) servers.push(new DiscardingServer(`s${i}`, onLoan));
  const uploader = new GridUploader({
    servers: () => servers,
    clientLeaseSecret: new Uint8Array(32),
    clock: memoryGridClock,
    log: silentLogger,
  });
  t.teardown(() => uploader.close());
  const upload = (sizeBytes: number) =>
    uploader.upload(
      { sizeBytes, read: async (offset, target) => void target.fill(offset & 255) },
      { encoding: usualEncoding, convergenceSecret: new Uint8Array(1) },
    );
  await upload(12_000_000);
  const lentBySmall = lent;
  const bytesBySmall = bytes;
  await upload(120_000_000);
  t.true(lentBySmall > 0);
  t.true(lent <= 32 << 20, `${lent} bytes were lent at a time`);
  t.true(bytes <= bytesBySmall + (8 << 20), `buffers grew from ${bytesBySmall} to ${bytes}`);
});
