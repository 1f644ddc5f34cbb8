/** Clients for mutable files over servers in memory: several of them over the same servers are several writers. */
import { readFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { fileCapOf, isMutableFile, parseKnownCap } from '../../src/caps/cap.js';
import { clientLeaseSecrets } from '../../src/crypto/derivations.js';
import { toHex } from '../../src/encoding/bytes.js';
import { GridClient, type GridClientOptions } from '../../src/grid/grid-client.js';
import type { SlotContext } from '../../src/mutable/slot-context.js';
import { slotKeysOf } from '../../src/mutable/slot-keys.js';
import { NodeEntropy } from '../../src/node/node-entropy.js';
import { silentLogger } from '../../src/platform/logger.js';
import type { StorageServer } from '../../src/storage-protocol/storage-server.js';
import { createMemoryGrid, memoryGridClock, usualEncoding } from './memory-grid.js';
import type { MemoryStorageServer } from './memory-storage-server.js';

const madeKeys: readonly { readonly private: string; readonly public: string }[] = JSON.parse(
  readFileSync('test/vectors/keys/rsa-2048.json', 'utf8'),
);

export interface MutableGrid {
  readonly servers: readonly MemoryStorageServer[];
  /** Servers that did not answer last time, as the clients know. */
  readonly away: Set<StorageServer>;
  readonly slots: SlotContext;
  client(options?: Pick<GridClientOptions, 'mutableFormat'>): GridClient;
  /** The shares of a file by number, wherever they are: the bytes that the server keeps. */
  shares(cap: string): Map<number, Uint8Array>;
  /** What goes wrong on every server from now on; nothing goes wrong without an argument. */
  plan(plan?: MemoryStorageServer['plan']): void;
}

/** With another writer's versions the waits are short: T_settle is 60 ms and what the size adds. */
export function createMutableGrid(
  t: ExecutionContext<unknown>,
  encoding: {
    readonly sharesNeeded: number;
    readonly sharesHappy: number;
    readonly sharesTotal: number;
    /** Default: sharesTotal. */
    readonly serverCount?: number;
  } = usualEncoding,
): MutableGrid {
  const { serverCount = encoding.sharesTotal } = encoding;
  const { servers, uploader, downloader } = createMemoryGrid(t, { serverCount });
  const away = new Set<StorageServer>();
  const slots: SlotContext = {
    servers: () => servers,
    isReachable: (server) => !away.has(server),
    leaseSecrets: clientLeaseSecrets(new Uint8Array(32).fill(7)),
    clock: memoryGridClock,
    entropy: new NodeEntropy(),
    log: silentLogger,
    requestTimeoutMs: 300,
    publishMs: 30_000,
    settleMarginMs: -29_940,
  };
  let keysTaken = 0;
  const take = async () => {
    const made = madeKeys[keysTaken++]!;
    return {
      privateKeyDer: new Uint8Array(Buffer.from(made.private, 'base64')),
      publicKeyDer: new Uint8Array(Buffer.from(made.public, 'base64')),
    };
  };
  const slotOf = (cap: string) => {
    const file = fileCapOf(parseKnownCap(cap));
    if (!isMutableFile(file)) throw new Error(`not mutable: ${cap}`);
    return toHex(slotKeysOf(file).storageIndex);
  };
  return {
    servers,
    away,
    slots,
    client: (options) =>
      new GridClient({
        ...options,
        uploader,
        downloader,
        slots,
        keys: { take },
        encoding: { ...usualEncoding, ...encoding },
        convergenceSecret: new Uint8Array(32),
        servers: () => [],
      }),
    shares: (cap) => new Map(servers.flatMap((server) => [...(server.slots.get(slotOf(cap))?.shares ?? [])])),
    plan(plan = () => undefined) {
      for (const server of servers) server.plan = plan;
    },
  };
}
